"""Searches with several numbers of Cells and Steps, and the evaluation of each answer (appendix B.2, Figs. 7 and 8)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from bmnas.config import SearchConfig
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.score_table import ScoreTable
from bmnas.registry import Registry
from bmnas.rivals.field.contest import Contest, genotype_result, search_epochs
from bmnas.rivals.field.methods import method_of
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import DEFAULT_TRAININGS, recorded_trials, search_trials
from bmnas.searching.selection import Selection, load_selection
from bmnas.training.progress import Progress

SIZES = Registry("choice of sizes")
SIZES.update(
    quick=((1, 1), (1, 2), (2, 1)),
    paper=((1, 1), (1, 2), (2, 1), (2, 2)),
    all=tuple((N, M) for N in (1, 2, 4) for M in (1, 2, 3)),
)
"""Choice of rows -> pairs (N, M)."""


class SearchCurve(NamedTuple):
    """The validation scores of a search.

    Attributes:
        metric: what the scores are.
        scores: of the hypernet after each epoch, or of another searcher the best so far after each short training.
        search_score: the best one.
        of_trainings: whether it is of short trainings.
    """

    metric: str
    scores: tuple[float, ...]
    search_score: float
    of_trainings: bool


@dataclass(frozen=True)
class Swept:
    """One configuration.

    Attributes:
        N, M: numbers of Cells and of Steps.
        run: of its search.
        curve: of its search.
        selection: its answers.
        result: of its answer, trained from scratch.
    """

    N: int
    M: int
    run: Run
    curve: SearchCurve
    selection: Selection
    result: Evaluation


def sweep(contest: Contest, sizes: Sequence[tuple[int, int]], progress: Progress | None = None) -> Iterator[Swept]:
    """Searches with each (N, M), and yields what came of it.

    The searches lie in `sweep/` of the contest's run folder, and resume; that run itself stands for its own N and M.
    They are made by the searcher of the contest's configuration.

    Args:
        contest: its configuration with other N and M is searched with; its run keeps the trainings.
        progress: called as progress(what, done, of) after each epoch or short training, and before each seed.

    Raises:
        ConfigError: the features are too few for so many Cells.
    """
    for N, M in sizes:
        config = contest.config.change(N=N, M=M)
        own = contest.selection is not None and config == contest.config
        run = contest.run if own else Run(contest.run.path("sweep") / f"N{N}M{M}")
        if not own:
            _search(contest, config, run, progress or (lambda what, done, of: None))
        by_algorithm1 = config.searcher == "algorithm1"
        selection = read_out(run, contest.features) if by_algorithm1 and not own else load_selection(run)
        mine = replace(contest, config=config, genotype=selection.chosen, selection=selection)
        title, epochs = f"N = {N}, M = {M}", search_epochs(replace(mine, run=run))
        result = genotype_result(mine, title, selection.chosen, method_of(config), epochs, progress, run)
        yield Swept(N, M, run, search_curve(run, result.metric), selection, result)


def search_curve(run: Run, metric: str) -> SearchCurve:
    """Reads the validation scores of a run, of whichever searcher it is.

    Args:
        run: of a search that has ended.
        metric: of a searcher that does not record it.
    """
    if trials := recorded_trials(run):
        best = tuple(trial.best_score for trial in trials)
        return SearchCurve(metric=metric, scores=best, search_score=best[-1], of_trainings=True)
    trace = run.trace()
    return SearchCurve(
        metric=trace.best.metric,
        scores=tuple(event.val_score for event in trace),
        search_score=trace.best.val_score,
        of_trainings=False,
    )


def _search(contest: Contest, config: SearchConfig, run: Run, progress: Progress) -> None:
    what = f"search with N = {config.N}, M = {config.M}"
    if config.searcher == "algorithm1":
        for event in search(contest.features, config, run):
            progress(what, event.epoch, event.epochs)
        return
    for trial in search_trials(contest.features, config, run):
        progress(what, trial.trial, max(trial.trial, int(config.budget or DEFAULT_TRAININGS)))


def sweep_table(swept: Sequence[Swept]) -> pd.DataFrame:
    """Makes one line a configuration: search score, evaluation score with its interval, size, cost and run folder."""
    return ScoreTable(
        {
            "N": one.N,
            "M": one.M,
            f"search: {one.curve.metric} on val [%]": 100 * one.curve.search_score,
            f"evaluation: {one.result.metric} on test [%]": 100 * one.result.mean,
            "low": 100 * one.result.interval[0],
            "high": 100 * one.result.interval[1],
            "parameters": one.result.parameters,
            "search [epochs]": one.result.origin.search_epochs if one.result.origin else 0.0,
            "run": one.run.name,
        }
        for one in swept
    )


def rank_correlation(swept: Sequence[Swept]) -> float:
    """Returns Kendall's tau of search and evaluation scores; NaN for fewer than two configurations."""
    if len(swept) < 2:
        return float("nan")
    from scipy.stats import kendalltau  # here: half a second that a search does not need

    tau, _ = kendalltau([one.curve.search_score for one in swept], [one.result.mean for one in swept])
    return float(tau)  # pyright: ignore[reportArgumentType]
