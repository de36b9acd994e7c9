"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

import errno
import json
import math
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bmnas.errors import BmnasError, RunError

REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "Make room, then run the same again"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "Make it and its folder writable, or choose another path"
    ),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST), "A part of the path is a file, or a link that leads nowhere; choose another path"
    ),
    errno.ENAMETOOLONG: "Choose a shorter path",
    errno.ELOOP: "Its links lead in a circle; choose another path",
}
"""Number of an error of the system -> what a user can do."""


def cannot_write(path: Path, failure: OSError, kept: str = "what was there before is kept") -> str:
    """Says that a path cannot be written, why, what became of the content, and what to do about it."""
    remedy = REMEDIES.get(failure.errno or 0, "Choose another path, or have the disk looked at")
    return f"{path} cannot be written: {failure}; {kept}. {remedy}"


@contextmanager
def whole(path: Path, error: type[BmnasError] = RunError) -> Iterator[Path]:
    """Gives a temporary path to write to, which replaces `path` when the block ends.

    The folder is made if need be. Whatever goes wrong, `path` stays as it was. A killed process may leave the
    temporary file; the next call replaces it. A link in its place is not followed; a link in place of `path` is, so
    that it stays a link, as with any other program that writes a file.

    Args:
        path: of the file.
        error: the class of the error that is raised.

    Raises:
        error: the file cannot be written (disk full, read-only folder), or is a folder, a device or a pipe.
    """
    partial = None
    try:
        target = _replaceable(path)
        partial = target.with_name(target.name + ".partial")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, target)
    except BaseException as failure:
        with suppress(OSError):  # a read-only folder; `failure` says so
            if partial is not None:
                partial.unlink(missing_ok=True)
        if isinstance(failure, _NoFile):
            raise error(f"{path} {failure}") from None
        if not isinstance(failure, OSError):
            raise
        raise error(cannot_write(path, failure)) from failure


class _NoFile(Exception):
    """A path that no file can be written to; the message goes on after the path."""


def _replaceable(path: Path) -> Path:
    """Returns the file that is replaced when `path` is written: itself, or the one that a link leads to."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path.resolve() if path.is_symlink() else path
    except ValueError as error:
        raise _NoFile(f"is no path ({error}); expected the path of a file") from error
    if stat.S_ISDIR(mode):
        raise _NoFile("is a folder; expected the path of a file: add a file name to it")
    if not stat.S_ISREG(mode):
        raise _NoFile("is a device, a pipe or a socket, which would be replaced; expected the path of a file")
    if not os.access(path, os.W_OK):  # replacing asks the folder alone
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path.resolve() if path.is_symlink() else path


def keep_others(path: Path, kind: str, is_one: Callable[[Path], bool], error: type[BmnasError] = RunError) -> None:
    """Makes sure that writing to a path replaces nothing but an earlier file of the same kind, or an empty one.

    Args:
        kind: "ONNX model", for the message.
        is_one: whether a file is of that kind.

    Raises:
        error: the file that is there is none.
    """
    if path.is_file() and path.stat().st_size and not is_one(path):
        raise error(f"{path} exists and is no {kind}; it is not overwritten. Choose another path, or delete it first")


def write_text(path: Path, text: str, error: type[BmnasError] = RunError) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    Raises:
        error: the file cannot be written; what was there before is kept.
    """
    with whole(path, error) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, error: type[BmnasError] = RunError) -> None:
    """Writes strict JSON, whole or not at all; NaN and infinite numbers, which JSON does not have, become null.

    Raises:
        error: the file cannot be written; what was there before is kept.
    """
    text = json.dumps(_without_nonfinite(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", error)


def _without_nonfinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nonfinite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sync(path: Path) -> None:
    """Flushes a file to the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
