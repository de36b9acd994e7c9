"""The six views of `mfeat`, as numbers, and its split."""

import io
import zipfile
from pathlib import Path

import numpy as np

from bmnas.tasks.embedded import read_embedded

ARCHIVE = Path(__file__).with_name("mfeat.zip")
SHA256 = "ed6f1ee96720369eac43c8aceb94749c222e1c845fa2598e72bcaef945c0d7a7"
VIEWS = {"Fou": 76, "Fac": 216, "Kar": 64, "Pix": 240, "Zer": 47, "Mor": 6}
"""View -> length: Fourier coefficients of the shape, profile correlations, Karhunen-Loeve coefficients, pixel averages
in windows of 2 x 3 (a picture of 16 x 15), Zernike moments, morphological features."""
CLASSES, DRAWINGS = 10, 200  # of each class, one class after the other
TRAIN, VAL = 600, 300
BACKBONES = 500  # drawings that train backbones and serve nothing else
PICTURE = (16, 15)  # rows and columns of Pix


def read_views() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Reads view -> float64 (2000, length), and the digits, int64 (2000,).

    Raises:
        DataError: the embedded file is damaged, foreign or missing.
    """
    with zipfile.ZipFile(io.BytesIO(read_embedded(ARCHIVE, SHA256))) as archive:
        contents = {view: archive.read(f"mfeat-{view.lower()}.csv") for view in VIEWS}
    tables = {  # a header, then a row a drawing whose last column is the class
        view: np.loadtxt(io.BytesIO(content), delimiter=",", skiprows=1) for view, content in contents.items()
    }
    digits = next(iter(tables.values()))[:, -1].astype(np.int64)
    return {view: table[:, :-1] for view, table in tables.items()}, digits


def split_drawings(seed: int, samples: int, backbones: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Splits the 2,000 drawings; every split has the ten classes in equal shares.

    The drawings of each class are shuffled and dealt out class by class: the first `samples` of them are train, number
    600 to 899 val, the next `backbones` train backbones, and the rest is test.

    Returns:
        "train", "val", "test" -> rows, and the rows of the backbones.
    """
    rng = np.random.default_rng(seed)
    each = [DRAWINGS * digit + rng.permutation(DRAWINGS) for digit in range(CLASSES)]
    order = np.stack(each, axis=1).ravel()  # one of each class, then the next of each class ...
    ends = TRAIN + VAL, TRAIN + VAL + backbones
    splits = {"train": order[:samples], "val": order[TRAIN : ends[0]], "test": order[ends[1] :]}
    return splits, order[ends[0] : ends[1]]


def standardise(view: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Scales each column to mean 0 and standard deviation 1 over some rows: float32.

    Values are rounded to four decimals, so that they are the same on every machine.
    """
    deviation = view[rows].std(0)
    scaled = (view - view[rows].mean(0)) / np.where(deviation > 0, deviation, 1)
    return np.round(scaled, 4).astype(np.float32)
