"""Files of records, one JSON object an epoch and line: appended and flushed, so that nothing that ended is lost."""

import errno
import json
import os
from pathlib import Path
from typing import Any

from bmnas.errors import RunError
from bmnas.storage.reading import parse_json, read_text


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Adds a line; on return it is on the disk.

    Raises:
        RunError: the file cannot be written (disk full, read-only folder); it ends where it ended before.
    """
    line = (json.dumps(record) + "\n").encode()
    try:
        with open(path, "ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error}; nothing was added to it") from error


def read_records(path: Path, otherwise: str = "not JSON") -> list[dict[str, Any]]:
    """All whole lines of a file; none where there is no file.

    Args:
        otherwise: what is said of a line that is not JSON.

    Raises:
        RunError: a line is no record of an epoch; names file and line.
    """
    if not path.exists():
        return []
    try:
        lines = read_text(path).split("\n")
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    lines.pop()  # empty, or a line that was being written when the process died
    return [_record(path, number, line, otherwise) for number, line in enumerate(lines, start=1)]


def _record(path: Path, number: int, line: str, otherwise: str) -> dict[str, Any]:
    """A line of a file of records, one an epoch."""
    try:
        record = parse_json(line)
    except ValueError as error:
        raise RunError(f"{path}, line {number}: {otherwise} ({error})") from error
    if not isinstance(record, dict) or type(record.get("epoch")) is not int:
        raise RunError(f"{path}, line {number}: not the record of an epoch, it lacks a whole number 'epoch'")
    return record
