"""The inputs of a trained network, checked against those of its training, and completed where some may be missing."""

from collections.abc import Collection, Iterable, Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from bmnas.errors import FeatureError, how_many
from bmnas.features.convert import as_numbers
from bmnas.features.feature_set import FeatureSet
from bmnas.storage.digests import json_sha256

LEARN_SUBSETS = (
    "Only a network that was trained on data with missing rows, or with modality_dropout, can do without some: "
    "train one with modality_dropout=0.2 in the settings of the search"
)
ONE_SAMPLE = "one sample alone is a batch of one, array[None]"
Shapes = Mapping[str, tuple[int, int]]  # feature -> (C_in, L or 1)


def checked_batch(
    arrays: Mapping[str, ArrayLike],
    shapes: Shapes,
    takes_subsets: bool,
    unused: Iterable[str] = (),
    ignored: Collection[str] = (),
) -> dict[str, Tensor]:
    """Returns feature -> float32 (n, C_in, L or 1) of all features that a network uses.

    Args:
        takes_subsets: whether features may be left out, and rows of NaN say that a sample lacks one.
        unused: features that may be given, too, though the network does not use them.
        ignored: features of `shapes` on which no answer depends; one that was left out, or is missing, is 0.

    Raises:
        FeatureError: a feature is missing, has another shape or holds NaN; a sample lacks every feature; where features
            may be left out, a name that is none.
    """
    absent = [] if takes_subsets else [name for name in shapes if name not in arrays and name not in ignored]
    if absent:
        raise FeatureError(
            f"the network uses the feature{'s' if absent[1:] else ''} {', '.join(map(repr, absent))}, but given were: "
            f"{', '.join(arrays) or 'none'}. {LEARN_SUBSETS}"
        )
    unknown = [name for name in arrays if name not in shapes and name not in unused] if takes_subsets else []
    if unknown:  # not taken for one that was left out
        raise FeatureError(f"there is no feature {unknown[0]!r}; the training had {', '.join([*shapes, *unused])}")
    present = [name for name in shapes if name in arrays]
    batch = {name: _checked(name, arrays, shapes[name], takes_subsets, name in ignored) for name in present}
    if takes_subsets:
        return _completed(batch, arrays, shapes)
    total = len(next(iter(batch.values())))
    return {name: batch[name] if name in batch else torch.zeros(total, *shape) for name, shape in shapes.items()}


def _checked(
    name: str, arrays: Mapping[str, ArrayLike], shape: tuple[int, int], takes_subsets: bool, ignored: bool
) -> Tensor:
    array = np.array(as_numbers(f"feature {name!r}", arrays[name], keep_half=False))  # a copy: it may be read-only
    if array.ndim == 2 and shape[1] == 1:
        array = array[:, :, None]
    if array.shape[1:] != tuple(shape):
        alone = f"; {ONE_SAMPLE}" if array.shape[:1] == shape[:1] else ""
        raise FeatureError(f"feature {name!r} has the shape {array.shape}; expected (n, {shape[0]}, {shape[1]}){alone}")
    if ignored and not takes_subsets:
        array[_absent(array)] = 0.0
    bad = ~np.isfinite(array).all((1, 2))
    if takes_subsets:
        bad &= ~_absent(array)
    if bad.any():
        hint = "" if takes_subsets or not _absent(array).any() else f". {LEARN_SUBSETS}"
        raise FeatureError(f"feature {name!r} holds NaN or infinite values, first in row {int(bad.argmax())}{hint}")
    return torch.from_numpy(array)


def _absent(array: np.ndarray) -> np.ndarray:
    """Returns which rows are NaN everywhere, (n,)."""
    return np.asarray(np.isnan(array).all(tuple(range(1, array.ndim))))


def _completed(batch: dict[str, Tensor], arrays: Mapping[str, ArrayLike], shapes: Shapes) -> dict[str, Tensor]:
    """Adds rows of NaN for features that were left out; refuses samples that lack all that was given."""
    others = {
        name: as_numbers(f"feature {name!r}", values, keep_half=False)
        for name, values in arrays.items()
        if name not in batch
    }
    rows_of = {name: x.numpy() for name, x in batch.items()} | others
    if not rows_of:
        raise FeatureError(f"no feature was given; the network uses {', '.join(shapes)}")
    counts = {name: len(x) for name, x in rows_of.items()}
    if len(set(counts.values())) != 1:
        raise FeatureError(f"the features have different numbers of samples: {counts}")
    total = next(iter(counts.values()))
    lacking = np.logical_and.reduce([_absent(x) for x in rows_of.values()])
    if lacking.any():
        rows = ", ".join(map(str, np.flatnonzero(lacking)[:5]))
        raise FeatureError(
            f"{how_many(int(lacking.sum()), 'sample')} without any modality (rows {rows}); leave such samples out"
        )
    return {
        name: batch[name] if name in batch else torch.full((total, *shape), torch.nan) for name, shape in shapes.items()
    }


def check_features(features: FeatureSet, shapes: Shapes, classes: tuple[str, ...], preprocessing: str) -> None:
    """Checks that a feature set is of the same kind as the one that a network was trained on, and has what it uses.

    Raises:
        FeatureError: a feature is missing or has another shape; see `check_origin`.
    """
    for name, (C, P) in shapes.items():
        if name not in features.arrays:
            raise FeatureError(
                f"the network uses the feature {name!r}, but these features are {', '.join(features.names)}; give "
                "those of its training"
            )
        shape = (*features.arrays[name].shape[1:], 1)[:2]
        if shape != (C, P):
            raise FeatureError(f"feature {name!r} has the shape (n, {shape[0]}, {shape[1]}); expected (n, {C}, {P})")
    check_origin(features, classes, preprocessing)


def check_origin(features: FeatureSet, classes: tuple[str, ...], preprocessing: str) -> None:
    """Checks that features are of the classes, and of the preprocessing, that a network was trained on.

    Args:
        preprocessing: see `preprocessing_digest`; "" where it is not known.

    Raises:
        FeatureError: other classes or another order, other backbones or another pooling.
    """
    if features.classes != classes:
        raise FeatureError(f"the features have the classes {list(features.classes)}, the network {list(classes)}")
    digest = preprocessing_digest(features)
    if preprocessing and digest != preprocessing:
        raise FeatureError(
            f"the features were made otherwise than those of the training (preprocessing {digest}, not "
            f"{preprocessing}): other backbones, weights or pooling; extract them as for the training"
        )


def preprocessing_digest(features: FeatureSet) -> str:
    """Returns sixteen hexadecimal digits of how features were made: backbones with their weights, pooling, L."""
    made = {key: features.manifest.get(key, {}) for key in ("backbones", "pooling")}
    return json_sha256({**made, "L": features.L})[:16]
