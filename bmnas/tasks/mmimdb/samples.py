"""MM-IMDB: a poster and a plot a movie, from any of the three forms in which the data set is kept."""

import os
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.features.samples import Samples
from bmnas.tasks.mmimdb.hdf5 import MmimdbFile
from bmnas.tasks.mmimdb.npy import check_end, read_npy
from bmnas.tasks.mmimdb.raw import genre_targets, read_movie, read_poster
from bmnas.tasks.mmimdb.split import GENRES, MMIMDB_COUNTS, SPLITS, read_split, split_rows
from bmnas.tasks.mmimdb.word2vec import VECTORS, mean_vector, read_vectors, words

HDF5, SPLIT, RAW = "multimodal_imdb.hdf5", "split.json", "dataset"
PREPARED = ("train", "dev", "test")


class MmimdbSamples(Samples):
    """Image (3, 256, 160) with pixels of 0 to 255, as in the release, and Text (300,), float32; 23 genres, 0 or 1.

    Args:
        root: the folder with split.json and the data in one of its forms; the first of these that is there counts:
            multimodal_imdb.hdf5; train/, dev/ and test/ with .npy files; dataset/ with .json and .jpeg, which needs
            word vectors beside it.

    Raises:
        DataError: no form is there, or a file is damaged or contradicts split.json.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.form = root, find_form(root)
        self.ids = read_split(root / SPLIT)
        names = [name for members in self.ids.values() for name in members]
        self.places = [(part, i) for part, members in self.ids.items() for i in range(len(members))]
        self._file: tuple[int, MmimdbFile] | None = None
        self.vectors: dict[str, np.ndarray] = {}
        genres = self._open(names)
        counts = {part: len(members) for part, members in self.ids.items()}
        facts = {"form": self.form, "counts": counts, "expected_counts": list(MMIMDB_COUNTS)}
        super().__init__(names, genres, "multilabel", split_rows(self.ids), facts, self.form)

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """See `Samples.read`; both modalities are read at once, which costs little here."""
        image, text, target = {"hdf5": self._hdf5, "npy": self._npy, "raw": self._raw}[self.form](row)
        return {"Image": image.astype(np.float32), "Text": text}, target

    def pictures(self, row: int) -> dict[str, np.ndarray]:
        """See `Samples.pictures`; the 300 numbers of the text are a block of 15 x 20."""
        inputs, _ = self.read(row)
        return {"Image": inputs["Image"].mean(0)[::4, ::4], "Text": inputs["Text"].reshape(15, 20)}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}  # an open file stays in its process

    def _open(self, names: list[str]) -> tuple[str, ...]:
        """Checks what can be checked at once -> the genres."""
        if self.form == "raw":
            self.vectors = read_vectors(_vectors(self.root), _vocabulary(self.root, names))
        if self.form == "npy":
            for part in PREPARED:
                check_end(self.root, part, len(self.ids[SPLITS[part]]))
        if self.form != "hdf5":
            return GENRES
        with MmimdbFile(self.root / HDF5) as file:
            if file.ids != tuple(names):
                place = next(
                    (i for i, (a, b) in enumerate(zip(file.ids, names, strict=False)) if a != b), len(file.ids)
                )
                raise DataError(
                    f"{self.root / HDF5}: imdb_ids has {len(file.ids)} ids and differs from {SPLIT} (train, dev, test: "
                    f"{len(names)} ids) first in row {place}; expected the same movies in the same order"
                )
            file.check_split(split_rows(self.ids))
            if set(file.genres) != set(GENRES):
                raise DataError(
                    f"{self.root / HDF5}: target_names is {list(file.genres)}; expected the 23 {list(GENRES)}"
                )
            return file.genres

    def _hdf5(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._file is None or self._file[0] != os.getpid():  # HDF5 does not survive a fork
            self._file = (os.getpid(), MmimdbFile(self.root / HDF5))
        file = self._file[1]
        return file.image(row), file.text(row), file.target(row)

    def _npy(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, i = self.places[row]
        folder = "dev" if part == "val" else part
        image, text, label = (read_npy(self.root, folder, field, i) for field in ("image", "text", "label"))
        return image, text, label

    def _raw(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        base = self.root / RAW / self.names[row]
        movie = read_movie(base.with_suffix(".json"))
        text = mean_vector(words(movie.plot), self.vectors, str(base.with_suffix(".json")))
        return read_poster(base.with_suffix(".jpeg")), text, genre_targets(movie.genres)


def find_form(root: Path) -> str:
    """ "hdf5", "npy" or "raw": the form in which the data lies under `root`.

    Raises:
        DataError: none of them.
    """
    if (root / HDF5).is_file():
        return "hdf5"
    if all((root / part).is_dir() for part in PREPARED):
        return "npy"
    if (root / RAW).is_dir():
        return "raw"
    raise DataError(f"{root}: none of {HDF5}, the folders {', '.join(PREPARED)}, or {RAW} is there; expected one")


def _vectors(root: Path) -> Path:
    found = next((root / name for name in VECTORS if (root / name).is_file()), None)
    if found is None:
        raise DataError(
            f"{root}: the raw form needs word vectors to make a text of 300 numbers; expected one of "
            f"{', '.join(VECTORS)} there (or use multimodal_imdb.hdf5, which has the texts already)"
        )
    return found


def _vocabulary(root: Path, names: list[str]) -> set[str]:
    """All words of all plots; movies that cannot be read are met again, and counted, when they are extracted."""
    found: set[str] = set()
    for name in names:
        try:
            found |= set(words(read_movie(root / RAW / f"{name}.json").plot))
        except DataError:
            continue
    return found
