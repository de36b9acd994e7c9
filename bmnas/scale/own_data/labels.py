"""Labels as people have them, brought to (n,) of one type, or to (n, labels) of 0 and 1."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.errors import FeatureError
from bmnas.features.convert import check_present, tensor_values

SORTED = "biufUSMm"  # numpy's kinds of what can be a label: it has an order, and equals itself


def as_labels(y: ArrayLike) -> np.ndarray:
    """Returns the labels (n,), none of them missing and all of one type, or rows of 0 and 1 (n, labels).

    Raises:
        FeatureError: names the row and what stands there.
    """
    if isinstance(y, Tensor):
        y = tensor_values("y", y)
    check_present("y", y)
    labels = _array(y)
    if labels.ndim not in (1, 2) or not len(labels):
        raise FeatureError(f"y has the shape {labels.shape}; expected one label a sample, or a row of 0 and 1")
    if labels.ndim == 2:
        _check_rows(labels)
        return labels
    if labels.dtype.kind not in SORTED:
        raise FeatureError(
            f"y holds {labels.dtype} values, such as {labels[0]!r}; expected names or numbers of classes"
        )
    if labels.dtype.kind in "fMm" and not np.isfinite(labels).all():
        row = int((~np.isfinite(labels)).argmax())
        raise FeatureError(f"y is {labels[row]} in row {row}: NaN or infinite; expected a label for each sample")
    if labels.dtype.kind in "US":
        empty = np.char.strip(labels) == labels.dtype.type()
        if empty.any():
            row = int(empty.argmax())
            raise FeatureError(f"y is {labels[row].item()!r} in row {row}; expected a name. Leave such samples out")
    return labels


def _array(y: Any) -> np.ndarray:
    """Makes an array; numpy would turn a mixture of texts and numbers into texts, and so join 1 and "1"."""
    try:
        labels = np.array(y)
    except ValueError as error:
        raise FeatureError(
            "y has rows of different lengths; expected one label a sample, or for several at once a row of 0 and 1 "
            "(sklearn.preprocessing.MultiLabelBinarizer makes them)"
        ) from error
    if labels.ndim != 1 or labels.dtype.kind not in "OU" or isinstance(y, np.ndarray) and labels.dtype.kind == "U":
        return labels
    values = labels.tolist() if labels.dtype.kind == "O" else list(y)
    types = sorted({type(value).__name__ for value in values if not isinstance(value, str)})
    if not types:
        return labels.astype(str)
    if any(isinstance(value, str) for value in values):
        raise FeatureError(f"y mixes texts and other values ({', '.join(types)}); expected one type for all labels")
    are_numbers = all(isinstance(value, bool | int | float | np.number | np.bool_) for value in values)
    return np.array(values) if labels.dtype.kind == "O" and are_numbers else labels


def _check_rows(labels: np.ndarray) -> None:
    """Refuses names in two dimensions, and a column of classes, which is no row of 0 and 1."""
    if labels.shape[1] != 1:
        return
    numbers = labels.dtype.kind in "biuf"
    if not numbers or not np.isin(labels, (0, 1)).all():
        raise FeatureError(
            f"y has the shape {labels.shape}: a column of {len(pd.unique(labels[:, 0]))} classes; give one label a "
            "sample: y.ravel() of an array, frame['label'] of a frame"
        )
