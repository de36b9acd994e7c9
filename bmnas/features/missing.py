"""Missing modalities: a row of NaN says that a sample lacks a feature; NaN anywhere else is an error."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bmnas.errors import FeatureError, how_many
from bmnas.features.blocks import blocks
from bmnas.features.convert import as_array

ROWS = 1024  # that a mean reads together


def missing_rows(array: np.ndarray) -> np.ndarray:
    """Returns which rows of a checked array (n, C_in, ...) are missing, bool (n,)."""
    return np.isnan(array[(slice(None),) + (0,) * (array.ndim - 1)])


def count_missing(field: str, array: np.ndarray) -> int:
    """Counts the rows that are NaN everywhere, block by block.

    Raises:
        FeatureError: a row that is NaN in part, or infinite, which it names; or no row that is there.
    """
    count = 0
    for start, block in blocks(array):
        finite = np.isfinite(block)
        if finite.all():
            continue
        axes = tuple(range(1, block.ndim))
        missing = np.isnan(block).all(axes)
        broken = ~finite.all(axes) & ~missing
        if broken.any():
            raise FeatureError(
                f"{field} holds NaN or infinite values, first in row {start + int(broken.argmax())}; repair such rows. "
                "A row that is NaN everywhere says that the sample lacks it"
            )
        count += int(missing.sum())
    if count and count == len(array):
        raise FeatureError(f"{field} is NaN in every row; leave it out")
    return count


def mean_row(array: np.ndarray) -> np.ndarray:
    """Returns the mean (C_in, ...) of the rows of an array (n, C_in, ...) that are there; 0 where none is."""
    there = array[~missing_rows(array)]
    return there.mean(0) if len(there) else np.zeros(array.shape[1:], array.dtype)


def train_mean(array: np.ndarray, rows: np.ndarray) -> list[float]:
    """Returns the mean (C_in,) of a feature over its positions and the rows that have it; 0 where none has."""
    total, count = np.zeros(array.shape[1]), 0
    for start in range(0, len(rows), ROWS):
        values = array[rows[start : start + ROWS]].astype(np.float64).mean(2)  # (b, C_in)
        values = values[~np.isnan(values[:, 0])]
        total, count = total + values.sum(0), count + len(values)
    return (total / max(count, 1)).astype(np.float32).tolist()


def check_samples(missing: Mapping[str, np.ndarray], names: Sequence[str]) -> None:
    """Refuses samples that lack every feature.

    Raises:
        FeatureError: names the rows.
    """
    if len(missing) < len(names):
        return
    nothing = np.flatnonzero(np.logical_and.reduce([missing[name] for name in names]))
    if len(nothing):
        rows = ", ".join(map(str, nothing[:5])) + (", ..." if len(nothing) > 5 else "")
        raise FeatureError(
            f"{how_many(len(nothing), 'sample')} without any modality (rows {rows}); leave such samples out"
        )


def masked(
    arrays: Mapping[str, np.ndarray], masks: Mapping[str, ArrayLike], modalities: Mapping[str, Sequence[str]]
) -> dict[str, np.ndarray]:
    """Returns the arrays with rows of NaN where a mask says that a sample lacks a modality or a feature.

    Args:
        arrays: feature -> (n, C_in, L or 1); copied where they are masked.
        masks: modality or feature -> (n,), True where it is there.

    Raises:
        FeatureError: a mask of something else, of another length or another type.
    """
    arrays = dict(arrays)
    for name, values in masks.items():
        there = as_array(f"masks[{name!r}]", values, "b", "bool, True where the sample has it")
        if name not in modalities and name not in arrays:
            expected = ", ".join(dict.fromkeys((*modalities, *arrays)))
            raise FeatureError(f"masks has {name!r}; expected modalities or features: {expected}")
        for feature in modalities.get(name, (name,)):
            if there.shape != arrays[feature].shape[:1]:
                raise FeatureError(
                    f"masks[{name!r}] has the shape {there.shape}; expected bool ({len(arrays[feature])},), "
                    "True where the sample has it"
                )
            arrays[feature] = np.where(there[:, None, None], arrays[feature], np.array(np.nan, arrays[feature].dtype))
    return arrays
