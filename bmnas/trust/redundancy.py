"""The redundancy map: which stored features say the same, beside what each of them knows alone.

Linear CKA compares the Gram matrices of two features (Kornblith et al., ICML 2019, https://arxiv.org/abs/1905.00414).
The plain estimate is near 1 for any two features with many more columns than rows. So the Gram matrices are U-centred,
which makes the Hilbert-Schmidt criterion unbiased (Song et al., JMLR 13 (2012), 1393-1434, Eq. 5):

    U_ij = K_ij - sum_k K_ik / (n - 2) - sum_k K_kj / (n - 2) + sum_kl K_kl / ((n - 1)(n - 2))

with K = X X^T and zeros on both diagonals, and

    CKA(X, Y) = <U_X, U_Y> / (||U_X||_F ||U_Y||_F), at least 0

It is 1 for equal features, also turned, moved or scaled, and about 0 for unrelated ones.

Eq. 3 of the paper multiplies the merits of single features. So it takes the two best ones, also where they are alike.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.missing import mean_row
from bmnas.trust.probes import ProbeData

MOST_ROWS, FEWEST_ROWS = 1000, 4
ALIKE = 0.6  # from here on two features are called alike
NOTHING = 0.02  # bits; a feature that knows less knows nothing alone


@dataclass(frozen=True)
class RedundancyMap:
    """How alike the features are, and what each knows.

    Attributes:
        names: the features, in order.
        similarity: (K, K) linear CKA.
        merits: feature -> bits that its own probe knows.
    """

    names: tuple[str, ...]
    similarity: np.ndarray
    merits: dict[str, float]

    def of(self, first: str, second: str) -> float:
        """Returns the CKA of two features."""
        return float(self.similarity[self.names.index(first), self.names.index(second)])

    @property
    def best_product(self) -> tuple[str, str] | None:
        """Returns the pair whose product of merits is largest; None of a single feature.

        Eq. 3 ranks pairs so, but by α: the merits that the search has learnt.
        """
        pairs = list(combinations(self.names, 2))
        return max(pairs, key=lambda pair: self._merit(pair[0]) * self._merit(pair[1]), default=None)

    def sentence(self) -> str:
        """Says in one line whether the pair of the largest product of merits is alike."""
        pair = self.best_product
        if pair is None:
            return "There is one feature: no pair."
        able = [name for name in self.names if self._merit(name) >= NOTHING]
        if len(able) < 2:
            who = f"Only {able[0]} knows something alone" if able else "No feature knows anything alone"
            return f"{who}, so the product of these merits ranks no pair."
        likeness = self.of(*pair)
        words = "they say much the same" if likeness >= ALIKE else "they differ"
        scale = f"of CKA {likeness:.2f} (from 0, nothing in common, to 1, the same)"
        return (
            f"The product of what each knows alone, in bits, is largest for {pair[0]} and {pair[1]}, {scale}: {words}. "
            "Eq. 3 would take them if α ranked features by these bits."
        )

    def _merit(self, name: str) -> float:
        return max(self.merits[name], 0.0)


def similarity(first: ArrayLike, second: ArrayLike) -> float:
    """Computes the linear CKA of two features of the same rows.

    Args:
        first, second: (n, p) and (n, q).

    Raises:
        ConfigError: the numbers of rows differ, or are below 4.
    """
    return float(_similarities([np.asarray(first, dtype=float), np.asarray(second, dtype=float)])[0, 1])


def similarities(features: FeatureSet, data: ProbeData) -> np.ndarray:
    """Computes the linear CKA of all pairs of features on at most 1,000 rows of train and val, (K, K).

    A feature that a sample lacks is its mean there, which adds nothing to a Gram matrix.
    """
    rows = data.rows[:: -(-len(data.rows) // MOST_ROWS)]
    flat = [np.asarray(array[rows], dtype=float).reshape(len(rows), -1) for array in features.arrays.values()]
    return _similarities([np.where(np.isnan(x), mean_row(x), x) for x in flat])


def _similarities(features: list[np.ndarray]) -> np.ndarray:
    """A feature that never changes is like no other."""
    rows = {len(x) for x in features}
    if len(rows) != 1 or min(rows) < FEWEST_ROWS:
        raise ConfigError(f"features have {', '.join(str(len(x)) for x in features)} rows; expected 4 or more of each")
    centred = []
    for x in features:
        gram = _u_centred(x - x.mean(0)).ravel()
        size = np.linalg.norm(gram)
        centred.append(gram / size if size > 0 else gram)
    stacked = np.stack(centred)
    return np.clip(stacked @ stacked.T, 0, 1)


def _u_centred(x: np.ndarray) -> np.ndarray:
    n = len(x)
    gram = x @ x.T
    np.fill_diagonal(gram, 0)
    sums = gram.sum(0) / (n - 2)
    gram = gram - sums[:, None] - sums[None] + sums.sum() / (n - 1)
    np.fill_diagonal(gram, 0)
    return gram
