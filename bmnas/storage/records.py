"""JSON-lines files that only grow: each record is flushed to the disk, and a line torn by a kill is ignored."""

import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from bmnas.errors import BmnasError, RunError
from bmnas.storage.reading import parse_json, read_text
from bmnas.storage.whole_files import cannot_write, write_text

Record = TypeVar("Record")


def append_record(path: Path, record: dict[str, Any], error: type[BmnasError] = RunError) -> None:
    """Appends one line; on return it is on the disk. A torn last line is removed first.

    Raises:
        error: the file cannot be written (disk full, read-only folder); its whole lines stay as they are.
    """
    line = (json.dumps(record) + "\n").encode()
    try:
        with open(path, "a+b", buffering=0) as file:
            end = _end_of_whole_lines(file)
            file.truncate(end)
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise
    except OSError as failure:
        raise error(cannot_write(path, failure, "nothing was added to it")) from failure


def read_records(
    path: Path,
    convert: Callable[[dict[str, Any]], Record] = dict,
    error: type[BmnasError] = RunError,
    remedy: str = "",
) -> list[Record]:
    """Reads the whole lines of a file; returns an empty list if there is no file.

    Args:
        path: of the file.
        convert: checks a line's JSON object and gives the record; any ValueError, TypeError, KeyError or
            AttributeError that it raises is a damaged line.
        error: the class of the error that is raised.
        remedy: what the reader of the error can do, appended to its message.

    Raises:
        error: the file cannot be read, or a line is damaged; names file and line.
    """
    if not path.exists():
        return []
    lines = read_text(path, error, remedy).split("\n")
    records = []
    for number, line in enumerate(lines[:-1], start=1):  # the last is empty, or torn by a kill
        try:
            fields = parse_json(line)
            if not isinstance(fields, dict):
                raise ValueError(f"it holds {type(fields).__name__}; expected a JSON object")
            records.append(convert(fields))
        except (ValueError, TypeError, KeyError, AttributeError) as failure:
            advice = remedy and f"; {remedy}"
            raise error(f"{path}, line {number}: {failure}{advice}") from failure
    return records


def rewrite_records(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """Replaces the lines of a file by these; one that has no other lines, or does not exist, is left alone.

    Raises:
        RunError: the file cannot be read or written; what was there before is kept.
    """
    text = "".join(json.dumps(record) + "\n" for record in records)
    if path.exists() and read_text(path) != text:
        write_text(path, text)


def epoch_record(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns the record of an epoch as it is.

    Raises:
        ValueError: it lacks a whole number `epoch`.
    """
    epoch = fields.get("epoch")
    if type(epoch) is not int:
        raise ValueError(f"epoch is {epoch!r}; expected a whole number, as this is the record of an epoch")
    return fields


def _end_of_whole_lines(file: BinaryIO) -> int:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return 0
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return size
    file.seek(0)
    return file.read().rfind(b"\n") + 1
