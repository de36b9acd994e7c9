"""Real samples as small pictures for people, found again by the names that an extraction keeps beside the features."""

from pathlib import Path

import numpy as np

from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import NAMES
from bmnas.storage.reading import read_text
from bmnas.tasks.base import Task
from bmnas.tasks.raw.real import present


def real_pictures(
    task: Task, features: FeatureSet, root: Path, count: int = 8
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Modality -> float32 (count, height, width) of the first training samples, and their labels.

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
    return {name: np.stack([one[name] for one in each]) for name in each[0]}, [_label(features, row) for row in rows]


def _label(features: FeatureSet, row: int) -> str:
    """The class, or the first of several and how many more there are."""
    target = features.targets[row]
    if features.kind == "multiclass":
        return features.classes[target]
    first, *more = [features.classes[k] for k in np.flatnonzero(target)] or ["-"]
    return f"{first} +{len(more)}" if more else first
