"""What others print for the three data sets of the paper, with sources: to look at, never to compare with.

They were measured on other features, splits of seeds and test epochs than a table made here, which keeps them in a
column of their own. Every number was read in the source that is named.
"""

from typing import Any, NamedTuple

BM_NAS = "BM-NAS, AAAI 2022"
DC_NAS = "DC-NAS, AAAI 2024: Poster.pdf in github.com/fupinhan123/AAAI_DC-NAS"


class PublishedScore(NamedTuple):
    """One published number.

    Attributes:
        method: as its source calls it, with the modality where there are several.
        score: weighted F1 or accuracy, in per cent.
        source: where it was read.
        row: the row of our table that trains the same method on stored features; "" where none can.
        deviation: printed behind the score, in per cent.
    """

    method: str
    score: float
    source: str
    row: str = ""
    deviation: float | None = None

    @property
    def text(self) -> str:
        """`90.48 ± 0.24`."""
        return f"{self.score:.2f}" + ("" if self.deviation is None else f" ± {self.deviation:.2f}")


def _rows(source: str, *entries: tuple[Any, ...]) -> list[PublishedScore]:
    """Entries are method, score, row and, where it is printed, the deviation."""
    return [PublishedScore(entry[0], entry[1], source, *entry[2:]) for entry in entries]


PUBLISHED_SCORES: dict[str, list[PublishedScore]] = {
    "mmimdb": _rows(
        f"{BM_NAS}, Table 1",
        ("Maxout MLP (text)", 57.54, "Text alone"),
        ("VGG Transfer (image)", 49.21, "Image alone"),
        ("Two-stream", 60.81, "two-stream"),
        ("GMU", 61.70, "GMU"),
        ("CentralNet", 62.23, "CentralNet"),
        ("MFAS", 62.50, "MFAS, searched"),
        ("BM-NAS", 62.92, "searched (bmnas)", 0.03),
    )
    + _rows(f"{DC_NAS}, Table 1", ("DC-NAS", 63.70, "DC-NAS, searched", 0.11))
    + _rows("github.com/Mohamed-Imed-Eddine/Harmonic-NAS, README", ("Harmonic-NAS", 64.36, "")),
    "ntu": _rows(
        f"{BM_NAS}, Table 2",
        ("Inflated ResNet-50 (video)", 83.91, "Video alone"),
        ("Co-occurrence (pose)", 85.24, "Skeleton alone"),
        ("Two-stream", 88.60, "two-stream"),
        ("GMU", 85.80, "GMU"),
        ("MMTM", 88.92, "MMTM, last placement"),
        ("CentralNet", 89.36, "CentralNet"),
        ("MFAS", 89.50, "MFAS, searched", 0.60),
        ("BM-NAS", 90.48, "searched (bmnas)", 0.24),
    )
    + _rows(f"{DC_NAS}, Table 2", ("DC-NAS", 90.85, "DC-NAS, searched", 0.05))
    + _rows("github.com/anita-hu/MSAF, README", ("MSAF", 90.63, "")),
    "egogesture": _rows(
        f"{BM_NAS}, Table 3",
        ("VGG-16 + LSTM (RGB)", 74.70, ""),
        ("C3D + LSTM + RSTTM (RGB)", 89.30, ""),
        ("I3D (RGB)", 90.33, ""),
        ("ResNeXt-101 (RGB)", 93.75, "RGB alone"),
        ("VGG-16 + LSTM (depth)", 77.70, ""),
        ("C3D + LSTM + RSTTM (depth)", 90.60, ""),
        ("I3D (depth)", 89.47, ""),
        ("ResNeXt-101 (depth)", 94.03, "Depth alone"),
        ("VGG-16 + LSTM", 81.40, ""),
        ("C3D + LSTM + RSTTM", 92.20, ""),
        ("I3D", 92.78, ""),
        ("MMTM", 93.51, "MMTM, last placement"),
        ("MTUT", 93.87, "MTUT, heads"),
        ("3D-CDC-NAS2", 94.38, ""),
        ("BM-NAS", 94.96, "searched (bmnas)", 0.07),
    )
    + _rows(f"{DC_NAS}, Table 3", ("DC-NAS", 95.22, "DC-NAS, searched", 0.05)),
}
"""Task -> what is published on it, in the order of its tables."""


def published_scores(task: str) -> list[PublishedScore]:
    """Returns what is published on a task; nothing on one that the paper does not have."""
    return PUBLISHED_SCORES.get(task, [])
