"""The tabular benchmark: any searcher on a stored truth table, in seconds, without training a network.

A table holds the scores of all networks of a space (`bmnas.truth`), so that a short training is a look-up. The searcher
sees validation scores alone; its answer is then judged by the test scores.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from bmnas.config import SearchConfig
from bmnas.config.settings import ALGORITHM_1, BY_GRADIENT
from bmnas.errors import BmnasError, ConfigError, DataError
from bmnas.evaluation.estimates import estimate
from bmnas.evaluation.score_table import ScoreTable
from bmnas.registry import SEARCHERS, TASKS
from bmnas.searching.searchers.trials import Budget, Searcher, Trial, run_searcher
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype
from bmnas.trust.expected_regret import random_regret
from bmnas.trust.search_paths import trials_tau
from bmnas.trust.truth_table import Truth, find_truth

DEFAULT_SEEDS = range(10)


def bench(
    searcher: str | Searcher,
    task: str | Truth,
    seeds: Iterable[int] = DEFAULT_SEEDS,
    budget: int | None = 20,
    config: SearchConfig | None = None,
) -> pd.DataFrame:
    """Runs a searcher on a truth table, once a seed.

    The validation score of a network is the one that a training with the same seed has in the table; where the table
    has fewer seeds (S), seed modulo S.

    Args:
        searcher: a name in `bmnas.SEARCHERS`, or a generator function of your own: searcher(space, generator) yields
            genotypes and receives their validation scores, see `bmnas.searching.searchers.trials`.
        task: a name in `bmnas.TASKS`, or a table of `bmnas.trust.truth_table.find_truth`.
        seeds: of the searches.
        budget: short trainings of each search; None: until the searcher ends by itself.
        config: whose space the table is of, such as `bmnas.TASKS["digits"].search_config.change(N=1)`; the preset when
            None. Only with the name of a data set.

    Returns:
        A row a seed: seed, trainings (the cost), val (the score that the searcher saw), test (mean over the table's
        seeds), regret (best test of the space less this one), rank (by test, 1 is the best), val_rank (by what the
        searcher saw: 1 is what it looked for), tau (Kendall's, of the scores that it saw and the truth, over the
        networks that it trained), networks (of the space), genotype.

    Raises:
        UnknownNameError: unknown searcher or data set; lists those there are.
        ConfigError: the searcher learns from the features themselves, or proposes what is not in the space; no seed is
            named, or one twice; `task` is neither a name nor a table.
        FeatureError: there is no table of this data set; gives the command that makes it.
        DataError: the table holds a random sample of its space, so that most proposals have no score.
    """
    if searcher in (ALGORITHM_1, *BY_GRADIENT):  # they train a hypernet on the features themselves
        raise ConfigError(
            f"{searcher!r} learns from the features themselves, and a truth table has scores alone; search with "
            "bmnas.search (GDAS is its setting relaxation = 'gumbel', DARTS-PT selection = 'darts_pt') and judge the "
            "answer with bmnas.standing"
        )
    if not isinstance(task, (str, Truth)) or (config is not None and isinstance(task, Truth)):
        raise ConfigError(
            f"task is a {type(task).__name__}{'' if config is None else ', and config is given'}; expected the name of "
            "a data set, with config for another space than its preset's, or a table of "
            "bmnas.trust.truth_table.find_truth"
        )
    table = find_truth(task, config=config) if isinstance(task, str) else task
    seeds = list(seeds)
    if any(seed < 0 for seed in seeds) or len(set(seeds)) != len(seeds):
        raise ConfigError(
            f"seeds is {seeds}; expected different whole numbers from 0, as an equal seed is an equal search"
        )
    rows = [_row(bench_trials(searcher, table, seed, budget), table, seed) for seed in seeds]
    if not rows:
        raise ConfigError("seeds is empty; expected at least one, like range(10)")
    return ScoreTable(rows)


def bench_trials(searcher: str | Searcher, table: Truth, seed: int, budget: int | None) -> list[Trial]:
    """Runs one search on a truth table; raises as `bench` does."""
    if table.sample is not None:
        raise DataError(
            f"the truth table holds {len(table.networks)} random networks of its space; a searcher needs all of them. "
            f"{_whole_space(table.about['dataset'])}"
        )
    propose = SEARCHERS[searcher] if isinstance(searcher, str) else searcher
    column = seed % table.seeds
    seen = {key: val[column] for key, (val, _) in table.by_network.items()}

    def look_up(genotype: Genotype, _seed: int, _part: int | None) -> float:
        score = seen.get(network_key(genotype))
        if score is None:
            raise ConfigError(f"the searcher proposes a network that the table does not have:\n{genotype.describe()}")
        return score

    trials = list(run_searcher(propose, table.space(), look_up, Budget(budget), seed))
    if not trials:
        raise ConfigError("the searcher proposed nothing; expected a generator function that yields genotypes")
    return trials


def _whole_space(dataset: str) -> str:
    """Says where all networks of a space are trained."""
    try:
        whole = find_truth(dataset, config=TASKS[dataset].search_config.change(N=1, M=1)).sample is None
    except BmnasError:
        whole = False
    if not whole:
        return "Choose a data set whose whole space is trained"
    return f"Of N = 1 and M = 1 all are trained: config = bmnas.TASKS[{dataset!r}].search_config.change(N=1, M=1)"


def bench_standing(name: str, rows: pd.DataFrame, table: Truth) -> dict[str, Any]:
    """Sums up what `bench` gave, as a row of `bmnas.trust.search_paths.standings_frame`.

    Columns as there, of several searches: means, but the median rank; low and high are the 95 % interval of the regret
    by Student's t over the searches, cut at 0 and at the regret of the worst network, beyond which no regret is. It has
    no ends where all searches lost the same: these do not show how far others would vary.
    """
    regret = estimate(np.asarray(rows["regret"], dtype=float))
    low, high = regret.interval() if regret.error else (-math.inf, math.inf)
    truth = table.frame()
    if math.isfinite(low):
        low, high = max(low, 0.0), min(high, np.ptp(truth["test"].to_numpy()))
    trainings, test, tau = (float(np.mean(rows[column])) for column in ("trainings", "test", "tau"))
    return {
        "searcher": name,
        "searches": len(rows),
        "trainings": trainings,
        "test": test,
        "regret": regret.mean,
        "low": low,
        "high": high,
        "rank": float(np.median(rows["rank"])),
        "random": random_regret(truth, min(len(table.networks), math.ceil(trainings))).mean,
        "tau": tau,
    }


def add_searchers(
    standings: pd.DataFrame, table: Truth, searchers: Iterable[str], seeds: Iterable[int], budget: int
) -> pd.DataFrame:
    """Adds a row of `bench_standing` for each searcher to the answers of `standings_frame`; raises as `bench` does."""
    seeds = list(seeds)
    rows = [bench_standing(name, bench(name, table, seeds, budget), table) for name in searchers]
    return pd.DataFrame([*standings.to_dict("records"), *rows])


def _row(trials: list[Trial], table: Truth, seed: int) -> dict[str, Any]:
    """Judges the answer of a search."""
    answer = answer_of(trials)
    seen = [val[seed % table.seeds] for val, _ in table.by_network.values()]
    standing = table.standing(answer.genotype)
    return {
        "seed": seed,
        "trainings": len(trials),
        "val": answer.score,
        "test": standing.score,
        "regret": standing.best - standing.score,
        "rank": standing.rank,
        "val_rank": 1 + int(np.sum(np.array(seen) > answer.score)),
        "tau": trials_tau(table, trials),
        "networks": standing.networks,
        "genotype": answer.genotype,
    }


def answer_of(trials: list[Trial]) -> Trial:
    """Returns the best trial; of equal ones the earlier."""
    return trials[trials[-1].best_trial - 1]
