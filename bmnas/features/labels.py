"""Labels as people have them: names or numbers of one type, or rows of 0 and 1; and what they become."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.errors import FeatureError
from bmnas.features.convert import as_array, as_names, as_numbers, as_whole_numbers, check_present, tensor_values

SORTED = "biufUSMm"  # numpy's kinds of what can be a label: it has an order, and equals itself
MOST_CLASSES = 100_000  # that are numbered without being asked for


def as_labels(name: str, values: ArrayLike) -> np.ndarray:
    """Returns labels or groups (n,), none of them missing and all of one type, or rows of 0 and 1 (n, labels).

    Args:
        name: of the argument, for errors.

    Raises:
        FeatureError: names the row and what stands there.
    """
    if isinstance(values, Tensor):
        values = tensor_values(name, values)
    if isinstance(values, pd.DataFrame) and all(map(pd.api.types.is_numeric_dtype, values.dtypes)):
        values = values.to_numpy(np.float64, na_value=np.nan)
    check_present(name, values)
    labels = _one_type(name, values)
    if labels.ndim not in (1, 2) or not len(labels):
        raise FeatureError(
            f"{name} is {type(values).__name__} with the shape {labels.shape}; expected one label a sample, as an "
            "array or a list, or a row of 0 and 1"
        )
    if labels.ndim == 2:
        _check_rows(name, labels)
        return labels
    if labels.dtype.kind not in SORTED:
        raise FeatureError(
            f"{name} holds {labels.dtype} values, such as {labels[0]!r}; expected names or numbers. Texts of them, "
            "str(value), can be sorted"
        )
    if labels.dtype.kind in "fMm" and not np.isfinite(labels).all():
        row = int((~np.isfinite(labels)).argmax())
        raise FeatureError(f"{name} is {labels[row]} in row {row}: NaN or infinite; expected a label for each sample")
    if labels.dtype.kind in "US":
        empty = np.char.strip(labels) == labels.dtype.type()
        if empty.any():
            row = int(empty.argmax())
            raise FeatureError(
                f"{name} is {labels[row].item()!r} in row {row}; expected a name. Leave such samples out"
            )
    return labels


def _one_type(name: str, values: Any) -> np.ndarray:
    """Makes an array; numpy would turn a mixture of texts and numbers into texts, and so join 1 and "1"."""
    try:
        labels = np.array(values)
    except ValueError as error:
        raise FeatureError(
            f"{name} has rows of different lengths; expected one label a sample, or for several at once a row of 0 and "
            "1 (sklearn.preprocessing.MultiLabelBinarizer makes them)"
        ) from error
    given_as_texts = isinstance(values, np.ndarray) and labels.dtype.kind in "US"
    if labels.ndim != 1 or labels.dtype.kind not in "OUS" or given_as_texts:
        return labels
    each = labels.tolist() if labels.dtype.kind == "O" else list(values)
    for kind in (str, bytes):
        others = sorted({type(value).__name__ for value in each if not isinstance(value, kind)})
        if not others:
            return labels.astype(kind)
        if len(others) < len({type(value).__name__ for value in each}):
            raise FeatureError(f"{name} mixes texts and other values ({', '.join(others)}); expected one type for all")
    are_numbers = all(isinstance(value, bool | int | float | np.number | np.bool_) for value in each)
    return np.array(each) if are_numbers else labels


def _check_rows(name: str, labels: np.ndarray) -> None:
    """Refuses names in two dimensions, and a column of classes, which is no row of 0 and 1."""
    if labels.dtype.kind not in "biuf":
        advice = f"{name}.ravel(), frame['label']" if labels.shape[1] == 1 else "one column of it"
        raise FeatureError(
            f"{name} has the shape {labels.shape} and holds {labels.dtype}; expected one label a sample ({advice}), or "
            "rows of the numbers 0 and 1"
        )
    if labels.shape[1] == 1 and not np.isin(labels, (0, 1)).all():
        raise FeatureError(
            f"{name} has the shape {labels.shape}: a column of {len(pd.unique(labels[:, 0]))} numbers; give one label "
            f"a sample: {name}.ravel() of an array, frame['label'] of a frame"
        )


def label_name(label: Any) -> str:
    """Writes a label as the name of its class; bytes, as HDF5 holds texts, are read as UTF-8."""
    return label.decode("utf-8", "backslashreplace") if isinstance(label, bytes) else str(label)


def names_alike(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Yields the names that differ only in blanks, in case, or in how Unicode writes their letters."""
    alike: dict[str, list[str]] = {}
    for name in names:
        visible = "".join(sign for sign in unicodedata.normalize("NFKC", name) if unicodedata.category(sign) != "Cf")
        alike.setdefault(" ".join(visible.casefold().split()), []).append(name)
    yield from (tuple(same) for same in alike.values() if len(same) > 1)


def as_targets(
    targets: ArrayLike, kind: str | None, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, str, Sequence[str] | None]:
    """int64 or float32 targets, the kind of task, which two dimensions make multilabel, and the classes.

    Names of classes become their numbers: in the order of `classes`, or in alphabetical order where there are none.
    """
    check_present("targets", targets)
    numbers, classes = _numbered(targets, classes)
    return *_typed_targets(numbers, kind), classes


def _numbered(targets: ArrayLike, classes: Sequence[str] | None) -> tuple[ArrayLike, Sequence[str] | None]:
    """Replaces names of classes by their numbers."""
    try:
        names = targets if isinstance(targets, Tensor) else _one_type("targets", targets)
    except (TypeError, RuntimeError):
        return targets, classes
    if names.ndim != 1 or not len(names) or isinstance(names, Tensor) or names.dtype.kind not in "US":
        return targets, classes
    values = [label_name(label) for label in names.tolist()]
    order = tuple(sorted(set(values))) if classes is None else as_names("classes", classes)
    numbers = {name: number for number, name in enumerate(order)}
    for row, value in enumerate(values):
        if value not in numbers:
            raise FeatureError(f"targets is {value!r} in row {row}; classes names {', '.join(map(repr, order))}")
    return np.array([numbers[value] for value in values]), order


def _typed_targets(targets: ArrayLike, kind: str | None) -> tuple[np.ndarray, str]:
    array = as_array("targets", targets, "fiub", "numbers, or of rows of 0 and 1")
    if array.ndim == 0:
        raise FeatureError(f"targets is the single number {array}; expected one a sample")
    kind = ("multilabel" if array.ndim == 2 else "multiclass") if kind is None else kind
    if kind == "multilabel":
        return as_numbers("targets", array, keep_half=False), kind
    return as_whole_numbers("targets", array, "whole numbers, one a sample, as multiclass expects"), kind


def numbered_classes(targets: np.ndarray, kind: str) -> tuple[str, ...]:
    """Names as many classes as the targets show "0", "1" ..."""
    if kind == "multilabel":
        return tuple(str(i) for i in range(targets.shape[-1]))
    largest = int(targets.max(initial=0))
    if largest >= MOST_CLASSES:
        raise FeatureError(
            f"targets is {largest} in row {int(targets.argmax())}; without names in classes= the classes are numbered "
            f"from 0, {MOST_CLASSES} at most"
        )
    return tuple(str(i) for i in range(largest + 1))
