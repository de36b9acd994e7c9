"""What a method answered for each test sample, seed by seed: what a paired comparison needs, kept in few bytes."""

import base64
import binascii
import hashlib
import zlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bmnas.features.feature_set import FeatureSet
from bmnas.training.metrics import THRESHOLD

COUNTED = ("accuracy", "balanced accuracy", "macro F1", "micro F1", "weighted F1")
"""Scores that follow from sums over the samples; others are compared by seeds alone."""


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The answers of one method on the test split.

    Attributes:
        kind: "multiclass" or "multilabel".
        answers: (S seeds, n samples) class numbers, or (S, n, labels) of False and True.
        targets: (n,) or (n, labels), in the same form.
        groups: (n,) or (n, k), which samples were recorded together; equal numbers are one group.
        split: digest of the test split, which features of the same samples share.
        metric: the score, one of `COUNTED`.
    """

    kind: str
    answers: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    split: str
    metric: str = ""

    @classmethod
    def of(cls, features: FeatureSet, answers: list[str], metric: str = "") -> "Outcomes":
        """Joins the packed answers of all seeds.

        Raises:
            ValueError: they are damaged, or not of this test split.
        """
        rows = features.rows("test")
        targets = features.targets[rows] if features.kind == "multiclass" else features.targets[rows] > 0.5
        unpacked = [unpack(text, features.kind, targets.shape) for text in answers]
        return cls(
            kind=features.kind,
            answers=np.stack(unpacked),
            targets=targets,
            groups=features.recorded_together(rows),
            split=digest_of_split(features),
            metric=metric,
        )

    @property
    def seeds(self) -> int:
        """How many seeds answered."""
        return len(self.answers)

    def same_test(self, other: "Outcomes") -> bool:
        """Returns whether both are of the same test samples."""
        return self.split == other.split and np.array_equal(self.targets, other.targets)

    def packed(self) -> list[str]:
        """Returns the answers as text, one a seed."""
        return [pack(answers) for answers in self.answers]

    def counts(self) -> np.ndarray:
        """Counts what decides the score of each sample, so that a score is one of sums.

        Returns:
            Accuracy (S, n, 2): right, 1. Others (S, n, 3 labels): right, true and predicted labels, or classes.
        """
        if self._accuracy:
            right = self.answers == self.targets
            return np.stack([right, np.ones_like(right)], axis=-1).astype(float)
        answers, targets = self.answers, self.targets
        if self.kind == "multiclass":
            classes = np.arange(max(int(answers.max()), int(targets.max())) + 1)
            answers, targets = answers[..., None] == classes, targets[..., None] == classes
        true = np.broadcast_to(targets, answers.shape)
        return np.concatenate([answers & true, true, answers], axis=-1).astype(float)

    @property
    def _accuracy(self) -> bool:
        return self.kind == "multiclass" and self.metric in ("", "accuracy", "micro F1")

    def score(self, sums: np.ndarray) -> np.ndarray:
        """Returns the score of sums of `counts`, (..., d) -> (...)."""
        if self._accuracy:
            return sums[..., 0] / sums[..., 1]
        right, true, predicted = np.split(sums, 3, axis=-1)
        if self.metric == "micro F1":
            right, true, predicted = (part.sum(-1, keepdims=True) for part in (right, true, predicted))
        either = true + predicted
        each = np.where(either > 0, 2 * right / np.maximum(either, 1), 1.0)
        weights = np.where(true.sum(-1, keepdims=True) > 0, true, 1.0)
        if self.metric == "balanced accuracy":
            each, weights = right / np.maximum(true, 1), (true > 0).astype(float)
        elif self.metric in ("macro F1", "micro F1"):
            weights = (either > 0).astype(float) if self.kind == "multiclass" else np.ones_like(each)
        return (weights * each).sum(-1) / weights.sum(-1)


def digest_of_split(features: FeatureSet) -> str:
    """Returns sixteen hexadecimal digits of the task, and of the rows and targets of its test split."""
    rows = features.rows("test")
    content = f"{features.task} {features.kind}".encode() + rows.tobytes() + features.targets[rows].tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def answers_of(kind: str, logits: Tensor) -> str:
    """Returns the packed answers of one seed.

    Args:
        kind: "multiclass" (the largest logit) or "multilabel" (each label whose sigmoid exceeds the threshold).
        logits: (n, classes).
    """
    if kind == "multiclass":
        return pack(logits.argmax(-1).cpu().numpy())
    return pack((torch.sigmoid(logits) > THRESHOLD).cpu().numpy())


def pack(answers: np.ndarray) -> str:
    """Writes class numbers (n,) below 65,536, or labels (n, labels) of False and True, as text."""
    plain = np.packbits(answers) if answers.dtype == bool else answers.astype("<u2")
    return base64.b64encode(zlib.compress(plain.tobytes(), 9)).decode()


def unpack(text: str, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Inverts `pack`.

    Raises:
        ValueError: the text is damaged, or of another number of answers.
    """
    size = int(np.prod(shape))
    try:
        content = base64.b64decode(text, validate=True)
        plain = zlib.decompressobj().decompress(content, 2 * size + 1)
    except (TypeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"the answers are damaged: {error}") from error
    expected = 2 * size if kind == "multiclass" else (size + 7) // 8
    if len(plain) != expected:
        raise ValueError(f"the answers are {len(plain)} bytes; expected {expected} of {shape} answers")
    if kind == "multiclass":
        return np.frombuffer(plain, "<u2").astype(np.int64)
    return np.unpackbits(np.frombuffer(plain, np.uint8), count=size).astype(bool).reshape(shape)
