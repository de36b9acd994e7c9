"""The tabular benchmark: any searcher on a stored truth table, in seconds, without training a network.

A table holds the scores of all networks of a space (`bmnas.truth`), so that a short training is a look-up. The searcher
sees validation scores alone; its answer is then judged by the test scores.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bmnas.errors import ConfigError, DataError
from bmnas.registry import SEARCHERS
from bmnas.searching.searchers.trials import Budget, Searcher, Trial, run_searcher
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype
from bmnas.trust.truth_table import Truth, find_truth

DEFAULT_SEEDS = range(10)
BY_GRADIENT = ("algorithm1", "gdas")
"""Searches that train a hypernet on the features themselves."""


def bench(
    searcher: str | Searcher,
    task: str | Truth,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    budget: int | None = 20,
) -> pd.DataFrame:
    """Runs a searcher on a truth table, once a seed.

    The validation score of a network is the one that a training with the same seed has in the table; where the table
    has fewer seeds (S), seed modulo S.

    Args:
        searcher: a name in `bmnas.SEARCHERS`, or a generator function of your own: searcher(space, generator) yields
            genotypes and receives their validation scores, see `bmnas.searching.searchers.trials`.
        task: a name in `bmnas.TASKS`, whose preset's table is used, or a table.
        seeds: of the searches.
        budget: short trainings of each search; None: until the searcher ends by itself.

    Returns:
        A row a seed: seed, trainings (the cost), val (the score that the searcher saw), test (mean over the table's
        seeds), regret (best test of the space less this one), rank (by test, 1 is the best), val_rank (by what the
        searcher saw: 1 is what it looked for), networks (of the space), genotype.

    Raises:
        UnknownNameError: unknown searcher or data set; lists those there are.
        ConfigError: the searcher learns from the features themselves, or no seed is named.
        FeatureError: there is no table of this data set; gives the command that makes it.
        DataError: the table holds a random sample of its space, so that most proposals have no score.
    """
    if searcher in BY_GRADIENT:
        raise ConfigError(
            f"{searcher!r} learns from the features themselves, and a truth table has scores alone; search with "
            "bmnas.search (GDAS is its setting relaxation = 'gumbel') and judge the answer with bmnas.standing"
        )
    table = find_truth(task) if isinstance(task, str) else task
    if table.sample is not None:
        raise DataError(
            f"the truth table holds {len(table.networks)} random networks of its space; a searcher needs all of them. "
            "Choose a data set whose whole space is trained"
        )
    propose = SEARCHERS[searcher] if isinstance(searcher, str) else searcher
    rows = [_row(propose, table, seed, budget) for seed in seeds]
    if not rows:
        raise ConfigError("seeds is empty; expected at least one, like range(10)")
    return pd.DataFrame(rows)


def _row(propose: Searcher, table: Truth, seed: int, budget: int | None) -> dict[str, Any]:
    """Runs one search and judges its answer."""
    column = seed % table.seeds
    seen = {key: val[column] for key, (val, _) in table.by_network.items()}

    def look_up(genotype: Genotype, _: int) -> float:
        return seen[network_key(genotype)]

    trials = list(run_searcher(propose, table.space(), look_up, Budget(budget), seed))
    if not trials:
        raise ConfigError("the searcher proposed nothing; expected a generator function that yields genotypes")
    answer = answer_of(trials)
    standing = table.standing(answer.genotype)
    return {
        "seed": seed,
        "trainings": len(trials),
        "val": answer.score,
        "test": standing.score,
        "regret": standing.best - standing.score,
        "rank": standing.rank,
        "val_rank": 1 + int(np.sum(np.array(list(seen.values())) > answer.score)),
        "networks": standing.networks,
        "genotype": answer.genotype,
    }


def answer_of(trials: list[Trial]) -> Trial:
    """Returns the best trial; of equal ones the earlier."""
    return trials[trials[-1].best_trial - 1]
