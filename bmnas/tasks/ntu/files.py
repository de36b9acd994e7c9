"""Where NTU's files lie, and which video belongs to which skeleton: paired by name.

MFAS and BM-NAS zip two sorted lists; one missing file then shifts every later pair. A name cannot shift.
"""

import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bmnas.errors import DataError, warn
from bmnas.tasks.file_readers.archives import packed_files
from bmnas.tasks.file_readers.folders import files_under
from bmnas.tasks.file_readers.text import read_lines
from bmnas.tasks.ntu.names import PATTERN, NtuName

VIDEO_FOLDERS = (
    "nturgbd_rgb/avi_256x256_30",  # MFAS
    "nturgb+d_rgb_256x256_30",  # BM-NAS
    "nturgb+d_rgb",  # as distributed, 1920 x 1080
)
SKELETON_FOLDERS = ("nturgbd_skeletons", "nturgb+d_skeletons")
MISSING_FILES = ("NTU_RGBD_samples_with_missing_skeletons.txt", "bad_skel.txt")
SUFFIXES = {"video": "_rgb.avi", "skeleton": ".skeleton"}


@dataclass(frozen=True)
class NtuFiles:
    """The samples that have both files, and everything that was left out.

    Attributes:
        names: in order.
        videos, skeletons: their files.
        only_video, only_skeleton: names that lack the other file.
        ntu_120: how many names belong to NTU RGB+D 120 only.
        listed: names on the list of missing skeletons; empty where there is no list.
        folders: folder -> how many of its files are used.
    """

    names: tuple[NtuName, ...]
    videos: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    only_video: tuple[NtuName, ...]
    only_skeleton: tuple[NtuName, ...]
    ntu_120: int
    listed: frozenset[NtuName]
    folders: dict[str, int]

    @property
    def counts(self) -> dict[str, int]:
        """What is there and what was left out, for the manifest."""
        return {
            "pairs": len(self.names),
            "only_video": len(self.only_video),
            "only_skeleton": len(self.only_skeleton),
            "ntu_120": self.ntu_120,
            "listed_missing": len(self.listed),
            "listed_and_paired": len(self.listed & set(self.names)),
        }


def ntu_files(root: Path) -> NtuFiles:
    """Pairs all samples under the folder of the data set.

    Several folders of one kind are merged by name; a name in two of them is taken from the first of VIDEO_FOLDERS or
    SKELETON_FOLDERS. Deeper folders are searched too, and an ending may be in capitals. Warns of what is left out.

    Raises:
        DataError: a folder is missing or empty of pairs, or a file has a name that is none.
    """
    videos = _named(root, VIDEO_FOLDERS, SUFFIXES["video"])
    skeletons = _named(root, SKELETON_FOLDERS, SUFFIXES["skeleton"])
    everything = sorted(videos.keys() | skeletons.keys())
    names = [name for name in everything if name.in_ntu_60]
    both = tuple(name for name in names if name in videos and name in skeletons)
    if not both:
        raise DataError(
            f"{root}: {len(videos)} videos and {len(skeletons)} skeletons, but no name has both; expected "
            "SsssCcccPpppRrrrAaaa_rgb.avi and SsssCcccPpppRrrrAaaa.skeleton"
        )
    used = [*(videos[name] for name in both), *(skeletons[name] for name in both)]
    files = NtuFiles(
        names=both,
        videos=tuple(videos[name] for name in both),
        skeletons=tuple(skeletons[name] for name in both),
        only_video=tuple(name for name in names if name not in skeletons),
        only_skeleton=tuple(name for name in names if name not in videos),
        ntu_120=len(everything) - len(names),
        listed=missing_skeletons(root),
        folders=dict(Counter(path.parent.relative_to(root).as_posix() for path in used)),
    )
    if len(both) < len(names):
        first = next(name for name in names if name not in videos or name not in skeletons)
        warn(
            f"{root}: only {len(both):,} of {len(names):,} samples have both a video and a skeleton; "
            f"{len(files.only_video):,} lack the skeleton, {len(files.only_skeleton):,} the video. They are left out, "
            f"first {first}",
        )
    return files


def missing_skeletons(root: Path) -> frozenset[NtuName]:
    """Reads the names of samples whose skeletons are missing or incomplete, from all lists there; none without a list.

    The list has 302 names of NTU RGB+D 60. Its first lines are prose: lines that are no name are skipped.

    Raises:
        DataError: the list holds no name at all.
    """
    listed: frozenset[NtuName] = frozenset()
    for path in (root / name for name in MISSING_FILES if os.path.lexists(root / name)):
        lines = [re.sub(r"\.skeleton$", "", line.strip()) for line in read_lines(path)]
        names = frozenset(NtuName.parse(line) for line in lines if PATTERN.fullmatch(line))
        if not names:
            raise DataError(
                f"{path}: no line is a name like S001C002P005R002A008; expected the list of missing skeletons"
            )
        listed |= names
    return listed


def _named(root: Path, folders: tuple[str, ...], suffix: str) -> dict[NtuName, Path]:
    """Maps names to files, from all of the folders that are there; the first folder that has a name counts.

    Warns of names that a folder holds twice, and of files that have a sample's name and another ending.
    """
    present = [root / folder for folder in folders if (root / folder).is_dir()]
    if not present:
        raise DataError(
            f"{root}: none of the folders {', '.join(folders)} is there; expected one of them{packed_files(root)}"
        )
    files: dict[NtuName, Path] = {}
    for folder in present:
        own: dict[NtuName, Path] = {}
        copies: list[Path] = []
        others: list[Path] = []
        for path in files_under(folder):
            if path.name.lower().endswith(suffix):
                name = _name_of(path, suffix)
                copies += [path] if name in own else []
                own.setdefault(name, path)
            elif PATTERN.match(path.name.upper()):
                others.append(path)
        _warn_of(copies, "have the name of another file there, and are left out")
        _warn_of(others, f"do not end in {suffix}, and are left out")
        files = {**own, **files}
    return files


def _name_of(path: Path, suffix: str) -> NtuName:
    try:
        return NtuName.parse(path.name[: -len(suffix)])
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _warn_of(paths: list[Path], what: str) -> None:
    """Warns of files that are not used, if there are any."""
    if paths:
        warn(f"{len(paths):,} files {what}, first {paths[0]}")
