"""`ink`: two drawings of the same digit; the label is the one with more ink.

The drawings and their split are those of `twodigits`, and so are the backbones: they learn to name the digit. Both
drawings of a pair have the same one, so what a backbone is trained to know tells nothing. How much ink there is gets
lost on the way to the digit: earlier layers know more of it than the last, and the choice of the layer matters.

Ink is the sum of a drawing's 64 pixels, 0 to 16 each. Pairs that differ by less than MARGIN are left out.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.drawing_pairs import CLASSES, SIDES, Draw, open_drawing_pairs, side_modality
from bmnas.training.progress import Progress

SAMPLES = 1000
EVALUATED = {"val": 1000, "test": 3000}  # pairs
MARGIN = 10  # of ink; the mean drawing has 313


def open_pairs(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Draws the pairs, see `open_drawing_pairs`."""
    notes = "two drawings of one digit, label = the side with more ink"
    return open_drawing_pairs(options, lambda _: EVALUATED, rules, notes)


def rules(drawings: np.ndarray, digits: np.ndarray) -> tuple[Draw, Callable[[np.ndarray], np.ndarray]]:
    """Returns how pairs are drawn and labelled, see `open_drawing_pairs`."""
    ink = drawings.sum(1)
    return (
        lambda rows, count, rng: draw_pairs(rows, digits, ink, count, rng),
        lambda pairs: (ink[pairs[:, 1]] > ink[pairs[:, 0]]).astype(np.int64),
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
        grouped_by="drawing",
        recipe=2,  # 1 had half the pairs of val and a third of those of test
        open_raw=open_pairs,
    )
)
