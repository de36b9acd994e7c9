"""Every score by its full name, computed by scikit-learn from probabilities."""

from collections.abc import Callable
from typing import Any

import numpy as np

MULTICLASS = (
    "accuracy",
    "balanced accuracy",
    "macro F1",
    "micro F1",
    "weighted F1",
    "macro AUROC",
    "macro average precision",
)
MULTILABEL = ("weighted F1", "macro F1", "micro F1", "samples F1", "macro AUROC", "macro average precision")
SCORES = {"multiclass": MULTICLASS, "multilabel": MULTILABEL}
"""The scores of each kind of task, the one that counts by default first."""


def multiclass_score(
    name: str, probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Computes a score of `MULTICLASS`.

    AUROC and average precision set each class against the rest, and average over the classes that can be scored.

    Args:
        name: of the score.
        probabilities: (n, classes).
        targets: (n,) class numbers.
        weights: (n,) above 0, how often each sample counts; once when None.

    Returns:
        A value between 0 and 1; NaN where the samples do not define it.
    """
    from sklearn.metrics import accuracy_score, f1_score, recall_score  # here: a second that a search does not need

    predicted = probabilities.argmax(1)
    common: dict[str, Any] = {"zero_division": 0, "sample_weight": weights}
    if name == "accuracy":
        return float(accuracy_score(targets, predicted, sample_weight=weights))
    if name == "balanced accuracy":  # the mean recall of the classes that are there
        return float(recall_score(targets, predicted, labels=np.unique(targets), average="macro", **common))
    if name.endswith("F1"):
        return float(f1_score(targets, predicted, average=name.removesuffix(" F1"), **common))  # type: ignore[arg-type]
    one_against_rest = targets[:, None] == np.arange(probabilities.shape[1])  # (n, classes)
    return ranking_score(name, probabilities, one_against_rest, weights)


def ranking_score(
    name: str, probabilities: np.ndarray, targets: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """Computes macro AUROC or macro average precision of labels, (n, labels) both; NaN where no label defines it."""
    from sklearn.metrics import average_precision_score, roc_auc_score  # here, see above

    function: Callable[..., float] = roc_auc_score if name == "macro AUROC" else average_precision_score
    labels = [k for k in range(targets.shape[1]) if 0 < targets[:, k].sum() < len(targets)]
    each = [float(function(targets[:, k], probabilities[:, k], sample_weight=weights)) for k in labels]
    return float(np.mean(each)) if each else float("nan")


def rows_behind(name: str, targets: np.ndarray) -> float:
    """Returns n such that chance moves a score of 1 - e of these rows by no more than about sqrt(e / n).

    A mean over rows has all of them behind it. A mean over classes or labels is as sure as the rarest of them lets it
    be: of K classes a row is of one, so K times the rarest stand behind the mean; of labels a row may have all. Scores
    of a ranking compare each positive row with each negative one, so that the fewer decide.

    Args:
        name: of the score, in `SCORES`.
        targets: (n,) class numbers or (n, labels) of 0 and 1.
    """
    multilabel = targets.ndim == 2
    if name in ("accuracy", "samples F1") or (not multilabel and name in ("micro F1", "weighted F1")):
        return len(targets)
    counts = targets.sum(0) if multilabel else np.unique(targets, return_counts=True)[1]
    counts = counts[counts > 0]
    if name in ("micro F1", "weighted F1"):
        return float(np.mean(counts)) if len(counts) else 0.0
    if name.endswith("F1") or name == "balanced accuracy":
        return float(min(counts, default=0)) * (1 if multilabel else len(counts))
    fewer = np.minimum(counts, len(targets) - counts)
    return float(min(fewer[fewer > 0], default=0)) / 2
