"""Scores with weights inherited from a supernet: what a one-shot searcher has in the place of short trainings."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, use_threads
from bmnas.searching.filling import objective_of
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import build_hypernet
from bmnas.searching.searchers.trials import Trainer
from bmnas.searching.shortlisting.paths import path_epochs, trained_paths
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.storage.checkpoint import load_state, save_state

ENDING = ".safetensors"


def inherits(searcher: Any) -> bool:
    """Says whether a searcher's proposals are scored with the weights of a supernet."""
    return getattr(searcher, "inherits", False)


def supernet_epochs(config: SearchConfig) -> int:
    """Returns how many epochs a supernet is trained: what the budget pays for, or `path_epochs` without a budget.

    Raises:
        ConfigError: the budget is in seconds, or pays for no epoch.
    """
    if config.budget is None:
        epochs = path_epochs(config)
    elif config.budget_unit == "seconds":
        raise ConfigError("budget_unit is 'seconds', but a supernet's epochs are fixed before; use trainings or epochs")
    else:
        epochs = config.budget * (config.shortlist_epochs if config.budget_unit == "trainings" else 1)
    if not epochs:
        raise ConfigError("path_epochs is 0, so the supernet would not be trained; set a budget or path_epochs")
    return epochs


def inherited_trainer(features: FeatureSet, config: SearchConfig, epochs: int, file: Path | None) -> Trainer:
    """Returns what scores genotypes on validation; the supernet is trained, or read, when the first is scored.

    Args:
        epochs: of the supernet.
        file: keeps its weights once it is trained, so that an interrupted search need not train it again.
    """

    @cache
    def score() -> Callable[[Genotype], float]:
        network = _supernet(features, config, epochs, file)
        return InheritedScore(network, features.tensors(resolve_device(config.device)), objective_of(features, config))

    def trainer(genotype: Genotype, _seed: int, _part: int | None) -> float:
        with use_threads(config.threads):
            return score()(genotype)

    return trainer


def _supernet(features: FeatureSet, config: SearchConfig, epochs: int, file: Path | None) -> Hypernet:
    """Reads the trained supernet, or trains it.

    Raises:
        RunError: the file is damaged, or of another network.
    """
    network = build_hypernet(features, config).to(resolve_device(config.device))
    if file is not None and file.exists():
        try:
            network.load_state_dict(load_state(file))
        except (RuntimeError, TypeError, AttributeError) as error:
            raise RunError(f"{file}: of another supernet ({error}); delete it to train it again") from error
        return network
    network = trained_paths(network, features, config.change(path_epochs=epochs))
    if file is not None:
        save_state(file, network.state_dict())
    return network
