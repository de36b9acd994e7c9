"""A search that another process is at work on, followed from its run folder, which anybody may read."""

import time
from collections.abc import Iterator

from bmnas.searching.run_folder import Run
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.storage.lock import holder

LOOK = 0.5  # seconds between two looks at a folder


def process_at_work(run: Run) -> int | None:
    """Returns the number of the other process that searches or reads out in this folder; None where there is none."""
    return holder(run.path("lock"))


def is_searched(run: Run) -> bool:
    """Returns whether the last epoch of the search is recorded."""
    return _is_complete(run, run.trace())


def follow(run: Run) -> Iterator[EpochEvent]:
    """Yields the epochs of a search as another process records them, those before included.

    Ends with the last epoch, or where the process ends before it.

    Raises:
        RunError: the record is damaged.
    """
    shown = 0
    while True:
        ends = process_at_work(run) is None  # looked up first, so that nothing recorded before is missed
        trace = run.trace()
        yield from trace.events[shown:]
        shown = len(trace)
        if ends or _is_complete(run, trace):
            return
        time.sleep(LOOK)


def wait_for(run: Run) -> None:
    """Waits until no other process is at work in a folder."""
    while process_at_work(run) is not None:
        time.sleep(LOOK)


def _is_complete(run: Run, trace: Trace) -> bool:
    """Reads the settings only where there are epochs: a process that has just started may not have written them."""
    return len(trace) > 0 and trace.is_complete(run.config())
