"""What a fusion network has to beat, made of the unimodal outputs alone: no intermediate feature is used.

* one modality: its own backbone's answer;
* late fusion of logits, untrained: the sum of the unimodal log-probabilities;
* late fusion of logits, trained: a linear layer on the log-probabilities of all modalities;
* an MLP on the same log-probabilities.

Not to be confused with the row "last features" of Table 6, which fuses the backbones' last *features* in one Cell.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.evaluation import evaluate_networks
from bmnas.evaluation.outcomes import answers_of
from bmnas.evaluation.results import Evaluation, combine_seeds
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.training import metrics
from bmnas.training.finiteness import check_finite
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import seeded

SUM = "late fusion of logits: sum of log-probabilities"
LINEAR = "late fusion of logits: linear layer"
MLP = "MLP on log-probabilities"
HIDDEN = 128  # width of the MLP


class LogitFusion(nn.Module):
    """A linear layer, or an MLP with one hidden layer, on the concatenated log-probabilities.

    Args:
        widths: modality -> number of its log-probabilities.
        classes: number of logits.
        hidden: width of the hidden layer; none when None.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, hidden: int | None) -> None:
        super().__init__()
        total = sum(widths.values())
        if hidden is None:
            self.layers: nn.Module = nn.Linear(total, classes)
        else:
            self.layers = nn.Sequential(nn.Linear(total, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        self.modalities = tuple(widths)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        both = torch.cat([batch[name].flatten(1) for name in self.modalities], dim=1)  # (B, widths)
        return self.layers(both)  # (B, classes)


def log_probabilities(features: FeatureSet) -> dict[str, np.ndarray]:
    """Returns modality -> (n, its classes): log softmax (multiclass) or log sigmoid (multilabel) of its logits."""
    logits = {name: torch.from_numpy(np.array(z, dtype=np.float64)) for name, z in features.logits.items()}
    if features.kind == "multiclass":
        return {name: z.log_softmax(-1).numpy() for name, z in logits.items()}
    return {name: logsigmoid(z).numpy() for name, z in logits.items()}


def baselines(
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> list[Evaluation]:
    """Evaluates all rows that the stored unimodal outputs allow; none where a feature set has no logits.

    The first rows need no training and have one score. The trained ones use the budget and seeds of every method.
    """
    if not features.logits:
        return []
    rows = list(_untrained(features))
    names = {LINEAR: None, MLP: HIDDEN}
    return rows + [_trained(name, hidden, features, config, budget, run, progress) for name, hidden in names.items()]


def _untrained(features: FeatureSet) -> Iterator[Evaluation]:
    """Scores each modality alone and their sum, wherever a backbone's classes are the task's.

    A label of a multilabel task has two outcomes; the difference of their log-probabilities is the logit itself.
    """
    votes = log_probabilities(features) if features.kind == "multiclass" else features.logits
    fitting = {name: np.array(z) for name, z in votes.items() if z.shape[1] == len(features.classes)}
    for modality, values in fitting.items():
        yield _scored(f"{modality} alone", values, features)
    if len(fitting) > 1:
        yield _scored(SUM, np.sum(list(fitting.values()), axis=0), features)


def _scored(name: str, values: np.ndarray, features: FeatureSet) -> Evaluation:
    rows = features.rows("test")
    logits, targets = torch.from_numpy(values[rows]), torch.from_numpy(np.array(features.targets[rows]))
    check_finite(logits, f"{name}, test", rows.tolist())
    result = {
        "scores": metrics.scores(features.kind, logits, targets),
        "per_class": metrics.per_class(features.kind, logits, targets),
        "parameters": 0,
        "answers": answers_of(features.kind, logits),
        "seconds": 0.0,
    }
    return combine_seeds(name, [result], features)


def _trained(
    name: str,
    hidden: int | None,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None,
    progress: Progress | None,
) -> Evaluation:
    outputs = log_probability_features(features)

    def build(seed: int) -> nn.Module:
        with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
            return LogitFusion(outputs.channels, len(features.classes), hidden)

    identity = {"baseline": name, "hidden": hidden, "batch_size": config.batch_size}
    return evaluate_networks(name, build, lambda _: identity, outputs, config, budget, run, progress)


def log_probability_features(features: FeatureSet) -> FeatureSet:
    """Makes a feature set of the modalities' log-probabilities, with the same targets and splits."""
    arrays = {name: values.astype(np.float32) for name, values in log_probabilities(features).items()}
    return FeatureSet.from_arrays(
        arrays,
        features.targets,
        features.splits,
        kind=features.kind,
        classes=features.classes,
        modalities={name: (name,) for name in arrays},
        task=features.task,
        source=features.source,
        notes=features.notes,
        groups=features.groups,
    )
