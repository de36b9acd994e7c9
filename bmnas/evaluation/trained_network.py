"""The trained network of a run, saved and used on new samples: `bmnas.load(run).predict(features)`."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import FeatureError, RunError
from bmnas.evaluation.evaluation import evaluate_seed, identity_of_genotype, identity_of_seed, train
from bmnas.evaluation.export import exported_program, write_onnx
from bmnas.evaluation.joint.network import JointNetwork
from bmnas.evaluation.joint.sources import known_backbones, own_backbones
from bmnas.evaluation.network_inputs import check_origin, checked_batch, preprocessing_digest
from bmnas.features.checks import KINDS, check_choice
from bmnas.features.extraction import Backbone
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device, runs_root, use_threads
from bmnas.searching.filling import objective_of
from bmnas.searching.networks import build_network, fusion_network
from bmnas.searching.run_features import FEATURES
from bmnas.searching.run_folder import Run
from bmnas.searching.run_record import code_differences
from bmnas.space.equivalence import living_features
from bmnas.space.genotype import Genotype
from bmnas.space.network import FusionNetwork
from bmnas.space.placeholders import Placeholders
from bmnas.space.primitives import own_primitives
from bmnas.storage.checkpoint import load_tensors, save_tensors
from bmnas.storage.paths import given_path
from bmnas.training.metrics import THRESHOLD
from bmnas.training.steps import SCORE_BATCH, predict_batches

FILE = "network.safetensors"


class TrainedNetwork(nn.Module):
    """A trained fusion network and what it takes to use it: a plain module, feature -> (B, C_in, L or 1), to logits.

    Args:
        network: trained.
        kind: "multiclass" or "multilabel".
        classes: their names.
        shapes: feature -> (C_in, L) or (C_in, 1), of the features that the network uses.
        preprocessing: digest of how the features were made, see `preprocessing_digest`; "" where it is not known.
        run: where it was loaded from.
        unused: features of the training that the network does not use.
    """

    def __init__(
        self,
        network: FusionNetwork,
        kind: str,
        classes: tuple[str, ...],
        shapes: dict[str, tuple[int, int]],
        preprocessing: str = "",
        run: Run | None = None,
        unused: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.network, self.kind, self.classes, self.shapes = network, kind, classes, shapes
        self.preprocessing, self.run, self.unused = preprocessing, run, unused

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of the features of `shapes`, as they are stored."""
        return self.network(batch)

    @property
    def takes_subsets(self) -> bool:
        """Whether samples may lack modalities: the network has learnt what stands there."""
        return self.network.placeholders is not None

    def with_backbones(self, backbones: Mapping[str, Backbone] | None = None) -> JointNetwork:
        """Attaches the frozen backbones that made the run's features: raw samples, modality -> (B, ...), to logits.

        Samples must be as the data set's own are, which `bmnas.evaluation.joint.sources.raw_samples` opens; they are
        tapped, pooled and fused as in the run. The logits are in the order of `classes`.

        Args:
            backbones: modality -> model and taps, of features that one's own models made; those that the data set
                knows when None.

        Raises:
            UnknownNameError: a modality, or a tapped module, that is not there.
            DataError: no backbones are known: stand-ins, planted features, arrays of one's own.
            FeatureError: the weights are gone or others, or the features were made otherwise than those of the
                training.
            RunError: the network was not loaded from a run, or its features are gone.
        """
        if self.run is None:
            raise RunError("this network is of no run, so its backbones are not known; bmnas.load(run) knows them")
        features = self.run.features()
        check_origin(features, self.classes, self.preprocessing)
        models, taps = known_backbones(features) if backbones is None else own_backbones(features, backbones)
        return JointNetwork(models, taps, features.L, self.network.to("cpu"), freeze=True).eval()

    @property
    def ignored(self) -> frozenset[str]:
        """The features of `shapes` on which no answer depends: samples may do without them."""
        return frozenset(self.shapes) - frozenset(living_features(self.network.genotype, self.network.alike))

    def describe(self) -> str:
        """Says what goes in and comes out: features with their shapes, how they were made, and the classes."""
        lines = [f"{name}: (batch, {C}, {P}) float32" for name, (C, P) in self.shapes.items()]
        free = "any feature" if self.takes_subsets else ", ".join(sorted(self.ignored)) or "no feature"
        lines.append(f"may be left out, or be NaN where a sample lacks it: {free}")
        out = "softmax" if self.kind == "multiclass" else "sigmoid"
        lines.append(f"logits: (batch, {len(self.classes)}), {out} of {', '.join(self.classes)}")
        lines.append(f"preprocessing: {self.preprocessing or 'not known'}, a digest of backbones, weights, pooling, L")
        return "\n".join(lines)

    def raw_logits(self, batch: Mapping[str, np.ndarray]) -> Tensor:
        """Computes the logits of arrays that are checked already, on the CPU."""
        return self._predict({name: torch.from_numpy(x) for name, x in batch.items()}, torch.device("cpu"))

    def _predict(self, batch: Mapping[str, Tensor], place: torch.device) -> Tensor:
        batches = (
            ({name: array[rows].to(place) for name, array in batch.items()}, rows)
            for rows in torch.arange(len(next(iter(batch.values())))).split(SCORE_BATCH)
        )
        return predict_batches(self.network.to(place), batches, torch.device("cpu"))[0]

    def export(self, path: str | Path, features: FeatureSet | None = None) -> Path:
        """Writes an ONNX file, compares it with onnxruntime on stored rows, and prints the difference.

        Inputs: named as the features, (batch, C_in, L or 1) each with any batch; a row of NaN is a missing feature
        where the network takes those. Output: "logits" (batch, classes). Metadata: classes, kind, preprocessing.

        Args:
            path: of the file; an ONNX model that lies there is replaced, any other file is not.
            features: whose test rows are compared; those of the run when None, and random rows where it has none.

        Raises:
            ConfigError: the extra `onnx` is not installed.
            PredictionError: both differ by more than rounding; nothing is written.
            RunError: the file cannot be written, or the one that is there is no ONNX model.
        """
        target = given_path("path", path)
        if features is None and self.run is not None and self.run.path(FEATURES).exists():
            features = self.run.features()
        if features is None:
            rows = {name: np.random.default_rng(0).normal(size=(8, *shape)) for name, shape in self.shapes.items()}
        else:
            test = features.rows("test")[:SCORE_BATCH]
            rows = {name: features.arrays[name][test] for name in self.shapes}
        about = {"classes": json.dumps(self.classes), "kind": self.kind, "preprocessing": self.preprocessing}
        network = self.network.to("cpu").eval()
        difference = write_onnx(network, self.shapes, target, rows, about)
        count, what = len(next(iter(rows.values()))), "random" if features is None else "stored"
        print(f"{target}: onnxruntime and torch agree to {difference:.1e} on {count} {what} rows")
        return target

    def program(self) -> torch.export.ExportedProgram:
        """Exports with torch.export: the features in the order of `shapes`, any number of samples, to logits."""
        return exported_program(self.network.to("cpu").eval(), self.shapes)

    @use_threads()
    def logits(self, features: FeatureSet | Mapping[str, ArrayLike], device: str = "auto") -> Tensor:
        """Computes the logits (n, classes) of new samples.

        Args:
            features: a feature set (all its rows), or feature -> (n, C_in, L) or (n, C_in). Where the network takes
                subsets, a feature may be left out, or be NaN in the rows of samples that lack it; so may one that no
                answer depends on (`ignored`), whatever the network takes.

        Raises:
            FeatureError: a feature is missing, has another shape, or holds NaN; a sample lacks every feature; a feature
                set has other classes, or was made otherwise.
            PredictionError: outputs are NaN or infinite, as of features that are far too large; names rows and layer.
        """
        if isinstance(features, FeatureSet):
            check_origin(features, self.classes, self.preprocessing)
        arrays = features.arrays if isinstance(features, FeatureSet) else features
        unused = arrays if isinstance(features, FeatureSet) else self.unused
        batch = checked_batch(arrays, self.shapes, self.takes_subsets, unused, self.ignored)
        counts = {name: len(array) for name, array in batch.items()}
        if len(set(counts.values())) != 1:
            raise FeatureError(f"the features have different numbers of samples: {counts}")
        if 0 in counts.values():
            return torch.empty(0, len(self.classes))
        return self._predict(batch, resolve_device(device))

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
    about = identity_of_seed(identity, features, budget, seed, config)
    if _saved_description(run) != about:
        evaluate_seed(build, identity, features, config, budget, seed, run)
        if not made:  # its score was there, its weights are not
            with use_threads(config.threads):
                objective = objective_of(features, config)
                train(build(seed), features, config.batch_size, budget, seed, config.device, objective)
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
        "preprocessing": preprocessing_digest(features),
    }
    if network.placeholders is not None:
        about["modalities"] = {m: list(names) for m, names in features.modalities.items()}
    if code := own_primitives(genotype.primitives):
        about["code"] = code
    save_tensors(run.path(FILE), network.state_dict(), about)


def load(run: Run | str | Path) -> TrainedNetwork:
    """Loads the trained network of a run.

    Args:
        run: a run, its name, or its folder.

    Raises:
        RunError: there is none yet (notebook 04 makes it), or it is damaged.
    """
    if not isinstance(run, Run):
        folder = given_path("run", run)
        run = Run(folder if folder.is_dir() else runs_root() / run)
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
        empty = {name: [0.0] * C_in for name, C_in in channels.items()}
        placeholders = Placeholders(empty, about["modalities"]) if "modalities" in about else None
        network = fusion_network(genotype, channels, len(about["classes"]), config, about["vectors"], placeholders)
        network.load_state_dict(state)
        check_choice("kind", about["kind"], KINDS)
        known = {name for names in about.get("modalities", {}).values() for name in names}
        made, classes = about.get("preprocessing", ""), tuple(map(str, about["classes"]))
        return TrainedNetwork(network, about["kind"], classes, shapes, made, run, known - set(shapes)).eval()
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, OverflowError) as error:
        raise RunError(f"{run.path(FILE)}: not a network of this version of bmnas ({error})") from error
