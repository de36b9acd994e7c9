"""The rows of the searchers: each looks for a network in the space of Algorithm 1; its answer is trained as all are.

A searcher spends as many short trainings as Algorithm 1 and its read-out cost together; those in `END_BY_THEMSELVES`
spend what was published. The short trainings are those of the read-out, so that all searchers see the same scores.
"""

from dataclasses import replace
from math import ceil

from bmnas.config import SearchConfig
from bmnas.evaluation.results import Evaluation
from bmnas.registry import SEARCHERS
from bmnas.rivals.field.contest import Contest, Row, genotype_result, search_epochs
from bmnas.rivals.field.methods import title_of
from bmnas.searching.searchers.recorded_search import END_BY_THEMSELVES, budget_of, spent_epochs, trainer_of
from bmnas.searching.searchers.trials import Budget, Trial, lacks, run_searcher
from bmnas.space.enumeration import Space
from bmnas.storage.lock import hold
from bmnas.storage.own_code import own_code
from bmnas.storage.records import append_record, read_records
from bmnas.training.progress import Progress


def searcher_rows(contest: Contest) -> list[Row]:
    """Lists a row for each of `bmnas.SEARCHERS`; one whose package is not installed says so and is not made."""
    short = contest.config.shortlist_epochs
    equal = ceil(search_epochs(contest) / short)

    def row(name: str) -> Row:
        title = f"{title_of(name)}, searched"
        budget = Budget(None if name in END_BY_THEMSELVES else equal, epochs_each=short)

        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            trials = contest_trials(name, budget, contest, progress)
            best = trials[trials[-1].best_trial - 1].genotype
            epochs = spent_epochs(_settings(name, budget, contest), trials)
            return genotype_result(contest, title, best, title_of(name), epochs, progress)

        trainings = contest.budget.seeds + END_BY_THEMSELVES.get(name, equal)
        return Row(title, "all", make, trainings, lacks(SEARCHERS[name]))

    return [row(name) for name in SEARCHERS]


def _settings(name: str, budget: Budget, contest: Contest) -> SearchConfig:
    """Returns the settings of the contest's search with another searcher, and its budget in short trainings."""
    amount = None if budget.amount is None else int(budget.amount)
    return replace(contest.config, searcher=name, budget=amount, budget_unit="trainings")


def contest_trials(name: str, budget: Budget, contest: Contest, progress: Progress | None) -> list[Trial]:
    """Runs a searcher with the seed of the contest's search; a killed one resumes after its last short training.

    Returns:
        All trials, which also lie in `searchers/<name>.jsonl` of the run folder, with the digest of the code behind the
        name of a searcher of one's own.
    """
    config = _settings(name, budget, contest)
    allowed = budget_of(config)
    expected = int(allowed.amount or END_BY_THEMSELVES.get(name, 0))  # some take fewer, or a few more
    code = own_code(SEARCHERS[name])  # once edited, a searcher of one's own has other trials
    path = contest.run.path(f"searchers/{name}{f'-{code}' if code else ''}.jsonl")
    with hold(path.with_suffix(".lock"), wait=True):
        recorded = read_records(path, Trial.from_record, remedy="delete the file to search again")

        trainer = trainer_of(contest.features, config, path.with_suffix(".safetensors"))
        space = Space.of(contest.features.names, config)
        trials = []
        for trial in run_searcher(SEARCHERS[name], space, trainer, allowed, config.seed, recorded):
            trials.append(trial)
            if len(trials) > len(recorded):
                append_record(path, trial.record())
            if progress is not None:
                progress(f"{title_of(name)}: search", trial.trial, max(expected, trial.trial))
    if progress is not None:
        progress(f"{title_of(name)}: search", len(trials), len(trials))
    return trials
