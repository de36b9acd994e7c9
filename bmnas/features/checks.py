"""What a feature set must fulfil. Every check raises one FeatureError that names the field and the remedy."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from torch import nn

from bmnas.errors import FeatureError
from bmnas.features.blocks import blocks

KINDS = ("multiclass", "multilabel")
SOURCES = ("real", "synthetic", "stand-in")
SPLITS = ("train", "val", "test")
NAME = re.compile(r"[^\W_]([\w -]*[\w-])?")  # letters of any language; files and modules are named by it
NODE_NAME = re.compile(r"x|y|(Cell|Step)_[0-9]+")


def check_names(kind: str, names: Iterable[str]) -> None:
    """Restricts names to what can be a key of genotypes, of modules and of files."""
    module_dict = nn.ModuleDict()
    for name in names:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise FeatureError(
                f"{kind} name {name!r}: expected a text that starts with a letter or a digit, then letters, digits, "
                "blanks, '_' or '-': files and modules of the network are named by it. Rename it"
            )
        if NODE_NAME.fullmatch(name):
            whose = " (the part of a feature's name before its last '_')" if kind == "modality" else ""
            raise FeatureError(
                f"{kind} name {name!r}{whose} is taken: a genotype calls the inputs of a Cell x and y, and its nodes "
                f"Cell_1, Step_1 and so on. Rename it, for instance {'my' + name!r}"
            )
        if hasattr(module_dict, name):
            raise FeatureError(
                f"{kind} name {name!r} is taken by an attribute of torch.nn.ModuleDict, which holds layers by name. "
                f"Rename it, for instance {name.capitalize()!r}"
            )


def check_choice(field: str, value: str, allowed: Sequence[str]) -> None:
    """Checks that a word is one of a few."""
    if value not in allowed:
        raise FeatureError(f"{field} is {value!r}; expected one of {', '.join(allowed)}")


def check_text(field: str, value: object) -> None:
    """Checks for text; a manifest with anything else could be written, but not read."""
    if not isinstance(value, str):
        raise FeatureError(f"{field} is {value!r}; expected a text")


def check_mappings(fields: Mapping[str, object], optional: Mapping[str, object]) -> None:
    """Checks that what is given by name is a dictionary; an optional field may be None."""
    for field, value in {**fields, **optional}.items():
        if not isinstance(value, Mapping) and (value is not None or field in fields):
            raise FeatureError(f"{field} is {type(value).__name__}; expected a dictionary")


def check_finite(field: str, array: np.ndarray) -> None:
    """Refuses NaN and infinities, block by block."""
    for start, block in blocks(array):
        finite = np.isfinite(block)
        if not finite.all():
            row = start + int(np.argwhere(~finite)[0, 0])
            raise FeatureError(f"{field} holds NaN or infinite values, first in row {row}; remove or repair such rows")


def count_rows(targets: np.ndarray) -> int:
    """Counts the samples, by the targets."""
    if targets.ndim == 0:
        raise FeatureError("targets is a single number; expected one or a row of them a sample")
    return len(targets)


def check_shapes(arrays: Mapping[str, np.ndarray], L: int, samples: int) -> None:
    """Checks that every feature is (samples, C_in, L), or (samples, C_in, 1) without extent."""
    if not arrays:
        raise FeatureError("arrays is empty; expected at least one feature")
    if not isinstance(L, int) or isinstance(L, bool) or L < 1:
        raise FeatureError(f"L is {L!r}; expected a whole number of at least 1")
    for name, array in arrays.items():
        if array.ndim != 3 or array.shape[1] < 1 or array.shape[2] not in (1, L):
            raise FeatureError(
                f"feature {name!r} has the shape {array.shape}; expected (samples, channels, {L}), "
                "or (samples, channels, 1) for a vector. bmnas.pool(array, L) makes it so; stored features need a new "
                "extraction"
            )
        if array.dtype not in (np.float16, np.float32):
            raise FeatureError(f"feature {name!r} has the type {array.dtype}; expected float16 or float32")
        if len(array) != samples:
            raise FeatureError(f"feature {name!r} has {len(array)} rows, but targets has {samples}")


def check_targets(targets: np.ndarray, kind: str, classes: Sequence[str]) -> None:
    """Checks for int64 (samples,) in 0 .. classes - 1, or float32 (samples, classes) of 0 and 1."""
    check_choice("kind", kind, KINDS)
    if len(classes) < 1 or not all(isinstance(name, str) for name in classes):
        raise FeatureError(f"classes is {tuple(classes)!r}; expected a name for each class")
    if len(set(classes)) != len(classes):
        twice = next(name for name in classes if classes.count(name) > 1)
        raise FeatureError(f"classes has {twice!r} twice; expected a name of its own for each class")
    if kind == "multiclass":
        if targets.ndim != 1 or targets.dtype != np.int64:
            raise FeatureError(f"targets is {targets.dtype} {targets.shape}; multiclass expects int64 (samples,)")
        bad = (targets < 0) | (targets >= len(classes))
        if bad.any():
            row = int(bad.argmax())
            raise FeatureError(f"targets is {targets[row]} in row {row}; expected 0 to {len(classes) - 1}")
        return
    if targets.ndim != 2 or targets.dtype != np.float32 or targets.shape[1] != len(classes):
        expected = f"float32 (samples, {len(classes)})"
        raise FeatureError(f"targets is {targets.dtype} {targets.shape}; multilabel expects {expected}")
    bad = ~np.isin(targets, (0, 1)).all(1)
    if bad.any():
        raise FeatureError(f"targets of row {int(bad.argmax())} are not all 0 or 1; multilabel expects 0 and 1")


def check_splits(splits: Mapping[str, np.ndarray], samples: int) -> None:
    """Checks that train, val and test are rows that exist, each in at most one split, at most once."""
    if set(splits) != set(SPLITS):
        raise FeatureError(f"splits has {sorted(splits)}; expected exactly {', '.join(SPLITS)}")
    owner = np.full(samples, -1)
    for i, name in enumerate(SPLITS):
        rows = splits[name]
        if rows.ndim != 1 or rows.dtype != np.int64 or len(rows) == 0:
            raise FeatureError(f"splits[{name!r}] is {rows.dtype} {rows.shape}; expected int64 (at least one row,)")
        if rows.min() < 0 or rows.max() >= samples:
            raise FeatureError(f"splits[{name!r}] names rows {rows.min()} to {rows.max()}; there are {samples}")
        if len(np.unique(rows)) != len(rows):
            raise FeatureError(f"splits[{name!r}] names a row twice")
        shared = rows[owner[rows] >= 0]
        if len(shared):
            raise FeatureError(f"splits {SPLITS[owner[shared[0]]]!r} and {name!r} overlap, first in row {shared[0]}")
        owner[rows] = i


def check_modalities(modalities: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
    """Checks that every feature belongs to exactly one modality."""
    check_names("modality", modalities)
    listed = [name for members in modalities.values() for name in members]
    if sorted(map(str, listed)) != sorted(names):
        raise FeatureError(f"modalities lists the features {listed}; expected each of {list(names)} once")


def check_logits(logits: Mapping[str, np.ndarray], modalities: Iterable[str], samples: int) -> None:
    """Checks for one row of unimodal outputs a sample, for some or all modalities."""
    for name, array in logits.items():
        if name not in modalities:
            raise FeatureError(f"logits has the modality {name!r}; expected some of {', '.join(modalities)}")
        if array.ndim != 2 or len(array) != samples or array.shape[1] < 1 or array.dtype != np.float32:
            expected = f"float32 ({samples}, classes)"
            raise FeatureError(f"logits[{name!r}] is {array.dtype} {array.shape}; expected {expected}")


def check_groups(groups: np.ndarray | None, samples: int) -> None:
    """One group a sample or more, if samples were recorded together."""
    if groups is None:
        return
    if groups.dtype != np.int64 or groups.ndim not in (1, 2) or len(groups) != samples or 0 in groups.shape[1:]:
        raise FeatureError(
            f"groups is {groups.dtype} {groups.shape}; expected int64 ({samples},), one group a sample, or "
            f"({samples}, k), k groups a sample"
        )
