"""Where NTU's files lie, and which video belongs to which skeleton: paired by name.

MFAS and BM-NAS zip two sorted lists; one missing file then shifts every later pair. A name cannot shift.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from bmnas.errors import DataError
from bmnas.tasks.ntu.names import PATTERN, NtuName
from bmnas.tasks.raw.text import read_lines

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
    """

    names: tuple[NtuName, ...]
    videos: tuple[Path, ...]
    skeletons: tuple[Path, ...]
    only_video: tuple[NtuName, ...]
    only_skeleton: tuple[NtuName, ...]
    ntu_120: int
    listed: frozenset[NtuName]

    @property
    def counts(self) -> dict[str, int]:
        """What was found and what was left out, for the manifest."""
        return {
            "pairs": len(self.names),
            "only_video": len(self.only_video),
            "only_skeleton": len(self.only_skeleton),
            "ntu_120": self.ntu_120,
            "listed_missing": len(self.listed),
            "listed_and_paired": len(self.listed & set(self.names)),
        }


def ntu_folder(root: Path, kinds: tuple[str, ...]) -> Path | None:
    """The first of the folders in use that exists under `root`."""
    return next((root / name for name in kinds if (root / name).is_dir()), None)


def ntu_files(root: Path) -> NtuFiles:
    """Pairs all samples under the folder of the data set.

    Raises:
        DataError: a folder is missing or empty of pairs, or a file has a name that is none.
    """
    videos = _named(_folder(root, VIDEO_FOLDERS), SUFFIXES["video"])
    skeletons = _named(_folder(root, SKELETON_FOLDERS), SUFFIXES["skeleton"])
    everything = sorted(videos.keys() | skeletons.keys())
    names = [name for name in everything if name.in_ntu_60]
    both = tuple(name for name in names if name in videos and name in skeletons)
    if not both:
        raise DataError(
            f"{root}: {len(videos)} videos and {len(skeletons)} skeletons, but no name has both; expected "
            "SsssCcccPpppRrrrAaaa_rgb.avi and SsssCcccPpppRrrrAaaa.skeleton"
        )
    return NtuFiles(
        both,
        tuple(videos[name] for name in both),
        tuple(skeletons[name] for name in both),
        tuple(name for name in names if name not in skeletons),
        tuple(name for name in names if name not in videos),
        len(everything) - len(names),
        missing_skeletons(root),
    )


def missing_skeletons(root: Path) -> frozenset[NtuName]:
    """The names on the list of samples whose skeletons are missing or incomplete; none where there is no list.

    The list has 302 names of NTU RGB+D 60. Its first lines are prose: lines that are no name are skipped.

    Raises:
        DataError: the list holds no name at all.
    """
    path = next((root / name for name in MISSING_FILES if (root / name).is_file()), None)
    if path is None:
        return frozenset()
    lines = [re.sub(r"\.skeleton$", "", line.strip()) for line in read_lines(path)]
    names = frozenset(NtuName.parse(line) for line in lines if PATTERN.fullmatch(line))
    if not names:
        raise DataError(f"{path}: no line is a name like S001C002P005R002A008; expected the list of missing skeletons")
    return names


def _folder(root: Path, kinds: tuple[str, ...]) -> Path:
    found = ntu_folder(root, kinds)
    if found is None:
        raise DataError(f"{root}: none of the folders {', '.join(kinds)} is there; expected one of them")
    return found


def _named(folder: Path, suffix: str) -> dict[NtuName, Path]:
    found = {}
    for path in folder.iterdir():
        if path.name.endswith(suffix):
            try:
                found[NtuName.parse(path.name.removesuffix(suffix))] = path
            except DataError as error:
                raise DataError(f"{path}: {error}") from error
    return found
