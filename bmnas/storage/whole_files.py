"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bmnas.errors import BmnasError, RunError


@contextmanager
def whole(path: Path, error: type[BmnasError] = RunError) -> Iterator[Path]:
    """Gives a temporary path to write to, which replaces `path` when the block ends.

    The folder is made if need be. Whatever goes wrong, `path` stays as it was. A killed process may leave the
    temporary file; the next call replaces it. A link in its place is not followed.

    Args:
        path: of the file.
        error: the class of the error that is raised.

    Raises:
        error: the file cannot be written (disk full, read-only folder).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, path)
    except BaseException as failure:
        with suppress(OSError):  # a read-only folder; `failure` says so
            partial.unlink(missing_ok=True)
        if not isinstance(failure, OSError):
            raise
        raise error(
            f"{path} cannot be written: {failure}; what was there before is kept. Make room or make the folder "
            "writable, then run the same again"
        ) from failure


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
