"""What one's own arrays become in a feature set: types, shapes, and what the names say."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.errors import FeatureError, warn
from bmnas.storage.validation import plain_number

MOST = np.iinfo(np.int64).max
FLOAT64_NOISE = 1e-12  # relative difference that computing in float64 may leave
STEPS = 16  # a column with fewer float32 numbers between its extremes has lost what it says
TINY = float(np.finfo(np.float32).tiny)
DEFAULT_L = 8  # when every feature is a vector and any L fits; the value of Table 8 for NTU


def as_array(name: str, values: ArrayLike, kinds: str, expected: str) -> np.ndarray:
    """Converts to an array whose type is of one of numpy's kinds ("f" float, "i" and "u" whole, "b" boolean)."""
    refuse_sparse(name, values)
    if isinstance(values, Tensor):
        values = tensor_values(name, values)
    try:
        array = np.asarray(values)
        if np.ma.is_masked(values):
            raise TypeError("some of its values are masked; fill or remove them")
        if array.dtype.kind not in kinds:
            raise TypeError(f"its type is {array.dtype}")
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise FeatureError(f"{name} is not an array of {expected}: {error}") from error
    return array


def refuse_sparse(name: str, values: object) -> None:
    """Makes sure that this is no sparse matrix of scipy, of which numpy would make an array of one object.

    Raises:
        FeatureError: it is one.
    """
    if hasattr(values, "toarray"):
        raise FeatureError(f"{name} is a sparse matrix; give an array, .toarray()")


def tensor_values(name: str, tensor: Tensor) -> np.ndarray:
    """Returns the numbers of a tensor; of types that numpy lacks, such as bfloat16, as the float32 that equals them.

    Raises:
        FeatureError: a sparse, nested, quantised or meta tensor.
    """
    if tensor.is_nested or tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        what = "nested" if tensor.is_nested else f"{tensor.dtype} on {tensor.device.type}, {tensor.layout}"
        raise FeatureError(
            f"{name} is a tensor that is {what}; give a plain one (to_dense(), dequantize()), or a list of tensors "
            "where samples differ in length"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    known = not plain.is_floating_point() or plain.dtype in (torch.float16, torch.float32, torch.float64)
    return (plain if known else plain.float()).numpy()


def check_order(values: Mapping[str, Any]) -> None:
    """Makes sure that data frames whose rows belong together have them in one order, as their indices say.

    Args:
        values: words for a message -> a data frame or series, or anything else, which has no index.

    Raises:
        FeatureError: two indices differ; names both, and the first row.
    """
    indices = {name: value.index for name, value in values.items() if isinstance(value, pd.DataFrame | pd.Series)}
    names = list(indices)
    for name in names[1:]:
        ours, first = indices[name], indices[names[0]]
        if len(ours) != len(first) or ours.equals(first):
            continue
        row = next(row for row, (a, b) in enumerate(zip(ours, first, strict=True)) if a != b)
        raise FeatureError(
            f"{name} and {names[0]} have their rows in another order: the index of row {row} is {_shown(ours, row)} "
            f"and {_shown(first, row)}. Sort one like the other (frame.loc[other.index]), or give arrays "
            "(frame.to_numpy())"
        )
    _compare_ids({name: value for name, value in values.items() if isinstance(value, pd.DataFrame)})


def _shown(index: pd.Index, row: int) -> str:
    """Writes an entry of an index so that 1 and "1" look different."""
    return repr(plain_number(index[row]))


def _compare_ids(frames: Mapping[str, pd.DataFrame]) -> None:
    """Warns of a column of whole numbers that two frames share, no number twice, in another order: it may be an id."""
    seen: dict[Any, tuple[str, Any]] = {}
    for name, frame in frames.items():
        for label in frame.columns if frame.columns.is_unique and len(frame) > 1 else ():
            column = frame[label]
            if not pd.api.types.is_integer_dtype(column) or not column.is_unique:
                continue
            first_name, first = seen.setdefault(label, (name, column))
            ours, others = column.to_numpy(), first.to_numpy()
            if len(ours) == len(others) and (ours != others).any() and set(ours) == set(others):
                row = int((ours != others).argmax())
                warn(
                    f"{name} and {first_name} hold the same numbers in the column {label!r}, in another order: "
                    f"{ours[row]} and {others[row]} in row {row}. If it says which sample a row is, sort one frame "
                    "like the other, and leave the column out"
                )


def check_present(name: str, values: Any) -> None:
    """Makes sure that no label is missing: numpy turns the NaN of a list of texts into the text "nan", and drops masks.

    Raises:
        FeatureError: one is None, NaN or masked; names the row.
    """
    if np.ma.is_masked(values):
        row = int(np.argwhere(np.ma.getmaskarray(values))[0, 0])
        raise FeatureError(f"{name} is masked in row {row}; expected one a sample. Leave such samples out")
    if (isinstance(values, np.ndarray) and values.dtype.kind != "O") or not isinstance(values, Iterable):
        return
    for row, value in enumerate(values.ravel() if isinstance(values, np.ndarray) else values):
        if np.ndim(value) == 0 and pd.isna(value):
            raise FeatureError(f"{name} is {value!r} in row {row}; expected one a sample. Leave such samples out")


def as_numbers(name: str, values: ArrayLike, keep_half: bool = True) -> np.ndarray:
    """Converts to float32, or keeps float16 where that was given; in the same memory where the type fits."""
    array = as_array(name, values, "fiub", "real numbers")
    if keep_half and array.dtype == np.float16:
        return array
    with np.errstate(over="ignore"):
        numbers = array.astype(np.float32, copy=False)
    lost = np.isinf(numbers) & np.isfinite(array) if array.dtype.itemsize > numbers.itemsize else np.zeros(1, bool)
    if lost.any():
        first = tuple(np.argwhere(lost)[0])
        raise FeatureError(
            f"{name} is {array[first]:.6g} in row {first[0] if first else 0}, more than float32 can hold (3.4e38); "
            "scale or repair it"
        )
    if array.dtype.itemsize > numbers.itemsize:
        _warn_of_rounding(name, array)
    return numbers


def _warn_of_rounding(name: str, array: np.ndarray) -> None:
    """Warns where float32 cannot tell the values of a column apart: large numbers with small differences, or tiny ones.

    Differences of the size of float64's own rounding do not count.
    """
    if array.ndim < 2 or not array.size:
        return
    columns = array.reshape(len(array), -1)
    low, high = (function(columns, axis=0) for function in (np.fmin.reduce, np.fmax.reduce))
    noise = FLOAT64_NOISE if array.dtype.kind == "f" else 0.0  # whole numbers are exact
    with np.errstate(over="ignore", invalid="ignore"):  # infinite values are refused elsewhere
        spread = (high - low if noise else high.astype(object) - low.astype(object)).astype(np.float64)
    low, high = low.astype(np.float64), high.astype(np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    below = np.minimum(size, np.finfo(np.float32).max / 2).astype(np.float32)  # the largest number has no next one
    lost = (spread > noise * size) & (spread < np.maximum(STEPS * np.spacing(below), TINY))
    if lost.any():
        column = int(lost.argmax())
        warn(
            f"{name}: float32 rounds away what differs in {lost.sum()} columns; column {column} lies between "
            f"{low[column]:.10g} and {high[column]:.10g}. Subtract its mean, or scale it, before",
        )


def as_whole_numbers(name: str, values: ArrayLike, expected: str) -> np.ndarray:
    """Converts to int64."""
    array = as_array(name, values, "iu", expected)
    if array.dtype.kind == "u" and array.max(initial=0) > MOST:
        row = int(array.argmax())
        raise FeatureError(
            f"{name} is {array.max()} in row {row}, more than int64 can hold ({MOST}); expected {expected}"
        )
    return array.astype(np.int64)


def as_feature(name: str, values: ArrayLike) -> np.ndarray:
    """Converts to (n, C_in, L), or to (n, C_in, 1) for the vectors (n, C_in)."""
    numbers = as_numbers(f"feature {name!r}", values)
    if numbers.ndim not in (2, 3):
        raise FeatureError(
            f"feature {name!r} has the shape {numbers.shape}; expected (samples, channels) or (samples, channels, L). "
            "bmnas.pool makes the latter of a map"
        )
    return numbers[:, :, None] if numbers.ndim == 2 else numbers  # (n, C_in, L or 1)


def as_names(field: str, names: Iterable[str]) -> tuple[str, ...]:
    """Converts to a tuple of what should be names; what they are is checked later."""
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise FeatureError(f"{field} is {names!r}; expected a list of names")
    return tuple(names)


def as_rows(split: str, rows: ArrayLike) -> np.ndarray:
    """Converts to int64 row numbers."""
    return as_whole_numbers(f"splits[{split!r}]", rows, "row numbers")


def common_length(arrays: Mapping[str, np.ndarray]) -> int:
    """Returns the L that the sequences share."""
    lengths = {name: array.shape[2] for name, array in arrays.items() if array.ndim == 3 and array.shape[2] != 1}
    if len(set(lengths.values())) > 1:
        raise FeatureError(
            f"the features have different lengths, {lengths}; bring all of them to one with bmnas.pool(array, L), "
            "or give them to bmnas.FusionClassifier, which does so"
        )
    return next(iter(lengths.values()), DEFAULT_L)


def modalities_by_name(names: Mapping[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Groups features by their names: Image_1, Image_2, Text_1 -> Image: Image_1, Image_2; Text: Text_1."""
    modalities: dict[str, tuple[str, ...]] = {}
    for name in names:
        modality = str(name).rpartition("_")[0] or str(name)
        modalities[modality] = (*modalities.get(modality, ()), name)
    return modalities
