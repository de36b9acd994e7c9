"""Random search on a truth table, exactly: no draw is made.

Of n networks, b are drawn without repeats, trained, and the best on validation is taken. With the networks in the order
of their validation score, the r-th (from 0) is taken with

    P(r) = C(n - 1 - r, b - 1) / C(n, b)

as the b - 1 others lie behind it.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from bmnas.errors import ConfigError


class RandomRegret(NamedTuple):
    """The regret of random search, as shares of 1: its mean, and what 10 and 90 % of all draws stay below."""

    mean: float
    low: float
    high: float


def taken_with(networks: int, trainings: int) -> np.ndarray:
    """Computes P(r) for r = 0, ..., networks - 1.

    Raises:
        ConfigError: fewer than 1 training, or more than there are networks.
    """
    if not 1 <= trainings <= networks:
        raise ConfigError(f"{trainings} trainings of {networks} networks; expected 1 to {networks}")
    behind = networks - 1 - np.arange(networks)
    possible = behind >= trainings - 1
    logarithms = _log_choose(np.where(possible, behind, trainings), trainings - 1) - _log_choose(networks, trainings)
    return np.where(possible, np.exp(logarithms), 0.0)


def random_regret(truth: pd.DataFrame, trainings: int) -> RandomRegret:
    """Computes the regret of random search: the best mean test score less that of the network that is taken.

    Args:
        truth: as `bmnas.truth` gives it.
        trainings: how many networks are trained.
    """
    ordered = truth.sort_values("val", ascending=False, kind="stable")
    regrets = (truth["test"].max() - ordered["test"]).to_numpy()
    chances = taken_with(len(ordered), trainings)
    order = np.argsort(regrets)
    reached = np.cumsum(chances[order])
    low, high = (float(regrets[order][min(np.searchsorted(reached, q - 1e-12), len(order) - 1)]) for q in (0.1, 0.9))
    return RandomRegret(float(chances @ regrets), low, high)


def _log_choose(n: np.ndarray | int, k: int) -> np.ndarray:
    from scipy.special import gammaln  # here: time that a search does not need

    return gammaln(np.asarray(n) + 1.0) - gammaln(k + 1.0) - gammaln(np.asarray(n) - k + 1.0)
