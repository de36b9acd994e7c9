"""`twodigits`: two different drawings of digits; the label is the sum of the digits modulo 10.

Drawings are scikit-learn's 1,797 real handwritten digits (8 x 8, `load_digits`). Both digits are drawn uniformly and
independently, so the label of a pair is independent of either drawing: each modality alone is at chance (10 %), and so
is the sum of the backbones' log-probabilities. A fusion has to learn the addition.

| split | drawings (of the seed's order) |
| --- | --- |
| backbones | 0 to 599 |
| train | 600 to 1,196 |
| val | 1,197 to 1,436 |
| test | 1,437 to 1,796 |

No drawing is in two of them. Within a split a drawing is in several pairs, on both sides.
"""

from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, Options, RawData, Task
from bmnas.training.progress import Progress

DRAWINGS = {"backbones": (0, 600), "train": (600, 1197), "val": (1197, 1437), "test": (1437, 1797)}
SAMPLES, MOST = 2000, 20000
SHARE = {"val": 4, "test": 2}  # one pair for so many training pairs
CLASSES = 10


def open_pairs(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Draws the pairs; option `samples`: training pairs.

    Raises:
        ConfigError: samples out of range.
    """
    from sklearn.datasets import load_digits  # here, for it takes more than a second that stored features do not need

    samples = options["samples"]
    if type(samples) is not int or not 40 <= samples <= MOST:
        raise ConfigError(f"samples is {samples!r}; expected a whole number from 40 to {MOST:,}")
    rng = np.random.default_rng(options["seed"])
    drawings, digits = (np.asarray(part) for part in load_digits(return_X_y=True))
    order = rng.permutation(len(digits))
    sizes = {"train": samples, **{name: samples // share for name, share in SHARE.items()}}
    pairs = [draw_pairs(order[slice(*DRAWINGS[name])], digits, sizes[name], rng) for name in sizes]
    own = order[slice(*DRAWINGS["backbones"])]
    pairs.append(np.stack([own, rng.permutation(own)], axis=1))  # each side's backbone sees every one of these drawings
    rows = np.concatenate(pairs)  # (n, 2)
    ends = np.cumsum([0, *sizes.values()])
    images = drawings.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    images = (images - images[own].mean()) / images[own].std()
    return RawData(
        inputs={name: images[rows[:, side]] for side, name in enumerate(("Left", "Right"))},
        labels=digits[rows].sum(1) % CLASSES,
        own_labels={name: digits[rows[:, side]] for side, name in enumerate(("Left", "Right"))},
        splits={name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(sizes)},
        backbone_rows=np.arange(ends[-1], len(rows)),
        notes="two drawings, label = (left digit + right digit) modulo 10",
    )


def draw_pairs(rows: np.ndarray, digits: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws pairs of two different drawings whose digits are uniform and independent.

    Args:
        rows: the drawings to choose from; every digit is among them at least twice.
        digits: of all drawings.

    Returns:
        (count, 2) drawings.
    """
    of_digit = [rows[digits[rows] == digit] for digit in range(CLASSES)]
    wanted = rng.integers(0, CLASSES, (count, 2))
    return np.array([_two(of_digit[left], of_digit[right], rng) for left, right in wanted])


def _two(lefts: np.ndarray, rights: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    left = rng.choice(lefts)
    return left, rng.choice(rights[rights != left])


def _net() -> LeNet:
    return LeNet((8, 16, 32), CLASSES, first_kernel=3)


def side_modality(name: str) -> Modality:
    """Makes the modality of one side, with a backbone that is trained to name its digit."""
    features = tuple(f"{name}_{i}" for i in (1, 2, 3))
    taps = {feature: Tap(f"blocks.{i}", "grid") for i, feature in enumerate(features)}
    return Modality(name, features, _net, taps, {"epochs": 15, "batch_size": 50})


TASK = TASKS.register(
    Task(
        name="twodigits",
        title="Two digits: the sum of two drawings modulo 10",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=(side_modality("Left"), side_modality("Right")),
        source="real",
        search_config=SearchConfig(
            C=32,
            L=1,
            N=1,
            M=1,
            epochs=20,
            batch_size=100,
            arch_lr=1e-2,
            max_lr=1e-2,
            primitives=("Sum", "LinearGLU", "ConcatFC"),
        ),
        eval_config=EvalConfig(epochs=15, seeds=3, max_lr=1e-2),
        options={"seed": 0, "L": 1, "samples": SAMPLES, "source": "real"},
        open_raw=open_pairs,
    )
)
