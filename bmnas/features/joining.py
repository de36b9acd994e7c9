"""The rows of several feature sets in one: what was extracted at different times is joined, not computed again."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bmnas.errors import FeatureError, how_many
from bmnas.features import store
from bmnas.features.checks import SPLITS
from bmnas.features.copies import check_copies
from bmnas.features.extraction_run import split_scores
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import groups_a_sample
from bmnas.features.growing_arrays import allocate
from bmnas.features.input_stamps import NAMES
from bmnas.features.npy import open_npy
from bmnas.storage.paths import given_path
from bmnas.storage.reading import read_text
from bmnas.storage.whole_files import cannot_write


def join_features(
    parts: Sequence[FeatureSet],
    folder: str | Path,
    *,
    to_train: Sequence[FeatureSet] = (),
    allow_copies: bool = False,
) -> FeatureSet:
    """Writes the rows of feature sets, one below the other, to a new feature set; rows keep their split.

    Args:
        parts: of the same features, classes, modalities, backbones and pooling. Where all of them keep the names of
            their samples (an extraction does, in `names.txt`), so does the new one.
        folder: of the new feature set.
        to_train: further parts, joined below the others; the rows of all of their splits become training rows.
        allow_copies: only warn of rows in different splits of two parts that are the same sample: of the same name or,
            where a part has no names, with the same numbers in all features.

    Raises:
        FeatureError: the parts differ, which is named; they share samples; or the folder exists.
    """
    if not parts:
        raise FeatureError("parts is empty; expected at least one feature set")
    splits = [*(part.splits for part in parts), *(_all_in_train(part) for part in to_train)]
    parts = [*parts, *to_train]
    for number, part in enumerate(parts[1:], start=2):
        for name, ours, theirs in _pairs(parts[0], part):
            if ours != theirs:
                raise FeatureError(
                    f"part {number} cannot be joined: {name} is {theirs!r}, but {ours!r} in the first part; extract "
                    "both with the same backbones and options"
                )
    names = [_sample_names(part) for part in parts]
    check_copies(parts, splits, names, allow_copies)
    known = [name for of_part in names if of_part is not None for name in of_part]
    beside = {} if None in names else {NAMES: "".join(f"{name}\n" for name in known)}
    folder = given_path("folder", folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            arrays = {
                name: _stacked([part.arrays[name] for part in parts], Path(scratch) / f"{number}.npy")
                for number, name in enumerate(parts[0].names)
            }
            store.write(_joined(parts, splits, arrays), folder, beside)
    except OSError as error:
        raise FeatureError(cannot_write(folder, error, "nothing was changed")) from error
    return FeatureSet.open(folder, verify=False)


def _all_in_train(part: FeatureSet) -> dict[str, np.ndarray]:
    """Returns splits of which train has the rows of all; a row that was in none stays outside."""
    none = np.empty(0, np.int64)
    return dict.fromkeys(SPLITS, none) | {"train": np.sort(np.concatenate(list(part.splits.values())))}


def _joined(
    parts: Sequence[FeatureSet], of_parts: Sequence[dict[str, np.ndarray]], arrays: dict[str, np.ndarray]
) -> FeatureSet:
    first = parts[0]
    offsets = np.cumsum([0, *map(len, parts)])
    splits = {
        name: np.concatenate([rows[name] + offset for rows, offset in zip(of_parts, offsets, strict=False)])
        for name in SPLITS
    }
    targets = np.concatenate([part.targets for part in parts])
    logits = {name: np.concatenate([part.logits[name] for part in parts]) for name in first.logits}
    weights = [part.weights for part in parts if part.weights is not None]
    return FeatureSet.from_arrays(
        arrays,
        targets,
        splits,
        kind=first.kind,
        classes=first.classes,
        modalities=first.modalities,
        logits=logits,
        L=first.L,
        task=first.task,
        source=first.source,
        notes=f"{first.notes}; {len(parts)} sets joined".lstrip("; "),
        backbones={
            name: about
            | ({"scores": split_scores(first.kind, logits[name], targets, splits)} if name in logits else {})
            for name, about in first.manifest["backbones"].items()
        },
        pooling=first.manifest["pooling"],
        groups=_groups(parts),
        weights=np.concatenate(weights) if weights else None,
        options={"joined": [part.fingerprint for part in parts], "parts": [part.manifest["options"] for part in parts]},
    )


def _sample_names(part: FeatureSet) -> list[str] | None:
    """Reads the names of the samples of a part; None where it keeps none."""
    if part.folder is None or not (part.folder / NAMES).exists():
        return None
    names = read_text(part.folder / NAMES, FeatureError).split("\n")[:-1]
    if len(names) != len(part):
        raise FeatureError(
            f"{part.folder / NAMES}: {how_many(len(names), 'name')} of {how_many(len(part), 'sample')}; restore it, or "
            "delete it, and the samples have no names"
        )
    return names


def _groups(parts: Sequence[FeatureSet]) -> np.ndarray | None:
    """Joins the groups of the parts; their numbers say nothing across parts, so no group spans two."""
    joined: list[np.ndarray] = []
    for part in parts:
        if part.groups is None:
            return None
        start = joined[-1].max() + 1 if joined else 0
        joined.append(part.groups + start)
    return np.concatenate(joined)


def _pairs(first: FeatureSet, other: FeatureSet) -> Iterator[tuple[str, Any, Any]]:
    """Yields what must be equal: its name, and both values."""
    for name in ("names", "L", "kind", "classes", "modalities", "task", "source"):
        yield name, getattr(first, name), getattr(other, name)
    for name, array in first.arrays.items():
        theirs = other.arrays[name]
        yield f"the shape of {name}", (array.shape[1:], str(array.dtype)), (theirs.shape[1:], str(theirs.dtype))
    yield "logits", sorted(first.logits), sorted(other.logits)
    mine, theirs = (0 if one.groups is None else groups_a_sample(one.groups) for one in (first, other))
    yield "groups a sample", mine, theirs
    yield "having weights", first.weights is not None, other.weights is not None
    yield "pooling", first.manifest["pooling"], other.manifest["pooling"]
    yield "the weights of the backbones", _fingerprints(first), _fingerprints(other)


def _fingerprints(features: FeatureSet) -> dict[str, Any]:
    return {name: about.get("fingerprint") for name, about in features.manifest["backbones"].items()}


def _stacked(arrays: Sequence[np.ndarray], path: Path) -> np.ndarray:
    """Returns arrays below one another as a memory map, so that they need not fit into memory."""
    rows = sum(map(len, arrays))
    allocate(path, (rows, *arrays[0].shape[1:]), str(arrays[0].dtype))
    stacked = open_npy(path, "r+")
    start = 0
    for array in arrays:
        stacked[start : start + len(array)] = array
        start += len(array)
    return stacked
