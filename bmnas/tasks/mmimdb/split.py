"""MM-IMDB's split.json, and the order of its 23 genres (Arevalo et al. 2017)."""

import re
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import read_json
from bmnas.tasks.file_readers.text import fail

SPLITS = {"train": "train", "dev": "val", "test": "test"}
GENRES = (
    *("Drama", "Comedy", "Romance", "Thriller", "Crime", "Action", "Adventure", "Horror", "Documentary", "Mystery"),
    *("Sci-Fi", "Fantasy", "Family", "Biography", "War", "History", "Music", "Animation", "Musical", "Western"),
    *("Sport", "Short", "Film-Noir"),
)
"""By descending frequency, as in the target_names of multimodal_imdb.hdf5. Some repositories place Music earlier."""
DROPPED = ("News", "Adult", "Talk-Show", "Reality-TV")
"""Genres that the paper leaves out: 0.10 % of all labels."""
MMIMDB_COUNTS = (15552, 2608, 7799)
"""Train, dev and test movies; the original split, as the paper prints it (section 4.1)."""
IMDB_ID = re.compile(r"[0-9]{7}")


def read_split(path: Path) -> dict[str, tuple[str, ...]]:
    """Reads "train", "val" (the file's "dev") and "test" -> ids, 7 digits with leading zeros, in the order of the file.

    Raises:
        DataError: names file, split and place; an id that is none, or one that stands in the file twice.
    """
    data = read_json(path, DataError)
    splits = {}
    seen = {}
    for name, ours in SPLITS.items():
        ids = data.get(name)
        if not isinstance(ids, list) or not ids:
            fail(path, None, name, ids, "a list of ids")
        for i, imdb_id in enumerate(ids):
            if not isinstance(imdb_id, str) or not IMDB_ID.fullmatch(imdb_id):
                fail(path, None, f"{name}[{i}]", imdb_id, "an id of 7 digits as text, such as '0106714'")
            if imdb_id in seen:
                fail(path, None, f"{name}[{i}]", imdb_id, f"an id that is not yet in {seen[imdb_id]}")
            seen[imdb_id] = f"{name}[{i}]"
        splits[ours] = tuple(ids)
    return splits


def split_rows(ids: dict[str, tuple[str, ...]]) -> dict[str, np.ndarray]:
    """Returns the rows of the splits where samples are ordered train, val, test."""
    rows = {}
    start = 0
    for name, members in ids.items():
        rows[name] = np.arange(start, start + len(members))
        start += len(members)
    return rows
