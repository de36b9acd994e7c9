"""A module of the environment run as `python -m` does, but in this process, so that signals reach it."""

import runpy
import sys


def run_module(name: str, *arguments: str) -> int:
    """Runs a module as the main program -> its exit status."""
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0
