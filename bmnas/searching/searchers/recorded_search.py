"""The search of another searcher than Algorithm 1 on stored features, recorded in a run folder.

Beside the files that every run has (`config.json`, `genotype.json`, `selection.json`) the folder holds

    trials.jsonl         one line a short training, the same in every equal search
    trial_timing.jsonl   the seconds of each
    supernet.safetensors the weights that a one-shot searcher's genotypes inherit

There is no trace, checkpoint, alpha, beta or gamma: such a search has none.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.registry import SEARCHERS
from bmnas.searching.networks import check_length
from bmnas.searching.read_outs import brief_score
from bmnas.searching.run_folder import GENOTYPE, Run
from bmnas.searching.searchers.supernet import inherited_trainer, inherits, supernet_epochs
from bmnas.searching.searchers.training_parts import SHARE, rows_of_part
from bmnas.searching.searchers.trials import Budget, Trainer, Trial, run_searcher
from bmnas.searching.selection import SELECTION, Selection
from bmnas.space.derivation import check_pairs
from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype
from bmnas.storage.records import append_record, read_records, rewrite_records

TRIALS = "trials.jsonl"
TIMING = "trial_timing.jsonl"
DEFAULT_TRAININGS = 20
END_BY_THEMSELVES = {"mfas": 195, "dc_nas": 448}
"""Searchers without a budget, whose published cost is part of what they are -> that cost in trainings."""
SUPERNET = "supernet.safetensors"


def search_trials(features: FeatureSet, config: SearchConfig, run: Run | None = None) -> Iterator[Trial]:
    """Runs `config.searcher`; yields a trial a short training (`shortlist_epochs` epochs on train, scored on val).

    A one-shot searcher trains a supernet first; a trial is then a genotype's validation score with its weights.

    With a run folder each trial is recorded before it is yielded, and a search that was interrupted resumes after its
    last recorded trial: those before are yielded first. On the CPU the result is that of an uninterrupted search. The
    best genotype so far is the run's answer, however the search ends.

    Raises:
        UnknownNameError: an unknown searcher.
        ConfigError: the searcher is Algorithm 1, or features and configuration do not fit.
        RunError: the run folder belongs to another configuration or other features, is damaged or cannot be written, or
            another process is at work in it.
        SearchDiverged: a loss of a training is NaN or infinite.
    """
    if config.searcher == "algorithm1":
        raise ConfigError("searcher is 'algorithm1', which trains a hypernet; use bmnas.search for it")
    budget = budget_of(config)
    check_length(features, config)
    check_pairs(len(features.names), config.N, config.switch("pair_rule"), config.switch("cells_as_inputs"))
    with ExitStack() as lock:
        if run is not None:
            lock.enter_context(run.working())
            run.claim(config, features)
        recorded = [] if run is None else recorded_trials(run)
        if run is not None:
            rewrite_records(run.path(TRIALS), [trial.record() for trial in recorded])  # without a torn line
        yield from _search(features, config, run, recorded, budget)


def recorded_trials(run: Run) -> list[Trial]:
    """Reads the trials of a run; none where it has none.

    Raises:
        RunError: a line is damaged; names file and line.
    """
    seconds = {line["trial"]: line["seconds"] for line in read_records(run.path(TIMING))}
    remedy = "delete the file to start the search again"
    return read_records(
        run.path(TRIALS), lambda line: Trial.from_record(line, seconds.get(line["trial"], 0.0)), remedy=remedy
    )


def budget_of(config: SearchConfig) -> Budget:
    """Returns what the searcher of a configuration may spend on its proposals.

    Raises:
        ConfigError: a unit without a budget.
    """
    if inherits(SEARCHERS[config.searcher]):
        return Budget(None)  # the supernet spends it before; evolution ends by itself
    amount = config.budget
    if amount is None and config.searcher not in END_BY_THEMSELVES:
        if config.budget_unit != "trainings":
            raise ConfigError(f"budget is None with budget_unit = {config.budget_unit!r}; set a budget")
        amount = DEFAULT_TRAININGS
    return Budget(amount, config.budget_unit, config.shortlist_epochs)


def trainer_of(features: FeatureSet, config: SearchConfig, supernet: Path | None) -> Trainer:
    """Returns what scores the proposals of a configuration's searcher on val.

    Args:
        supernet: keeps the weights of a one-shot searcher's supernet; None keeps them nowhere.

    Raises:
        ConfigError: a budget that the searcher cannot keep to.
    """
    if inherits(SEARCHERS[config.searcher]):
        return inherited_trainer(features, config, supernet_epochs(config), supernet)

    rows = cache(partial(rows_of_part, features))

    def brief(genotype: Genotype, _: int, part: int | None) -> float:
        with use_threads(config.threads):
            return brief_score(genotype, features, config, None if part is None else rows(part))

    return brief


def spent_epochs(config: SearchConfig, trials: Sequence[Trial]) -> float:
    """Returns the epochs on train that a search cost: those of its short trainings, or of its supernet.

    An epoch on a part of the training split counts as the share that it has of it.
    """
    if inherits(SEARCHERS[config.searcher]):
        return supernet_epochs(config)
    of_parts = sum(trial.part is not None for trial in trials)
    return (len(trials) - of_parts + SHARE * of_parts) * config.shortlist_epochs


def _search(
    features: FeatureSet, config: SearchConfig, run: Run | None, recorded: list[Trial], budget: Budget
) -> Iterator[Trial]:
    trainer = trainer_of(features, config, None if run is None else run.path(SUPERNET))
    best: Trial | None = None
    space = Space.of(features.names, config)
    try:
        for trial in run_searcher(SEARCHERS[config.searcher], space, trainer, budget, config.seed, recorded):
            if run is not None and trial.trial > len(recorded):
                append_record(run.path(TIMING), {"trial": trial.trial, "seconds": trial.seconds})
                append_record(run.path(TRIALS), trial.record())
            best = trial if trial.is_best else best
            yield trial
    finally:
        if run is not None and best is not None:
            best.genotype.save(run.path(GENOTYPE))
            run.save_json(SELECTION, Selection(rule="searcher", algorithm1=best.genotype).to_dict())
