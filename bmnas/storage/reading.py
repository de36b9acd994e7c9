"""Files that anybody may have edited: what is no file is not waited for, and JSON that says two things is refused."""

import json
import math
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

DIGITS = 30  # more are no number that a file may mean, and none that a float holds exactly
HALF = re.compile(r"\\u[dD][89a-fA-F]")  # half of a character; two of them may be a whole one


def regular(path: Path) -> Path:
    """The path, if a file lies there: opening a pipe waits for ever, and a device has no end.

    Raises:
        OSError: there is nothing, or no file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(f"{path} is not a regular file")
    return path


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        OSError: it is missing, no file, or cannot be read.
        ValueError: it is not UTF-8.
    """
    return regular(path).read_text(encoding="utf-8")


def read_json(path: Path) -> Any:
    """The JSON value in a file; raises what `read_text` and `parse_json` raise."""
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """The JSON value in a text. No name is there twice, no number is NaN, infinite or endless, no text is half a
    character: what is read can be computed with, printed and written again.

    Raises:
        ValueError: it is anything else; says what.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_named_once, parse_int=_whole, parse_float=_finite, parse_constant=_no_number
        )
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if HALF.search(text):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def repeated(pairs: Sequence[tuple[str, Any]]) -> str | None:
    """The first name of an object that is there more than once: readers of JSON keep its last value in silence."""
    if len(dict(pairs)) == len(pairs):
        return None
    names = [name for name, _ in pairs]
    return next(name for name in names if names.count(name) > 1)


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (name := repeated(pairs)) is not None:
        raise ValueError(f"the field {name!r} is there twice")
    return dict(pairs)


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"the number {text[:DIGITS]}... has {len(text)} digits; expected {DIGITS} at most")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text} is larger than any number that can be computed with")
    return number


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number in JSON")
