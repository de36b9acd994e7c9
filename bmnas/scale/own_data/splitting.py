"""Splits of one's own samples into train, val and test: stratified by class, or by groups that stay whole."""

import numpy as np
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split

from bmnas.errors import FeatureError, how_many

SPLITS = 3


def check_classes(labels: np.ndarray, classes: np.ndarray) -> None:
    """Makes sure that there are two classes at least, and three samples of each.

    Args:
        labels: (n,), some of `classes`.

    Raises:
        FeatureError: says which class has too few samples; or that the labels look like measurements.
    """
    if len(classes) < 2:
        raise FeatureError(f"y has one class, {classes[0].item()!r}; expected two at least")
    counts = np.bincount(np.searchsorted(classes, labels), minlength=len(classes))
    rare = np.flatnonzero(counts < SPLITS)
    if not len(rare):
        return
    if labels.dtype.kind == "f" and (labels != np.round(labels)).any():
        raise FeatureError(
            f"y holds {len(classes):,} different numbers, such as {classes[0]:.4g}; expected a class a sample. Numbers "
            "are not predicted here (regression); cut them into classes, for instance with pandas.qcut"
        )
    raise FeatureError(
        f"the class {classes[rare[0]].item()!r} has {how_many(int(counts[rare[0]]), 'sample')}; train, val and test "
        "need one each. Leave such classes out, or join them with others"
    )


def split_rows(
    targets: np.ndarray, groups: np.ndarray | None, val: float, test: float, seed: int
) -> dict[str, np.ndarray]:
    """Splits the samples at random.

    Args:
        targets: (n,) class numbers, whose shares all splits have, or (n, labels).
        groups: (n,); samples of a group stay in one split. None where each sample stands alone.
        val, test: shares of the samples.
        seed: of the split.

    Raises:
        FeatureError: the groups are too few, or a share is none.
    """
    rows = np.arange(len(targets))
    if groups is not None and len(np.unique(groups)) < SPLITS:
        raise FeatureError(f"{len(np.unique(groups))} groups; train, val and test need one each at least")
    if not (val > 0 and test > 0 and val + test < 1):
        raise FeatureError(f"val_size is {val}, test_size is {test}; expected shares above 0, less than 1 together")
    rest, tested = _part(rows, targets, groups, test, seed)
    trained, validated = _part(rest, targets, groups, val / (1 - test), seed + 1)
    return {"train": np.sort(trained), "val": np.sort(validated), "test": np.sort(tested)}


def _part(
    rows: np.ndarray, targets: np.ndarray, groups: np.ndarray | None, share: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Takes a share of some rows away; returns what is left, and the share."""
    labels = targets[rows]
    if groups is None:
        count = max(round(share * len(rows)), 1)
        if labels.ndim == 1:
            count = max(count, len(np.unique(labels)))
        return tuple(
            train_test_split(rows, test_size=count, random_state=seed, stratify=labels if labels.ndim == 1 else None)
        )  # type: ignore[return-value]
    members = groups[rows]
    folds = round(1 / share)
    rarest = np.bincount(labels)[np.unique(labels)].min() if labels.ndim == 1 else 0
    if 2 <= folds <= min(len(np.unique(members)), rarest):
        splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
        left, drawn = next(iter(splitter.split(rows, labels, members)))
    else:
        left, drawn = next(iter(GroupShuffleSplit(1, test_size=share, random_state=seed).split(rows, groups=members)))
    return rows[left], rows[drawn]
