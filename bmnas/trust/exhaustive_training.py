"""Trains all networks of a small space, or a random sample, and keeps their scores as a truth table.

Each network is a job: it is trained from scratch on train and scored on val and test. The results of the jobs lie in a
folder beside the table, which is made of them at the end.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import DataError
from bmnas.evaluation.evaluation import build_network, fit
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.registry import TASKS
from bmnas.searching.filling import objective_of
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype
from bmnas.storage.job_list import failures, run_jobs
from bmnas.storage.jobs import Job, Outcome
from bmnas.training import metrics
from bmnas.training.steps import predict
from bmnas.trust.truth_table import Scores, Truth, belonging

DIGITS = 5  # of a score

Report = Callable[[int, int, float], None]  # networks done, of how many, seconds left


def train_all(
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    folder: Path,
    sample: dict[str, int] | None = None,
    report: Report | None = None,
    engine: str = "in-process",
    workers: int = 1,
) -> Path:
    """Trains what a truth table lacks; returns where it lies.

    Args:
        features: what the networks are trained on; their task must be in TASKS.
        config: gives the space (N, M, r, primitives, rules) and the networks (C, L, dropout, batch size, mode).
        budget: epochs, rates and seeds of each training.
        folder: of the table; a table that lies there is completed.
        sample: number ("networks") and "seed" of a random sample; all networks of the space when None.
        report: called after each network.
        engine, workers: see `bmnas.storage.job_list.run_jobs`.

    Raises:
        ConfigError: see `run_jobs`.
        DataError: a network could not be trained, after all others were; the table that lies there cannot be read or
            written, or is of another sample or number of seeds.
    """
    about = belonging(TASKS[features.task], features, config, budget)
    name = f"{features.task}-N{config.N}M{config.M}-{about['features'][:8]}.json"
    path = folder.absolute() / name
    table = Truth(about, sample, budget.seeds, {})
    if path.exists():
        before = Truth.open(path)
        if (before.about, before.seeds) != (about, budget.seeds) or not _begins(before.sample, sample):
            raise DataError(
                f"{path} holds another truth (sample {before.sample}, {before.seeds} seeds, or other settings); "
                "move it away, or name another folder with --into"
            )
        table.networks.update(before.networks)
    genotypes = table.genotypes()
    jobs = {
        genotype: Job(
            name=genotype.describe().replace("\n", "; "),
            identity={**about, "seeds": budget.seeds, "genotype": genotype.to_dict()},
            function=network_result,
            arguments={"genotype": genotype, "features": features, "config": config, "budget": budget},
            folder=path.with_suffix(""),
        )
        for genotype in genotypes
        if genotype not in table.networks
    }
    started, before = time.monotonic(), len(table.networks)

    def tell(outcome: Outcome, done: int, total: int) -> None:
        if report is not None and not outcome.wrong:
            report(before + done, before + total, (time.monotonic() - started) / done * (total - done))

    try:
        outcomes = run_jobs(list(jobs.values()), engine, workers, tell)
    finally:  # an interrupted table holds what is finished
        results = {genotype: job.result() for genotype, job in jobs.items() if job.path.exists()}
        trained = {genotype: (tuple(one["val"]), tuple(one["test"])) for genotype, one in results.items()}
        whole = {genotype: {**table.networks, **trained}.get(genotype) for genotype in genotypes}
        table.networks.clear()
        table.networks.update({genotype: scores for genotype, scores in whole.items() if scores is not None})
        if trained:
            table.save(path)
    if problems := failures(outcomes):
        raise DataError(f"{path} lacks networks; the same command tries them again. {problems}")
    return path


def _begins(before: dict[str, int] | None, sample: dict[str, int] | None) -> bool:
    """Returns whether one sample is the start of the other, as draws of one seed are."""
    if before is None or sample is None:
        return before == sample
    return before["seed"] == sample["seed"] and before["networks"] <= sample["networks"]


def with_networks(
    table: Truth, genotypes: Iterable[Genotype], features: FeatureSet, config: SearchConfig, budget: EvalConfig
) -> Truth:
    """Returns a table that also holds these networks, trained as all of it where it lacks them.

    A random sample seldom holds the answer of a search, and no table a network outside its space.

    Args:
        features, config, budget: those of the table.
    """
    lacking = {network_key(genotype): genotype for genotype in genotypes}
    with use_threads(config.threads):
        trained = {
            genotype: network_scores(genotype, features, config, budget.change(seeds=table.seeds))
            for key, genotype in lacking.items()
            if key not in table.by_network
        }
    return replace(table, networks={**table.networks, **trained})


def network_result(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig
) -> dict[str, Any]:
    """Returns `network_scores` as JSON values, for a job."""
    with use_threads(config.threads):
        val, test = network_scores(genotype, features, config, budget)
    return {"val": list(val), "test": list(test)}


def network_scores(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig, first_seed: int = 0
) -> Scores:
    """Trains a genotype's network on train with each of `budget.seeds` seeds; scores its last epoch on val and test."""
    tensors, objective = features.tensors(config.device), objective_of(features, config)
    on_val = []
    on_test = []
    for seed in range(first_seed, first_seed + budget.seeds):
        network = build_network(genotype, features, config, seed).to(tensors.device)
        fit(network, tensors, objective, tensors.rows("train"), config.batch_size, budget, seed)
        for split, scores in (("val", on_val), ("test", on_test)):
            logits, targets = predict(network, tensors, tensors.rows(split))
            scores.append(round(metrics.score(objective, logits, targets), DIGITS))
    return tuple(on_val), tuple(on_test)
