"""How long work reports what it has done."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much
_unasked: ContextVar[bool] = ContextVar("bars that nobody asked for", default=True)


def bar(what: str, total: int, show: bool | None) -> tqdm:
    """Returns a bar on the standard error.

    Args:
        show: whether it is drawn; None draws it where that is a terminal, unless `without_bars` says otherwise.
    """
    if show is None and not _unasked.get():
        show = False
    return tqdm(desc=what, total=total, disable=None if show is None else not show)


@contextmanager
def without_bars() -> Iterator[None]:
    """Draws no bars but those that are asked for, as where many jobs share a terminal."""
    before = _unasked.set(False)
    try:
        yield
    finally:
        _unasked.reset(before)


def seldom(write: Callable[[str], None], seconds: float = 10.0) -> Progress:
    """Returns a progress that writes a line after so many seconds without one, where no bar is drawn."""
    last = time.monotonic()

    def progress(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= seconds:
            write(f"{what}: {done:,} of {total:,}")
            last = time.monotonic()

    return progress


def renamed(what: str, progress: Progress | None) -> Progress | None:
    """Returns a progress that reports the same numbers under another name; None where nobody listens."""
    if progress is None:
        return None
    return lambda _what, done, total: progress(what, done, total)
