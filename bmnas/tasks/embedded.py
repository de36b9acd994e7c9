"""Data files that come with the package: read whole, and only if they are the ones that were published with it."""

import hashlib
from pathlib import Path

from bmnas.errors import DataError


def how_to_restore(path: Path) -> str:
    """Says how a file of the package becomes what was published, for messages."""
    return (
        f"restore it with `git restore {path.name}` in {path.parent} (a clone), or with "
        "`pip install --force-reinstall --no-deps bmnas` (an installed package)"
    )


def read_embedded(path: Path, sha256: str) -> bytes:
    """Reads a file of the package.

    Args:
        path: of the file, beside the task's module.
        sha256: of its content.

    Raises:
        DataError: it is missing or has another content; gives the commands that restore it.
    """
    repair = how_to_restore(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} comes with bmnas and cannot be read: {error}; {repair}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise DataError(f"{path} has the sha256 {digest}; expected {sha256}: it is damaged or another file; {repair}")
    return content
