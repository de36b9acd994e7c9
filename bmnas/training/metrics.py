"""Losses and scores of the two kinds of task.

Multiclass: cross-entropy and accuracy. Multilabel: binary cross-entropy and weighted F1 at the threshold 0.3 of the
release, with zero_division=1 as there.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bmnas.errors import ConfigError
from bmnas.training.finiteness import check_predictions
from bmnas.training.objective import Objective, plain_objective
from bmnas.training.scores import SCORES, multiclass_score, ranking_score

THRESHOLD = 0.3  # of the sigmoid; the release's
METRICS = {kind: names[0] for kind, names in SCORES.items()}
"""The score that a kind of task is judged by, unless a configuration names another."""


def loss(kind: str | Objective, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """The mean training loss of a batch.

    With weights it is (1 / B) sum_i w_i loss_i, w_i the weight of the class of sample i, times its own.

    Args:
        kind: "multiclass" (targets (B,) of class numbers) or "multilabel" (targets (B, classes) of 0 and 1), or an
            objective of one.
        logits: (B, classes).
        weights: (B,) of the samples; all count alike when None.
    """
    objective = plain_objective(kind)
    function = cross_entropy if objective.kind == "multiclass" else binary_cross_entropy_with_logits
    each = objective.term_weights(targets, weights)
    if each is None:
        return function(logits, targets)
    return (each * function(logits, targets, reduction="none")).mean()


def score(kind: str | Objective, logits: Tensor, targets: Tensor) -> float:
    """The score that counts, between 0 and 1; larger is better. By default accuracy or weighted F1.

    A score that the samples do not define, such as the AUROC of a single class, counts as 0.

    Raises:
        PredictionError: a logit is NaN or infinite; so do all scores here.
    """
    objective = plain_objective(kind)
    if objective.metric == "accuracy":
        check_predictions(logits, "logits")
        if targets.shape != logits.shape[:-1]:
            shapes = f"logits are {tuple(logits.shape)} and targets {tuple(targets.shape)}"
            raise ConfigError(f"{shapes}; accuracy takes (samples, classes) and (samples,)")
        return (logits.argmax(-1) == targets).double().mean().item()
    value = named_score(objective.kind, objective.metric, logits, targets)
    return 0.0 if np.isnan(value) else value


def named_score(kind: str, name: str, logits: Tensor, targets: Tensor, weights: np.ndarray | None = None) -> float:
    """A score of `SCORES[kind]`; NaN where the samples do not define it.

    Args:
        weights: (B,), how often each sample counts; once when None. One of 0 does not count.

    Raises:
        ConfigError: there is no such score.
    """
    if name not in SCORES[kind]:
        raise ConfigError(f"metric is {name!r}; a {kind} task has {', '.join(SCORES[kind])}")
    if weights is not None:
        there = torch.from_numpy(weights > 0)
        logits, targets, weights = logits[there], targets[there], weights[weights > 0]
    if kind == "multilabel" and name.endswith("F1"):
        return float(_f1(logits, targets, name.removesuffix(" F1"), weights))
    check_predictions(logits, "logits")
    if kind == "multiclass":
        return multiclass_score(name, logits.double().softmax(-1).cpu().numpy(), targets.cpu().numpy(), weights)
    return ranking_score(name, logits.double().sigmoid().cpu().numpy(), targets.cpu().numpy() > 0.5, weights)


def f1(logits: Tensor, targets: Tensor, average: str) -> float:
    """Computes F1 of a multilabel prediction at the threshold 0.3.

    Args:
        logits, targets: (B, classes).
        average: "weighted", "macro", "micro" or "samples".
    """
    return float(_f1(logits, targets, average))


def scores(kind: str | Objective, logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Every score of a kind by name, but for those that the samples do not define."""
    kind = plain_objective(kind).kind
    each = {name: named_score(kind, name, logits, targets) for name in SCORES[kind]}
    return {name: value for name, value in each.items() if not np.isnan(value)}


def per_class(kind: str, logits: Tensor, targets: Tensor) -> list[float]:
    """Returns a score a class: recall (multiclass; NaN where a class has no sample) or F1 (multilabel)."""
    if kind == "multiclass":
        check_predictions(logits, "logits")
        right = (logits.argmax(-1) == targets).cpu().numpy()
        labels = targets.cpu().numpy()
        rows = [right[labels == k] for k in range(logits.shape[1])]
        return [float(row.mean()) if len(row) else float("nan") for row in rows]
    return _f1(logits, targets, None).tolist()


def _f1(logits: Tensor, targets: Tensor, average: str | None, weights: np.ndarray | None = None) -> np.ndarray:
    """Computes F1 = 2 TP / (2 TP + FP + FN) of each label (None), of each row averaged ("samples"), or averaged over
    labels.

    Counted here: scikit-learn takes a single label, (B, 1), for a task of two classes, and averages over both.
    """
    check_predictions(logits, "logits")
    predicted = (torch.sigmoid(logits) > THRESHOLD).cpu().numpy()  # (B, classes)
    true = targets.cpu().numpy() > 0.5
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ConfigError(
            f"logits are {predicted.shape} and targets {true.shape}; a multilabel score takes (samples, labels) of both"
        )
    axis = 1 if average == "samples" else 0
    often = np.ones(len(true), np.int64) if weights is None or axis == 1 else weights
    right, support, all_ = ((often[:, None] * part).sum(axis) for part in (predicted & true, true, predicted))
    if average == "micro":
        right, support, all_ = right.sum(), support.sum(), all_.sum()
    either = support + all_
    each = np.where(either > 0, 2.0 * right / np.maximum(either, 1), 1.0)  # 1 where nothing was there, nor found
    if average is None:
        return each
    by = weights if average == "samples" else support if average == "weighted" and support.any() else None
    return np.average(each, weights=by)
