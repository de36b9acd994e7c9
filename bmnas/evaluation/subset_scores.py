"""The scores of a trained network when only some modalities are there: every subset, on the same test samples."""

from itertools import combinations

import numpy as np
import pandas as pd
import torch

from bmnas.errors import ConfigError
from bmnas.evaluation.network_inputs import check_features
from bmnas.evaluation.score_table import ScoreTable
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.training.metrics import METRICS, named_score

MOST = 5  # modalities whose subsets are all scored; of more, the smallest and the largest ones


def subset_scores(trained: TrainedNetwork, features: FeatureSet, metric: str | None = None) -> pd.DataFrame:
    """Scores the test split with each subset of the modalities, the others hidden.

    A hidden modality is treated as a missing one: the learnt placeholder of each of its features stands there.
    Modalities that the network does not use change nothing.

    Args:
        metric: by its full name; that of the kind of task when None.

    Returns:
        One line a subset: the modalities that are there, how many, the score.

    Raises:
        ConfigError: the network was trained without placeholders, or there is no such metric.
        FeatureError: the features are not those of its training.
    """
    if not trained.takes_subsets:
        raise ConfigError(
            "the network was trained with every modality there; search and train with modality_dropout=0.2, and it "
            "predicts with any subset"
        )
    check_features(features, trained.shapes, trained.classes, trained.preprocessing)
    rows, metric = features.rows("test"), METRICS[features.kind] if metric is None else metric
    arrays = {name: np.array(features.arrays[name][rows], np.float32) for name in trained.shapes}
    targets = torch.from_numpy(np.array(features.targets[rows]))
    lines = []
    for subset in subsets(list(features.modalities)):
        names = {name for modality in subset for name in features.modalities[modality]}
        part = {name: x if name in names else np.full_like(x, np.nan) for name, x in arrays.items()}
        score = named_score(features.kind, metric, trained.raw_logits(part), targets)
        lines.append({"modalities": " + ".join(subset), "count": len(subset), metric: score})
    return ScoreTable(lines)


def subsets(modalities: list[str]) -> list[tuple[str, ...]]:
    """Returns the subsets that are scored, small ones first."""
    K = len(modalities)
    sizes = range(1, K + 1) if K <= MOST else (1, K - 1, K)
    return [subset for size in sizes for subset in combinations(modalities, size)]
