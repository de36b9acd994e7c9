"""Samples as small pictures for people: made again, or found again by the names that an extraction keeps."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import NAMES
from bmnas.storage.reading import read_text
from bmnas.tasks.base import Task
from bmnas.tasks.real_data.extraction import present

FEW = 80  # training samples of a data set that is made for a picture alone


def sample_pictures(
    task: Task, features: FeatureSet, root: Path, count: int = 8
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns modality -> float32 (count, height, width) of the first training samples, and their labels.

    A task that makes its samples makes only a few here, so that large ones cost no time. Both are empty where no
    modality is a picture, or the raw data is not (or no longer) under `root`.
    """
    if task.pictures is not None:
        first = features.rows("train")[:count].tolist()
        return task.pictures(features, first), [_label(features.targets[row], features) for row in first]
    if task.open_raw is None:
        return real_pictures(task, features, root, count)
    options = {**features.manifest["options"], "samples": FEW}
    raw = task.open_raw(task.resolve(options), root, None)
    rows = raw.splits["train"][:count]
    return _grey(raw.inputs, rows), [_label(raw.labels[row], features) for row in rows]


def pictures_of(task: Task, features: FeatureSet, rows: Sequence[int], root: Path) -> dict[str, np.ndarray]:
    """Returns modality -> float32 (rows, height, width) of some samples, made with the options of the features.

    Raises:
        DataError: the raw data is missing or damaged.
    """
    if task.pictures is not None:
        return task.pictures(features, rows)
    if task.open_raw is None:
        return {}
    raw = task.open_raw(features.manifest["options"], root, None)
    stored = np.sort(np.concatenate(list(raw.splits.values())))  # as `prepare` keeps them
    return _grey(raw.inputs, stored[np.asarray(rows)])


def _grey(inputs: dict[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Takes the inputs that are pictures or spectrograms, the mean over their colours."""
    return {name: array[rows].mean(1) for name, array in inputs.items() if array.ndim == 4}


def real_pictures(
    task: Task, features: FeatureSet, root: Path, count: int = 8
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns modality -> float32 (count, height, width) of the first training samples, and their labels.

    Both are empty where features are not real, or the raw data is not (or no longer) under `root`.
    """
    if task.real is None or features.source != "real" or features.folder is None or not present(task.real, root):
        return {}, []
    try:
        samples = task.real.open(root / task.real.folder, features.manifest["options"])
        names = read_text(features.folder / NAMES).splitlines()
        rows = features.rows("train")[:count]
        each = [samples.pictures(samples.names.index(names[row])) for row in rows]
    except (OSError, ValueError, IndexError):  # parts of the data are gone (DataError too): the features stay good
        return {}, []
    return {name: np.stack([one[name] for one in each]) for name in each[0]}, [
        _label(features.targets[row], features) for row in rows
    ]


def _label(target: np.ndarray, features: FeatureSet) -> str:
    """Returns the class, or the first of several and how many more there are."""
    if features.kind == "multiclass":
        return features.classes[target]
    first, *more = [features.classes[k] for k in np.flatnonzero(target)] or ["-"]
    return f"{first} +{len(more)}" if more else first
