"""The folders that the authors' release prepares: {train,dev,test}/{image,text,label}_%06d.npy, one file a field."""

from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.features.npy import open_npy
from bmnas.tasks.mmimdb.hdf5 import IMAGE, TEXT
from bmnas.tasks.mmimdb.split import GENRES
from bmnas.tasks.raw.text import fail

SHAPES = {"image": IMAGE, "text": (TEXT,), "label": (len(GENRES),)}


def read_npy(root: Path, split: str, field: str, index: int) -> np.ndarray:
    """One field of one movie; a text is one vector (300,), never a sequence.

    Args:
        root: the folder with train, dev and test.
        split: "train", "dev" or "test".
        field: "image" -> uint8 (3, 256, 160), "text" -> float32 (300,), "label" -> float32 (23,) of 0 and 1.
        index: place in split.json.

    Raises:
        DataError: names file and field.
    """
    path = root / split / f"{field}_{index:06d}.npy"
    array = _load(path)
    if array.shape != SHAPES[field] or array.dtype.kind not in "fiub":
        fail(path, None, f"the shape of {field}", f"{array.dtype} {array.shape}", f"numbers of shape {SHAPES[field]}")
    if not np.isfinite(array).all():
        fail(path, None, field, "NaN or infinite", "finite numbers")
    if field == "image":
        if array.min() < 0 or array.max() > 255:
            fail(path, None, field, f"{array.min()} to {array.max()}", "pixels of 0 to 255")
        pixels = array.astype(np.uint8)
        if (pixels != array).any():
            fail(path, None, field, f"{array.min()} to {array.max()}, with fractions", "whole pixels of 0 to 255")
        return pixels
    if field == "label" and not np.isin(array, (0, 1)).all():
        fail(path, None, field, array.tolist(), "0 or 1 a genre")
    if np.abs(array).max() > np.finfo(np.float32).max:
        fail(path, None, field, f"{array.min()} to {array.max()}", "numbers that float32 holds")
    return array.astype(np.float32)


def check_end(root: Path, split: str, samples: int) -> None:
    """That a folder holds no more movies than split.json: else its numbers are places in another list.

    Raises:
        DataError: names the first file too many.
    """
    for field in SHAPES:
        path = root / split / f"{field}_{samples:06d}.npy"
        if path.exists():
            raise DataError(f"{path}: one movie more than split.json has in {split}, {samples:,}; expected the same")


def _load(path: Path) -> np.ndarray:
    try:
        return np.array(open_npy(path))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a .npy file: {error}") from error
