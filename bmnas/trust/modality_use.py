"""How a trained network uses its modalities: its additive part, the share of each, and what it loses without one.

The empirical multimodally-additive projection (EMAP; Hessel and Lee, EMNLP 2020, https://arxiv.org/abs/2010.06572) is
the nearest function of the form g(x) + h(y) to the network's logits f(x, y), over all pairs of n rows:

    EMAP(x_i, y_i) = mean_j f(x_i, y_j) + mean_k f(x_k, y_i) - mean_kj f(x_k, y_j)

A network that scores no better than its projection uses no interaction of the modality with the others.

A feature that a sample lacks is the mean of its training rows in these pairs, of which some would have nothing else.

The Shapley value of a modality is its mean gain over all orders in which modalities may join. A modality that has not
joined is replaced by the mean of its features over the training rows:

    phi_m = sum over S without m of |S|! (M - |S| - 1)! / M! (v(S + m) - v(S)),   v(S) = score with the modalities S
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, combinations
from math import factorial

import numpy as np
import torch
from torch import Tensor

from bmnas.errors import ConfigError, how_many
from bmnas.evaluation.network_inputs import check_features
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.features.missing import mean_row
from bmnas.training import metrics

PAIRED_ROWS = 300  # of which all pairs are formed: 90,000 passes a modality
MOST_MODALITIES = 12  # of a network, for 2^12 subsets
Coalition = frozenset[str]


@dataclass(frozen=True)
class ModalityUse:
    """How a network uses its modalities on some rows; scores are shares of 1.

    Attributes:
        metric: the name of the score.
        score: of the network on all rows.
        paired_rows, paired_score: how many rows form pairs, and the score of the network on these.
        additive_scores: modality -> score of the EMAP of it against the rest, on the same rows.
        shapley: modality -> its Shapley value; they add up to `score` less `empty`.
        without, alone: modality -> score without it, and with it alone.
        empty: score with all modalities replaced.
    """

    metric: str
    score: float
    paired_rows: int
    paired_score: float
    additive_scores: dict[str, float]
    shapley: dict[str, float]
    without: dict[str, float]
    alone: dict[str, float]
    empty: float

    def sentence(self) -> str:
        """Says in one line what the interaction of modalities is worth to the network."""
        if len(self.shapley) == 1:
            return f"The network uses one modality, {next(iter(self.shapley))}."
        least = min(self.additive_scores, key=lambda name: self.additive_scores[name])
        whole, additive = (100 * score for score in (self.paired_score, self.additive_scores[least]))
        rows = how_many(self.paired_rows, "row")
        return (
            f"The network scores {whole:.1f} % {self.metric} on {rows}, and {additive:.1f} % "
            f"without the interaction of {least} with the rest (EMAP): {_worth(whole - additive)}."
        )


def _worth(points: float) -> str:
    """Says what an interaction is worth to a network."""
    if round(points, 1) == 0:
        return "on these rows the interaction is worth nothing to it"
    if points < 0:
        return f"the interaction costs it {-points:.1f} points, so it is worth nothing to it"
    return f"the interaction is worth {points:.1f} points to it"


def additive_projection(values: Tensor) -> Tensor:
    """Projects a function of pairs on sums of functions of one member each.

    Args:
        values: (n, n, classes) f(x_i, y_j).

    Returns:
        (n, classes), the EMAP of the pairs (i, i).
    """
    return values.mean(1) + values.mean(0) - values.mean((0, 1))


def shapley_values(players: Sequence[str], value: Callable[[Coalition], float]) -> dict[str, float]:
    """Computes the Shapley value of each player (Shapley, 1953).

    Args:
        players: at most 12.
        value: of a set of players, the empty one included; called once for each of the 2^M sets.

    Raises:
        ConfigError: there are more players.
    """
    if len(players) > MOST_MODALITIES:
        raise ConfigError(f"{len(players)} modalities have too many subsets; expected at most {MOST_MODALITIES}")
    M = len(players)
    subsets = chain.from_iterable(combinations(players, size) for size in range(M + 1))
    worth = {subset: value(subset) for subset in map(frozenset, subsets)}
    result = {}
    for player in players:
        shares = (
            factorial(len(s)) * factorial(M - len(s) - 1) / factorial(M) * (worth[s | {player}] - worth[s])
            for s in worth
            if player not in s
        )
        result[player] = sum(shares)
    return result


def modality_use(trained: TrainedNetwork, features: FeatureSet, split: str = "val") -> ModalityUse:
    """Measures how a trained network uses its modalities.

    Args:
        trained: a network on some of the features.
        features: with the modalities to which they belong.
        split: whose rows are scored; best one that the network was not trained on.

    Raises:
        FeatureError: the features are not those of its training, or there is no such split.
        ConfigError: the network uses more than 12 modalities.
    """
    rows = features.rows(split)
    check_features(features, trained.shapes, trained.classes, trained.preprocessing)
    inputs = {name: np.asarray(features.arrays[name][rows], dtype=np.float32) for name in trained.shapes}
    targets = torch.from_numpy(np.array(features.targets[rows]))
    living = set(trained.shapes) - trained.ignored
    used = {modality: [n for n in listed if n in living] for modality, listed in features.modalities.items()}
    members = {modality: listed for modality, listed in used.items() if listed}
    train = features.rows("train")
    filling = {n: mean_row(np.asarray(features.arrays[n][train], dtype=np.float32)) for n in inputs}  # (C_in, L)

    @cache
    def worth(present: Coalition) -> float:
        seen = {name for modality in present for name in members[modality]}
        filled = {n: x if n in seen else np.broadcast_to(filling[n], x.shape) for n, x in inputs.items()}
        return metrics.score(features.kind, trained.logits(filled), targets)

    names = tuple(members)
    picked = np.linspace(0, len(rows) - 1, min(PAIRED_ROWS, len(rows))).astype(int)
    pairs = {n: np.where(np.isnan(x[picked]), filling[n], x[picked]) for n, x in inputs.items()}
    paired_targets = targets[torch.from_numpy(picked)]
    additive = {
        modality: metrics.score(features.kind, _projection(trained, pairs, members[modality]), paired_targets)
        for modality in (names if len(names) > 1 else ())
    }
    everything = frozenset(names)
    return ModalityUse(
        metric=metrics.METRICS[features.kind],
        score=worth(everything),
        paired_rows=len(picked),
        paired_score=metrics.score(features.kind, trained.logits(pairs), paired_targets),
        additive_scores=additive,
        shapley=shapley_values(names, worth),
        without={name: worth(everything - {name}) for name in names},
        alone={name: worth(frozenset({name})) for name in names},
        empty=worth(frozenset()),
    )


def _projection(trained: TrainedNetwork, inputs: Mapping[str, np.ndarray], members: Sequence[str]) -> Tensor:
    """The EMAP of a modality against the rest, (n, classes)."""
    n = len(next(iter(inputs.values())))
    mine, others = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    logits = trained.logits({name: x[mine if name in members else others] for name, x in inputs.items()})
    return additive_projection(logits.reshape(n, n, -1))
