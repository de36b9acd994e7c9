"""Other processes, seen from outside."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path


def within(seconds: float, condition: Callable[[], object]) -> object:
    """Waits so long at most until something is the case; returns what it is at last."""
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)
    return condition()


def gone(pid: int, seconds: float = 30) -> bool:
    """Whether a process ends within some seconds; it is killed if not."""
    if within(seconds, lambda: not _alive(pid)):
        return True
    os.kill(pid, signal.SIGKILL)
    return False


def _alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
