"""What the inputs of stored features were: two numbers a sample, which other files at the same place do not share.

`names.txt`, `inputs.npy` and `contents.npy` lie beside the features, one line and one number a row. Where files look
untouched they are not read again; where they do not, their content decides.
"""

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bmnas.errors import FeatureError
from bmnas.features.npy import open_npy
from bmnas.features.samples import Samples
from bmnas.storage.digests import file_sha256
from bmnas.storage.reading import read_text
from bmnas.storage.whole_files import whole

NAMES, INPUTS, CONTENTS = "names.txt", "inputs.npy", "contents.npy"


class Stamp(NamedTuple):
    """64 bits of how a sample's files look from outside, and 64 bits of what is in them; 0 where it has no files."""

    look: int
    content: int


def stamp(paths: Sequence[Path]) -> Stamp:
    """Stamps the files of a sample. Folders above them do not count, so that a data set may be moved."""
    return Stamp(_look(paths), _content(paths))


def is_same(paths: Sequence[Path], before: Stamp) -> bool:
    """Returns whether the files are those that were stamped; they are read only if they may have been changed.

    No program sets the time at which the system last saw a change of a file (st_ctime), so that a file of the same
    name, size and date is met, too.
    """
    return not before.look or _look(paths) == before.look or _content(paths) == before.content


def changed_samples(folder: Path, samples: Samples) -> list[str]:
    """Returns the names of the samples whose files are others than those that the features were made from.

    Samples that are not there any more, and those of features without `inputs.npy` (an older version wrote none),
    are not compared. Of features without `contents.npy` (likewise), sizes and dates decide.

    Args:
        folder: of the features.
        samples: as they are now.

    Raises:
        FeatureError: one of the files is damaged.
    """
    if not (folder / INPUTS).exists():
        return []
    names = _names(folder)
    looks = _numbers(folder / INPUTS, len(names))
    contents = _numbers(folder / CONTENTS, len(names)) if (folder / CONTENTS).exists() else None
    rows = {name: row for row, name in enumerate(samples.names)}
    changed = []
    seen = looks.copy()
    for place, name in enumerate(names):
        if not looks[place] or name not in rows:
            continue
        paths = samples.files(rows[name])
        if contents is None:
            same = _look(paths, is_moved=True) == looks[place]
        else:
            same = is_same(paths, Stamp(int(looks[place]), int(contents[place])))
            seen[place] = _look(paths) if same else looks[place]
        if not same:
            changed.append(name)
    if not np.array_equal(seen, looks):
        _remember(folder / INPUTS, seen)
    return changed


def _look(paths: Sequence[Path], is_moved: bool = False) -> int:
    """Hashes names, sizes and times; of files that may have been copied (`cp -p`) only what a copy keeps."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            digest.update(f"{path.name} is missing\n".encode())
            continue
        place = "" if is_moved else f" {status.st_ctime_ns} {status.st_ino}"
        digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}{place}\n".encode())
    return int.from_bytes(digest.digest()[:8], "little") if paths else 0


def _content(paths: Sequence[Path]) -> int:
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = os.stat(path)
            content = _sha256(path, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
        except OSError:
            content = "is missing"
        digest.update(f"{path.name} {content}\n".encode())
    return int.from_bytes(digest.digest()[:8], "little") if paths else 0


@lru_cache(maxsize=256)
def _sha256(path: Path, *look: int) -> str:
    """Reads a file that many samples share once."""
    return file_sha256(path)


def _names(folder: Path) -> list[str]:
    try:
        return read_text(folder / NAMES, FeatureError).splitlines()
    except FeatureError as error:
        raise FeatureError(f"{error}; delete {folder / INPUTS}, the features stay") from error


def _numbers(path: Path, samples: int) -> np.ndarray:
    try:
        numbers = open_npy(path)
    except (OSError, ValueError) as error:
        raise FeatureError(
            f"{path} cannot be read: {error}; delete it and {INPUTS} beside it, the features stay"
        ) from error
    if numbers.shape != (samples,):
        raise FeatureError(f"{path} has the shape {numbers.shape}; expected ({samples},), as {NAMES} says")
    return numbers


def _remember(path: Path, looks: np.ndarray) -> None:
    """Notes how files look that were moved or touched and are the same, so that they are not read the next time."""
    with suppress(FeatureError), whole(path, FeatureError) as partial, partial.open("wb") as file:
        np.save(file, looks)  # a folder that cannot be written: they will be read
