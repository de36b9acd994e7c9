"""Text files as lines and numbers, with errors that name the file, the line and the field."""

import math
import re
from pathlib import Path
from typing import NoReturn

from bmnas.errors import DataError
from bmnas.storage.reading import read_text

WHOLE = re.compile(r"[0-9]{1,30}")  # more digits are no number that a file may mean


def fail(path: Path, line: int | None, field: str, value: object, expected: str) -> NoReturn:
    """Raises the one error of a file: place, what was found, what was expected."""
    place = str(path) if line is None else f"{path}, line {line}"
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    raise DataError(f"{place}: {field} is {shown}; expected {expected}")


def read_lines(path: Path) -> list[str]:
    """Reads the lines of a text file without their ends, LF or CRLF; a last empty line does not count.

    Raises:
        DataError: the file is missing, or not UTF-8 text.
    """
    lines = [line.removesuffix("\r") for line in read_text(path, DataError).split("\n")]
    return lines[:-1] if lines[-1] == "" else lines


def integer(path: Path, line: int | None, field: str, text: str, least: int = 0, most: int | None = None) -> int:
    """Reads a whole number in decimal digits, between bounds."""
    expected = f"a whole number from {least}" + ("" if most is None else f" to {most}")
    if not WHOLE.fullmatch(text):
        fail(path, line, field, text, expected)
    number = int(text)
    if number < least or (most is not None and number > most):
        fail(path, line, field, text, expected)
    return number


def real(path: Path, line: int | None, field: str, text: str) -> float:
    """Reads a real number as programs write it, in ASCII and without blanks; NaN counts, infinities do not."""
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if math.isinf(number) or "_" in text or not text.isascii() or text != text.strip():
        fail(path, line, field, text, "a real number")
    return number
