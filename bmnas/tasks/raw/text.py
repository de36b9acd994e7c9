"""Files as text or JSON, with errors that say which file, which line and which field is wrong."""

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from bmnas.errors import DataError
from bmnas.storage.reading import regular, repeated

WHOLE = re.compile(r"[0-9]{1,30}")  # more digits are no number that a file may mean


def fail(path: Path, line: int | None, field: str, found: object, expected: str) -> NoReturn:
    """Raises the one error of a file: place, what was found, what was expected."""
    place = str(path) if line is None else f"{path}, line {line}"
    shown = repr(found)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    raise DataError(f"{place}: {field} is {shown}; expected {expected}")


def read_text(path: Path) -> str:
    """The text of a file, line ends as they are.

    Raises:
        DataError: it is missing, or not text.
    """
    try:
        return regular(path).read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text: {error}") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, LF or CRLF; a last empty line is none."""
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def read_json(path: Path, kind: type) -> Any:
    """The content of a JSON file whose outermost value is a dict or a list.

    Raises:
        DataError: missing, not JSON (with its line), of another kind, or with a name twice in one object: JSON readers
            keep the last, so that the first would be lost without a word.
    """
    try:
        data = json.loads(read_text(path), object_pairs_hook=partial(_object, path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from error
    except DataError:
        raise
    except ValueError as error:  # a number of more digits than Python converts
        raise DataError(f"{path}: not JSON that can be read: {error}") from error
    except RecursionError as error:
        raise DataError(f"{path}: not JSON that can be read: nested too deeply") from error
    if not isinstance(data, kind):
        fail(path, None, "the outermost value", type(data).__name__, f"a JSON {kind.__name__}")
    return data


def whole(path: Path, line: int | None, field: str, text: str, least: int = 0, most: int | None = None) -> int:
    """A whole number in decimal digits, between bounds."""
    expected = f"a whole number from {least}" + ("" if most is None else f" to {most}")
    if not WHOLE.fullmatch(text):
        fail(path, line, field, text, expected)
    number = int(text)
    if number < least or (most is not None and number > most):
        fail(path, line, field, text, expected)
    return number


def real(path: Path, line: int | None, field: str, text: str) -> float:
    """A real number as programs write it, in ASCII and without blanks; NaN counts, infinities do not."""
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if math.isinf(number) or "_" in text or not text.isascii() or text != text.strip():
        fail(path, line, field, text, "a real number")
    return number


def _object(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := repeated(pairs)) is not None:
        count = [name for name, _ in pairs].count(twice)
        fail(path, None, f"the name {twice!r}", f"{count} times in one object", "each name once")
    return dict(pairs)
