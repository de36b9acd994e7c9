"""Evaluation (section 3.4): train a network from scratch, score the test split once, repeat over seeds.

Every rival goes through the same two functions, `fit` and `evaluate`, with the same budget and seeds. No choice reads
a test score: the last epoch counts, or the one chosen on validation.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.outcomes import answers_of
from bmnas.evaluation.results import Evaluation, combine_seeds, once
from bmnas.evaluation.seed_jobs import train_at_once
from bmnas.features.feature_set import FeatureSet, FeatureTensors
from bmnas.machine import use_threads
from bmnas.searching.filling import filled, objective_identity, objective_of
from bmnas.searching.networks import build_network
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import Genotype
from bmnas.space.layers import count_flops, count_parameters
from bmnas.space.primitives import own_primitives
from bmnas.storage.own_code import own_code
from bmnas.training import metrics
from bmnas.training.network_training import BestOnValidation, fit
from bmnas.training.objective import Objective, plain_objective
from bmnas.training.progress import Progress, bar
from bmnas.training.steps import predict

Build = Callable[[int], nn.Module]
"""Settings of a search that every training after it shares."""


def train_and_test(
    network: nn.Module,
    features: FeatureSet,
    batch_size: int,
    budget: EvalConfig,
    seed: int,
    device: str = "auto",
    objective: Objective | None = None,
) -> tuple[Tensor, Tensor]:
    """Trains the network as `budget.select` asks and looks at the test split once.

    Returns:
        Logits and targets of the test split.
    """
    tensors = train(network, features, batch_size, budget, seed, device, objective)
    return predict(network, tensors, tensors.rows("test"))


def train(
    network: nn.Module,
    features: FeatureSet,
    batch_size: int,
    budget: EvalConfig,
    seed: int,
    device: str = "auto",
    objective: Objective | None = None,
) -> FeatureTensors:
    """Trains the network as `budget.select` asks and returns the feature tensors on its device.

    Args:
        objective: weights of the classes and the score that selects; those of the kind of task when None.
    """
    target = objective or plain_objective(features.kind)
    tensors = features.tensors(device)
    network.to(tensors.device)
    train, val = tensors.rows("train"), tensors.rows("val")
    if budget.select == "last":
        fit(network, tensors, target, torch.cat([train, val]), batch_size, budget, seed)
    else:
        best = BestOnValidation(network, tensors, target, budget.patience)
        fit(network, tensors, target, train, batch_size, budget, seed, after_epoch=best)
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
        genotype: one for all seeds, or one a seed (random features are drawn again for each).
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
    shared = {"build": build, "features": features, "config": config, "budget": budget}
    jobs = (  # named only where workers compute them; `evaluate_seed` names its result itself
        (_result_of_seed(build, identity(seed), features, config, budget, seed), {**shared, "seed": seed})
        for seed in range(budget.seeds)
    )
    train_at_once(name, run, _trained_and_tested, jobs, memory=0 if config.on_disk else features.nbytes)
    results = []
    hidden = progress is not None
    with bar(f"{name}, seeds", budget.seeds, False if hidden else config.show_progress) as drawn:
        for seed in range(budget.seeds):
            if progress is not None:
                progress(name, seed, budget.seeds)
            results.append(evaluate_seed(build, identity(seed), features, config, budget, seed, run))
            drawn.update()
    if progress is not None:
        progress(name, budget.seeds, budget.seeds)
    return combine_seeds(name, results, features, objective_of(features, config).metric)


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
    about = _result_of_seed(build, identity, features, config, budget, seed)
    return once(run, about, features, lambda: _trained_and_tested(build, features, config, budget, seed))


def _result_of_seed(
    build: Build, identity: dict[str, Any], features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int
) -> dict[str, Any]:
    """Names the result of a seed, wherever it is computed."""
    return identity_of_seed(with_own_code(identity, build), features, budget, seed, config)


def with_own_code(identity: dict[str, Any], build: Build) -> dict[str, Any]:
    """Returns the identity of a network with the code of what builds it, where that is one's own."""
    code = own_code(build)
    return {**identity, **({"code of network": code} if code else {})}


def identity_of_seed(
    identity: dict[str, Any], features: FeatureSet, budget: EvalConfig, seed: int, config: SearchConfig | None = None
) -> dict[str, Any]:
    """Returns all that a result of one seed depends on, in JSON values; an objective where it is not the default."""
    objective = {} if config is None else objective_identity(config)
    return {
        **identity,
        **({"objective": objective} if objective else {}),
        "budget": {**budget.identity(), "seeds": None},
        "features": features.fingerprint,
        "seed": seed,
    }


def identity_of_genotype(genotype: Genotype, config: SearchConfig) -> dict[str, Any]:
    """Returns what the network of a genotype is, for `evaluate_seed`."""
    code = own_primitives(genotype.primitives)
    return {"genotype": genotype.to_dict(), "search": config.identity(), **({"code": code} if code else {})}


def _trained_and_tested(
    build: Build, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int
) -> dict[str, Any]:
    started = time.perf_counter()
    with use_threads(config.threads):
        features.tensors(config.device, config.on_disk)
        network, objective = filled(build(seed), features, config), objective_of(features, config)
        sample = {name: np.array(array[:1], np.float32) for name, array in features.arrays.items()}
        flops = count_flops(network, {name: torch.from_numpy(array) for name, array in sample.items()})
        logits, targets = train_and_test(network, features, config.batch_size, budget, seed, config.device, objective)
    return {
        "scores": metrics.scores(features.kind, logits, targets),
        "per_class": metrics.per_class(features.kind, logits, targets),
        "parameters": count_parameters(network),
        "flops": flops,
        "answers": answers_of(features.kind, logits),
        "seconds": time.perf_counter() - started,
    }
