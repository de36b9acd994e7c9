"""Digests of files and of JSON values (SHA-256)."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bmnas.storage.reading import regular


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal digits.

    Raises:
        OSError: the file is missing, is not a regular file, or cannot be read.
    """
    with regular(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(value: Any) -> str:
    """Returns the SHA-256 of a JSON value, in hexadecimal digits; the order of an object's fields has no effect.

    Raises:
        TypeError: the value is not made of dictionaries, lists, texts, numbers, booleans and None.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
