"""The plain fields of a feature set: what it consists of in memory, and what is stored on disk."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bmnas.features.missing import missing_rows, train_mean


@dataclass(frozen=True, eq=False, repr=False)
class FeatureFields:
    """The fields of a feature set, unchecked; `FeatureSet` documents and checks them."""

    arrays: dict[str, np.ndarray]
    targets: np.ndarray
    splits: dict[str, np.ndarray]
    L: int
    kind: str
    classes: tuple[str, ...]
    modalities: dict[str, tuple[str, ...]]
    logits: dict[str, np.ndarray] = field(default_factory=dict)
    task: str = "custom"
    source: str = "real"
    notes: str = ""
    manifest: dict[str, Any] = field(default_factory=dict)
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    @cached_property
    def missing(self) -> dict[str, np.ndarray]:
        """Feature -> which samples lack it, bool (n,); only features that some sample lacks."""
        each = {name: missing_rows(array) for name, array in self.arrays.items()}
        return {name: rows for name, rows in each.items() if rows.any()}

    @cached_property
    def train_means(self) -> dict[str, list[float]]:
        """Feature -> its mean over positions and the training samples that have it, C_in numbers."""
        return {name: train_mean(array, self.splits["train"]) for name, array in self.arrays.items()}

    @property
    def vectors(self) -> frozenset[str]:
        """The features without extent in space or time, stored as (n, C_in, 1)."""
        return frozenset(name for name, array in self.arrays.items() if array.shape[2] == 1 != self.L)
