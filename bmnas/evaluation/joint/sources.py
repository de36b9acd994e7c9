"""What stands behind stored features: the raw samples that they were made of, and the backbones that made them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bmnas.errors import DataError, FeatureError
from bmnas.evaluation.joint.network import Taps
from bmnas.evaluation.joint.training import RawSamples
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.weight_files import load_backbone, weight_file
from bmnas.features.extraction import Backbone
from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import NAMES, changed_samples
from bmnas.machine import data_root
from bmnas.registry import TASKS, unknown
from bmnas.storage.paths import given_path
from bmnas.storage.reading import read_text
from bmnas.tasks.base import Task
from bmnas.tasks.preparation import untrained
from bmnas.training.progress import Progress


def known_backbones(features: FeatureSet, seed: int = 0) -> tuple[dict[str, nn.Module], Taps]:
    """Loads the backbones that made stored features, and says where they are tapped.

    Args:
        seed: of what the weights leave open; nothing does, where all of them are stored.

    Raises:
        DataError: no backbones made these features.
        FeatureError: the weights of a backbone are gone, damaged, or not those that made the features.
    """
    task = raw_task(features)
    chosen = task.modalities_of({**task.options, **features.manifest["options"]})
    used = [modality for modality in chosen if modality.name in features.modalities]
    backbones: dict[str, nn.Module] = {}
    for modality in used:
        path = backbone_weights(features, modality.name)
        backbones[modality.name] = model = untrained(modality, seed)
        load_backbone(model, path)
        about = features.manifest["backbones"].get(modality.name)
        if not isinstance(about, dict) or weights_fingerprint(model) != about.get("fingerprint"):
            raise FeatureError(f"{path}: other weights than those that made the features; restore it")
    return backbones, {modality.name: modality.taps for modality in used}


def own_backbones(features: FeatureSet, backbones: Mapping[str, Backbone]) -> tuple[dict[str, nn.Module], Taps]:
    """Returns backbones of one's own and their taps, if they are those that made the features.

    Their weights are compared where the manifest of the features has a fingerprint of them.

    Raises:
        UnknownNameError: a modality that the features do not have.
        FeatureError: other weights than those that made the features.
    """
    for modality, backbone in backbones.items():
        if modality not in features.modalities:
            raise unknown("modality", modality, features.modalities)
        about = features.manifest.get("backbones", {}).get(modality)
        fingerprint = about.get("fingerprint") if isinstance(about, dict) else None
        if fingerprint is not None and weights_fingerprint(backbone.model) != fingerprint:
            raise FeatureError(f"the backbone of {modality} has other weights than the one that made the features")
    return {name: one.model for name, one in backbones.items()}, {name: one.taps for name, one in backbones.items()}


def backbone_weights(features: FeatureSet, modality: str) -> Path:
    """Returns the file of a backbone's weights, which is there."""
    if features.folder is None or not weight_file(features.folder, modality).exists():
        raise FeatureError(
            f"{features.folder} has no weights of the backbone of {modality}, which raw samples go through; delete "
            "that folder and run notebook 01 again: the features will be the same"
        )
    return weight_file(features.folder, modality)


def raw_samples(features: FeatureSet, root: str | Path | None = None, progress: Progress | None = None) -> Any:
    """Opens the samples that the features were made of: a Dataset with `splits`, ordered as the features' own.

    Raises:
        DataError: there are none, they are absent, or others.
    """
    task = raw_task(features)
    place = data_root() if root is None else given_path("root", root)
    options = features.manifest["options"]
    if task.real is not None:
        real = task.real.open(place / task.real.folder, options)
        real.splits = _named_rows(features, real.names)
        changed = [] if features.folder is None else changed_samples(features.folder, real)
        if changed:
            raise DataError(
                f"the files of {len(changed):,} samples, first {changed[0]}, are not those that the features in "
                f"{features.folder} were made from; restore them, or make the features again with notebook 01"
            )
        return real
    assert task.open_raw is not None
    samples = RawSamples(task.open_raw(options, place, progress))
    for name, rows in samples.splits.items():
        if not np.array_equal(samples.targets[rows].numpy(), features.targets[features.rows(name)]):
            raise DataError(
                f"the raw data of {task.name!r} is not that of which {features.folder} was made; restore it"
            )
    return samples


def _named_rows(features: FeatureSet, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Returns the rows of each split in the raw data, by the names that the extraction wrote down."""
    assert features.folder is not None
    made_of = read_text(features.folder / NAMES, DataError, "restore it").splitlines()
    if len(made_of) != len(features):
        raise DataError(f"{features.folder / NAMES}: {len(made_of)} names of {len(features)} samples; restore it")
    rows = {name: row for row, name in enumerate(names)}
    chosen = {split: [made_of[row] for row in features.rows(split)] for split in features.splits}
    for name in (name for split in chosen.values() for name in split):
        if name not in rows:
            raise DataError(f"the sample {name!r} of {features.folder} is not in the raw data any more; restore it")
    return {split: np.array([rows[name] for name in members]) for split, members in chosen.items()}


def raw_task(features: FeatureSet) -> Task:
    """Returns the task that has the raw samples of these features."""
    task: Task | None = TASKS.get(features.task)
    if task is not None and (task.open_raw is not None or (task.real is not None and features.source == "real")):
        return task
    why = f"the features of {features.task!r} ({features.source}) have no raw samples and no backbones behind them"
    ask = f"; ask for {task.real.title} at {task.real.request}" if task is not None and task.real is not None else ""
    raise DataError(
        f"raw data is needed, but {why}{ask}. For data of your own, bmnas.joint_network and "
        "bmnas.train_and_test_joint take backbones and Datasets, and with_backbones(...) takes backbones; on stored "
        "features everything else works"
    )
