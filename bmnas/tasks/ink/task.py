"""`ink`: two drawings of the same digit; the label is the one with more ink.

The drawings and their split are those of `twodigits`, and so are the backbones: they learn to name the digit. Both
drawings of a pair have the same one, so what a backbone is trained to know tells nothing. How much ink there is gets
lost on the way to the digit: earlier layers know more of it than the last, and the choice of the layer matters.

Ink is the sum of a drawing's 64 pixels, 0 to 16 each. Pairs that differ by less than MARGIN are left out.
"""

from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.twodigits.task import CLASSES, DRAWINGS, side_modality
from bmnas.training.progress import Progress

SAMPLES, MOST = 1000, 20000
EVALUATED = {"val": 500, "test": 1000}  # pairs
MARGIN = 10  # of ink; the mean drawing has 313
SIDES = ("Left", "Right")


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
    sizes = {"train": samples, **EVALUATED}
    ink = drawings.sum(1)
    pairs = [draw_pairs(order[slice(*DRAWINGS[name])], digits, ink, size, rng) for name, size in sizes.items()]
    own = order[slice(*DRAWINGS["backbones"])]
    pairs.append(np.stack([own, rng.permutation(own)], axis=1))  # each side's backbone sees every one of these drawings
    rows = np.concatenate(pairs)  # (n, 2)
    ends = np.cumsum([0, *sizes.values()])
    images = drawings.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    images = (images - images[own].mean()) / images[own].std()
    return RawData(
        inputs={name: images[rows[:, side]] for side, name in enumerate(SIDES)},
        labels=(ink[rows[:, 1]] > ink[rows[:, 0]]).astype(np.int64),
        own_labels={name: digits[rows[:, side]] for side, name in enumerate(SIDES)},
        splits={name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(sizes)},
        backbone_rows=np.arange(ends[-1], len(rows)),
        notes="two drawings of one digit, label = the side with more ink",
    )


def draw_pairs(
    rows: np.ndarray, digits: np.ndarray, ink: np.ndarray, count: int, rng: np.random.Generator
) -> np.ndarray:
    """Draws pairs of different drawings of one digit whose ink differs by MARGIN or more: (count, 2) drawings.

    Args:
        rows: the drawings to choose from.
        digits, ink: of all drawings.
    """
    of_digit = [rows[digits[rows] == digit] for digit in range(CLASSES)]
    pairs: list[np.ndarray] = []
    while len(pairs) < count:
        pair = rng.choice(of_digit[rng.integers(CLASSES)], 2, replace=False)
        if abs(ink[pair[0]] - ink[pair[1]]) >= MARGIN:
            pairs.append(pair)
    return np.array(pairs)


TASK = TASKS.register(
    Task(
        name="ink",
        title="Ink: which of two drawings of one digit has more",
        kind="multiclass",
        classes=SIDES,
        modalities=tuple(side_modality(name) for name in SIDES),
        source="real",
        search_config=SearchConfig(
            C=16,
            L=4,
            N=1,
            M=1,
            epochs=20,
            batch_size=100,
            arch_lr=1e-2,
            max_lr=1e-2,
            primitives=("Sum", "LinearGLU", "ConcatFC"),
        ),
        eval_config=EvalConfig(epochs=12, seeds=3, max_lr=1e-2),
        options={"seed": 0, "L": 4, "samples": SAMPLES, "source": "real"},
        open_raw=open_pairs,
    )
)
