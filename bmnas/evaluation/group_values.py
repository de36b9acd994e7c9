"""Scores split by groups of test samples that were recorded together, where a sample may be of several groups.

A pair of drawings belongs to the drawing on its left and to that on its right, a recording to its speaker and to its
microphone. Pairs that share a drawing depend on each other, so the squared error of a mean has a term for every two
samples that share a group. Squared sums over single groups hold those that share two groups twice; sums over pairs of
groups take them off again, and so on (inclusion and exclusion; Cameron, Gelbach and Miller, Journal of Business and
Economic Statistics 29 (2011), pp. 238-249; of pairs, Aronow, Samii and Assenova, Political Analysis 23 (2015),
pp. 564-577).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bmnas.errors import ConfigError
from bmnas.features.groups import count_independent

Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class GroupValues:
    """The scores of S seeds, or differences of scores, split by groups.

    Attributes:
        scores: (S,) of all samples; values of groups only estimate them, as the jackknife does of F1.
        terms: (S, G) values of single groups; then, where groups cross, of what two of them share, three, ... Of (S,)
            alone where groups are not known.
        independent: how many groups stand behind the values at least, whichever way the samples are grouped; 1 where
            all samples share a group, 0 where groups are not known.
        effective: as many equal groups would tell as much of the error; fewer than there are where few hold much.
    """

    scores: np.ndarray
    terms: tuple[np.ndarray, ...]
    independent: int
    effective: float

    @classmethod
    def of(cls, values: "np.ndarray | GroupValues") -> "GroupValues":
        """Takes values (S seeds, G groups) of groups that do not cross, or (S,) of seeds alone.

        Raises:
            ConfigError: there is no value, or one that is not finite.
        """
        if isinstance(values, cls):
            return values
        array = np.asarray(values, dtype=float)
        if array.ndim not in (1, 2) or not array.size or not np.isfinite(array).all():
            raise ConfigError(f"values of shape {array.shape}; expected finite ones of shape (seeds, groups)")
        groups = array.shape[1] if array.ndim > 1 else 0
        return cls(array.reshape(len(array), -1).mean(1), (array,), groups, groups)

    @property
    def seeds(self) -> int:
        """How many seeds the values are of."""
        return len(self.scores)

    @property
    def shape(self) -> tuple[int, ...]:
        """(S, G) of single groups, or (S,)."""
        return self.terms[0].shape

    def __sub__(self, other: "GroupValues") -> "GroupValues":
        terms = tuple(mine - theirs for mine, theirs in zip(self.terms, other.terms, strict=True))
        return replace(self, scores=self.scores - other.scores, terms=terms)

    def repeated(self, seeds: int) -> "GroupValues":
        """Lets the values of one seed stand beside each of several."""
        terms = tuple(np.broadcast_to(term, (seeds, *term.shape[1:])) for term in self.terms)
        return replace(self, scores=np.broadcast_to(self.scores, seeds), terms=terms)


def group_values(score: Score, counts: np.ndarray, groups: np.ndarray) -> GroupValues:
    """Splits a score of all test samples into one value a group, by the jackknife.

    The value of group g is the pseudo-value G * score(all) - (G - 1) * score(all but g). Their mean is the score itself
    where it is a mean over equal groups, as accuracy is; otherwise, as for F1, the jackknife estimate of it.

    Args:
        score: sums of counts (..., d) -> scores (...).
        counts: (S, n, d) what each test sample adds to the sums.
        groups: (n,) the group of each test sample, any values that can be sorted; or (n, k), its k groups, where equal
            values in two columns are one group.
    """
    table = groups.reshape(len(groups), -1)
    total = counts.sum(-2)[:, None, :]  # (S, 1, d)
    scores = score(total)  # (S, 1)
    terms = []
    for rows, codes in _memberships(table):
        if not len(codes):
            break
        if np.bincount(codes).max() == len(table):
            return GroupValues(scores[:, 0], (scores,), 1, 1)
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
        sums = np.add.reduceat(counts[:, rows[order]], starts, axis=1)  # (S, G, d)
        number = len(starts)
        terms.append(number * scores - (number - 1) * score(total - sums))
    return GroupValues(scores[:, 0], tuple(terms), count_independent(groups), _effective(table))


def _effective(table: np.ndarray) -> float:
    """Counts the groups as Satterthwaite does, (sum of w**2)**2 / sum of w**4 for groups that hold the shares w.

    With effects of equal size in all groups w**2 is what a group adds to the squared error. At least two; the least of
    all columns, and of all groups whichever column they stand in.
    """
    ways = [np.unique(part, return_counts=True)[1] / len(table) for part in (table, *table.T)]
    return max(2.0, min(float((shares**2).sum() ** 2 / (shares**4).sum()) for shares in ways))


def _memberships(table: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields, for single groups, for pairs, ..., the rows and the numbers of what they belong to; none twice."""
    ordered = np.sort(np.unique(table, return_inverse=True)[1].reshape(table.shape), axis=1)
    for size in range(1, table.shape[1] + 1):
        found = []
        for columns in combinations(range(table.shape[1]), size):
            sets = ordered[:, columns]
            differ = (sets[:, 1:] != sets[:, :-1]).all(1)  # a sample that names a group twice has one group less
            found.append(np.column_stack([sets, np.arange(len(table))])[differ])
        members = np.unique(np.concatenate(found), axis=0)  # (m, size + 1): a set of groups, a row
        yield members[:, -1], np.unique(members[:, :-1], axis=0, return_inverse=True)[1].reshape(-1)
