"""The features of a feature set on a device: what a training indexes by rows."""

import numpy as np
import torch
from torch import Tensor

from bmnas.features import checks
from bmnas.features.fields import FeatureFields
from bmnas.features.mapped_tensors import AHEAD, MappedFeatures
from bmnas.features.token_store import TokenStore
from bmnas.features.weights import relative_weights

Batch = tuple[dict[str, Tensor], Tensor] | tuple[dict[str, Tensor], Tensor, Tensor]


class FeatureTensors:
    """The features of a FeatureSet as tensors on one device; a batch is an index, no loader is needed.

    Attributes:
        features: feature -> its tokens, in the stored type; empty where they stay on the disk.
        targets: int64 (n,) or float32 (n, classes).
        weights: float32 (n,) of mean 1 in each split; None where all samples count alike.
        device: where they are.
        on_disk: whether batches are read from memory-mapped files.
    """

    def __init__(self, features: FeatureFields, device: torch.device, on_disk: bool = False) -> None:
        self.device, self.on_disk = device, on_disk
        self._mapped = MappedFeatures(features.arrays, device) if on_disk else None
        in_memory = {} if on_disk else features.arrays
        self.features = {name: TokenStore(_tensor(array, device)) for name, array in in_memory.items()}
        self.targets = _tensor(features.targets, device)
        weights = None if features.weights is None else relative_weights(features.weights, features.splits)
        self.weights = None if weights is None else _tensor(weights, device)
        self._rows = {name: _tensor(rows, device) for name, rows in features.splits.items()}

    def rows(self, split: str) -> Tensor:
        """Returns the rows of "train", "val" or "test", int64 on the device."""
        checks.check_choice("split", split, checks.SPLITS)
        return self._rows[split]

    def split_of(self, rows: Tensor) -> str:
        """Names the splits that these rows belong to: "val", "train and val"."""
        return " and ".join(name for name, members in self._rows.items() if torch.isin(rows, members).any())

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns the features, feature -> float32 (B, C_in, P), and the targets of some rows; P divides L."""
        rows = rows.to(self.device)
        if self._mapped is not None:
            return self._mapped.batch(rows), self.targets.index_select(0, rows)
        features = {name: feature.batch(rows) for name, feature in self.features.items()}
        return features, self.targets.index_select(0, rows)

    def weighted_batch(self, rows: Tensor) -> Batch:
        """Returns features, targets and weights of some rows; without weights where all samples count alike."""
        batch, weights = self.batch(rows), self.weights_of(rows)
        return batch if weights is None else (*batch, weights)

    def weights_of(self, rows: Tensor) -> Tensor | None:
        """Returns the weights (B,) of some rows; None where all samples count alike."""
        return None if self.weights is None else self.weights.index_select(0, rows.to(self.device))

    @property
    def ahead(self) -> int:
        """How many batches are worth making before they are needed."""
        return AHEAD if self.on_disk else 0


def _tensor(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)  # a copy: memory maps are read-only, and slow to index
