"""Weights of samples: how much each counts in the loss of every training."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from bmnas.errors import FeatureError
from bmnas.features.convert import as_numbers, check_present

WEIGHTED = ("train", "val")  # splits whose losses move something


def as_weights(name: str, weights: ArrayLike, samples: int) -> np.ndarray:
    """Converts to float32 (n,), finite and at least 0.

    Args:
        name: of the argument, for errors.
        samples: n.

    Raises:
        FeatureError: another length, a weight below 0, NaN or infinite (names the row), or nothing but 0.
    """
    check_present(name, weights)
    array = as_numbers(name, weights, keep_half=False)
    if array.shape != (samples,):
        raise FeatureError(f"{name} has the shape {array.shape}; expected one weight for each of {samples} samples")
    bad = ~(np.isfinite(array) & (array >= 0))
    if bad.any():
        row = int(bad.argmax())
        raise FeatureError(f"{name} is {array[row]:g} in row {row}; expected a finite weight of at least 0")
    if not array.any():
        raise FeatureError(f"{name} is 0 for every sample; expected a weight above 0")
    return array


def check_weights(weights: np.ndarray | None, splits: Mapping[str, np.ndarray], samples: int) -> None:
    """Checks the weights of a feature set, if it has any: as `as_weights`, and not all 0 in train or val."""
    if weights is None:
        return
    array = as_weights("weights", weights, samples)
    for split in WEIGHTED:
        if not array[splits[split]].any():
            raise FeatureError(f"weights is 0 for every sample of {split}; expected a weight above 0 there")


def relative_weights(weights: np.ndarray, splits: Mapping[str, np.ndarray]) -> np.ndarray:
    """Divides weights by their mean in each split: the mean loss of a split is then sum_i w_i loss_i / sum_i w_i."""
    relative = weights.astype(np.float64)
    for rows in splits.values():
        mean = relative[rows].mean()
        relative[rows] /= mean if mean > 0 else 1.0
    return relative.astype(np.float32)
