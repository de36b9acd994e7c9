"""Features as people have them, brought to (n, C) or (n, C, L): arrays, tensors, data frames, ragged lists."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from bmnas.errors import FeatureError, how_many, warn
from bmnas.evaluation.network_inputs import ONE_SAMPLE
from bmnas.features.blocks import blocks
from bmnas.features.convert import as_array, as_numbers, check_order, refuse_sparse, tensor_values
from bmnas.features.markers import MarkerScan
from bmnas.features.taps import pool

COLOURS = (1, 3, 4)  # numbers of a pixel
PADDED = 0.1  # share of the samples that end in zeros from which it looks like padding


def by_feature(X: object) -> Mapping[str, Any]:
    """Returns the features by name; of a data frame with two levels of columns, the frames that were joined; of one
    with an array in each cell, its columns.

    Raises:
        FeatureError: says what was given.
    """
    if isinstance(X, pd.DataFrame) and X.columns.nlevels == 2:
        return {str(name): X[name] for name in dict.fromkeys(X.columns.get_level_values(0))}
    if isinstance(X, pd.DataFrame) and any(map(pd.api.types.is_object_dtype, X.dtypes)):
        if not X.columns.is_unique:
            name = X.columns[X.columns.duplicated()][0]
            raise FeatureError(f"X has the column {name!r} twice; expected a name of its own for each feature")
        return {str(name): X[name] for name in X}
    if not isinstance(X, Mapping) or not X:
        what = "an empty dictionary" if isinstance(X, Mapping) else type(X).__name__
        raise FeatureError(
            f"X is {what}; expected a dictionary of features, {{'Image': array, 'Text': array, ...}}, or frames of "
            "them in one, pandas.concat({'Image': frame, ...}, axis=1), or a frame with a sample in each cell, "
            "pandas.DataFrame({'Image': list(array), ...})"
        )
    for name, values in X.items():
        refuse_sparse(f"feature {name!r}", values)
    return X


def _cells(column: pd.Series) -> list[Any]:
    """Returns the samples in the cells of a column, None where one is missing."""
    return [
        None if cell is None or cell is pd.NA or isinstance(cell, float) and cell != cell else cell for cell in column
    ]


def as_arrays(X: Mapping[str, Any], L: int) -> dict[str, np.ndarray]:
    """Brings every feature to (n, C) or (n, C, L), float32; a sample that lacks a feature has a row of NaN.

    Args:
        X: feature -> (n,), (n, C), (n, C, T) or (n, C, H, W) as an array, a memory map, a tensor or a data frame; or a
            list of n samples (C,) or (C, T) of different T, None where a sample lacks it.
        L: length that sequences and grids are pooled to.

    Raises:
        FeatureError: names the feature and what it is.
    """
    X = by_feature(X)
    check_order({f"feature {name!r}": values for name, values in X.items()})
    arrays = {name: _as_array(str(name), values, L) for name, values in X.items()}
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise FeatureError(f"the features have different numbers of samples: {counts}")
    return arrays


def check_samples(X: Mapping[str, Any], widths: Mapping[str, int]) -> None:
    """Makes sure that no feature is one sample alone, (C,), where vectors of C > 1 numbers are expected.

    Raises:
        FeatureError: names it.
    """
    for name, values in X.items():
        if isinstance(values, pd.DataFrame) or not hasattr(values, "__len__") or len(values) != widths.get(name, 1):
            continue
        first = next(iter(values))
        if len(values) > 1 and first is not None and np.ndim(first) == 0:
            raise FeatureError(f"feature {name!r} has the shape ({len(values)},); {ONE_SAMPLE}")


def columns_of(X: Mapping[str, Any]) -> dict[str, list[str]]:
    """Returns the column names of the features that are data frames."""
    return {name: [str(c) for c in values.columns] for name, values in X.items() if isinstance(values, pd.DataFrame)}


def _as_array(name: str, values: Any, L: int) -> np.ndarray:
    if isinstance(values, pd.Series) and (values.isna().all() or any(map(np.ndim, values))):
        values = _cells(values)
    if isinstance(values, pd.DataFrame | pd.Series):
        values = _of_frame(name, values)
    if isinstance(values, Tensor):
        values = tensor_values(f"feature {name!r}", values)
    if not isinstance(values, np.ndarray):
        values = _uniform(name, values)
    if isinstance(values, np.ndarray) and values.dtype == object and values.ndim > 1:
        values = _of_objects(name, values)
    if isinstance(values, list) or values.dtype == object:
        return _ragged(name, list(values), L)
    if 0 in values.shape[1:]:
        raise FeatureError(f"feature {name!r} has the shape {values.shape}; a sample of it holds no number")
    if values.ndim < 4:
        values = as_numbers(f"feature {name!r}", values)
    else:  # converted block by block
        values = as_array(f"feature {name!r}", values, "fiub", "real numbers")
    if values.ndim == 1:
        return values[:, None]
    if values.ndim == 2 or values.ndim == 3 and values.shape[2] in (1, L):
        return values
    if values.ndim not in (3, 4):
        raise FeatureError(
            f"feature {name!r} has the shape {values.shape}; expected (samples, channels), (samples, channels, T) or "
            "(samples, channels, height, width)"
        )
    _warn_of_channels_last(name, values.shape)
    _warn_of_what_pooling_hides(name, (np.asarray(block) for _, block in blocks(values)))
    parts = [_pooled(name, torch.from_numpy(_numbers(name, block)), L) for _, block in blocks(values)]
    return np.concatenate(parts) if parts else np.empty((0, values.shape[1], L), np.float32)


def _warn_of_channels_last(name: str, shape: tuple[int, ...]) -> None:
    """Warns of pictures (n, H, W, colours): H would be taken for the channels."""
    if len(shape) == 4 and shape[3] in COLOURS and min(shape[1:3]) > max(COLOURS):
        warn(
            f"feature {name!r} has the shape {shape}, which looks like (samples, height, width, colours); the first "
            "after the samples is taken for the channels. If the colours come last, give array.transpose(0, 3, 1, 2)"
        )


def _numbers(name: str, values: Any) -> np.ndarray:
    """Copies to float32."""
    return np.array(as_numbers(f"feature {name!r}", values, keep_half=False))


def _of_frame(name: str, values: pd.DataFrame | pd.Series) -> np.ndarray:
    """Returns the numbers of a data frame, NaN where a value is missing."""
    columns = values.to_frame() if isinstance(values, pd.Series) else values
    for column, kind in columns.dtypes.items():
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_complex_dtype(kind):
            raise FeatureError(f"feature {name!r}: the column {column!r} has the type {kind}; expected numbers")
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _uniform(name: str, values: Any) -> np.ndarray | list[Any]:
    """Makes an array of a list whose samples have one shape, and leaves others a list."""
    if isinstance(values, Mapping):
        raise FeatureError(
            f"feature {name!r} is a dictionary with {how_many(len(values), 'key')}; expected one array a "
            f"feature. Features of one modality are named '{name}_1', '{name}_2', ..."
        )
    try:
        samples = list(values)
    except TypeError as error:
        raise FeatureError(f"feature {name!r} is {type(values).__name__}; expected an array or a list") from error
    if any(map(np.ma.is_masked, samples)):  # numpy drops the masks of a list
        row = next(row for row, sample in enumerate(samples) if np.ma.is_masked(sample))
        raise FeatureError(
            f"feature {name!r} is masked in sample {row}; fill what is masked, or give None for a sample"
        )
    plain = [tensor_values(f"feature {name!r}", s) if isinstance(s, Tensor) else s for s in samples]
    try:
        shapes = {None if sample is None else np.shape(sample) for sample in plain}
    except ValueError as error:
        raise FeatureError(f"feature {name!r} has a sample whose rows differ in length; expected (C, T)") from error
    return plain if None in shapes or len(shapes) > 1 else np.array(plain)


def _of_objects(name: str, values: np.ndarray) -> np.ndarray:
    """Returns the numbers of an array of Python objects; None becomes NaN."""
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise FeatureError(f"feature {name!r} is not an array of real numbers: {error}") from error


def _ragged(name: str, samples: Sequence[Any], L: int) -> np.ndarray:
    """Pools each sample (C, T) over its own length to (C, L): nothing is padded."""
    there = {i: _numbers(f"{name}, sample {i}", s) for i, s in enumerate(samples) if s is not None}
    if not there:
        raise FeatureError(f"feature {name!r} is None in every sample; leave it out")
    ranks = {array.ndim for array in there.values()}
    channels = {array.shape[0] if array.ndim else 0 for array in there.values()}
    if len(ranks) != 1 or ranks > {1, 2, 3} or ranks == {0} or len(channels) != 1:
        shapes = sorted({str(array.shape) for array in there.values()})[:5]
        raise FeatureError(
            f"feature {name!r} has samples of the shapes {', '.join(shapes)}; expected (C, T), C the same for all: "
            "channels first, then time"
        )
    if any(0 in array.shape for array in there.values()):
        raise FeatureError(f"feature {name!r}: a sample is empty; give None where a sample lacks it")
    shape = next(iter(there.values())).shape
    if len(shape) > 1:
        _warn_of_what_pooling_hides(name, (array[None] for array in there.values()))
    (width,) = channels
    pooled = np.full((len(samples), width, 1 if len(shape) == 1 else L), np.nan, np.float32)
    for i, array in there.items():
        batch = torch.from_numpy(array)[None]
        pooled[i] = array[:, None] if len(shape) == 1 else _pooled(name, batch, L)[0]
    return pooled


def _warn_of_what_pooling_hides(name: str, parts: Iterable[np.ndarray]) -> None:
    """Warns of markers of missing values, and of zeros at the end, which are no longer seen once they are pooled.

    Args:
        parts: samples (b, C, T) or (b, C, H, W).
    """
    scan: MarkerScan | None = None
    padded = samples = 0
    for part in parts:
        scan = scan or MarkerScan(part.shape[1])
        scan.add(np.moveaxis(part, 1, -1).reshape(-1, scan.low.size))
        if part.ndim == 3:
            is_zero = (part == 0).all(1)  # (b, T)
            padded += int((is_zero[:, -1] & ~is_zero.all(1)).sum())
            samples += len(part)
    for marker, channels in (scan.found() if scan else {}).items():
        warn(
            f"feature {name!r}: {len(channels)} channels, first {channels[0]}, are {marker:g} somewhere; if that says "
            "that values are missing, cut them off (samples of a list may differ in length), or make the sample NaN"
        )
    if padded > PADDED * samples:
        warn(
            f"feature {name!r}: {padded:,} of {samples:,} samples end in zeros; if that is padding, give a list of "
            "samples without it: each is pooled over its own length"
        )


def _pooled(name: str, block: Tensor, L: int) -> np.ndarray:
    """(b, C, T) or (b, C, H, W) -> (b, C, L); an image to a grid of sqrt(L) x sqrt(L) where L is a square."""
    if bool(block.isinf().any()):
        raise FeatureError(f"feature {name!r} holds infinite values, some of which pooling would hide; repair them")
    empty = block.flatten(1).isnan()
    if bool((empty.any(1) & ~empty.all(1)).any()):
        raise FeatureError(
            f"feature {name!r} holds NaN within a sample; cut padding off (samples of a list may differ in length), "
            "and make a missing sample NaN everywhere"
        )
    axis = "grid" if block.ndim == 4 and int(L**0.5) ** 2 == L else "auto"
    pooled = pool(block, L, axis)
    return pooled.expand(-1, -1, L).numpy()
