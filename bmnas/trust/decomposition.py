"""Redundancy, uniqueness and synergy of two sources: the partial information decomposition of Bertschinger et al.

    Delta = {Q : Q(x1, y) = P(x1, y) and Q(x2, y) = P(x2, y)}
    I* = min over Q in Delta of I_Q(X1, X2; Y)                  a convex program
    redundancy = I(X1; Y) + I(X2; Y) - I*
    unique_1 = I* - I(X2; Y),   unique_2 = I* - I(X1; Y)
    synergy = I_P(X1, X2; Y) - I*

Sources: Bertschinger, Rauh, Olbrich, Jost, Ay, Entropy 16 (2014), 2161-2183; for multimodal data, Liang et al.,
NeurIPS 2023 (https://arxiv.org/abs/2302.12247). The program is solved by alternating projections (Banerjee, Rauh,
Montufar, ISIT 2018): with R(x1, x2) = sum_y P(y) Q(x1, x2|y), I_Q = sum_y P(y) KL(Q(.|y) || R). Given Q the best R is
this mean; given R the best Q(.|y) is its iterative proportional fitting to P(x1|y) and P(x2|y).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bmnas.errors import ConfigError

ROUNDS, FITTINGS, TOLERANCE = 2000, 20, 1e-9
CLUSTERS, ROWS_A_CLUSTER = 20, 15


@dataclass(frozen=True)
class Decomposition:
    """What two sources know of the targets, in four parts, in bits.

    Attributes:
        first, second: the sources.
        redundancy: what either of them knows.
        unique_first, unique_second: what one of them alone knows.
        synergy: what they know together only.
    """

    first: str
    second: str
    redundancy: float
    unique_first: float
    unique_second: float
    synergy: float

    def parts(self) -> dict[str, float]:
        """Returns words -> bits."""
        return {
            "redundancy": self.redundancy,
            f"only {self.first}": self.unique_first,
            f"only {self.second}": self.unique_second,
            "synergy": self.synergy,
        }


def decompose(distribution: ArrayLike, first: str = "x1", second: str = "x2") -> Decomposition:
    """Decomposes the information of a discrete distribution.

    Args:
        distribution: (|X1|, |X2|, |Y|) probabilities P(x1, x2, y).
        first, second: names of X1 and X2.

    Raises:
        ConfigError: the array is no distribution of three variables.
    """
    p = np.asarray(distribution, dtype=float)
    if p.ndim != 3 or not np.isfinite(p).all() or p.min() < 0 or not np.isclose(p.sum(), 1):
        raise ConfigError(
            f"distribution has shape {p.shape} and sum {p.sum():g}; expected (|X1|, |X2|, |Y|) probabilities of sum 1"
        )
    of_first, of_second = information(p.sum(1)), information(p.sum(0))
    least = _least_information(p)
    whole = information(p.reshape(-1, p.shape[2]))
    least = min(max(least, of_first, of_second), whole)  # what the last digits of the program may miss
    return Decomposition(
        first=first,
        second=second,
        redundancy=max(of_first + of_second - least, 0.0),
        unique_first=least - of_second,
        unique_second=least - of_first,
        synergy=whole - least,
    )


def information(table: np.ndarray) -> float:
    """Computes the mutual information I(X; Y) of a table P(x, y) in bits."""
    from scipy.special import rel_entr  # here: time that a search does not need

    product = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    return float(rel_entr(table, product).sum() / np.log(2))


def decompose_codes(
    codes: Mapping[str, np.ndarray],
    probabilities: np.ndarray,
    knowledge: tuple[float, float, float],
    of_labels: np.ndarray | None = None,
) -> Decomposition:
    """Decomposes what two sources know, from their codes and the predictions of a joint model.

    The codes of each source are clustered (k-means, at most 20 clusters of 15 rows on average), and

        P(x1, x2, y) = mean over rows in clusters x1, x2 of q(y | row).

    Few rows make every mutual information of such a table too large. Only its share of redundancy is taken from it,
    redundancy / min(I(X1; Y), I(X2; Y)); the parts then follow from what probes know, so that they add up to it.
    Several labels are decomposed one by one, and the redundancy is their mean: two sources of which each knows a label
    of its own share nothing.

    Args:
        codes: source -> (n, width); two sources.
        probabilities: (n, classes) q(y | row).
        knowledge: what probes know of the targets, in bits: first, second, both.
        of_labels: (3, classes), the same of each class where it is a label of its own; None where one class is right.
    """
    (first, first_codes), (second, second_codes) = codes.items()
    cells = _clusters(first_codes), _clusters(second_codes)
    if of_labels is None:
        return parts_of(first, second, knowledge, _redundancy(cells, probabilities, knowledge))
    outcomes = np.stack([1 - probabilities, probabilities], axis=-1)
    redundancies = [
        _redundancy(cells, outcomes[:, label], of_labels[:, label].tolist()) for label in range(outcomes.shape[1])
    ]
    return parts_of(first, second, knowledge, float(np.mean(redundancies)))


def _redundancy(cells: tuple[np.ndarray, np.ndarray], outcomes: np.ndarray, knowledge: Sequence[float]) -> float:
    """What either source knows of one variable, (n, values) probabilities."""
    table = np.zeros((cells[0].max() + 1, cells[1].max() + 1, outcomes.shape[1]))
    np.add.at(table, cells, outcomes / len(outcomes))
    table /= table.sum()
    least_own = min(information(table.sum(1)), information(table.sum(0)))
    share = decompose(table).redundancy / least_own if least_own > 0 else 0.0
    return parts_of("", "", knowledge, share * max(min(*knowledge[:2]), 0.0)).redundancy


def parts_of(first: str, second: str, knowledge: Sequence[float], redundancy: float) -> Decomposition:
    """Completes the four parts, which the three amounts of knowledge leave one freedom, by the redundancy."""
    of_first, of_second, both = (max(value, 0.0) for value in knowledge)
    both = max(both, of_first, of_second)
    redundancy = min(max(redundancy, of_first + of_second - both), min(of_first, of_second))
    return Decomposition(
        first=first,
        second=second,
        redundancy=redundancy,
        unique_first=of_first - redundancy,
        unique_second=of_second - redundancy,
        synergy=both - of_first - of_second + redundancy,
    )


def _clusters(codes: np.ndarray) -> np.ndarray:
    from sklearn.cluster import KMeans  # here: a second that a search does not need

    count = int(min(CLUSTERS, max(2, len(codes) // ROWS_A_CLUSTER), len(np.unique(codes, axis=0))))
    return KMeans(count, n_init="auto", random_state=0).fit_predict(codes)


def _least_information(p: np.ndarray) -> float:
    """I* in bits."""
    from scipy.special import rel_entr  # here, see above

    of_y = p.sum((0, 1))
    given_y = p[:, :, of_y > 0].transpose(2, 0, 1) / of_y[of_y > 0, None, None]  # (|Y|, |X1|, |X2|) of x1, x2 given y
    weights = of_y[of_y > 0]
    rows, columns = given_y.sum(2, keepdims=True), given_y.sum(1, keepdims=True)
    q = rows * columns
    before = np.inf
    for _ in range(ROUNDS):
        mixture = np.tensordot(weights, q, 1)
        value = float(weights @ rel_entr(q, mixture).sum((1, 2)))
        if before - value < TOLERANCE:
            break
        before = value
        q = _fitted(np.broadcast_to(mixture, q.shape), rows, columns)
    return value / float(np.log(2))


def _fitted(q: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The distributions nearest to q, in KL, with these margins (iterative proportional fitting).

    They are q times a factor for each row and one for each column.
    """
    of_rows, of_columns = np.ones_like(rows), np.ones_like(columns)
    for _ in range(FITTINGS):
        of_rows = _ratio(rows, q @ of_columns.swapaxes(1, 2))  # (|Y|, |X1|, 1)
        of_columns = _ratio(columns, of_rows.swapaxes(1, 2) @ q)  # (|Y|, 1, |X2|)
    return q * of_rows * of_columns


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)
