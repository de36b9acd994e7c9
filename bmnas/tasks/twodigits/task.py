"""`twodigits`: two different drawings of digits; the label is the sum of the digits modulo 10.

Drawings are scikit-learn's 1,797 real handwritten digits (8 x 8, `load_digits`). Both digits are drawn uniformly and
independently, so the label of a pair is independent of either drawing: each modality alone is at chance (10 %), and so
is the sum of the backbones' log-probabilities. A fusion has to learn the addition.

`bmnas.tasks.drawing_pairs` has the splits.
"""

from pathlib import Path

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from bmnas.tasks.base import Options, RawData, Task
from bmnas.tasks.drawing_pairs import CLASSES, SIDES, open_drawing_pairs, side_modality
from bmnas.training.progress import Progress

SAMPLES = 2000


def open_pairs(options: Options, root: Path, progress: Progress | None) -> RawData:
    """Draws the pairs, see `open_drawing_pairs`."""
    return open_drawing_pairs(
        options,
        evaluated=lambda samples: {"val": samples // 4, "test": samples // 2},
        rules=lambda _, digits: (
            lambda rows, count, rng: draw_pairs(rows, digits, count, rng),
            lambda pairs: digits[pairs].sum(1) % CLASSES,
        ),
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
    digit_pairs = rng.integers(0, CLASSES, (count, 2))
    pairs = []
    for left_digit, right_digit in digit_pairs:
        left = rng.choice(of_digit[left_digit])
        rights = of_digit[right_digit]
        pairs.append((left, rng.choice(rights[rights != left])))
    return np.array(pairs)


TASK = TASKS.register(
    Task(
        name="twodigits",
        title="Two digits: the sum of two drawings modulo 10",
        kind="multiclass",
        classes=tuple("0123456789"),
        modalities=tuple(side_modality(name) for name in SIDES),
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
        grouped_by="drawing",
        open_raw=open_pairs,
    )
)
