"""One process at a time: a file that its holder keeps locked, and in which it says who it is.

The operating system releases the lock when the process ends, however it ends: a killed process blocks nobody. Its
forked children have its open files, and with them its locks, so they let go of them as they begin: torch's workers look
after their parent every five seconds only.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO
from weakref import WeakSet

from bmnas.errors import RunError

try:
    import fcntl
except ImportError:  # not on Windows: two processes on one folder are then not told apart
    fcntl = None

_locked: WeakSet[IO[bytes]] = WeakSet()  # every file that this process has locked; a child must not keep it


@contextmanager
def hold(path: Path, wait: bool = False) -> Iterator[None]:
    """Holds the lock `path` during a block, alone: not even this process gets it twice. The file is gone afterwards.

    Args:
        path: of the lock; its folder is made.
        wait: wait for the other holder instead of raising.

    Raises:
        RunError: another process, or another block of this one, holds it (named), or the folder cannot be written.
    """
    file = _take(path, wait)
    try:
        yield
    finally:
        with suppress(OSError):  # the folder may have been deleted
            path.unlink()
        file.close()


def _take(path: Path, wait: bool) -> BinaryIO:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b", buffering=0)
        except OSError as error:
            raise RunError(f"{path.parent} cannot be written: {error}; nothing was changed") from error
        try:
            if _taken(file, path, wait):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _taken(file: BinaryIO, path: Path, wait: bool) -> bool:
    """Whether the file is ours now; False where its last holder has just removed it."""
    try:
        lock(file, wait)
    except OSError as error:
        file.seek(0)
        holder = file.read(20).decode(errors="replace").strip() or "unknown"
        who = f"another process (process {holder}); wait for it, or stop it"
        if holder == str(os.getpid()):
            who = (
                f"this process itself (process {holder}): a search or read-out that is not finished. Finish or close it"
            )
        raise RunError(f"{path.parent} is being worked on by {who}. Reading the folder is safe meanwhile") from error
    if not path.exists() or not os.path.samestat(os.fstat(file.fileno()), path.stat()):
        return False
    with suppress(OSError):  # a full disk: the lock holds, only its holder has no name
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    return True


def lock(file: IO[bytes], wait: bool = False) -> None:
    """Locks an open file until it is closed, for this process alone.

    Raises:
        OSError: another process has it, and `wait` is False.
    """
    if fcntl is not None:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        _locked.add(file)


def _let_go() -> None:
    """In a forked child: nothing in place of the locked files. The parent's own stay locked."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for file in _locked:
        if not file.closed:
            os.dup2(nothing, file.fileno(), inheritable=False)
    os.close(nothing)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
