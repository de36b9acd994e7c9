"""EgoGesture's annotations: the JSON of all clips, and the lists of one subset (Zhang et al. 2018).

Frames lie in `SubjectNN/SceneN/Color/rgbK/%06d.jpg` and `SubjectNN/SceneN/Depth/depthK/%06d.jpg`; their numbers count
from 1, and a clip includes both its start and its end.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import read_json
from bmnas.tasks.file_readers.text import fail, integer, read_lines, real

SUBSETS = {"training": "train", "validation": "val", "testing": "test"}
FOLDER = re.compile(r"(Subject[0-9]{2}/Scene[0-9]+)/Color/rgb([0-9]+)")
LINE = re.compile(r"_[0-9]+$")  # behind a folder that repeats
LENGTH = 32
LAST = 999_999  # file names have six digits
EGO_COUNTS = (14416, 4768, 4977)
"""Training, validation and testing clips; the official split by subjects, as the paper prints it (section 4.3)."""
EGO_VAL = (1, 7, 12, 13, 24, 29, 33, 34, 35, 37)
EGO_TEST = (2, 9, 11, 14, 18, 19, 28, 31, 41, 47)


@dataclass(frozen=True)
class EgoClip:
    """One gesture.

    Attributes:
        name: its key: the folder, or the folder and "_<line number>" where the folder repeats.
        color, depth: folders of its frames below the root of the data.
        label: counted from 0.
        start, end: first and last frame, counted from 1.
        split: "train", "val" or "test".
    """

    name: str
    color: str
    depth: str
    label: int
    start: int
    end: int
    split: str

    @property
    def subject(self) -> int:
        """Who gestures."""
        return int(self.color[len("Subject") : self.color.index("/")])


def read_ego_json(path: Path) -> tuple[tuple[str, ...], list[EgoClip]]:
    """Reads the class names and all clips, in the order of the file; a label's number is its place in `labels`.

    Raises:
        DataError: names file, clip and field.
    """
    data = read_json(path, DataError)
    labels, database = data.get("labels"), data.get("database")
    if not isinstance(labels, list) or not labels or not all(isinstance(name, str) for name in labels):
        fail(path, None, "labels", labels, "a list of class names")
    if len(set(labels)) != len(labels):
        fail(path, None, "labels", labels, "each name once")
    if not isinstance(database, dict) or not database:
        fail(path, None, "database", database, "an object with an entry a clip")
    numbers = {name: i for i, name in enumerate(labels)}
    return tuple(labels), [_entry(path, key, entry, numbers) for key, entry in database.items()]


def read_ego_list(path: Path, split: str, classes: int = 83) -> list[EgoClip]:
    """Reads the clips of a list such as trainlistall_but_None.txt: folder, class from 1, start, end, apart by blanks.

    A folder that repeats gets "_<line number>" in its clip's name.

    Raises:
        DataError: names file, line and field.
    """
    clips = []
    seen = set()
    for number, line in enumerate(read_lines(path), start=1):
        parts = line.split()
        if len(parts) != 4:
            fail(path, number, "number of fields", len(parts), "4: folder class start end")
        folder, label, start, end = parts
        color, depth = _folders(path, number, "folder", folder)
        kind = _whole(path, number, "class", label)
        if not 1 <= kind <= classes:
            fail(path, number, "class", label, f"1 to {classes}")
        first, last = _span(path, number, "", start, end)
        name = f"{folder}_{number}" if folder in seen else folder
        seen.add(folder)
        clips.append(EgoClip(name, color, depth, kind - 1, first, last, split))
    if not clips:
        fail(path, None, "number of lines", 0, "a line a clip")
    return clips


def read_ego_classes(path: Path) -> tuple[str, ...]:
    """Reads the names in classIndAll.txt, lines "<id> <name>" with ids from 1.

    Raises:
        DataError: names file, line and field.
    """
    names = []
    for number, line in enumerate(read_lines(path), start=1):
        index, _, name = line.strip().partition(" ")
        if integer(path, number, "id", index) != number:
            fail(path, number, "id", index, str(number))
        if not name.strip():
            fail(path, number, "name", name, "a class name behind the id")
        if name.strip() in names:
            fail(path, number, "name", name.strip(), "each name once")
        names.append(name.strip())
    if not names:
        fail(path, None, "number of lines", 0, "a line a class")
    return tuple(names)


def clip_frames(start: int, end: int, length: int = LENGTH) -> np.ndarray:
    """Returns `length` frame numbers of a clip, int64: its middle, or from the start again where it is shorter."""
    frames = np.arange(start, end + 1)
    if len(frames) >= length:
        first = (len(frames) - length) // 2
        return frames[first : first + length]
    return np.resize(frames, length)


def _entry(path: Path, key: str, entry: Any, numbers: Mapping[str, int]) -> EgoClip:
    where = f"database[{key!r}]"
    color, depth = _folders(path, None, f"key {key!r}", LINE.sub("", key))
    if not isinstance(entry, dict) or not isinstance(entry.get("annotations"), dict):
        fail(path, None, where, entry, "an object with subset and annotations")
    about = entry["annotations"]
    if not isinstance(entry.get("subset"), str) or entry["subset"] not in SUBSETS:
        fail(path, None, f"{where}.subset", entry.get("subset"), f"one of {', '.join(SUBSETS)}")
    if not isinstance(about.get("label"), str) or about["label"] not in numbers:
        fail(path, None, f"{where}.annotations.label", about.get("label"), "one of the names in labels")
    first, last = _span(path, None, f"{where}.annotations.", about.get("start_frame"), about.get("end_frame"))
    return EgoClip(key, color, depth, numbers[about["label"]], first, last, SUBSETS[entry["subset"]])


def _folders(path: Path, line: int | None, field: str, folder: str) -> tuple[str, str]:
    match = FOLDER.fullmatch(folder)
    if not match:
        fail(path, line, field, folder, "a folder like Subject03/Scene1/Color/rgb1")
    return folder, f"{match[1]}/Depth/depth{match[2]}"


def _span(path: Path, line: int | None, where: str, start: object, end: object) -> tuple[int, int]:
    names = ("start_frame", "end_frame") if where else ("start", "end")
    first, last = (_whole(path, line, f"{where}{name}", value) for name, value in zip(names, (start, end), strict=True))
    if first < 1:
        fail(path, line, f"{where}{names[0]}", start, "at least 1, the first frame")
    if last < first:
        fail(path, line, f"{where}{names[1]}", end, f"at least the start, {first}")
    if last > LAST:
        fail(path, line, f"{where}{names[1]}", end, f"at most {LAST}")
    return first, last


def _whole(path: Path, line: int | None, field: str, value: object) -> int:
    """Reads a whole number that may be written 98.0, as text or as a number."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        fail(path, line, field, value, "a whole number such as 98 or 98.0")
    number = real(path, line, field, str(value))
    if number != number or number != int(number):
        fail(path, line, field, value, "a whole number such as 98 or 98.0")
    return int(number)
