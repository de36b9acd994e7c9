"""Samples that only the fusion gets right: trained network and unimodal answers -> Wins -> table and pictures."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bmnas.errors import how_many
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.tasks.base import RawData
from bmnas.training.metrics import THRESHOLD
from widgets.inputs.samples import SampleRow, sample_rows


class Win(NamedTuple):
    """One sample: its row in the feature set, its class, what each modality alone says, and what the fusion says."""

    row: int
    true: str
    alone: dict[str, str]
    fusion: str


class Wins(NamedTuple):
    """The samples of a split that the fusion gets right and no modality alone does.

    Attributes:
        samples: all of them, in the order of their rows.
        of: how many samples the split has.
        fusion_right: how many of them the fusion gets right.
        any_right: how many at least one modality gets right.
        lost: how many at least one modality gets right and the fusion does not.
        modalities: whose own answer is about the task's classes.
    """

    samples: tuple[Win, ...]
    of: int
    fusion_right: int
    any_right: int
    lost: int
    modalities: tuple[str, ...]

    def summary(self) -> str:
        """Returns one line with the numbers."""
        return (
            f"The fusion alone gets {len(self.samples):,} of {how_many(self.of, 'sample')} right. It is right on "
            f"{self.fusion_right:,} in all, at least one modality on {self.any_right:,}; "
            f"it loses {self.lost:,} that one modality gets right"
        )


def wins(trained: TrainedNetwork, features: FeatureSet, split: str = "test") -> Wins:
    """Compares the trained network with the stored unimodal outputs, sample by sample.

    A modality whose backbone knows other classes than the task's never counts. A multilabel sample is right when all
    its labels are.
    """
    rows = features.rows(split)
    targets = np.asarray(features.targets[rows])
    fused = trained.logits({name: features.arrays[name][rows] for name in trained.shapes}).numpy()
    fitting = {m: np.asarray(z[rows]) for m, z in features.logits.items() if z.shape[1] == len(features.classes)}
    answers = {name: _answers(features.kind, logits) for name, logits in fitting.items()}
    fusion = _answers(features.kind, fused)
    right = {name: _equal(answer, targets) for name, answer in answers.items()}
    alone = np.any(list(right.values()), axis=0) if right else np.zeros(len(rows), bool)
    good = _equal(fusion, targets)
    samples = tuple(
        Win(
            int(rows[i]),
            _name(features, targets[i]),
            {name: _name(features, answer[i]) for name, answer in answers.items()},
            _name(features, fusion[i]),
        )
        for i in np.flatnonzero(good & ~alone)
    )
    counts = (int(good.sum()), int(alone.sum()), int((alone & ~good).sum()))
    return Wins(samples, len(rows), *counts, tuple(fitting))


def wins_frame(info: Wins, most: int = 10) -> pd.DataFrame:
    """Makes one line a sample."""
    lines = []
    for win in info.samples[:most]:
        alone = {f"{name} alone": answer for name, answer in win.alone.items()}
        lines.append({"sample": str(win.row), "true": win.true, **alone, "fusion": win.fusion})
    columns = ["sample", "true", *(f"{name} alone" for name in info.modalities), "fusion"]
    return pd.DataFrame(lines, columns=columns)


def win_labels(info: Wins, most: int = 8) -> list[str]:
    """Returns `7, not 1 or 9`: the true class, and what the modalities said, each answer once; "..." for a third."""
    labels = []
    for win in info.samples[:most]:
        answers = list(dict.fromkeys(win.alone.values()))
        labels.append(f"{win.true}, not {' or '.join(answers[:2])}{' ...' if len(answers) > 2 else ''}")
    return labels


def win_pictures(info: Wins, raw: RawData, features: FeatureSet, most: int = 8) -> tuple[SampleRow, ...]:
    """Pictures of the raw inputs of the first samples: of a modality with two axes beside the channels, its first.

    Args:
        raw: from the task's `open_raw`, with the options in the features' manifest.
    """
    stored = np.sort(np.concatenate(list(raw.splits.values())))  # as `prepare` stores them
    rows = [int(stored[win.row]) for win in info.samples[:most]]
    pictures = {name: array[rows, 0] for name, array in raw.inputs.items() if array.ndim == 4}
    return sample_rows(pictures, [name for name in pictures if name.lower() in ("audio", "sound")])


def _answers(kind: str, logits: np.ndarray) -> np.ndarray:
    """Returns (n,) class numbers, or (n, classes) of booleans."""
    return logits.argmax(1) if kind == "multiclass" else 1 / (1 + np.exp(-logits)) > THRESHOLD


def _equal(answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return answers == targets if answers.ndim == 1 else (answers == (targets > 0.5)).all(1)


def _name(features: FeatureSet, answer: np.ndarray) -> str:
    if features.kind == "multiclass":
        return features.classes[int(answer)]
    return ", ".join(features.classes[k] for k in np.flatnonzero(answer > 0.5)) or "none"
