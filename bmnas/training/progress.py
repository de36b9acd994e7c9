"""How long work reports what it has done."""

from collections.abc import Callable

from tqdm import tqdm

Progress = Callable[[str, int, int], None]  # what is being done, how much is done, of how much


def bar(what: str, total: int, show: bool | None) -> tqdm:
    """Returns a bar on the standard error.

    Args:
        show: whether it is drawn; None draws it where that is a terminal.
    """
    return tqdm(desc=what, total=total, disable=None if show is None else not show)


def renamed(what: str, progress: Progress | None) -> Progress | None:
    """Returns a progress that reports the same numbers under another name; None where nobody listens."""
    if progress is None:
        return None
    return lambda _what, done, total: progress(what, done, total)
