"""Files in folders, as people unpack and copy them: deeper than expected, or with an ending in capitals."""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from bmnas.errors import DataError


def files_under(folder: Path) -> Iterator[Path]:
    """Lists the files in a folder and in the folders below it, in an order that is the same everywhere.

    A folder's own files come before those below it, and links to folders are followed once. Hidden files and folders,
    such as macOS leaves, are left out.

    Raises:
        DataError: a folder cannot be read.
    """
    places: set[str] = set()
    for place, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        if os.path.realpath(place) in places:
            folders.clear()
            continue
        places.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith("."))


def with_any_capitals(path: Path) -> Path:
    """Returns the file whose name differs from that of `path` in capitals at most, or `path` where there is none."""
    if path.exists() or not path.parent.is_dir():
        return path
    names = _names_by_small_letters(path.parent, path.parent.stat().st_mtime_ns)
    return path.with_name(names.get(path.name.lower(), path.name))


@lru_cache(maxsize=8)
def _names_by_small_letters(folder: Path, modified: int) -> dict[str, str]:
    """Lists a folder once for all files that are missing there, as long as it is not modified."""
    return {name.lower(): name for name in sorted(os.listdir(folder), reverse=True)}


def same_stem(path: Path) -> str:
    """Returns the end of an error about a missing file: which file of the same name has another ending, if one has."""
    names = sorted(other.name for other in path.parent.glob(f"{path.stem}.*"))
    return f"; {names[0]} lies there" if names else ""


def _refuse(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}") from error
