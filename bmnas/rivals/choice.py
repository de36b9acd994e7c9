"""A rival that is the best of several networks on validation: each is trained once on train, the best one counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.evaluation import identity_of_seed, with_own_code
from bmnas.evaluation.results import once
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.searching.filling import filled, objective_of
from bmnas.searching.run_folder import Run
from bmnas.space.layers import count_parameters
from bmnas.training import metrics
from bmnas.training.network_training import fit
from bmnas.training.progress import Progress
from bmnas.training.steps import predict


@dataclass(frozen=True)
class Candidate:
    """A network that may be chosen.

    Attributes:
        build: seed -> network.
        identity: what it is, in JSON values.
    """

    build: Callable[[int], nn.Module]
    identity: dict[str, Any]


def best_on_validation(
    candidates: Mapping[str, Candidate],
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None,
    progress: Progress | None,
    what: str,
) -> str:
    """Trains each candidate on train with seed 0 and names the best on validation, the first of equal ones.

    Args:
        run: keeps the scores; an interrupted choice resumes.
        progress: called as progress(what, done, of) before each training.
    """
    if len(candidates) == 1:
        return next(iter(candidates))
    scores = {}
    for done, (name, candidate) in enumerate(candidates.items()):
        if progress is not None:
            progress(f"{what}: choice", done, len(candidates))
        scores[name] = _validation_score(candidate, features, config, budget, run)
    if progress is not None:
        progress(f"{what}: choice", len(candidates), len(candidates))
    return max(scores, key=lambda name: scores[name])


def _validation_score(
    candidate: Candidate, features: FeatureSet, config: SearchConfig, budget: EvalConfig, run: Run | None
) -> float:
    objective = objective_of(features, config)

    def compute() -> dict[str, Any]:
        with use_threads(config.threads):
            tensors = features.tensors(config.device)
            network = filled(candidate.build(0), features, config).to(tensors.device)
            fit(network, tensors, objective, tensors.rows("train"), config.batch_size, budget, 0)
            logits, targets = predict(network, tensors, tensors.rows("val"))
        return {
            "scores": metrics.scores(features.kind, logits, targets),
            "per_class": metrics.per_class(features.kind, logits, targets),
            "parameters": count_parameters(network),
            "seconds": 0.0,
        }

    about = {
        **identity_of_seed(with_own_code(candidate.identity, candidate.build), features, budget, 0, config),
        "scored": "val",
    }
    return once(run, about, features, compute)["scores"].get(objective.metric, 0.0)
