"""One holder at a time: a lock file that names the process at work.

The operating system releases the lock when its process ends, however it ends: a killed process blocks nobody. A forked
child does not inherit it.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bmnas.errors import BmnasError, RunError
from bmnas.storage.whole_files import cannot_write

PATIENCE = 0.2  # seconds that nobody is refused for: others may be looking, see `holder`


@contextmanager
def hold(
    path: Path, wait: bool = False, error: type[BmnasError] = RunError, busy: type[BmnasError] | None = None
) -> Iterator[None]:
    """Holds the lock `path` during a block, alone: not even this process gets it twice. The file is gone afterwards.

    Args:
        path: of the lock; its folder is made.
        wait: wait for the other holder instead of raising.
        error: the class of the error that is raised.
        busy: the same, of the error that says that somebody else holds it; `error` by default.

    Raises:
        busy: another process, or another block of this one, holds it (named).
        error: the folder cannot be written.
    """
    lock = FileLock(path, thread_local=False, on_acquired=_write_process_id)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()  # filelock waits for ever where no file can be made, as in /proc
        lock.acquire(timeout=-1 if wait else PATIENCE)
    except (Timeout, RuntimeError) as failure:  # RuntimeError: this thread would wait for itself
        raise (busy or error)(
            f"{path.parent} is being worked on by {_holder_words(path)}. Reading the folder is safe meanwhile"
        ) from failure
    except OSError as failure:
        raise error(cannot_write(path.parent, failure, "nothing was changed")) from failure
    try:
        yield
    finally:
        if lock.is_locked:  # not in a forked child, which must leave its parent's file
            with suppress(OSError):  # the folder may have been deleted
                path.unlink()
            lock.release()


def holder(path: Path) -> int | None:
    """Returns the number of the other process that holds a lock; None where it is free, or this process holds it.

    Where the holder runs on another machine, nothing is known of it: None.
    """
    try:
        process = int(path.read_bytes()[:20])
        if process == os.getpid() or not _exists(process):
            return None
    except (OSError, ValueError, OverflowError):
        return None
    return process if _held(path) else None


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)  # signal 0 is not sent: it only says whether there is such a process
    except PermissionError:  # there is, of somebody else
        return True
    except ProcessLookupError:
        return False
    return True


def _held(path: Path) -> bool:
    """Whether anybody holds a lock, whose file may be left by a killed process: what can be had is let go at once."""
    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    except OSError:  # the file cannot be opened for writing, so its word counts
        return True
    with suppress(OSError):
        if path.stat().st_size == 0:  # the holder took its file away meanwhile, and this is a new one
            path.unlink()
    lock.release()
    return False


def _write_process_id(descriptor: int) -> None:
    with suppress(OSError):  # a full disk: the lock holds, only its holder has no name
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())


def _holder_words(path: Path) -> str:
    """Returns who holds a lock, and what to do about it."""
    try:
        holder = path.read_bytes()[:20].decode(errors="replace").strip() or "unknown"
    except OSError:
        holder = "unknown"
    if holder == str(os.getpid()):
        return f"this process itself (process {holder}): a search or read-out that is not finished. Finish or close it"
    return f"another process (process {holder}); wait for it, or stop it"
