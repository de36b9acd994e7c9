"""What searchers take on the networks of a truth table, by what they have spent: picks, their regret, their rankings.

The unit of cost is one training of the truth's own budget. A search that trains a hypernet costs as many of them as its
seconds are worth.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bmnas.errors import ConfigError
from bmnas.searching.searchers.trials import Trial
from bmnas.space.architecture import Architecture
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype, cell_name, step_name
from bmnas.trust.expected_regret import random_regret
from bmnas.trust.truth_table import Truth


@dataclass(frozen=True)
class SearchPath:
    """What a searcher would answer after each number of trainings.

    Attributes:
        name: of the searcher or read-out.
        picks: (trainings, genotype): the answer from that cost on, in the order of cost.
    """

    name: str
    picks: tuple[tuple[float, Genotype], ...]

    def at(self, trainings: float) -> Genotype | None:
        """Returns the answer after so many trainings; None before the first."""
        answers = [genotype for cost, genotype in self.picks if cost <= trainings]
        return answers[-1] if answers else None

    @property
    def cost(self) -> float:
        """Returns what the last answer cost."""
        return self.picks[-1][0]


def trials_path(name: str, trials: Sequence[Trial], cost: float = 1.0) -> SearchPath:
    """Makes the path of a search by short trainings: its answer is the best on validation so far.

    The last pick stands at what the whole search cost.

    Args:
        trials: of the search, one or more.
        cost: of a short training, in trainings of the truth's budget.
    """
    picks = [(cost * trial.trial, trial.genotype) for trial in trials if trial.is_best]
    if not trials[-1].is_best:
        picks.append((cost * trials[-1].trial, picks[-1][1]))
    return SearchPath(name, tuple(picks))


def trials_tau(table: Truth, trials: Sequence[Trial]) -> float:
    """Computes Kendall's tau-b between the scores that a searcher saw and the truth, over the networks that it trained.

    NaN for fewer than two networks, or where all scores are equal.
    """
    tests = {key: _mean(test) for key, (_, test) in table.by_network.items()}
    known = [trial for trial in trials if network_key(trial.genotype) in tests]
    if len(known) < 2:
        return math.nan
    seen = pd.Series([trial.score for trial in known], dtype=float)
    truth = pd.Series([tests[network_key(trial.genotype)] for trial in known], dtype=float)
    return float(truth.corr(seen, method="kendall"))


def regret_curves(table: Truth, paths: Mapping[str, Sequence[SearchPath]], trainings: int) -> pd.DataFrame:
    """Computes the mean regret of each searcher after each number of trainings.

    Args:
        paths: searcher -> the paths of its searches, one a seed; each answers with networks of the table.
        trainings: what each search could spend.

    Returns:
        A row a number of trainings (the index, from 1), a column a searcher.
    """
    means = {key: _mean(test) for key, (_, test) in table.by_network.items()}
    best = max(means.values())
    counts = range(1, trainings + 1)

    def regret(path: SearchPath, spent: int) -> float:
        answer = path.at(spent)
        return math.nan if answer is None else best - means[network_key(answer)]

    curves = {name: [_mean([regret(path, n) for path in mine]) for n in counts] for name, mine in paths.items()}
    return pd.DataFrame(curves, index=pd.Index(counts, name="trainings"))


def last_features_path(table: Truth, last: Sequence[str]) -> SearchPath | None:
    """Trains every network of one Cell on the last features of two modalities; None where the table has none.

    Args:
        last: the last feature of each modality.

    Raises:
        ConfigError: the features are not those of two modalities.
    """
    if len(last) != 2:
        raise ConfigError(f"{len(last)} last features; expected those of two modalities")
    networks = [g for g in table.networks if len(g.cells) == 1 and set(g.cells[0].inputs) == set(last)]
    if not networks:
        return None
    best = max(networks, key=lambda genotype: _mean(table.networks[genotype][0]))
    return SearchPath("last features, each operator", ((float(len(networks)), best),))


def choice_score(architecture: Architecture, genotype: Genotype) -> float:
    """Computes what Algorithm 1 ranks a genotype by: the sum of the logarithms of all weights that it chooses.

    Eq. 3 takes the pair of largest alpha_x * alpha_y in each Cell, and Eq. 11 the largest beta and gamma in each Step.
    """
    weights = []
    for n, cell in enumerate(genotype.cells, start=1):
        name = cell_name(n)
        weights += [architecture.alpha[name][source] for source in cell.inputs]
        for m, step in enumerate(cell.steps, start=1):
            weights += [architecture.beta[name][step_name(m)][source] for source in step.inputs]
            weights.append(architecture.gamma[name][step_name(m)][step.primitive])
    return sum(math.log(max(weight, 1e-12)) for weight in weights)


def ranking_tau(table: Truth, score: Callable[[Genotype], float]) -> float:
    """Computes Kendall's tau-b between a score of the networks and their mean test score in the truth.

    1 is the same order, 0 none, -1 the reverse (Kendall, 1945). NaN where all scores are equal.
    """
    scores = [score(genotype) for genotype in table.networks]
    truth = pd.Series([_mean(test) for _, test in table.networks.values()])
    return float(truth.corr(pd.Series(scores), method="kendall"))


def standings_frame(table: Truth, paths: Sequence[SearchPath], taus: dict[str, float] | None = None) -> pd.DataFrame:
    """Compares searchers: a row each, with random search of the same cost beside it.

    Columns: searcher, searches (1), trainings, test, regret (best test score of the table less test), rank, random
    (mean regret of random search that trains as many networks, rounded up), tau (of its ranking, where it has one).
    Scores are shares of 1. A path whose answer the table does not hold, as a sample may not, has no score.
    """
    truth = table.frame()
    rows = []
    for path in paths:
        trainings = min(max(1, math.ceil(path.cost)), len(truth))
        answer = path.picks[-1][1]
        standing = table.standing(answer) if network_key(answer) in table.by_network else None
        rows.append({
            "searcher": path.name,
            "searches": 1,
            "trainings": path.cost,
            "test": standing.score if standing else math.nan,
            "regret": standing.best - standing.score if standing else math.nan,
            "rank": standing.rank if standing else None,
            "random": random_regret(truth, trainings).mean,
            "tau": (taus or {}).get(path.name, math.nan),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
