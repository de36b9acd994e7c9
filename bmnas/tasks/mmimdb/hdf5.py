"""multimodal_imdb.hdf5: posters, mean word vectors of the plots, and genres, ordered train, dev, test."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from bmnas.errors import DataError
from bmnas.tasks.mmimdb.split import SPLITS
from bmnas.tasks.raw.text import fail

TEXT = 300  # mean word2vec
IMAGE = (3, 256, 160)  # channels, height, width; 0 to 255, not normalised
FIELDS = {"features": (TEXT,), "images": IMAGE, "genres": (None,), "imdb_ids": ()}
FUEL = {"split", "source", "start", "stop", "available"}
KINDS = {"features": "f", "images": "iu", "genres": "iu", "imdb_ids": "S"}


class MmimdbFile:
    """The file, open for reading; a sample is read when it is asked for.

    Attributes:
        genres: their names, from `genres.attrs["target_names"]`.
        ids: 7 digits each.

    Raises:
        DataError: missing, not HDF5, or a data set in it is missing or has another shape or type.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise DataError(f"{path} is missing")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise DataError(f"{path}: cannot be opened as HDF5: {error}") from error
        try:
            self._check()
            self.genres = self._target_names()
            self.ids = tuple(value.decode("ascii", "replace") for value in self._read("imdb_ids", slice(None)))
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self.ids)

    def __enter__(self) -> "MmimdbFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def check_split(self, rows: Mapping[str, np.ndarray]) -> None:
        """Compares Fuel's attribute `split`, a table with split, source, start and stop, where the file has one.

        Args:
            rows: "train", "val" (Fuel's "dev") and "test" -> consecutive rows.

        Raises:
            DataError: it names other rows.
        """
        table = self._file.attrs.get("split")
        if not isinstance(table, np.ndarray) or not set(table.dtype.names or ()) >= FUEL:
            return
        for entry in table:
            split, source = (_text(entry[name]) for name in ("split", "source"))
            if split in SPLITS and source in FIELDS and entry["available"]:
                members = rows[SPLITS[split]]
                found, wanted = (int(entry["start"]), int(entry["stop"])), (int(members[0]), int(members[-1]) + 1)
                if found != wanted:
                    place = f"the attribute split, {split} of {source},"
                    fail(self.path, None, place, found, f"the rows {wanted} of split.json")

    def text(self, row: int) -> np.ndarray:
        """float32 (300,), the mean word vector of the plot."""
        vector = np.asarray(self._read("features", row), np.float32)
        if not np.isfinite(vector).all():
            fail(self.path, None, f"features[{row}]", "NaN or infinite", "300 finite numbers")
        return vector

    def image(self, row: int) -> np.ndarray:
        """uint8 (3, 256, 160)."""
        pixels = self._read("images", row)
        if pixels.min() < 0 or pixels.max() > 255:
            fail(self.path, None, f"images[{row}]", f"{pixels.min()} to {pixels.max()}", "pixels of 0 to 255")
        return pixels.astype(np.uint8)

    def target(self, row: int) -> np.ndarray:
        """float32 (genres,) of 0 and 1."""
        genres = self._read("genres", row)
        if not np.isin(genres, (0, 1)).all():
            fail(self.path, None, f"genres[{row}]", genres.tolist(), "0 or 1 a genre")
        return genres.astype(np.float32)

    def _check(self) -> None:
        samples = None
        for name, shape in FIELDS.items():
            data = self._file.get(name)
            if not isinstance(data, h5py.Dataset):
                fail(self.path, None, f"data set {name}", "missing", f"one of shape (N, {shape})")
            samples = data.shape[0] if samples is None and data.shape else samples
            wanted = tuple(
                data.shape[i + 1] if n is None and len(data.shape) > i + 1 else n for i, n in enumerate(shape)
            )
            if data.shape != (samples, *wanted) or not samples:
                fail(self.path, None, f"the shape of {name}", data.shape, f"({samples or 'N'}, {shape})")
            if data.dtype.kind not in KINDS[name]:
                fail(self.path, None, f"the type of {name}", str(data.dtype), f"numpy kind {' or '.join(KINDS[name])}")

    def _target_names(self) -> tuple[str, ...]:
        data: Any = self._file["genres"]
        raw = data.attrs.get("target_names")
        raw = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        try:
            names = json.loads(raw)
        except (TypeError, ValueError, RecursionError):
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            fail(self.path, None, "genres.attrs['target_names']", raw, "a JSON list of names")
        if len(names) != data.shape[1] or len(set(names)) != len(names):
            fail(self.path, None, "genres.attrs['target_names']", names, f"{data.shape[1]} different names")
        return tuple(names)

    def _read(self, name: str, rows: int | slice) -> np.ndarray:
        data: Any = self._file[name]
        try:
            return data[rows]
        except (OSError, RuntimeError) as error:
            raise DataError(f"{self.path}: {name}[{rows}] cannot be read: {error}") from error


def _text(value: bytes | str) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
