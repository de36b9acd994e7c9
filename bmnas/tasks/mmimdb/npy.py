"""The folders that the authors' release prepares: {train,dev,test}/{image,text,label}_%06d.npy, one file a field."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.features.npy import open_npy
from bmnas.tasks.file_readers.folders import same_stem, with_any_capitals
from bmnas.tasks.file_readers.text import fail
from bmnas.tasks.mmimdb import posters
from bmnas.tasks.mmimdb.split import GENRES
from bmnas.tasks.mmimdb.word2vec import TEXT, stored_vector

SHAPES = {"image": posters.SHAPE, "text": (TEXT,), "label": (len(GENRES),)}


def read_npy(root: Path, split: str, field: str, index: int) -> np.ndarray:
    """Reads one field of one movie; a text is one vector (300,), never a sequence.

    Args:
        root: the folder with train, dev and test.
        split: "train", "dev" or "test".
        field: "image" -> (3, 256, 160), as stored, "text" -> float32 (300,), "label" -> float32 (23,) of 0 and 1.
        index: place in split.json.

    Raises:
        DataError: names file and field.
    """
    path = root / split / f"{field}_{index:06d}.npy"
    array = _load(path)
    if array.shape != SHAPES[field] or array.dtype.kind not in "fiub":
        fail(path, None, f"the shape of {field}", f"{array.dtype} {array.shape}", f"numbers of shape {SHAPES[field]}")
    if field == "text":
        return stored_vector(path, field, array)
    if not np.isfinite(array).all():
        fail(path, None, field, "NaN or infinite", "finite numbers")
    if field == "image":
        return array
    if field == "label" and not np.isin(array, (0, 1)).all():
        fail(path, None, field, array.tolist(), "0 or 1 a genre")
    return array.astype(np.float32)


def read_image(root: Path, split: str, index: int, subtracted: bool) -> np.ndarray:
    """Reads a poster as the network takes it, float32 (3, 256, 160), see `posters.network_input`."""
    path = root / split / f"image_{index:06d}.npy"
    return posters.network_input(path, "image", read_npy(root, split, "image", index), subtracted)


def stored_images(root: Path, counts: Mapping[str, int]) -> Iterator[np.ndarray]:
    """Reads the images that can be read, as stored.

    Args:
        root: see `read_npy`.
        counts: "train", "dev", "test" -> how many movies.
    """
    for split, count in counts.items():
        for index in range(count):
            with suppress(DataError):  # the extraction counts and lists it
                yield read_npy(root, split, "image", index)


def check_end(root: Path, split: str, samples: int) -> None:
    """Checks that a folder holds no more movies than split.json: else its numbers are places in another list.

    Raises:
        DataError: names the first file too many.
    """
    for field in SHAPES:
        path = root / split / f"{field}_{samples:06d}.npy"
        if path.exists():
            raise DataError(f"{path}: one movie more than split.json has in {split}, {samples:,}; expected the same")


def _load(path: Path) -> np.ndarray:
    try:
        return np.array(open_npy(with_any_capitals(path)))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing{same_stem(path)}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a .npy file: {error}") from error
