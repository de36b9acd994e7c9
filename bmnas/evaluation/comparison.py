"""Paired comparisons of methods: over seeds, and over groups of test samples that were recorded together.

Two methods are scored by the same seeds on the same test samples. Their differences form a matrix D (S seeds, G groups)
with entries m + seed effect + group effect + rest. The variance of the mean difference is estimated by two-way
clustering (Cameron, Gelbach, Miller, Journal of Business and Economic Statistics 29 (2011), pp. 238-249):

    V = max(V_seeds, V_groups, V_seeds + V_groups - V_cells)

with each V the squared standard error of the mean over seeds, groups or cells. Degrees of freedom follow Satterthwaite
(1946), at most 3 of two seeds: two are often alike by chance, and the variance is then that of the groups alone. A
single seed has no spread, so it never gives a verdict. Several comparisons are corrected by Holm (1979).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bmnas.errors import ConfigError

LEVEL = 0.95  # of intervals; a verdict needs an adjusted p below 1 - LEVEL
FREEDOM_OF_TWO = 3  # without this limit two seeds can call 6 % of equal methods better

Score = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Comparison:
    """The mean difference between a method and a rival, in units of the score.

    Attributes:
        name, rival: the two methods.
        difference: mean of the method less mean of the rival; positive where the method is better.
        low, high: its 95 % interval, not corrected for other comparisons.
        p_value: two-sided, corrected by Holm for all comparisons that were made together.
        seeds, groups: how many of each stand behind it; no groups where seeds alone were compared.
    """

    name: str
    rival: str
    difference: float
    low: float
    high: float
    p_value: float
    seeds: int
    groups: int

    @property
    def verdict(self) -> str:
        """Returns "better", "worse" or "undecided"."""
        if not self.p_value < 1 - LEVEL:
            return "undecided"
        return "better" if self.difference > 0 else "worse"

    def sentence(self) -> str:
        """Returns one line for people, in points (hundredths of the score)."""
        points = f"{100 * self.difference:+.2f} points"
        if self.seeds < 2:
            return f"{self.name} against {self.rival}: {points}; one seed proves nothing"
        word = "cannot be told apart" if self.verdict == "undecided" else self.verdict
        interval = f"95 % interval {100 * self.low:+.2f} to {100 * self.high:+.2f}"
        samples = f", {self.groups:,} groups of test samples" if self.groups else " alone, without their answers"
        return f"{self.name} against {self.rival}: {word}, {points} ({interval}; {self.seeds} seeds{samples})"


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


def paired_interval(differences: np.ndarray) -> tuple[float, float, float, float]:
    """Estimates the mean of a matrix of differences whose rows and columns are both random.

    Args:
        differences: (S seeds, G groups).

    Returns:
        Mean, lower and upper end of the 95 % interval, and the two-sided p of a mean of 0. One seed or one group has
        no spread: the interval is infinite, and p is 1.

    Raises:
        ConfigError: the matrix is empty, or holds a value that is not finite.
    """
    matrix = np.asarray(differences, dtype=float)
    if matrix.ndim != 2 or not matrix.size or not np.isfinite(matrix).all():
        raise ConfigError(f"differences of shape {matrix.shape}; expected finite values of shape (seeds, groups)")
    seeds, groups = matrix.shape
    mean = float(matrix.mean())
    if min(seeds, groups) < 2:
        return mean, -np.inf, np.inf, 1.0
    of_seeds = float(matrix.mean(1).var(ddof=1)) / seeds
    of_groups = float(matrix.mean(0).var(ddof=1)) / groups
    of_cells = float(matrix.var(ddof=1)) / matrix.size
    variance = max(of_seeds, of_groups, of_seeds + of_groups - of_cells)
    if variance == 0:
        return mean, mean, mean, float(mean == 0)
    freedom = variance**2 / (of_seeds**2 / (seeds - 1) + of_groups**2 / (groups - 1))
    freedom = max(freedom, min(seeds, groups) - 1)
    if seeds == 2 and of_seeds > 0:
        freedom = min(freedom, FREEDOM_OF_TWO)
    return student_interval(mean, variance**0.5, freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrects p-values that are looked at together, so that one false verdict in all has a chance of 5 % at most.

    Holm, Scandinavian Journal of Statistics 6 (1979): the i-th smallest of n is multiplied by n - i + 1, never below
    the one before it, never above 1.
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[number]))
        adjusted[number] = largest
    return adjusted


def seeds_interval(differences: np.ndarray) -> tuple[float, float, float, float]:
    """Estimates a mean from seeds alone, by Student's t; see `paired_interval`.

    Args:
        differences: (S,), one a seed.
    """
    mean, seeds = float(differences.mean()), len(differences)
    if seeds < 2:
        return mean, -np.inf, np.inf, 1.0
    error = float(differences.std(ddof=1)) / seeds**0.5
    if error == 0:
        return mean, mean, mean, float(mean == 0)
    return student_interval(mean, error, seeds - 1)


def student_interval(mean: float, error: float, freedom: float) -> tuple[float, float, float, float]:
    """Returns mean, both ends of its 95 % interval and the two-sided p of a mean of 0, by Student's t.

    Args:
        error: standard error of the mean, above 0.
        freedom: degrees of freedom.
    """
    from scipy.special import stdtr, stdtrit  # here: time that a search does not need; scipy.stats takes five times it

    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    return mean, mean - half, mean + half, float(2 * stdtr(freedom, -abs(mean) / error))


def compare(name: str, scores: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Compares one method with every other one.

    Args:
        name: of the method, one of `scores`.
        scores: method -> (S seeds, G groups) as `group_scores` gives them, the same groups in the same order. A method
            without training has one row, which stands beside each seed of the others.

    Raises:
        ConfigError: `name` is not among the scores, or the numbers of seeds or groups differ.
    """
    if name not in scores:
        raise ConfigError(f"no scores of {name!r}; there are those of {', '.join(map(repr, scores)) or 'none'}")
    mine = np.atleast_2d(scores[name])
    differences = {}
    for rival in scores:
        other = np.atleast_2d(scores[rival])
        seeds = max(len(mine), len(other))
        if mine.shape[1] != other.shape[1] or {len(mine), len(other)} - {1, seeds}:
            raise ConfigError(
                f"{name!r} has scores of shape {mine.shape}, {rival!r} of {other.shape}; expected equal ones"
            )
        if rival != name:
            differences[rival] = np.broadcast_to(mine, (seeds, mine.shape[1])) - other
    return compare_differences(name, differences)


def compare_differences(name: str, differences: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Compares one method with its rivals, given the differences of their scores, and corrects by Holm.

    Args:
        name: of the method.
        differences: rival -> (S seeds, G groups), or (S,) where seeds alone are known.
    """
    estimates = [(paired_interval if each.ndim == 2 else seeds_interval)(each) for each in differences.values()]
    adjusted = holm([p for *_, p in estimates])
    return [
        Comparison(
            name=name,
            rival=rival,
            difference=mean,
            low=low,
            high=high,
            p_value=p,
            seeds=each.shape[0],
            groups=each.shape[1] if each.ndim == 2 else 0,
        )
        for (rival, each), (mean, low, high, _), p in zip(differences.items(), estimates, adjusted, strict=True)
    ]
