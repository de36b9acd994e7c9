"""Strict readers for user-editable files: pipes and devices are rejected, and so is JSON with duplicate keys."""

import json
import math
import re
import stat
from pathlib import Path
from typing import Any, NoReturn

from bmnas.errors import BmnasError, RunError

DIGITS = 30  # a longer number is a mistake, and no float holds it exactly
STARTS = {
    b"\xff\xfe": "it is UTF-16; save it as UTF-8",
    b"\xfe\xff": "it is UTF-16; save it as UTF-8",
    b"\x1f\x8b": "it is packed with gzip; unpack it first",
    b"PK\x03\x04": "it is a zip archive; unpack it first",
}  # of files that are no UTF-8
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character; two of them may form a whole one


def regular(path: Path) -> Path:
    """Returns the path if it leads to a regular file: opening a pipe waits for ever, and a device has no end.

    Raises:
        OSError: the file is missing, or is something else than a regular file.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError("it is a folder; expected a file")
    if not stat.S_ISREG(mode):
        raise OSError("it is not a regular file, but a device, a pipe or a socket")
    return path


def read_text(path: Path, error: type[BmnasError] = RunError, remedy: str = "") -> str:
    """Reads a UTF-8 text file; line ends stay as they are, a byte order mark at its start goes.

    Args:
        path: of the file.
        error: the class of the error that is raised.
        remedy: what the reader of the error can do, appended to its message.

    Raises:
        error: the file is missing, is not a regular file, cannot be read, or is not UTF-8.
    """
    advice = remedy and f"; {remedy}"
    content = b""
    try:
        content = regular(path).read_bytes()
        return content.decode("utf-8-sig")
    except FileNotFoundError as failure:
        raise error(f"{path} is missing{advice}") from failure
    except OSError as failure:
        raise error(f"{path} cannot be read as text: {failure}{advice}") from failure
    except ValueError as failure:
        what = next((words for start, words in STARTS.items() if content.startswith(start)), str(failure))
        raise error(f"{path} cannot be read as text: {what}{advice}") from failure


def read_json(path: Path, error: type[BmnasError] = RunError, remedy: str = "") -> dict[str, Any]:
    """Reads a JSON file that holds one object.

    Args:
        path: of the file.
        error: the class of the error that is raised.
        remedy: what the reader of the error can do, appended to its message.

    Raises:
        error: the file cannot be read as text, is not JSON (names the line), or its outermost value is no object.
    """
    advice = remedy and f"; {remedy}"
    text = read_text(path, error, remedy)
    try:
        value = parse_json(text)
    except json.JSONDecodeError as failure:
        raise error(f"{path}, line {failure.lineno}: not JSON: {failure.msg}{advice}") from failure
    except ValueError as failure:
        raise error(f"{path}: not JSON that can be used: {failure}{advice}") from failure
    if not isinstance(value, dict):
        raise error(f"{path}: the outermost value is {type(value).__name__!r}; expected a JSON object{advice}")
    return value


def parse_json(text: str) -> Any:
    """Parses strict JSON: the value can be computed with, printed and written again.

    Raises:
        ValueError: not JSON, duplicate keys, NaN, an infinite or endless number, half of a character, or nesting too
            deep to read.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object_of_pairs,
            parse_int=_bounded_int,
            parse_float=_finite_float,
            parse_constant=_reject_constant,
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Rejects duplicate keys, of which other readers of JSON keep the last in silence."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError(f"the key {name!r} is there twice in one object; expected each key once")
        fields[name] = value
    return fields


def _bounded_int(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"the number {text[:DIGITS]}... has {len(text)} digits; expected {DIGITS} at most")
    return int(text)


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is larger than any number that can be computed with")
    return number


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
