"""Groups of samples that were recorded together, as people have them, and what they become: numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.errors import FeatureError, warn
from bmnas.features.convert import tensor_values
from bmnas.features.labels import as_labels, label_name, names_alike

MOST = 4  # groups a sample
NAMED = 3  # sets of names alike that a warning writes out


def as_groups(groups: ArrayLike) -> np.ndarray:
    """Converts groups to int64 numbers, equal where names or numbers are; warns of names that look alike.

    Args:
        groups: (n,), or (n, k) where each sample is of k groups; an array, a list or a data frame.

    Returns:
        (n,) or (n, k).

    Raises:
        FeatureError: one is missing, those of a column are of different types, k is too large, or all share one.
    """
    columns = _columns(groups)
    if not 1 <= len(columns) <= MOST:
        raise FeatureError(
            f"groups has {len(columns)} columns; expected one number or name for each sample, (n,), or up to {MOST}, "
            "(n, k), where each sample is of several groups"
        )
    places = [""] if len(columns) == 1 else [f", column {number}" for number in range(len(columns))]
    labels = [as_labels(f"groups{place}", column) for place, column in zip(places, columns, strict=True)]
    if any(column.ndim > 1 for column in labels):
        raise FeatureError("groups has more than two dimensions; expected (n,) or (n, k) numbers or names")
    _warn_of_names_alike(labels)
    numbers, names = pd.factorize(np.concatenate([column.astype(object) for column in labels]))
    table = np.ascontiguousarray(numbers.astype(np.int64).reshape(len(columns), -1).T)
    if len(columns) == 1:
        return table[:, 0]
    for number in table[0]:
        if (table == number).any(1).all():
            raise FeatureError(
                f"groups: every sample is of the group {label_name(names[number])!r}, so that none would be "
                "independent; expected in each column one of several numbers or names, not rows of 0 and 1"
            )
    return table


def kept_whole(groups: np.ndarray) -> np.ndarray:
    """Returns what no division of samples into parts tears: the group of each, (n,), of several the first.

    Args:
        groups: (n,) or (n, k).
    """
    return groups.reshape(len(groups), -1)[:, 0]


def groups_a_sample(groups: np.ndarray) -> int:
    """Returns k of (n, k) groups, 1 of (n,)."""
    return groups.size // len(groups)


def count_independent(groups: np.ndarray) -> int:
    """Counts the groups that stand behind samples at least, whichever of their k groups they are told apart by.

    Args:
        groups: (n,) or (n, k).
    """
    return min(len(np.unique(column)) for column in groups.reshape(len(groups), -1).T)


def _columns(groups: Any) -> list[Any]:
    """Takes the columns of a table apart; what is no table is one column."""
    if isinstance(groups, pd.DataFrame):
        return [groups.iloc[:, number] for number in range(groups.shape[1])]
    if isinstance(groups, Tensor):
        groups = tensor_values("groups", groups)
    if not _is_row(groups):
        return [groups]
    rows = list(groups)
    if rows and not any(map(_is_row, rows)):
        return [groups]
    lengths = {len(row) if _is_row(row) else 1 for row in rows}
    if len(lengths) > 1 or not all(map(_is_row, rows)):
        raise FeatureError("groups has rows of different lengths; expected as many groups of each sample, (n, k)")
    return [list(column) for column in zip(*rows, strict=True)]


def _is_row(value: Any) -> bool:
    is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return is_list or getattr(value, "ndim", 0) > 0


def _warn_of_names_alike(labels: Sequence[np.ndarray]) -> None:
    texts = {label_name(text) for column in labels if column.dtype.kind in "US" for text in np.unique(column).tolist()}
    alike = list(names_alike(sorted(texts)))
    if alike:
        shown = "; ".join(", ".join(map(ascii, same)) for same in alike[:NAMED]) + ("; ..." if alike[NAMED:] else "")
        warn(
            f"groups: names differ only in blanks, case or the form of their letters ({shown}); if they are one group, "
            "write them alike, or its samples may be torn apart"
        )
