"""A cell that stays responsive while it works: a plain function in a thread, clicks and interrupts meanwhile."""

import asyncio
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar

from IPython import get_ipython

RESUME = "Interrupted. Everything up to the last finished step is kept; run the cell again to resume."
T = TypeVar("T")
TICK = 0.2  # seconds; between ticks the kernel handles clicks, at a tick it sees an interrupt
_STOP: ContextVar[threading.Event | None] = ContextVar("_STOP", default=None)


class Interrupted(asyncio.CancelledError):
    """Somebody interrupted a cell; IPython shows this line, and no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [RESUME]


def interrupt_briefly() -> None:
    """Makes IPython show an interrupt of any cell from here on as that one line."""
    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((KeyboardInterrupt,), _show_interrupt)


def _show_interrupt(
    shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None = None
) -> None:
    shell.showtraceback((Interrupted, Interrupted(RESUME), trace))


def is_live() -> bool:
    """Says whether somebody watches: in JupyterLab, not under papermill or nbconvert; BMNAS_LIVE = 0 or 1 overrides."""
    chosen = os.environ.get("BMNAS_LIVE")
    return chosen == "1" if chosen else "JPY_SESSION_NAME" in os.environ


def stop_requested() -> bool:
    """Says, within a function run by `live`, whether the cell was interrupted and the function should end soon."""
    stop = _STOP.get()
    return stop is not None and stop.is_set()


def in_live() -> bool:
    """Says whether this is a function run by `live`, which leaves the kernel's main thread free."""
    return _STOP.get() is not None


async def live(fn: Callable[..., T], *args: Any) -> T:
    """Runs a plain function in a thread of its own, while the kernel still handles clicks and interrupts.

    On an interrupt, or any other exception here, `stop_requested()` (and so `SearchDashboard.stopped`) becomes true
    within `fn`, its end is awaited, and the exception is raised again. Exceptions of `fn` come out of `live`.

    Raises:
        Interrupted: for an interrupt, which reaches an awaiting cell as the end of a task of asyncio.
    """
    stop = threading.Event()
    token = _STOP.set(stop)  # the thread gets a copy of this context
    try:
        task = asyncio.ensure_future(asyncio.to_thread(fn, *args))
    finally:
        _STOP.reset(token)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=TICK)
    except BaseException as error:
        stop.set()
        await asyncio.wait([task])
        if isinstance(error, KeyboardInterrupt | asyncio.CancelledError):
            raise Interrupted(RESUME) from None
        raise
    return task.result()
