"""What is odd about one's own data, a line each: missing, constant, duplicate and exploding columns, rare classes."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from bmnas.features.blocks import blocks
from bmnas.features.copies import sample_hashes
from bmnas.features.fields import FeatureFields
from bmnas.features.labels import names_alike
from bmnas.features.markers import MARKERS, MarkerScan

LARGE, FACTOR = 1e6, 1e4  # a column explodes beyond LARGE, or beyond FACTOR times the median column of its feature
DOMINANT = 0.9  # share of a class from which accuracy alone says little
ABSENT = {
    "train": "nothing is learnt of it",
    "val": "its choice cannot be validated",
    "test": "the test score says nothing of it",
}  # split -> what it means that all of its samples lack a feature
NAMED = 5  # columns that a line names
GIVE_NAN = "if that says that the sample lacks it, make the whole row NaN"
MISSING_NAMES = ("nan", "none", "null", "na", "n/a", "<na>", "nat", "?", "-")


def findings(features: FeatureFields) -> list[str]:
    """Returns a line for each finding; none for data without any."""
    return [
        *_missing(features.missing, features.modalities, len(features.targets)),
        *_absent_from(features.missing, features.splits),
        *(line for name, array in features.arrays.items() for line in _columns(name, array)),
        *(line for name, array in features.arrays.items() for line in _one_number(name, array)),
        *_equal_features(features.arrays),
        *_copied_samples(features.arrays, features.splits),
        *_missing_names(features.classes),
        *_names_alike(features.classes),
        *_unlearnt(features.targets[features.splits["train"]], features.kind, features.classes),
        *_imbalance(features.targets, features.kind, features.classes),
    ]


def _missing(missing: Mapping[str, np.ndarray], modalities: Mapping[str, Sequence[str]], samples: int) -> Iterator[str]:
    for modality, names in modalities.items():
        counts = {name: int(missing[name].sum()) for name in names if name in missing}
        if len(set(counts.values())) == 1 and len(counts) == len(names):
            counts = {modality: next(iter(counts.values()))}
        for name, count in counts.items():
            yield f"{name!r} is missing for {count:,} of {samples:,} samples; a learnt placeholder stands there"


def _absent_from(missing: Mapping[str, np.ndarray], splits: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Looks for features that no sample of a split has."""
    for name, rows in missing.items():
        for split in (split for split, part in splits.items() if rows[part].all()):
            yield f"{name!r} is missing for every sample of {split}; {ABSENT[split]}"


def _columns(name: str, array: np.ndarray) -> Iterator[str]:
    """Looks at the columns (channel, position) of a feature (n, C_in, L), the missing rows left out."""
    columns = array.reshape(len(array), -1)
    low, high, hashes = (np.full(columns.shape[1], start) for start in (np.inf, -np.inf, 0.0))
    markers = MarkerScan(columns.shape[1])
    for start, block in blocks(array):
        markers.add(block.reshape(len(block), -1))
        rows = block.reshape(len(block), -1).astype(np.float64)
        there = ~np.isnan(rows[:, 0])
        if there.any():
            low, high = np.minimum(low, rows[there].min(0)), np.maximum(high, rows[there].max(0))
            numbers = np.cos(np.arange(start, start + len(rows))[there] ** 1.5)  # no row like another
            hashes = hashes + numbers @ rows[there]
    constant = np.flatnonzero(low == high)
    if len(constant):
        yield f"{name!r}: {_named(constant)} of {len(low)} columns are constant"
    sizes = np.maximum(np.abs(low), np.abs(high))
    exploding = np.flatnonzero(sizes > np.minimum(LARGE, FACTOR * max(float(np.median(sizes)), 1e-30)))
    if len(exploding):
        largest = f"up to {sizes.max():.3g}, the median column up to {np.median(sizes):.3g}"
        yield f"{name!r}: {_named(exploding)} of {len(low)} columns explode ({largest}); scale them"
    for marker, marked in markers.found().items():
        yield f"{name!r}: {_named(marked)} of {len(low)} columns are {marker:g} somewhere; {GIVE_NAN}"
    groups: dict[bytes, list[int]] = {}
    for column in np.flatnonzero(low != high):
        groups.setdefault(np.stack([hashes[column], low[column], high[column]]).tobytes(), []).append(int(column))
    copies = [
        other
        for first, *others in groups.values()
        for other in others
        if np.array_equal(columns[:, first], columns[:, other], equal_nan=True)
    ]
    if copies and array.shape[2] == 1:
        yield f"{name!r}: {_named(np.array(copies))} of {len(low)} columns are copies of earlier ones"


def _one_number(name: str, array: np.ndarray) -> Iterator[str]:
    """Looks for rows that are one and the same number everywhere, as where zeros stand for a missing sample."""
    if array[0].size < 2:
        return
    counts: Counter[float] = Counter()
    for _, block in blocks(array):
        rows = block.reshape(len(block), -1)
        counts.update(rows[(rows == rows[:, :1]).all(1), 0].tolist())
    value, count = counts.most_common(1)[0] if counts else (0.0, 0)
    if 1 < count < len(array):
        yield f"{name!r}: {count:,} of {len(array):,} rows are {value:g} everywhere; {GIVE_NAN}"


def _missing_names(classes: Sequence[str]) -> Iterator[str]:
    numbers = [str(marker) for marker in MARKERS] + ["-1"] * (len(classes) > 2)  # of two classes it may be one
    for name in classes:
        if name.strip().lower() in MISSING_NAMES or name.strip().removesuffix(".0") in numbers:
            yield f"targets: the class {name!r} may stand for a missing label; if so, leave its samples out"


def _names_alike(classes: Sequence[str]) -> Iterator[str]:
    for names in names_alike(classes):
        written = ", ".join(map(ascii, names))
        yield f"targets: {written} differ only in blanks, case or the form of their letters; write one class in one way"


def _equal_features(arrays: Mapping[str, np.ndarray]) -> Iterator[str]:
    names = list(arrays)
    for i, name in enumerate(names):
        for earlier in names[:i]:
            a, b = arrays[earlier], arrays[name]
            if a.shape == b.shape and all(
                np.array_equal(block, b[start : start + len(block)], equal_nan=True) for start, block in blocks(a)
            ):
                yield f"{name!r} is a copy of {earlier!r}"
                break


def _copied_samples(arrays: Mapping[str, np.ndarray], splits: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Looks for samples of which an earlier split holds a copy: equal in every feature."""
    seen: dict[int, int] = {}  # hash of a sample -> its row
    for split, rows in splits.items():
        hashes = dict(zip(rows.tolist(), sample_hashes(arrays, rows), strict=True))
        copies = [(row, seen[number]) for row, number in hashes.items() if number in seen]
        if copies:
            row, first = copies[0]
            yield (
                f"{len(copies):,} of {len(rows):,} samples of {split} equal samples of another split, first row {row} "
                f"and row {first}; if such are one sample twice, give them one group (groups=), or leave copies out"
            )
        seen |= {number: row for row, number in hashes.items()}


def _unlearnt(targets: np.ndarray, kind: str, classes: Sequence[str]) -> Iterator[str]:
    """Looks for classes that no sample of the training split has."""
    counts = np.bincount(targets, minlength=len(classes)) if kind == "multiclass" else targets.sum(0)
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if absent:
        names = ", ".join(map(repr, absent[:NAMED])) + (" ..." if absent[NAMED:] else "")
        yield f"targets: no sample of train has {names}; {ABSENT['train']}. Draw splits by class, or leave it out"


def _imbalance(targets: np.ndarray, kind: str, classes: Sequence[str]) -> Iterator[str]:
    advice = "accuracy alone says little: class_weight='balanced' and metric='balanced accuracy' weigh the rare ones"
    if kind == "multiclass":
        counts = np.bincount(targets, minlength=len(classes))
        if len(classes) > 1 and counts.max() >= DOMINANT * len(targets):
            share = 100 * counts.max() / len(targets)
            yield f"targets: {share:.0f} % of the samples are {classes[int(counts.argmax())]!r}; {advice}"
        return
    if len(classes) > 1 and (targets.sum(1) == 1).all():
        yield "targets: each sample has exactly one label; if it can have no other, give one class a sample (argmax(1))"
    without = np.flatnonzero(~targets.any(1))
    if len(classes) > 1 and len(without):
        number = f"{len(without):,} of {len(targets):,} samples have no label"
        yield f"targets: {number}, first row {without[0]}; leave out those whose labels are unknown"
    rare = [name for name, share in zip(classes, targets.mean(0), strict=True) if share <= 1 - DOMINANT]
    if rare:
        names = ", ".join(map(repr, rare[:NAMED])) + (" ..." if rare[NAMED:] else "")
        yield f"targets: fewer than {100 * (1 - DOMINANT):.0f} % of the samples have {names}; class_weight weighs them"


def _named(columns: np.ndarray) -> str:
    """Writes "3 (0, 8, 12)"."""
    first = ", ".join(map(str, columns[:NAMED])) + (" ..." if len(columns) > NAMED else "")
    return f"{len(columns)} ({first})"
