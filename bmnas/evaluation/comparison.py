"""Paired comparisons of methods, corrected for their number: verdicts, and intervals that agree with them.

Two methods are scored by the same seeds on the same test samples, see `bmnas.evaluation.estimates`. Several comparisons
are corrected by Holm (Scandinavian Journal of Statistics 6 (1979), pp. 65-70). Each interval is at the level at which
Holm tests its comparison (Serlin, Journal of Experimental Education 61 (1993), pp. 350-360, "Holm on the range"): of n
comparisons in the order of their p, the i-th has the level 1 - 5 % / (n - i + 1), and all from the first undecided one
on have the level of that one. So an interval excludes 0 exactly where its comparison is decided. They are no region
that holds all true differences at once in 95 % of cases: intervals at 1 - 5 % / n are, and decide less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bmnas.errors import ConfigError
from bmnas.evaluation.estimates import LEVEL, estimate_difference, signed
from bmnas.evaluation.group_values import GroupValues


@dataclass(frozen=True)
class Comparison:
    """The mean difference between a method and a rival, in units of the score.

    Attributes:
        name, rival: the two methods.
        difference: mean of the method less mean of the rival; positive where the method is better.
        low, high: its interval, corrected for all comparisons that were made together: 95 % of a single one.
        p_value: two-sided, corrected by Holm.
        seeds, rival_seeds: of the method and of the rival; an untrained one has as many as the other.
        groups: of test samples; none where seeds alone were compared.
        together: how many comparisons were made, this one among them.
    """

    name: str
    rival: str
    difference: float
    low: float
    high: float
    p_value: float
    seeds: int
    rival_seeds: int
    groups: int
    together: int = 1

    @property
    def verdict(self) -> str:
        """Returns "better" or "worse" where the interval excludes 0, or "undecided"."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "undecided"

    @property
    def one_seed(self) -> bool:
        """Returns whether a method has a single seed, which proves nothing."""
        return min(self.seeds, self.rival_seeds) < 2

    def turned(self) -> "Comparison":
        """Returns the same comparison, seen from the rival."""
        return replace(
            self, name=self.rival, rival=self.name, difference=-self.difference, low=-self.high, high=-self.low,
            seeds=self.rival_seeds, rival_seeds=self.seeds,
        )  # fmt: skip

    def points(self, digits: int = 2) -> str:
        """Returns the difference in points (hundredths of the score), with its sign."""
        return f"{round(100 * self.difference, digits) + 0.0:+.{digits}f}"  # never -0.0

    def ends(self, digits: int = 2) -> str:
        """Returns the interval in points, `+0.12 to +3.40`; "" where it has no ends."""
        return " to ".join(signed(100 * end, digits) for end in (self.low, self.high) if np.isfinite(end))

    def in_points(self) -> str:
        """Returns difference and interval in points, `+0.42 (-0.10 to +0.94)`."""
        ends = self.ends()
        return self.points() + (f" ({ends})" if ends else "")

    def basis(self, digits: int = 2, unit: str = "groups of test samples") -> str:
        """Returns what the difference stands on: `95 % interval +0.12 to +3.40; 3 seeds, 500 groups ...`."""
        corrected = f", corrected for {self.together} comparisons" if self.together > 1 else ""
        seeds = f"{self.seeds} seeds" + (f" against {self.rival_seeds}" if self.rival_seeds != self.seeds else "")
        samples = f", {self.groups:,} {unit}" if self.groups else " alone, without their answers"
        return f"95 % interval {self.ends(digits)}{corrected}; {seeds}{samples}"

    def sentence(self) -> str:
        """Returns one line for people, in points."""
        about = f"{self.name} against {self.rival}"
        if self.one_seed:
            return f"{about}: {self.points()} points; one seed proves nothing"
        word = "cannot be told apart" if self.verdict == "undecided" else self.verdict
        return f"{about}: {word}, {self.points()} points ({self.basis()})"


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


def holm_levels(p_values: Sequence[float]) -> list[float]:
    """Returns the level of each interval: that at which Holm tests it, see the module."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    errors = [(1 - LEVEL) / (len(order) - place) for place in range(len(order))]
    decided = [p_values[number] < error for number, error in zip(order, errors, strict=True)]
    last = decided.index(False) if False in decided else len(order) - 1
    return [1 - errors[min(order.index(number), last)] for number in range(len(order))]


def compare(name: str, scores: Mapping[str, np.ndarray | GroupValues]) -> list[Comparison]:
    """Compares one method with every other one.

    Args:
        name: of the method, one of `scores`.
        scores: method -> (S seeds, G groups), or as `group_values` gives them; the same groups in the same order. A
            method without training has one seed, which stands beside each of the others.

    Raises:
        ConfigError: `name` is not among the scores, or the numbers of seeds or groups differ.
    """
    if name not in scores:
        raise ConfigError(f"no scores of {name!r}; there are those of {', '.join(map(repr, scores)) or 'none'}")
    mine = GroupValues.of(scores[name])
    pairs = {}
    for rival in scores:
        other = GroupValues.of(scores[rival])
        seeds = max(mine.seeds, other.seeds)
        if mine.shape[1:] != other.shape[1:] or {mine.seeds, other.seeds} - {1, seeds}:
            raise ConfigError(
                f"{name!r} has scores of shape {mine.shape}, {rival!r} of {other.shape}; expected equal ones"
            )
        if rival != name:
            pairs[rival] = mine.repeated(seeds), other.repeated(seeds)
    return compare_pairs(name, pairs)


def compare_pairs(
    name: str, pairs: Mapping[str, tuple[np.ndarray | GroupValues, np.ndarray | GroupValues]]
) -> list[Comparison]:
    """Compares one method with its rivals, and corrects by Holm.

    Args:
        name: of the method.
        pairs: rival -> the values of the method and of the rival, (S seeds, G groups), or (S,) where seeds alone are
            known.
    """
    estimates = {rival: estimate_difference(*pair) for rival, pair in pairs.items()}
    p_values = [one.p_value for one in estimates.values()]
    corrected = zip(holm(p_values), holm_levels(p_values), strict=True)
    comparisons = []
    for (rival, one), (p, level) in zip(estimates.items(), corrected, strict=True):
        mine, other = map(GroupValues.of, pairs[rival])
        low, high = one.interval(level)
        comparisons.append(
            Comparison(
                name=name,
                rival=rival,
                difference=one.mean,
                low=low,
                high=high,
                p_value=p,
                seeds=mine.seeds,
                rival_seeds=other.seeds,
                groups=mine.independent,
                together=len(pairs),
            )
        )
    return comparisons
