"""Evaluation (section 3.4): train a network from scratch, score the test split once, repeat over seeds.

Every rival goes through the same two functions, `fit` and `evaluate`, with the same budget and seeds. No choice reads
a test score: the last epoch counts, or the one chosen on validation.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.results import Evaluation, combine_seeds, once
from bmnas.features.feature_set import FeatureSet, FeatureTensors
from bmnas.machine import use_threads
from bmnas.searching.networks import build_network
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import Genotype
from bmnas.space.layers import count_parameters
from bmnas.space.primitives import own_primitives
from bmnas.storage.own_code import own_code
from bmnas.training import metrics
from bmnas.training.network_training import BestOnValidation, fit
from bmnas.training.progress import Progress
from bmnas.training.steps import predict

Build = Callable[[int], nn.Module]


def train_and_test(
    network: nn.Module, features: FeatureSet, batch_size: int, budget: EvalConfig, seed: int, device: str = "auto"
) -> tuple[Tensor, Tensor]:
    """Trains the network as `budget.select` asks and looks at the test split once.

    Returns:
        Logits and targets of the test split.
    """
    tensors = train(network, features, batch_size, budget, seed, device)
    return predict(network, tensors, tensors.rows("test"))


def train(
    network: nn.Module, features: FeatureSet, batch_size: int, budget: EvalConfig, seed: int, device: str = "auto"
) -> FeatureTensors:
    """Trains the network as `budget.select` asks and returns the feature tensors on its device."""
    tensors = features.tensors(device)
    network.to(tensors.device)
    train, val = tensors.rows("train"), tensors.rows("val")
    if budget.select == "last":
        fit(network, tensors, features.kind, torch.cat([train, val]), batch_size, budget, seed)
    else:
        best = BestOnValidation(network, tensors, features.kind)
        fit(network, tensors, features.kind, train, batch_size, budget, seed, after_epoch=best)
        network.load_state_dict(best.state)
    return tensors


def evaluate(
    name: str,
    genotype: Genotype | Mapping[int, Genotype],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests the network of a genotype with the seeds 0, 1, ... of the budget.

    Args:
        name: of the method, for tables.
        genotype: one for all seeds, or one a seed (random features draw anew each time).
        config: gives C, L, dropout, batch size, mode and tokeniser.
        run: keeps the result of each seed, so that an interrupted evaluation resumes and nothing is trained twice.
        progress: called as progress(name, done, of) before each seed.

    Raises:
        GenotypeError: the genotype does not fit the features.
    """

    def genotype_of(seed: int) -> Genotype:
        return genotype if isinstance(genotype, Genotype) else genotype[seed]

    return evaluate_networks(
        name,
        build=lambda seed: build_network(genotype_of(seed), features, config, seed),
        identity=lambda seed: identity_of_genotype(genotype_of(seed), config),
        features=features,
        config=config,
        budget=budget,
        run=run,
        progress=progress,
    )


def evaluate_networks(
    name: str,
    build: Build,
    identity: Callable[[int], dict[str, Any]],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None,
    progress: Progress | None,
) -> Evaluation:
    """Trains and tests any network with the seeds 0, 1, ... of the budget.

    Args:
        name: of the method, for tables.
        build: seed -> network.
        identity: seed -> what its network is, see `evaluate_seed`.
        run, progress: see `evaluate`.
    """
    results = []
    for seed in range(budget.seeds):
        if progress is not None:
            progress(name, seed, budget.seeds)
        results.append(evaluate_seed(build, identity(seed), features, config, budget, seed, run))
    if progress is not None:
        progress(name, budget.seeds, budget.seeds)
    return combine_seeds(name, results, features)


def evaluate_seed(
    build: Build,
    identity: dict[str, Any],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    seed: int,
    run: Run | None,
) -> dict[str, Any]:
    """Returns the scores of one seed as plain values: those of the run folder, or computed and written there.

    Args:
        build: seed -> network.
        identity: what the network is, in JSON values; with budget, features and seed it names the result.
    """
    code = own_code(build)  # of a rival of one's own
    about = identity_of_seed({**identity, **({"code of network": code} if code else {})}, features, budget, seed)
    return once(run, about, features, lambda: _trained_and_tested(build, features, config, budget, seed))


def identity_of_seed(identity: dict[str, Any], features: FeatureSet, budget: EvalConfig, seed: int) -> dict[str, Any]:
    """Returns all that a result of one seed depends on, in JSON values."""
    return {**identity, "budget": {**budget.to_dict(), "seeds": None}, "features": features.fingerprint, "seed": seed}


def identity_of_genotype(genotype: Genotype, config: SearchConfig) -> dict[str, Any]:
    """Returns what the network of a genotype is, for `evaluate_seed`."""
    code = own_primitives(genotype.primitives)
    return {"genotype": genotype.to_dict(), "search": config.identity(), **({"code": code} if code else {})}


def _trained_and_tested(
    build: Build, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int
) -> dict[str, Any]:
    started = time.perf_counter()
    with use_threads(config.threads):
        network = build(seed)
        logits, targets = train_and_test(network, features, config.batch_size, budget, seed, config.device)
    return {
        "scores": metrics.scores(features.kind, logits, targets),
        "per_class": metrics.per_class(features.kind, logits, targets),
        "parameters": count_parameters(network),
        "seconds": time.perf_counter() - started,
    }
