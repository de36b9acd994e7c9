"""MM-IMDB: a poster and a plot a movie, from any of the three forms in which the data set is stored."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.features.samples import Samples
from bmnas.tasks.file_readers.folders import with_any_capitals
from bmnas.tasks.mmimdb.forms import HDF5, PREPARED, RAW, SPLIT, choose_form, vectors_file
from bmnas.tasks.mmimdb.hdf5 import MmimdbFile
from bmnas.tasks.mmimdb.npy import SHAPES, check_end, read_image, read_npy, stored_images
from bmnas.tasks.mmimdb.posters import mean_is_subtracted, read_poster
from bmnas.tasks.mmimdb.raw import genre_targets, raw_files, read_movie
from bmnas.tasks.mmimdb.split import GENRES, MMIMDB_COUNTS, SPLITS, read_split, split_rows
from bmnas.tasks.mmimdb.word2vec import mean_vector, read_vectors, words

PARTS = {ours: theirs for theirs, ours in SPLITS.items()}  # our names of the splits -> those of the folders


class MmimdbSamples(Samples):
    """Image (3, 256, 160), blue, green, red less ImageNet's mean, and Text (300,), float32; 23 genres, 0 or 1.

    Args:
        root: the folder with split.json and the data in one of its forms, see `choose_form`: multimodal_imdb.hdf5;
            train/, dev/ and test/ with .npy files; dataset/ with .json and .jpeg, which needs word vectors beside it.
            All give the same numbers where they are made from the same posters and plots.

    Raises:
        DataError: no form is there, or a file is damaged or contradicts split.json.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        form = choose_form(root)
        self.form = form.name
        self.ids = read_split(root / SPLIT)
        names = [name for members in self.ids.values() for name in members]
        self.places = [(part, i) for part, members in self.ids.items() for i in range(len(members))]
        self._file: tuple[int, MmimdbFile] | None = None
        self.vectors: dict[str, np.ndarray] = {}
        self.subtracted = True
        genres = self._open(names)
        counts = {part: len(members) for part, members in self.ids.items()}
        facts = {"form": self.form, "forms": form.movies, "counts": counts, "expected_counts": list(MMIMDB_COUNTS)}
        content = f"{self.form}, mean subtracted, tokens of normalizeText"  # an older version had other inputs
        super().__init__(names, genres, "multilabel", split_rows(self.ids), facts, content)

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Reads both modalities at once, which costs little here, see `Samples.read`."""
        image, text, target = {"hdf5": self._hdf5, "npy": self._npy, "raw": self._raw}[self.form](row)
        return {"Image": image, "Text": text}, target

    def files(self, row: int) -> tuple[Path, ...]:
        """Lists a sample's files, see `Samples.files`; the HDF5 file, or the word vectors, belong to every sample."""
        if self.form == "hdf5":
            return (self.root / HDF5,)
        if self.form == "npy":
            part, index = self.places[row]
            folder = self.root / PARTS[part]
            return tuple(with_any_capitals(folder / f"{field}_{index:06d}.npy") for field in SHAPES)
        return (*raw_files(self.root / RAW, self.names[row]), vectors_file(self.root))

    def pictures(self, row: int) -> dict[str, np.ndarray]:
        """Returns pictures, see `Samples.pictures`; the 300 numbers of the text are a block of 15 x 20."""
        inputs, _ = self.read(row)
        return {"Image": inputs["Image"].mean(0)[::4, ::4], "Text": inputs["Text"].reshape(15, 20)}

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_file": None}  # an open file stays in its process

    def _open(self, names: list[str]) -> tuple[str, ...]:
        """Checks what can be checked at once -> the genres."""
        if self.form == "raw":
            self.vectors = read_vectors(vectors_file(self.root), _vocabulary(self.root, names))
        if self.form == "npy":
            counts = {part: len(self.ids[SPLITS[part]]) for part in PREPARED}
            for part, count in counts.items():
                check_end(self.root, part, count)
            self.subtracted = mean_is_subtracted(stored_images(self.root, counts))
        if self.form != "hdf5":
            return GENRES
        with MmimdbFile(self.root / HDF5) as file:
            _check_ids(self.root / HDF5, names, list(file.rows))
            file.check_split(self.ids)
            if set(file.genres) != set(GENRES):
                raise DataError(
                    f"{self.root / HDF5}: target_names is {list(file.genres)}; expected the 23 {list(GENRES)}"
                )
            return file.genres

    def _hdf5(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if self._file is None or self._file[0] != os.getpid():  # HDF5 does not survive a fork
            self._file = os.getpid(), MmimdbFile(self.root / HDF5)
        file = self._file[1]
        place = file.rows[self.names[row]]
        return file.image(place), file.text(place), file.target(place)

    def _npy(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        part, index = self.places[row]
        text, label = (read_npy(self.root, PARTS[part], field, index) for field in ("text", "label"))
        return read_image(self.root, PARTS[part], index, self.subtracted), text, label

    def _raw(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        about, poster = raw_files(self.root / RAW, self.names[row])
        movie = read_movie(about)
        text = mean_vector(words(movie.plot), self.vectors, str(about))
        return read_poster(poster), text, genre_targets(movie.genres)


def _check_ids(path: Path, named: Sequence[str], stored: Sequence[str]) -> None:
    """Compares the movies of a file with those of split.json; their order does not matter."""
    missing, unknown = (sorted(set(one) - set(other)) for one, other in ((named, stored), (stored, named)))
    said = [
        f"{len(ids):,} {what}, first {ids[0]!r}"
        for what, ids in (("are missing", missing), ("are not in split.json", unknown))
        if ids
    ]
    if said:
        raise DataError(
            f"{path}: of the movies in imdb_ids {' and '.join(said)}; expected those of {SPLIT}, in any order"
        )


def _vocabulary(root: Path, names: list[str]) -> set[str]:
    """Collects all words of all plots; movies that cannot be read are counted later, when they are extracted."""
    vocabulary: set[str] = set()
    for name in names:
        try:
            vocabulary |= set(words(read_movie(raw_files(root / RAW, name)[0]).plot))
        except DataError:
            continue
    return vocabulary
