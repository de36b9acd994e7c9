"""`run.py test`: style, types, documentation, then pytest, whose summary comes last; with arguments, pytest alone.

All tests are shared out to some processes file by file: what the tests of a file have in common is made once.
There is one process more than there are cores, as each waits for a kernel or a browser now and then.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tools.module import run_module

ROOT = Path(__file__).resolve().parents[1]
MOST_AT_ONCE = 4  # processes of tests; a few tests take 2 GB
CHECKS = {
    "ruff check": ["-m", "ruff", "check", "."],
    "ruff format": ["-m", "ruff", "format", "--check", "."],
    "pyright": ["-m", "pyright", "--pythonpath", sys.executable],
    "docs": ["tools/docs_site.py", "--quiet"],
}
ALL_TESTS = ["-n", str(min(MOST_AT_ONCE, 1 + (os.cpu_count() or 1))), "--dist=loadfile", "--no-loadscope-reorder"]


def failed_checks() -> list[str]:
    """Runs the checks, and returns the names of those that fail."""
    failed = []
    for name, arguments in CHECKS.items():
        print(f"== {name}", flush=True)
        if subprocess.call([sys.executable, *arguments]):  # on an interrupt it ends the child
            failed.append(name)
    if failed:
        print(f"== not clean: {', '.join(failed)}; the exit status will say so", flush=True)
    return failed


def main(arguments: list[str]) -> int:
    """Runs what the command line asks for -> exit status."""
    os.chdir(ROOT)
    if arguments:
        return run_module("pytest", *arguments)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that no check outlives this process
    failed = failed_checks()
    signal.signal(signal.SIGTERM, before)
    print("== pytest", flush=True)
    return run_module("pytest", *ALL_TESTS) or int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
