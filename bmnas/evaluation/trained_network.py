"""The trained network of a run, saved and used on new samples: `bmnas.load(run).predict(features)`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import FeatureError, RunError
from bmnas.evaluation.evaluation import evaluate_seed, identity_of_genotype, identity_of_seed, train
from bmnas.features.checks import KINDS, check_choice
from bmnas.features.convert import as_numbers
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, runs_root, use_threads
from bmnas.searching.networks import build_network, fusion_network
from bmnas.searching.run_folder import Run
from bmnas.searching.run_record import code_differences
from bmnas.space.genotype import Genotype
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import own_primitives
from bmnas.storage.checkpoint import load_tensors, save_tensors
from bmnas.training.metrics import THRESHOLD
from bmnas.training.steps import SCORE_BATCH, predict_batches

FILE = "network.safetensors"


class TrainedNetwork:
    """A trained fusion network and what it takes to use it.

    Args:
        network: trained.
        kind: "multiclass" or "multilabel".
        classes: their names.
        shapes: feature -> (C_in, L) or (C_in, 1), of the features that the network uses.
    """

    def __init__(
        self, network: FusionNetwork, kind: str, classes: tuple[str, ...], shapes: dict[str, tuple[int, int]]
    ) -> None:
        self.network, self.kind, self.classes, self.shapes = network, kind, classes, shapes

    @use_threads()
    def logits(self, features: FeatureSet | Mapping[str, ArrayLike], device: str = "auto") -> Tensor:
        """Computes the logits (n, classes) of new samples.

        Args:
            features: a feature set (all its rows), or feature -> (n, C_in, L) or (n, C_in).

        Raises:
            FeatureError: a feature is missing, has another shape, or holds NaN.
            PredictionError: outputs are NaN or infinite, as of features that are far too large; names rows and layer.
        """
        arrays = features.arrays if isinstance(features, FeatureSet) else features
        batch = {name: self._checked(name, arrays) for name in self.shapes}
        counts = {name: len(array) for name, array in batch.items()}
        if len(set(counts.values())) != 1:
            raise FeatureError(f"the features have different numbers of samples: {counts}")
        total = next(iter(counts.values()))
        if total == 0:
            return torch.empty(0, len(self.classes))
        place = resolve_device(device)
        batches = (
            ({name: array[rows].to(place) for name, array in batch.items()}, rows)
            for rows in torch.arange(total).split(SCORE_BATCH)
        )
        logits, _ = predict_batches(self.network.to(place), batches, torch.device("cpu"))
        return logits

    def probabilities(self, features: FeatureSet | Mapping[str, ArrayLike], device: str = "auto") -> np.ndarray:
        """Computes (n, classes): softmax (multiclass) or sigmoid (multilabel) of the logits."""
        logits = self.logits(features, device)
        return (logits.softmax(-1) if self.kind == "multiclass" else logits.sigmoid()).numpy()

    def predict(
        self, features: FeatureSet | Mapping[str, ArrayLike], device: str = "auto"
    ) -> list[str] | list[list[str]]:
        """Predicts the class name of each sample (multiclass), or the list of them (multilabel, above 0.3)."""
        probabilities = self.probabilities(features, device)
        if self.kind == "multiclass":
            return [self.classes[k] for k in probabilities.argmax(1)]
        return [[self.classes[k] for k in np.flatnonzero(row > THRESHOLD)] for row in probabilities]

    def _checked(self, name: str, arrays: Mapping[str, ArrayLike]) -> Tensor:
        if name not in arrays:
            raise FeatureError(f"the network uses the feature {name!r}; given were: {', '.join(arrays)}")
        array = as_numbers(f"feature {name!r}", arrays[name], keep_half=False)
        C_in, L = self.shapes[name]
        if array.ndim == 2 and L == 1:
            array = array[:, :, None]
        if array.shape[1:] != (C_in, L):
            raise FeatureError(f"feature {name!r} has the shape {array.shape}; expected (n, {C_in}, {L})")
        if not np.isfinite(array).all():
            raise FeatureError(f"feature {name!r} holds NaN or infinite values")
        return torch.from_numpy(np.array(array))  # a copy: what is given may be read-only


def train_and_save(
    run: Run, genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig, seed: int = 0
) -> TrainedNetwork:
    """Trains the genotype's network with one seed, as `evaluate` does, and saves it in the run folder.

    Its test score is kept too, so that an `evaluate` that follows with the same settings does not train this seed
    again. A network that lies in the folder already and is the same is not trained again.
    """
    made: list[FusionNetwork] = []

    def build(seed: int) -> FusionNetwork:
        made.append(build_network(genotype, features, config, seed))
        return made[-1]

    identity = identity_of_genotype(genotype, config)
    about = identity_of_seed(identity, features, budget, seed)
    if _saved_description(run) != about:
        evaluate_seed(build, identity, features, config, budget, seed, run)
        if not made:  # its score was there, its weights are not
            with use_threads(config.threads):
                train(build(seed), features, config.batch_size, budget, seed, config.device)
        _save(run, made[-1], genotype, features, config, about)
    return load(run)


def _saved_description(run: Run) -> dict[str, Any] | None:
    """Returns what the saved network was trained with; None where there is none, or one of an older version."""
    try:
        return load_tensors(run.path(FILE))[1].get("trained")
    except RunError:  # missing or damaged: it is trained again
        return None


def _save(
    run: Run,
    network: FusionNetwork,
    genotype: Genotype,
    features: FeatureSet,
    config: SearchConfig,
    trained: dict[str, Any],
) -> None:
    shapes = {name: features.arrays[name].shape[1:] for name in network.reshape}
    about = {
        "genotype": genotype.to_dict(),
        "search": config.to_dict(),
        "kind": features.kind,
        "classes": list(features.classes),
        "shapes": {name: list(shape) for name, shape in shapes.items()},
        "vectors": sorted(features.vectors & set(shapes)),
        "task": features.task,
        "source": features.source,
        "trained": trained,
    }
    code = own_primitives(genotype.primitives)
    save_tensors(run.path(FILE), network.state_dict(), about | ({"code": code} if code else {}))


def load(run: Run | str | Path) -> TrainedNetwork:
    """Loads the trained network of a run.

    Args:
        run: a run, its name, or its folder.

    Raises:
        RunError: there is none yet (notebook 04 makes it), or it is damaged.
    """
    if not isinstance(run, Run):
        run = Run(run if Path(run).is_dir() else runs_root() / str(run))
    if not run.path(FILE).exists():
        raise RunError(f"{run.folder} has no {FILE}; run notebook 04 for it first")
    state, about = load_tensors(run.path(FILE))
    try:
        config = SearchConfig.from_dict(about["search"])
        shapes = {name: (int(c), int(length)) for name, (c, length) in about["shapes"].items()}
        channels = {name: C_in for name, (C_in, _) in shapes.items()}
        genotype = Genotype.from_dict(about["genotype"])
        edited = code_differences(about.get("code", {}), own_primitives(genotype.primitives))
        if edited:
            raise RunError(f"{edited[0]}; restore its code, or run notebook 04 again")
        network = fusion_network(genotype, channels, len(about["classes"]), config, about["vectors"])
        network.load_state_dict(state)
        check_choice("kind", about["kind"], KINDS)
        return TrainedNetwork(network.eval(), about["kind"], tuple(map(str, about["classes"])), shapes)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise RunError(f"{run.path(FILE)}: not a network of this version of bmnas ({error})") from error
