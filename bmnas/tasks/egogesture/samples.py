"""EgoGesture: a colour and a depth clip a sample, folders of numbered pictures."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bmnas.errors import DataError, how_many, warn
from bmnas.features.samples import Samples
from bmnas.tasks.egogesture.annotations import (
    EGO_COUNTS,
    FOLDER,
    EgoClip,
    clip_frames,
    read_ego_classes,
    read_ego_json,
    read_ego_list,
)
from bmnas.tasks.file_readers.archives import packed_files
from bmnas.tasks.file_readers.folders import same_stem, with_any_capitals
from bmnas.tasks.file_readers.jpeg import read_picture

SIZE = 112
MEAN = np.array([114.7748, 107.7354, 99.4750], np.float32)  # of ActivityNet, as in the lineage of the backbones
ANNOTATION = "egogestureall_but_None.json"
LISTS = {"train": "trainlistall_but_None.txt", "val": "vallistall_but_None.txt", "test": "testlistall_but_None.txt"}
CLASS_LIST, GESTURES = "classIndAll.txt", 83  # its 84th class is None


class EgoSamples(Samples):
    """RGB (3, 32, 112, 112) and Depth (1, 32, 112, 112), float32; the label is the gesture, from 0.

    Longer clips give their middle 32 frames, shorter ones start again. The shorter side is scaled to 112, the middle
    square cut out, and ActivityNet's mean subtracted (its first number for depth); pixels stay 0 to 255 otherwise.

    Args:
        root: the folder that holds SubjectNN/..., and the JSON or the three lists.

    Raises:
        DataError: annotations are missing or damaged, a subject is in two splits, or no clip has its folders.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        classes, annotated = read_annotations(root)
        subjects = subjects_of_splits(root, annotated)
        there = {folder for clip in annotated for folder in (clip.color, clip.depth)}  # a folder holds many clips
        there = {folder for folder in there if (root / folder).is_dir()}
        self.clips = [clip for clip in annotated if clip.color in there and clip.depth in there]
        if not self.clips:
            raise DataError(
                f"{root}: none of the {len(annotated)} annotated clips has its folders, {annotated[0].color}"
            )
        _warn_of_unnamed(root, {clip.color for clip in annotated})
        if len(self.clips) < len(annotated):
            first = next(clip for clip in annotated if clip.color not in there or clip.depth not in there)
            warn(
                f"{root}: only {len(self.clips):,} of {len(annotated):,} annotated clips have both folders; the "
                f"others, first {first.name}, are left out",
            )
        parts = np.array([clip.split for clip in self.clips])
        splits = {part: np.flatnonzero(parts == part) for part in ("train", "val", "test")}
        for part, rows in splits.items():
            if len(rows) == 0:
                raise DataError(f"{root}: no clip of the split {part!r} has its folders; expected some")
        facts = {
            "annotated": len(annotated),
            "without_folders": len(annotated) - len(self.clips),
            "counts": {part: len(rows) for part, rows in splits.items()},
            "expected_counts": list(EGO_COUNTS),
            "subjects": subjects,
        }
        marks = "\n".join(f"{clip.label} {clip.start} {clip.end}" for clip in self.clips)
        super().__init__([clip.name for clip in self.clips], classes, "multiclass", splits, facts, marks)

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], int]:
        """Reads a sample, see `Samples.read`."""
        clip = self.clips[row]
        inputs = {}
        numbers = clip_frames(clip.start, clip.end)
        if only != "Depth":
            inputs["RGB"] = self._clip(clip, clip.color, numbers, 3) - MEAN[:, None, None, None]
        if only != "RGB":
            inputs["Depth"] = self._clip(clip, clip.depth, numbers, 1) - MEAN[0]
        return inputs, clip.label

    def group(self, row: int) -> str:
        """See `Samples.group`: who gestures."""
        return f"subject {self.clips[row].subject}"

    def files(self, row: int) -> tuple[Path, ...]:
        """Lists the pictures that are read, of both modalities, see `Samples.files`."""
        clip = self.clips[row]
        numbers = np.unique([*clip_frames(clip.start, clip.end), clip.end])
        return tuple(frame_file(self.root / folder, n) for folder in (clip.color, clip.depth) for n in numbers)

    def _clip(self, clip: EgoClip, folder: str, numbers: np.ndarray, channels: int) -> np.ndarray:
        """Reads a clip. Its last frame must be there even if only its middle is taken: its numbers may be another's."""
        last = frame_file(self.root / folder, clip.end)
        if not last.is_file():
            raise DataError(
                f"{last} is missing{same_stem(last)}; expected the last frame of {clip.name}, {clip.start} to "
                f"{clip.end}"
            )
        return read_clip(self.root / folder, numbers, channels)

    def pictures(self, row: int) -> dict[str, np.ndarray]:
        """Returns the middle frames, see `Samples.pictures`."""
        inputs, _ = self.read(row)
        return {name: clip[:, clip.shape[1] // 2].mean(0)[::2, ::2] for name, clip in inputs.items()}


def read_annotations(root: Path) -> tuple[tuple[str, ...], list[EgoClip]]:
    """Reads class names and clips, from the JSON where it is there, else from the three lists.

    Warns where both are there and differ.

    Raises:
        DataError: neither is there, or a file is damaged.
    """
    missing = [name for name in LISTS.values() if not (root / name).is_file()]
    if (root / ANNOTATION).is_file():
        classes, clips = read_ego_json(root / ANNOTATION)
        _warn_of_copies(root, clips)
        others = set() if missing else {_annotation(clip) for clip in _read_lists(root)[1]}
        differ = {_annotation(clip) for clip in clips} ^ others if others else set()
        if differ:
            warn(
                f"{root}: {ANNOTATION}, which is used, and {', '.join(LISTS.values())} differ, first in "
                f"{min(differ)[0]}",
            )
        return classes, clips
    if missing:
        raise DataError(
            f"{root}: neither {ANNOTATION} nor {', '.join(missing)} is there; expected one or the other"
            f"{packed_files(root)}"
        )
    classes, clips = _read_lists(root)
    _warn_of_copies(root, clips)
    return classes, clips


def _warn_of_copies(root: Path, clips: Sequence[EgoClip]) -> None:
    """Warns of clips that are annotated more than once."""
    counts = Counter((clip.color, clip.start, clip.end) for clip in clips)
    copies = [place for place, count in counts.items() if count > 1]
    if copies:
        (folder, start, end), more = copies[0], f" and {len(copies) - 1} more" if copies[1:] else ""
        warn(
            f"{root}: {folder}, frames {start} to {end}{more}, is annotated more than once; each counts",
        )


def _warn_of_unnamed(root: Path, named: set[str]) -> None:
    """Warns of folders of frames that no annotation names: lines of a list, or a subject's entries, may be lost."""
    folders = {folder.relative_to(root).as_posix() for folder in root.glob("Subject*/Scene*/Color/rgb*")}
    unnamed = sorted(folder for folder in folders - named if FOLDER.fullmatch(folder))
    if unnamed:
        warn(
            f"{root}: the annotations name no clip of {how_many(len(unnamed), 'folder')} of frames there, first "
            f"{unnamed[0]}; compare the annotations with the published ones, where nothing is left out on "
            "purpose"
        )


def _read_lists(root: Path) -> tuple[tuple[str, ...], list[EgoClip]]:
    named = root / CLASS_LIST
    numbers = tuple(map(str, range(1, GESTURES + 1)))
    classes = (read_ego_classes(named) if os.path.lexists(named) else numbers)[:GESTURES]
    clips = [clip for part, name in LISTS.items() for clip in read_ego_list(root / name, part, len(classes))]
    return classes, clips


def _annotation(clip: EgoClip) -> tuple[str, int, int, int, str]:
    """Returns what the JSON and the lists both say of a clip; they name repeated folders differently."""
    return clip.color, clip.start, clip.end, clip.label, clip.split


def subjects_of_splits(root: Path, clips: Sequence[EgoClip]) -> dict[str, list[int]]:
    """Lists the subjects of each split. The official split is by subjects (see `annotations`); others will do.

    Raises:
        DataError: a subject is in two splits, so that one would be tested on people seen before.
    """
    met: dict[int, EgoClip] = {}
    for clip in clips:
        before = met.setdefault(clip.subject, clip)
        if before.split != clip.split:
            raise DataError(
                f"{root}: the annotations put {clip.name!r} into {clip.split!r}, but {before.name!r} of the same "
                f"subject into {before.split!r}; expected each subject in one split"
            )
    parts = ("train", "val", "test")
    return {part: sorted(subject for subject, clip in met.items() if clip.split == part) for part in parts}


def read_clip(folder: Path, numbers: Sequence[int] | np.ndarray, channels: int) -> np.ndarray:
    """Reads the pictures %06d.jpg as float32 (channels, T, 112, 112).

    Raises:
        DataError: a picture is missing or damaged.
    """
    cache: dict[int, np.ndarray] = {}
    for number in map(int, numbers):
        if number not in cache:  # a short clip shows its pictures several times
            cache[number] = middle_square(read_picture(frame_file(folder, number), channels, short_side=SIZE))
    clip = np.stack([cache[int(number)] for number in numbers])  # (T, 112, 112, channels)
    return np.ascontiguousarray(clip.transpose(3, 0, 1, 2), np.float32)


def frame_file(folder: Path, number: int) -> Path:
    """Returns the file of a frame: 000001.jpg, or 000001.JPG where that lies there."""
    return with_any_capitals(folder / f"{number:06d}.jpg")


def middle_square(picture: np.ndarray) -> np.ndarray:
    """Cuts (112, 112, channels) out of a picture whose shorter side is 112."""
    top, left = ((extent - SIZE) // 2 for extent in picture.shape[:2])
    return picture[top : top + SIZE, left : left + SIZE]
