"""Losses and scores of the two kinds of task.

Multiclass: cross-entropy and accuracy. Multilabel: binary cross-entropy and weighted F1 at the threshold 0.3 of the
release, with zero_division=1 as there.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bmnas.errors import ConfigError
from bmnas.training.finiteness import check_finite

THRESHOLD = 0.3  # of the sigmoid; the release's
METRICS = {"multiclass": "accuracy", "multilabel": "weighted F1"}
"""The score that a kind of task is judged by."""


def loss(kind: str, logits: Tensor, targets: Tensor) -> Tensor:
    """The mean training loss of a batch.

    Args:
        kind: "multiclass" (targets (B,) of class numbers) or "multilabel" (targets (B, classes) of 0 and 1).
        logits: (B, classes).
    """
    if kind == "multiclass":
        return cross_entropy(logits, targets)
    return binary_cross_entropy_with_logits(logits, targets)


def score(kind: str, logits: Tensor, targets: Tensor) -> float:
    """Accuracy or weighted F1, between 0 and 1; larger is better.

    Raises:
        PredictionError: a logit is NaN or infinite; so do all scores here.
    """
    if kind == "multiclass":
        check_finite(logits, "logits")
        if targets.shape != logits.shape[:-1]:
            shapes = f"logits are {tuple(logits.shape)} and targets {tuple(targets.shape)}"
            raise ConfigError(f"{shapes}; accuracy takes (samples, classes) and (samples,)")
        return (logits.argmax(-1) == targets).double().mean().item()
    return f1(logits, targets, "weighted")


def f1(logits: Tensor, targets: Tensor, average: str) -> float:
    """F1 of a multilabel prediction at the threshold 0.3.

    Args:
        logits, targets: (B, classes).
        average: "weighted", "macro", "micro" or "samples".
    """
    return float(_f1(logits, targets, average))


def scores(kind: str, logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Every score of a kind by name, the one that counts first."""
    if kind == "multiclass":
        return {METRICS[kind]: score(kind, logits, targets)}
    return {f"{average} F1": f1(logits, targets, average) for average in ("weighted", "macro", "micro", "samples")}


def per_class(kind: str, logits: Tensor, targets: Tensor) -> list[float]:
    """A score a class: recall (multiclass; NaN where a class has no sample) or F1 (multilabel)."""
    if kind == "multiclass":
        check_finite(logits, "logits")
        right = (logits.argmax(-1) == targets).cpu().numpy()
        labels = targets.cpu().numpy()
        rows = [right[labels == k] for k in range(logits.shape[1])]
        return [float(row.mean()) if len(row) else float("nan") for row in rows]
    return _f1(logits, targets, None).tolist()


def _f1(logits: Tensor, targets: Tensor, average: str | None) -> np.ndarray:
    """F1 = 2 TP / (2 TP + FP + FN) of each label (None), of each row averaged ("samples"), or averaged over labels.

    Counted here: scikit-learn takes a single label, (B, 1), for a task of two classes, and averages over both.
    """
    check_finite(logits, "logits")
    predicted = (torch.sigmoid(logits) > THRESHOLD).cpu().numpy()  # (B, classes)
    true = targets.cpu().numpy() > 0.5
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ConfigError(
            f"logits are {predicted.shape} and targets {true.shape}; a multilabel score takes (samples, labels) of both"
        )
    axis = 1 if average == "samples" else 0
    right, support, all_ = (part.sum(axis) for part in (predicted & true, true, predicted))
    if average == "micro":
        right, support, all_ = right.sum(), support.sum(), all_.sum()
    either = support + all_
    each = np.where(either > 0, 2.0 * right / np.maximum(either, 1), 1.0)  # 1 where nothing was there, nor found
    if average is None:
        return each
    return np.average(each, weights=support if average == "weighted" and support.any() else None)
