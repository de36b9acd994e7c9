"""What `twodigits` and `ink` share: pairs of scikit-learn's real handwritten digits, and the backbone of each side.

The 1,797 drawings (8 x 8, `load_digits`) are shuffled by the seed and divided, so that no drawing is in two splits:

| split | drawings (of the seed's order) |
| --- | --- |
| backbones | 0 to 599 |
| train | 600 to 1,196 |
| val | 1,197 to 1,436 |
| test | 1,437 to 1,796 |

Within a split a drawing is in several pairs, on both sides. A pair is of two groups, its drawings: no two pairs that
share one count as independent in a comparison.
"""

from collections.abc import Callable, Mapping

import numpy as np

from bmnas.errors import ConfigError
from bmnas.features.backbones.lenet import LeNet
from bmnas.features.taps import Tap
from bmnas.tasks.base import Modality, Options, RawData

DRAWINGS = {"backbones": (0, 600), "train": (600, 1197), "val": (1197, 1437), "test": (1437, 1797)}
SIDES = ("Left", "Right")
CLASSES = 10
MOST = 20000  # training pairs

Draw = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]


def open_drawing_pairs(
    options: Options,
    evaluated: Callable[[int], Mapping[str, int]],
    rules: Callable[[np.ndarray, np.ndarray], tuple[Draw, Callable[[np.ndarray], np.ndarray]]],
    notes: str,
) -> RawData:
    """Draws the pairs of all splits; option `samples`: training pairs.

    Args:
        options: of the task.
        evaluated: number of training pairs -> those of "val" and "test".
        rules: (drawings (n, 64), digits (n,)) -> how a split's pairs are drawn, (rows, count, generator) -> (count, 2),
            and how pairs (n, 2) are labelled.
        notes: one line for banners.

    Raises:
        ConfigError: samples out of range.
    """
    from sklearn.datasets import load_digits  # here, for it takes more than a second that stored features do not need

    samples = options["samples"]
    if type(samples) is not int or not 40 <= samples <= MOST:
        raise ConfigError(f"samples is {samples!r}; expected a whole number from 40 to {MOST:,}")
    rng = np.random.default_rng(options["seed"])
    drawings, digits = (np.asarray(part) for part in load_digits(return_X_y=True))
    draw, label = rules(drawings, digits)
    order = rng.permutation(len(digits))
    sizes = {"train": samples, **evaluated(samples)}
    pairs = [draw(order[slice(*DRAWINGS[name])], size, rng) for name, size in sizes.items()]
    own = order[slice(*DRAWINGS["backbones"])]
    pairs.append(np.stack([own, rng.permutation(own)], axis=1))  # each side's backbone sees every one of these drawings
    rows = np.concatenate(pairs)  # (n, 2)
    ends = np.cumsum([0, *sizes.values()])
    images = drawings.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    images = (images - images[own].mean()) / images[own].std()
    return RawData(
        inputs={name: images[rows[:, side]] for side, name in enumerate(SIDES)},
        labels=label(rows),
        own_labels={name: digits[rows[:, side]] for side, name in enumerate(SIDES)},
        splits={name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(sizes)},
        backbone_rows=np.arange(ends[-1], len(rows)),
        notes=notes,
        groups=rows,
    )


def side_modality(name: str) -> Modality:
    """Makes the modality of one side, with a backbone that is trained to name its digit."""
    features = tuple(f"{name}_{i}" for i in (1, 2, 3))
    taps = {feature: Tap(f"blocks.{i}", "grid") for i, feature in enumerate(features)}
    training = {"epochs": 15, "batch_size": 50}
    return Modality(name, features, lambda: LeNet((8, 16, 32), CLASSES, first_kernel=3), taps, training)
