"""Means and their intervals: over seeds, and over groups of test samples that were recorded together.

Scores, or differences of scores, form a matrix (S seeds, G groups) with entries m + seed effect + group effect + rest.
The variance of its mean is estimated by two-way clustering (Cameron, Gelbach, Miller, Journal of Business and Economic
Statistics 29 (2011), pp. 238-249):

    V = max(V_seeds, V_groups, V_seeds + V_groups - V_cells)

with each V the squared standard error of the mean over seeds, groups or cells. Degrees of freedom follow Satterthwaite
(1946), at most 3 of two seeds: two are often alike by chance, and the variance is then that of the groups alone. A
single seed has no spread, so its interval has no ends. Two methods of unequal numbers of seeds are paired by group
alone, and V_seeds and V_cells are sums over both (Welch, Biometrika 34 (1947), pp. 28-35).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bmnas.errors import ConfigError

LEVEL = 0.95  # of intervals
ROUNDING = 1e-12  # differences below are of the last digits of a sum
FREEDOM_OF_TWO = 3  # without this limit two seeds call more than 5 % of equal methods better

Score = Callable[[np.ndarray], np.ndarray]


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


def group_scores(score: Score, counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Splits a score of all test samples into one value a group, by the jackknife.

    The value of group g is the pseudo-value G * score(all) - (G - 1) * score(all but g). Their mean is the score itself
    where it is a mean over equal groups, as accuracy is; otherwise, as for F1, the jackknife estimate of it.

    Args:
        score: sums of counts (..., d) -> scores (...).
        counts: (..., n, d) what each test sample adds to the sums.
        groups: (n,) the group of each test sample; any values that can be sorted.

    Returns:
        (..., G), in the order of the sorted groups.
    """
    names, codes = np.unique(groups, return_inverse=True)
    rows = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[rows], np.arange(len(names)))
    sums = np.add.reduceat(counts[..., rows, :], starts, axis=-2)  # (..., G, d)
    total = sums.sum(-2, keepdims=True)  # (..., 1, d)
    if len(names) == 1:
        return score(total)
    return len(names) * score(total) - (len(names) - 1) * score(total - sums)


def estimate(values: np.ndarray) -> Estimate:
    """Estimates the mean of values whose seeds and groups are both random.

    Args:
        values: (S seeds, G groups), or (S,) where seeds alone are known; differences of two methods, or scores of one.

    Raises:
        ConfigError: there is no value, or one that is not finite.
    """
    matrix = _checked(values)
    return _two_way(float(matrix.mean()), [matrix], matrix.mean(0))


def estimate_difference(first: np.ndarray, second: np.ndarray) -> Estimate:
    """Estimates the difference of two means: paired by seed where both have as many, otherwise by group alone.

    Args:
        first, second: (S seeds, G groups), or (S,) where seeds alone are known; both of the same groups.
    """
    if len(first) == len(second):
        return estimate(first - second)
    parts = [_checked(first), _checked(second)]
    column = parts[0].mean(0) - parts[1].mean(0)
    return _two_way(float(column.mean()), parts, column)


def _checked(values: np.ndarray) -> np.ndarray:
    matrix = np.asarray(values, dtype=float)
    if matrix.ndim not in (1, 2) or not matrix.size or not np.isfinite(matrix).all():
        raise ConfigError(f"values of shape {matrix.shape}; expected finite ones of shape (seeds, groups)")
    return matrix


def _two_way(mean: float, parts: Sequence[np.ndarray], column: np.ndarray) -> Estimate:
    """Clusters by seeds and groups.

    Args:
        parts: of independent seeds, (S, G) or (S,) each.
        column: (G,) the means of the groups; a number where seeds alone are known.
    """
    least = min(map(len, parts))
    if least < 2 or (column.ndim and len(column) < 2):
        return Estimate(mean, np.inf)
    numbers = [len(part) for part in parts]
    variances = [float(part.reshape(len(part), -1).mean(1).var(ddof=1)) / len(part) for part in parts]
    of_seeds = sum(variances)
    variance = of_seeds
    if column.ndim:
        numbers, least = [*numbers, len(column)], min(least, len(column))
        of_groups = float(column.var(ddof=1)) / len(column)
        of_cells = sum(float(part.var(ddof=1)) / part.size for part in parts)
        variances = [*variances, of_groups]
        variance = max(of_seeds, of_groups, of_seeds + of_groups - of_cells)
    if variance < ROUNDING**2:
        return Estimate(mean, 0.0)
    freedom = variance**2 / sum(one**2 / (n - 1) for one, n in zip(variances, numbers, strict=True))
    freedom = max(freedom, least - 1)
    if column.ndim and min(map(len, parts)) == 2 and of_seeds > 0:
        freedom = min(freedom, FREEDOM_OF_TWO)
    return Estimate(mean, variance**0.5, freedom)
