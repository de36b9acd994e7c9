"""The three forms in which MM-IMDB is stored, and which of them is used where several lie side by side."""

from dataclasses import dataclass
from pathlib import Path

from bmnas.errors import DataError, warn
from bmnas.tasks.file_readers.archives import packed_files
from bmnas.tasks.mmimdb.hdf5 import MmimdbFile
from bmnas.tasks.mmimdb.npy import SHAPES
from bmnas.tasks.mmimdb.split import SPLITS, read_split
from bmnas.tasks.mmimdb.word2vec import VECTORS

HDF5, SPLIT, RAW = "multimodal_imdb.hdf5", "split.json", "dataset"
PREPARED = tuple(SPLITS)


@dataclass(frozen=True)
class Form:
    """The form that is used.

    Attributes:
        name: "hdf5", "npy" or "raw".
        movies: form -> how many movies of split.json it holds, of all forms that are there.
    """

    name: str
    movies: dict[str, int]


def choose_form(root: Path) -> Form:
    """Chooses the form that holds most movies of split.json; of equal ones hdf5 before npy before raw.

    Warns where an earlier form is there and incomplete.

    Raises:
        DataError: no form is there, or split.json is missing or damaged.
    """
    there = {
        "hdf5": (root / HDF5).is_file(),
        "npy": all((root / part).is_dir() for part in PREPARED),
        "raw": (root / RAW).is_dir(),
    }
    present = [form for form, is_there in there.items() if is_there]
    if not present:
        raise DataError(
            f"{root}: none of {HDF5}, the folders {', '.join(PREPARED)}, or {RAW} is there; expected one"
            f"{packed_files(root)}"
        )
    ids = read_split(root / SPLIT)
    if len(present) == 1:
        return Form(name=present[0], movies={})
    movies = {form: _COUNTS[form](root, ids) for form in present}
    chosen = max(present, key=movies.__getitem__)
    if chosen != present[0]:
        held = ", ".join(f"{form} {count:,}" for form, count in movies.items())
        total = sum(map(len, ids.values()))
        warn(f"{root}: of the {total:,} movies of {SPLIT}, its forms hold {held}; {chosen} is used")
    return Form(name=chosen, movies=movies)


def vectors_file(root: Path) -> Path:
    """Returns the file of word vectors that the raw form needs.

    Raises:
        DataError: there is none, or it is packed.
    """
    path = next((root / name for name in VECTORS if (root / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{root}: the raw form needs word vectors to make a text of 300 numbers; expected one of "
            f"{', '.join(VECTORS)} there (or use multimodal_imdb.hdf5, which has the texts already){packed_files(root)}"
        )
    return path


def _count_hdf5(root: Path, ids: dict[str, tuple[str, ...]]) -> int:
    try:
        with MmimdbFile(root / HDF5) as file:
            return sum(name in file.rows for members in ids.values() for name in members)
    except DataError:  # half a download beside another form; alone it would be an error
        return 0


def _count_npy(root: Path, ids: dict[str, tuple[str, ...]]) -> int:
    files = {part: {path.name.lower() for path in (root / part).iterdir()} for part in PREPARED}
    return sum(
        all(f"{field}_{index:06d}.npy" in files[part] for field in SHAPES)
        for part in PREPARED
        for index in range(len(ids[SPLITS[part]]))
    )


def _count_raw(root: Path, ids: dict[str, tuple[str, ...]]) -> int:
    if not any((root / name).is_file() for name in VECTORS):
        return 0
    files = {path.name.lower() for path in (root / RAW).iterdir()}
    return sum(
        f"{name}.json".lower() in files and f"{name}.jpeg".lower() in files
        for members in ids.values()
        for name in members
    )


_COUNTS = {"hdf5": _count_hdf5, "npy": _count_npy, "raw": _count_raw}
