"""What a fusion network has to beat, made of the unimodal outputs alone: no intermediate feature is used.

* one modality: its own backbone's answer;
* late fusion of logits, untrained: the sum of the unimodal log-probabilities;
* tuned: logits = sum_k w_k log softmax(z_k / T_k) of the unimodal logits z_k, with a weight and a temperature a
  modality (of labels, sum_k w_k z_k / T_k);
* late fusion of logits, trained: a linear layer on the log-probabilities of all modalities, which starts as their sum;
* an MLP on the same log-probabilities.

The unimodal logits are those stored with the features or, where there are none, those of heads that are trained out of
fold (`bmnas.rivals.out_of_fold`). "Late fusion" is this everywhere, never a Cell on the last features.

Table 6 of the paper calls "late fusion" what fuses the backbones' last *features* in one Cell; here that row is "last
features".
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import logsigmoid

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import FeatureError
from bmnas.evaluation.evaluation import evaluate_networks, evaluate_seed
from bmnas.evaluation.outcomes import answers_of
from bmnas.evaluation.results import Evaluation, combine_seeds
from bmnas.features.feature_set import FeatureSet
from bmnas.rivals.logit_fusion import LogitFusion, TunedSum
from bmnas.rivals.out_of_fold import WIDTH, build_head, with_heads
from bmnas.searching.filling import objective_of
from bmnas.searching.run_folder import Run
from bmnas.space.layers import count_parameters
from bmnas.training import metrics
from bmnas.training.finiteness import check_predictions
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import seeded

TUNED = "late fusion of logits: tuned weights and temperatures"
SUM = "late fusion of logits: sum of log-probabilities"
LINEAR = "late fusion of logits: linear layer"
MLP = "MLP on log-probabilities"
FUSIONS = (SUM, TUNED, LINEAR, MLP)
HIDDEN = 128  # width of the MLP
LARGEST_LOGIT = 1e30  # whose log-probabilities float32 holds, with room for weights and temperatures


def unimodal_logits(features: FeatureSet) -> dict[str, np.ndarray]:
    """Returns modality -> its stored logits (n, its classes), rows of NaN where a sample lacks it.

    Raises:
        FeatureError: log-probabilities of some would overflow; names the modality and the row.
    """
    for name, z in features.logits.items():
        large = (np.abs(z) > LARGEST_LOGIT).any(1)
        if large.any():
            row = int(large.argmax())
            raise FeatureError(
                f"logits[{name!r}], the unimodal outputs, are up to {np.abs(z[row]).max():.3g} in row {row}; "
                f"log-probabilities need {LARGEST_LOGIT:.0g} at most. Repair them, or leave logits= out"
            )
    return features.logits


def log_probabilities(features: FeatureSet) -> dict[str, np.ndarray]:
    """Returns modality -> (n, its classes): log softmax (multiclass) or log sigmoid (multilabel) of its logits."""
    logits = {name: torch.from_numpy(z.astype(np.float64)) for name, z in unimodal_logits(features).items()}
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
    """Evaluates each modality alone, and late fusion of all.

    Stored unimodal outputs, and their sum, need no training and have one score. Everything else is trained with the
    budget and seeds of every method; features without stored outputs get a head a modality.
    """
    with TemporaryDirectory() as folder:  # where there is no run: all late fusions of a seed start from the same heads
        place = run or Run(Path(folder) / "run")
        rows = stored_rows(features, config) if features.logits else []
        if not features.logits:
            rows = [modality_alone(name, features, config, budget, place, progress) for name in features.modalities]
        fusions = late_fusions(features)
        return [*rows, *(late_fusion(name, features, config, budget, place, progress) for name in fusions)]


def stored_rows(features: FeatureSet, config: SearchConfig) -> list[Evaluation]:
    """Scores the stored answer of each modality whose classes are the task's.

    For a sample that lacks the modality it is the logarithm of the shares of the classes in the training split.
    """
    metric = objective_of(features, config).metric
    votes = _votes(features)
    complete = {name: np.where(np.isnan(z), _prior(features), z) for name, z in votes.items()}
    scored = {name: [_scored(name, z, features)] for name, z in complete.items()}
    return [combine_seeds(f"{name} alone", result, features, metric) for name, result in scored.items()]


def _prior(features: FeatureSet) -> np.ndarray:
    """Returns the votes (classes,) of somebody who knows the training targets alone."""
    targets = features.targets[features.rows("train")]
    if features.kind == "multiclass":
        return np.log((np.bincount(targets, minlength=len(features.classes)) + 1) / (len(targets) + 1))
    shares = (targets.sum(0) + 1) / (len(targets) + 2)
    return np.log(shares / (1 - shares))


def modality_alone(
    modality: str,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Trains and tests a head on all features of one modality, with the budget of a fusion network."""
    about = {"modality": modality, "width": WIDTH, "dropout": config.dropout, "batch_size": config.batch_size}
    return evaluate_networks(
        f"{modality} alone, trained head",
        lambda seed: build_head(modality, features, config, seed),
        lambda _: about,
        features,
        config,
        budget,
        run,
        progress,
    )


def late_fusions(features: FeatureSet) -> list[str]:
    """Names the late fusions that the unimodal outputs allow; none where there is nothing to fuse."""
    if not features.logits:
        return [f"{name} (heads)" for name in FUSIONS] if len(features.modalities) > 1 else []
    direct = FUSIONS if len(_votes(features)) > 1 else (LINEAR, MLP)
    return list(direct) if len(features.logits) > 1 else []


def late_fusion(
    name: str,
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    run: Run | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluates one of `late_fusions`: of the stored unimodal outputs, or where there are none, of heads.

    Each seed has heads of its own, so that intervals count what their training leaves to chance.
    """
    rule = name.removesuffix(" (heads)")
    heads = not features.logits
    seeds = budget.seeds if heads or rule != SUM else 1
    results = []
    for seed in range(seeds):
        if progress is not None:
            progress(name, seed, seeds)
        outputs = with_heads(features, config, budget, seed, run) if heads else features
        if rule == SUM:
            result = _scored(name, np.nansum(list(_votes(outputs).values()), axis=0), outputs)
        else:
            result = _trained(rule, outputs, config, budget, seed, run)
        if heads:
            sizes = [count_parameters(build_head(modality, features, config, 0)) for modality in features.modalities]
            result = result | {"parameters": result["parameters"] + sum(sizes)}
        results.append(result)
    if progress is not None:
        progress(name, seeds, seeds)
    return combine_seeds(name, results, features, objective_of(features, config).metric)


def _trained(
    rule: str, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int, run: Run | None
) -> dict[str, Any]:
    """Trains and tests a fusion of the unimodal outputs with one seed."""
    if rule == TUNED:
        logits = unimodal_logits(features)
        outputs = _feature_set({m: logits[m] for m in _votes(features)}, features)
        about = {}
    else:
        outputs = log_probability_features(features)
        about = {"hidden": None, "start": "sum"} if rule == LINEAR else {"hidden": HIDDEN}

    def build(seed: int) -> nn.Module:
        with seeded((seed, Purpose.NETWORK), torch.device("cpu")):
            if rule == TUNED:
                return TunedSum(outputs.names, outputs.kind)
            return LogitFusion(outputs.channels, len(features.classes), about["hidden"])

    identity = {"baseline": rule, **about, "batch_size": config.batch_size}
    return evaluate_seed(build, identity, outputs, config, budget, seed, run)


def _votes(features: FeatureSet) -> dict[str, np.ndarray]:
    """Returns the votes of the modalities whose backbones have the task's classes, (n, classes) each.

    A label of a multilabel task has two outcomes; the difference of their log-probabilities is the logit itself.
    """
    votes = log_probabilities(features) if features.kind == "multiclass" else unimodal_logits(features)
    return {name: np.array(z) for name, z in votes.items() if z.shape[1] == len(features.classes)}


def _scored(name: str, values: np.ndarray, features: FeatureSet) -> dict[str, Any]:
    """Scores votes (n, classes) on the test split."""
    rows = features.rows("test")
    logits = torch.from_numpy(values[rows])
    targets = torch.from_numpy(np.array(features.targets[rows]))
    check_predictions(logits, f"{name}, test", rows.tolist())
    return {
        "scores": metrics.scores(features.kind, logits, targets),
        "per_class": metrics.per_class(features.kind, logits, targets),
        "parameters": 0,
        "answers": answers_of(features.kind, logits),
        "seconds": 0.0,
    }


def log_probability_features(features: FeatureSet) -> FeatureSet:
    """Makes a feature set of the modalities' log-probabilities, with the same targets and splits."""
    return _feature_set(log_probabilities(features), features)


def _feature_set(outputs: Mapping[str, np.ndarray], features: FeatureSet) -> FeatureSet:
    """Makes a feature set of unimodal outputs, (n, classes) each."""
    arrays = {name: np.asarray(values, np.float32) for name, values in outputs.items()}
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
        weights=features.weights,
        report=False,
    )
