"""What the authors' release reports as its result: the best test epoch. Never a result here, only printed beside ours.

The release scores the test split after every epoch of the final training, and keeps the best score
(models/search/train_searchable/*.py). So its number is chosen on the test split. Nothing in bmnas reads this one.
"""

import torch

from bmnas.config import EvalConfig, SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.searching.filling import objective_of
from bmnas.searching.networks import build_network
from bmnas.space.genotype import Genotype
from bmnas.training import metrics
from bmnas.training.network_training import fit
from bmnas.training.steps import predict


def score_by_epoch(
    genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int = 0
) -> list[float]:
    """Returns the test score after each epoch of a training on train + val; `max` of it is what the release would
    report.

    The training is that of `evaluate` with `select="last"`, whose result is the last of these numbers.

    Raises:
        GenotypeError, ConfigError, SearchDiverged: see `evaluate`.
    """
    tensors, objective = features.tensors(config.device), objective_of(features, config)
    scores = []
    network = build_network(genotype, features, config, seed).to(tensors.device)

    def keep(epoch: int) -> None:
        scores.append(metrics.score(objective, *predict(network, tensors, tensors.rows("test"))))

    rows = torch.cat([tensors.rows("train"), tensors.rows("val")])
    with use_threads(config.threads):
        fit(network, tensors, objective, rows, config.batch_size, budget, seed, after_epoch=keep)
    return scores
