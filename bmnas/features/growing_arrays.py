"""The arrays of a long extraction: .npy files of their final size, mapped into memory and filled batch by batch."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bmnas.errors import FeatureError
from bmnas.features.npy import open_npy
from bmnas.storage.whole_files import whole


@dataclass(frozen=True)
class Columns:
    """The arrays of an extraction.

    Attributes:
        samples: rows of each.
        files: array -> file name.
        dtypes: array -> type.
    """

    samples: int
    files: Mapping[str, str]
    dtypes: Mapping[str, str]


class GrowingArrays:
    """Named arrays in one folder; each file appears whole, zero-filled, when its first rows are put.

    Args:
        folder: where they lie.
        columns: which they are.
    """

    def __init__(self, folder: Path, columns: Columns) -> None:
        self.folder = folder
        self.columns = columns
        self._open: dict[str, np.memmap] = {}

    def put(self, rows: list[int], values: dict[str, np.ndarray], samples: Sequence[str]) -> None:
        """Writes rows of every array; on the disk when it returns.

        Args:
            rows: where.
            values: name -> as many rows.
            samples: what they are called, for errors.

        Raises:
            FeatureError: NaN, infinite values, an overflow of the type, or another shape than before.
        """
        for name, value in values.items():
            array = self._array(name, value.shape[1:])
            stored = _narrowed(name, value, array.dtype, samples)
            if value.shape[1:] != array.shape[1:]:
                raise FeatureError(
                    f"{name!r} has the shape {value.shape[1:]} here and {array.shape[1:]} before; the backbone must "
                    "give every sample one shape"
                )
            array[rows] = stored
        for name in values:
            self._open[name].flush()

    def column(self, name: str) -> np.ndarray:
        """Returns one array of numbers, one a row; zeros where it has not been put."""
        return self._array(name, ())

    def opened(self) -> dict[str, np.ndarray]:
        """All arrays, read-only."""
        return {name: self.opened_column(name) for name in self.columns.files}

    def opened_column(self, name: str) -> np.ndarray:
        """One array, read-only."""
        return self._opened(self.folder / self.columns.files[name], "r")

    def _opened(self, path: Path, mode: Literal["r", "r+"]) -> np.memmap:
        try:
            return open_npy(path, mode)
        except (OSError, ValueError) as error:
            raise FeatureError(
                f"{path} cannot be read as a .npy file: {error}; delete the folder {self.folder}, and the extraction "
                "starts again"
            ) from error

    def _array(self, name: str, shape: tuple[int, ...]) -> np.memmap:
        if name not in self._open:
            dtype = self.columns.dtypes[name]
            path = self.folder / self.columns.files[name]
            full = (self.columns.samples, *shape)
            if not path.exists():
                allocate(path, full, dtype)
            array = self._opened(path, "r+")
            if array.shape != full or array.dtype != dtype:
                raise FeatureError(
                    f"{path}: {array.dtype} {array.shape}, but {dtype} {full} is extracted now; delete the "
                    f"folder {self.folder}, and the extraction starts again"
                )
            self._open[name] = array
        return self._open[name]


def _narrowed(name: str, value: np.ndarray, dtype: np.dtype, samples: Sequence[str]) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        stored = value.astype(dtype)
    if stored.dtype.kind in "iu" and not np.array_equal(stored, value):
        row = int(np.argwhere(stored != value)[0, 0])
        where = f" of {samples[row]}" if samples else ""
        raise FeatureError(f"{name!r}{where} is {value[row]}; expected whole numbers that {dtype} can hold")
    if stored.dtype.kind == "f" and not np.isfinite(stored).all():
        bad = [sample for sample, row in zip(samples, stored, strict=True) if not np.isfinite(row).all()]
        where = f"{name!r} of {bad[0]}" + (f" (and {len(bad) - 1} more of {len(samples)})" if bad[1:] else "")
        if np.isfinite(value).all():
            raise FeatureError(f"{where} reaches {np.abs(value).max():.3g}, too much for {dtype}; use dtype='float32'")
        raise FeatureError(f"{where} holds NaN or infinite values; the backbone's weights or inputs are damaged")
    return stored


def allocate(path: Path, shape: tuple[int, ...], dtype: str) -> None:
    """Makes a zero-filled .npy and takes its room on the disk now, so that a full disk is an error and not a crash."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise FeatureError(f"{path} needs {size:,} bytes, but only {free:,} are free there; make room")
    with whole(path, FeatureError) as partial:
        np.lib.format.open_memmap(partial, mode="w+", dtype=dtype, shape=shape).flush()
        if hasattr(os, "posix_fallocate"):
            with partial.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, partial.stat().st_size)
