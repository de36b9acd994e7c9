"""MM-IMDB as distributed: dataset/<id>.json and dataset/<id>.jpeg, one pair a movie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import read_json
from bmnas.tasks.file_readers.folders import with_any_capitals
from bmnas.tasks.file_readers.text import fail
from bmnas.tasks.mmimdb.split import DROPPED, GENRES


@dataclass(frozen=True)
class Movie:
    """What the JSON of a movie says.

    Attributes:
        plot: the longest of its plots.
        genres: all of them, those that the paper drops included.
    """

    plot: str
    genres: tuple[str, ...]


def raw_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Returns the files of a movie: what is said about it, and its poster; their endings may be in capitals."""
    return with_any_capitals(folder / f"{name}.json"), with_any_capitals(folder / f"{name}.jpeg")


def read_movie(path: Path) -> Movie:
    """Reads one dataset/<id>.json; keys other than plot and genres are IMDbPY's and do not matter here.

    Raises:
        DataError: names file and field.
    """
    data = read_json(path, DataError)
    for field in ("plot", "genres"):
        values = data.get(field)
        if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
            fail(path, None, field, values, "a list of texts, at least one")
    unknown = [name for name in data["genres"] if name not in (*GENRES, *DROPPED)]
    if unknown:
        fail(path, None, "genres", unknown[0], f"one of {', '.join((*GENRES, *DROPPED))}")
    return Movie(max(data["plot"], key=len), tuple(data["genres"]))


def genre_targets(genres: Sequence[str], names: Sequence[str] = GENRES) -> np.ndarray:
    """Makes float32 (23,) of 0 and 1; genres that the paper drops leave no trace."""
    return np.array([name in genres for name in names], np.float32)
