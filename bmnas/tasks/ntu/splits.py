"""The splits of NTU RGB+D by performers, with their counts (section 4.2; counted from the lists of names).

The paper's text names seven training subjects. Its 23,760 training samples are those of the eight subjects that the
authors' code trains on (`train_exp`), with the 302 samples of incomplete skeletons included. Its 2,519 and 16,558 are
the full 2,520 and 16,560 less one and two files. Both splits are here, and a manifest says which one was used.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmnas.errors import DataError
from bmnas.tasks.ntu.names import NtuName

NTU_DEV = (2, 5, 9, 14)
NTU_OFFICIAL_TRAIN = (1, 2, 4, 5, 8, 9, 13, 14, 15, 16, 17, 18, 19, 25, 27, 28, 31, 34, 35, 38)
NTU_TEST = tuple(subject for subject in range(1, 41) if subject not in NTU_OFFICIAL_TRAIN)


@dataclass(frozen=True)
class NtuSplit:
    """Who trains, validates and tests.

    Attributes:
        train: subjects.
        counts: samples of train, val and test with the 302 samples of the list of missing skeletons.
        counts_without: the same without them; None where nobody counted.
        drop_listed: whether these samples are left out, as those do who use the split.
        source: where it comes from.
    """

    train: tuple[int, ...]
    counts: tuple[int, int, int]
    counts_without: tuple[int, int, int] | None
    drop_listed: bool
    source: str


NTU_SPLITS = {
    "release": NtuSplit(
        (1, 8, 15, 17, 19, 27, 31, 35), (23760, 2520, 16560), None, False, "BM-NAS code, train_exp; the paper's counts"
    ),
    "paper": NtuSplit(
        (1, 4, 8, 13, 15, 17, 19),
        (23040, 2520, 16560),
        (22952, 2509, 16487),
        False,
        "the subjects that the paper's section 4.2 names; MFAS's trainexp",
    ),
    "mfas": NtuSplit(
        tuple(subject for subject in NTU_OFFICIAL_TRAIN if subject not in NTU_DEV),
        (37800, 2520, 16560),
        (37582, 2509, 16487),
        True,
        "MFAS; the official cross-subject split with subjects 2, 5, 9 and 14 held out for validation",
    ),
}
"""All have the validation subjects 2, 5, 9, 14 and the 20 official test subjects."""

NTU_OFFICIAL = {"train": 40320, "test": 16560}
"""Cross-subject, with the 302; without them 40,091 and 16,487."""
NTU_CROSS_VIEW = {"train": 37646, "test": 18932}
"""Cameras 2 and 3 against camera 1, without the 302."""
NTU_PRINTED = (23760, 2519, 16558)
"""Train, val and test as the paper prints them."""


def ntu_rows(names: Sequence[NtuName], split: str) -> dict[str, np.ndarray]:
    """Returns "train", "val" and "test" -> rows of these names; performers in none of them are in no split.

    Raises:
        DataError: no sample is left for one of them.
    """
    subjects = {"train": NTU_SPLITS[split].train, "val": NTU_DEV, "test": NTU_TEST}
    performers = np.array([name.performer for name in names])
    rows = {part: np.flatnonzero(np.isin(performers, chosen)) for part, chosen in subjects.items()}
    for part, members in rows.items():
        if len(members) == 0:
            raise DataError(
                f"NTU split {split!r}: no sample of the {part} subjects {', '.join(map(str, subjects[part]))} "
                f"among {len(names)} samples"
            )
    return rows


def ntu_cross_view(names: Sequence[NtuName]) -> dict[str, np.ndarray]:
    """Returns "train" (cameras 2 and 3) and "test" (camera 1) -> rows; it has no validation part."""
    cameras = np.array([name.camera for name in names])
    return {"train": np.flatnonzero(cameras != 1), "test": np.flatnonzero(cameras == 1)}
