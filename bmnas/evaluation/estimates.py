"""Means and their intervals: over seeds, and over groups of test samples that were recorded together.

Scores, or differences of scores, form a matrix (S seeds, G groups) with entries m + seed effect + group effect + rest.
The variance of its mean is estimated by two-way clustering (Cameron, Gelbach, Miller, Journal of Business and Economic
Statistics 29 (2011), pp. 238-249):

    V = max(V_seeds, V_groups, V_seeds + V_groups - V_cells)

with each V the squared standard error of the mean over seeds, groups or cells. Where a sample is of several groups,
V_groups and V_cells are those of single groups, less those of pairs of groups, ..., see
`bmnas.evaluation.group_values`; V_groups is at least what the samples would give if those that share all their groups
alone depended on each other. Degrees of freedom follow Satterthwaite (1946), also where few groups hold much; they are
at most 3 of two seeds: two are often alike by chance, and the variance is then that of the groups alone. A single seed
has no spread, so its interval has no ends. Two methods of unequal numbers of seeds are paired by group alone, and
V_seeds and V_cells are sums over both (Welch, Biometrika 34 (1947), pp. 28-35).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bmnas.evaluation.group_values import GroupValues

LEVEL = 0.95  # of intervals
ROUNDING = 1e-12  # differences below are of the last digits of a sum
FREEDOM_OF_TWO = 3  # without this limit two seeds call more than 5 % of equal methods better


@dataclass(frozen=True)
class Estimate:
    """A mean and how well it is known, by Student's t.

    Attributes:
        mean: what was estimated.
        error: its standard error; 0 where nothing varies, infinite where it is not known, as of a single seed.
        freedom: degrees of freedom of the error.
    """

    mean: float
    error: float
    freedom: float = 1.0

    @property
    def p_value(self) -> float:
        """Returns the two-sided p of a mean of 0."""
        from scipy.special import stdtr  # here: time that a search does not need; scipy.stats takes five times it

        if self.error == 0:
            return float(self.mean == 0)
        return float(2 * stdtr(self.freedom, -abs(self.mean) / self.error))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns both ends of the interval at a level; without ends where the error is not known."""
        half = self.error * _quantile(self.freedom, level) if self.error else 0.0
        return self.mean - half, self.mean + half

    def share_interval(self, independent: int) -> tuple[float, float]:
        """Returns the interval of a share, which lies within 0 and 1 and holds the mean.

        Wilson's (1927), with the number of independent samples at which a share would have this error,
        n = mean (1 - mean) / error**2, and t in place of the normal quantile (Dean and Pagano, Journal of Survey
        Statistics and Methodology 3 (2015), pp. 484-503).

        Args:
            independent: groups or samples behind the mean, which stand for n where all are 0 or all are 1.
        """
        mean = min(max(self.mean, 0.0), 1.0)
        if not np.isfinite(self.error):
            return -np.inf, np.inf
        product = mean * (1 - mean)
        if product < ROUNDING:
            ratio = _quantile(independent - 1, LEVEL) ** 2 / independent
        else:
            ratio = (self.error * _quantile(self.freedom, LEVEL)) ** 2 / product
        centre, half = mean + ratio / 2, (ratio * product + ratio**2 / 4) ** 0.5
        return min(max((centre - half) / (1 + ratio), 0.0), mean), max(min((centre + half) / (1 + ratio), 1.0), mean)


def _quantile(freedom: float, level: float) -> float:
    """How many standard errors the interval at a level reaches to each side."""
    from scipy.special import stdtrit  # here, see above

    return float(stdtrit(freedom, (1 + level) / 2))


def signed(end: float, digits: int = 2) -> str:
    """Writes an end of an interval with its sign, and with as many digits as show on which side of 0 it lies."""
    while 0 < abs(end) < 0.5 * 10.0**-digits:
        digits += 1
    return f"{end + 0.0:+.{digits}f}"  # never -0.0


def estimate(values: np.ndarray | GroupValues) -> Estimate:
    """Estimates the mean of values whose seeds and groups are both random.

    Args:
        values: (S seeds, G groups), or (S,) where seeds alone are known; differences of two methods, or scores of one.

    Raises:
        ConfigError: there is no value, or one that is not finite.
    """
    known = GroupValues.of(values)
    return _two_way(known.scores.mean(), [known], [term.mean(0) for term in known.terms])


def estimate_difference(first: np.ndarray | GroupValues, second: np.ndarray | GroupValues) -> Estimate:
    """Estimates the difference of two means: paired by seed where both have as many, otherwise by group alone.

    Args:
        first, second: (S seeds, G groups), or (S,) where seeds alone are known; both of the same groups.
    """
    mine, theirs = GroupValues.of(first), GroupValues.of(second)
    if mine.seeds == theirs.seeds:
        return estimate(mine - theirs)
    columns = [one.mean(0) - other.mean(0) for one, other in zip(mine.terms, theirs.terms, strict=True)]
    return _two_way(mine.scores.mean() - theirs.scores.mean(), [mine, theirs], columns)


def _two_way(mean: float, parts: Sequence[GroupValues], columns: Sequence[np.ndarray]) -> Estimate:
    """Clusters by seeds and groups.

    Args:
        mean: of the scores, or their difference.
        parts: of independent seeds each, and of the same groups.
        columns: (G,) the means of the groups, one for each of the terms; a number where seeds alone are known.
    """
    mean = float(mean) if abs(mean) > ROUNDING else 0.0
    groups = parts[0].independent
    numbers: list[float] = [part.seeds for part in parts]
    if min(numbers) < 2 or groups == 1:
        return Estimate(mean, np.inf)
    two_seeds = min(numbers) == 2
    variances = [_squared_error(part.scores) for part in parts]
    of_seeds = sum(variances)
    variance = of_seeds
    if groups:
        numbers.append(parts[0].effective)
        of_groups = max(_included([columns]), _squared_error(columns[-1]))
        of_cells = _included([part.terms for part in parts])
        variances.append(of_groups)
        variance = max(of_seeds, of_groups, of_seeds + of_groups - of_cells)
    if variance < ROUNDING**2:
        return Estimate(mean, 0.0)
    freedom = variance**2 / sum(one**2 / (n - 1) for one, n in zip(variances, numbers, strict=True))
    freedom = max(freedom, min(numbers) - 1)
    if groups and two_seeds and of_seeds > 0:
        freedom = min(freedom, FREEDOM_OF_TWO)
    return Estimate(mean, variance**0.5, freedom)


def _included(parts: Sequence[Sequence[np.ndarray]]) -> float:
    """Sums the squared errors of the means of all parts: of single groups, less those of pairs, ..."""
    return sum((-1) ** place * _squared_error(term) for terms in parts for place, term in enumerate(terms))


def _squared_error(values: np.ndarray) -> float:
    """The variance of the mean of independent values; nothing where there is but one."""
    return float(values.var(ddof=1)) / values.size if values.size > 1 else 0.0
