"""What a training minimises and what selects: kind of task, weights of the classes, and the score that counts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.training.scores import SCORES

ClassWeight = str | Mapping[str, float] | None


@dataclass(frozen=True)
class Objective:
    """The objective of searches, read-outs, evaluations and rivals alike.

    Attributes:
        kind: "multiclass" or "multilabel".
        metric: the score that selects and that tables show, one of `SCORES[kind]`.
        weights: one a class (multiclass), or a pair (of 0, of 1) a label (multilabel); None weighs all alike.
    """

    kind: str
    metric: str
    weights: tuple[float, ...] | tuple[tuple[float, float], ...] | None = None

    def term_weights(self, targets: Tensor, weights: Tensor | None = None) -> Tensor | None:
        """Returns the weight of each term of the loss: (B,), or (B, labels); None where all are 1.

        Args:
            targets: (B,), or (B, labels).
            weights: (B,) of the samples, by which those of the classes are multiplied.
        """
        own = None if weights is None else weights.view(-1, *[1] * (targets.ndim - 1))
        if self.weights is None:
            return own
        of_classes = torch.tensor(self.weights, device=targets.device)
        if self.kind == "multiclass":
            each = of_classes[targets]
        else:
            each = torch.where(targets > 0.5, of_classes[:, 1], of_classes[:, 0])
        return each if own is None else each * own


def plain_objective(kind: "str | Objective") -> Objective:
    """Returns the objective of a kind of task: its own score, and no weights."""
    if isinstance(kind, Objective):
        return kind
    return Objective(kind, SCORES[kind][0])


def make_objective(
    kind: str,
    classes: Sequence[str],
    train_targets: np.ndarray,
    config: SearchConfig,
    train_weights: np.ndarray | None = None,
) -> Objective:
    """Makes the objective that a configuration asks for.

    Args:
        train_targets: of the training split, (n,) or (n, labels); "balanced" counts them.
        train_weights: (n,), how often each counts there; once when None.

    Raises:
        ConfigError: a score of the other kind, or weights of classes that there are not.
    """
    metric = SCORES[kind][0] if config.metric is None else config.metric
    if metric not in SCORES[kind]:
        raise ConfigError(f"metric is {metric!r}; a {kind} task has {', '.join(SCORES[kind])}")
    return Objective(kind, metric, class_weights(config.class_weight, kind, classes, train_targets, train_weights))


def class_weights(
    wish: ClassWeight,
    kind: str,
    classes: Sequence[str],
    targets: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[float, ...] | tuple[tuple[float, float], ...] | None:
    """Computes the weights of the classes.

    "balanced" is scikit-learn's n / (classes * n_k), for a label n / (2 n_0) and n / (2 n_1); a class without samples
    weighs 1.

    Args:
        wish: "balanced", class -> weight (1 for those not named; of a label its presence is weighed), or None.
        targets: (n,) class numbers, or (n, labels) of 0 and 1.
        weights: (n,), how often "balanced" counts each; once when None.

    Raises:
        ConfigError: a class that there is not, or no weight above 0.
    """
    if wish is None:
        return None
    if isinstance(wish, str):
        if kind == "multiclass":
            return tuple(_balanced(np.bincount(targets, weights, len(classes))))
        often = np.ones(len(targets)) if weights is None else weights.astype(np.float64)
        return tuple(tuple(_balanced(np.array([often.sum() - ones, ones]))) for ones in often @ targets)  # type: ignore[return-value]
    unknown = [name for name in wish if name not in classes]
    if unknown:
        raise ConfigError(f"class_weight names {unknown}; the classes are {list(classes)}")
    each = [float(wish.get(name, 1.0)) for name in classes]
    if not any(each):
        raise ConfigError("class_weight is 0 for every class; nothing would be learnt. Give one of them a weight")
    return tuple(each) if kind == "multiclass" else tuple((1.0, weight) for weight in each)


def _balanced(counts: np.ndarray) -> list[float]:
    """Returns n / (classes * n_k)."""
    return [float(counts.sum() / (len(counts) * count)) if count else 1.0 for count in counts]
