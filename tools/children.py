"""Child processes that end when their parent does, however that ends. For run.py: the standard library alone.

Only syntax that an old Python reads, as there.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

STOPS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent():
    """Makes a function that a child calls first: on Linux it asks for SIGTERM when its parent ends."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has ended already
            os._exit(1)

    return ask


def foreground(command, env):
    """Runs a command to its end -> its exit status. It ends at the latest when this process does.

    Ctrl-C in a terminal reaches the command by itself; other signals to this process are passed on.
    """
    child = subprocess.Popen(command, env=env, preexec_fn=end_with_parent())
    stopped_by = []

    def pass_on(number, _frame):
        stopped_by.append(number)
        if number != signal.SIGINT or not sys.stdin.isatty():
            child.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in STOPS}
    status = child.wait()
    for number, handler in before.items():
        signal.signal(number, handler)
    if stopped_by:
        return 128 + stopped_by[0]
    if status >= 0:
        return status
    name = signal.Signals(-status).name
    cause = "most often the system, out of memory" if name == "SIGKILL" else "a crash, or somebody who stopped it"
    print(
        f"{Path(command[1]).name} was ended by {name} ({cause}). Finished work is kept; the same command resumes",
        flush=True,
    )
    return 128 - status
