"""What a configuration makes of missing modalities, and of classes, metric and weights, for some features."""

from typing import Any

from torch import nn

from bmnas.config import SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.space.network import FusionNetwork
from bmnas.space.placeholders import Placeholders, place
from bmnas.training.objective import Objective, make_objective

OBJECTIVE = ("class_weight", "metric", "modality_dropout")
MODALITY_DROPOUT = 0.2  # by default, where samples lack modalities


def objective_of(features: FeatureSet, config: SearchConfig) -> Objective:
    """Returns what trainings on these features minimise, and the score that selects.

    Raises:
        ConfigError: a metric of the other kind of task, or weights of classes that there are not.
    """
    rows = features.rows("train")
    weights = None if features.weights is None else features.weights[rows]
    return make_objective(features.kind, features.classes, features.targets[rows], config, weights)


def objective_identity(config: SearchConfig) -> dict[str, Any]:
    """Returns the settings of the objective that are not the default, as results are named by them."""
    settings = config.identity()
    return {name: settings[name] for name in OBJECTIVE if name in settings}


def placeholders_for(features: FeatureSet, config: SearchConfig) -> Placeholders | None:
    """Returns placeholders of all features; None where no sample lacks any and none is hidden in training."""
    dropout = config.modality_dropout
    if dropout is None:
        dropout = MODALITY_DROPOUT if features.missing else 0.0
    if not features.missing and not dropout:
        return None
    return Placeholders(features.train_means, features.modalities, dropout)


def filled(network: nn.Module, features: FeatureSet, config: SearchConfig) -> nn.Module:
    """Lets a network take samples that lack modalities, and returns it; one without missing inputs stays as it is."""
    if isinstance(network, FusionNetwork):
        return network  # it has its own
    placeholders = placeholders_for(features, config)
    return network if placeholders is None else place(network, placeholders)
