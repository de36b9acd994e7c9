"""multimodal_imdb.hdf5: posters, mean word vectors of the plots, and genres; movies are found by their ids.

make_dataset.py of github.com/johnarevalo/gmu-mmimdb writes it: train, dev and test follow one another, but within them
the order is by genre and random, not that of split.json.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bmnas.errors import DataError
from bmnas.tasks.file_readers.text import fail
from bmnas.tasks.mmimdb import posters
from bmnas.tasks.mmimdb.split import SPLITS
from bmnas.tasks.mmimdb.word2vec import TEXT, stored_vector

FIELDS = {"features": (TEXT,), "images": posters.SHAPE, "genres": (None,), "imdb_ids": ()}
FUEL = {"split", "source", "start", "stop", "available"}
KINDS = {"features": "f", "images": "iu", "genres": "iu", "imdb_ids": "SO"}  # numpy kinds; h5py reads texts as objects


class MmimdbFile:
    """The file, open for reading; a sample is read when it is asked for.

    Attributes:
        genres: their names, from `genres.attrs["target_names"]`.
        rows: id of 7 digits -> its row.

    Raises:
        DataError: missing, not HDF5, or a data set in it is missing or has another shape or type.
    """

    def __init__(self, path: Path) -> None:
        import h5py  # here: HDF5 takes a tenth of a second, and only this file needs it

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
            self.rows = self._rows()
        except BaseException:
            self._file.close()
            raise

    def __len__(self) -> int:
        return len(self.rows)

    def __enter__(self) -> "MmimdbFile":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def check_split(self, ids: Mapping[str, Sequence[str]]) -> None:
        """Compares Fuel's attribute `split`, a table with split, source, start and stop, where the file has one.

        Args:
            ids: "train", "val" (Fuel's "dev") and "test" -> movies, in any order.

        Raises:
            DataError: a movie is in another part there.
        """
        table = self._file.attrs.get("split")
        if not isinstance(table, np.ndarray) or not set(table.dtype.names or ()) >= FUEL:
            return
        in_order = np.array(list(self.rows))
        for entry in table:
            split, source = (_text(entry[name]) for name in ("split", "source"))
            if split in SPLITS and source in FIELDS and entry["available"]:
                start, stop = int(entry["start"]), int(entry["stop"])
                others = set(in_order[start:stop].tolist()) ^ set(ids[SPLITS[split]])
                if others:
                    place = f"the attribute split, {split} of {source},"
                    fail(self.path, None, place, (start, stop), f"rows as split.json has them, but for {min(others)}")

    def text(self, row: int) -> np.ndarray:
        """Reads the mean word vector of the plot, float32 (300,)."""
        return stored_vector(self.path, f"features[{row}]", self._read("features", row))

    def image(self, row: int) -> np.ndarray:
        """Returns the poster as the network takes it, float32 (3, 256, 160), see `posters.less_mean`."""
        return posters.network_input(self.path, f"images[{row}]", self._read("images", row), self.mean_is_subtracted)

    @cached_property
    def mean_is_subtracted(self) -> bool:
        """Whether the images are as published; else they are pixels."""
        return posters.mean_is_subtracted(self._read("images", row) for row in range(len(self)))

    def target(self, row: int) -> np.ndarray:
        """Reads the genres, float32 (genres,) of 0 and 1."""
        genres = self._read("genres", row)
        if not np.isin(genres, (0, 1)).all():
            fail(self.path, None, f"genres[{row}]", genres.tolist(), "0 or 1 a genre")
        return genres.astype(np.float32)

    def _check(self) -> None:
        import h5py

        samples = None
        for name, shape in FIELDS.items():
            data = self._file.get(name)
            if not isinstance(data, h5py.Dataset):
                fail(self.path, None, f"data set {name}", "missing", f"one of shape (N, {shape})")
            samples = data.shape[0] if samples is None and data.shape else samples
            expected_shape = tuple(
                data.shape[i + 1] if n is None and len(data.shape) > i + 1 else n for i, n in enumerate(shape)
            )
            if data.shape != (samples, *expected_shape) or not samples:
                fail(self.path, None, f"the shape of {name}", data.shape, f"({samples or 'N'}, {shape})")
            if data.dtype.kind not in KINDS[name] or (
                data.dtype.kind == "O" and not h5py.check_string_dtype(data.dtype)
            ):
                expected = "texts" if name == "imdb_ids" else f"numpy kind {' or '.join(KINDS[name])}"
                fail(self.path, None, f"the type of {name}", str(data.dtype), expected)

    def _rows(self) -> dict[str, int]:
        """Maps ids to rows."""
        rows: dict[str, int] = {}
        for row, value in enumerate(self._read("imdb_ids", slice(None))):
            imdb_id = _text(value)
            if imdb_id in rows:
                fail(self.path, None, f"imdb_ids[{row}]", imdb_id, f"an id that is not in row {rows[imdb_id]} yet")
            rows[imdb_id] = row
        return rows

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
