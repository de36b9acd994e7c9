"""Which rows are one sample twice: in several splits of a feature set, or in several feature sets that are joined."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bmnas.errors import FeatureError, warn
from bmnas.features.fields import FeatureFields

Splits = Mapping[str, np.ndarray]


class Place(NamedTuple):
    """Where a row is: the number of its part, its split, and its row in the part."""

    part: int
    split: str
    row: int

    def __str__(self) -> str:
        return f"row {self.row} of part {self.part} ({self.split})"


def sample_hashes(arrays: Mapping[str, np.ndarray], rows: np.ndarray) -> list[int]:
    """Returns a number for each of the rows; equal where two are equal in every feature."""
    return [hash(b"".join(array[row].tobytes() for array in arrays.values())) for row in rows]


def check_copies(
    parts: Sequence[FeatureFields], splits: Sequence[Splits], names: Sequence[list[str] | None], allowed: bool
) -> None:
    """Makes sure that no sample of a part lies in another split of another part; warns of those in the same split.

    Args:
        parts: what is joined.
        splits: of each part, as they will be joined; rows in none do not count.
        names: of the samples of each part; where one has none, equal features are one sample.
        allowed: samples in several splits are a warning, too.

    Raises:
        FeatureError: there are such; says how many, and the first.
    """
    by_name = all(known is not None for known in names)
    apart: list[tuple[Place, Place]] = []
    beside: list[tuple[Place, Place]] = []
    seen: dict[Hashable, dict[str, Place]] = {}  # sample -> split -> where it was first
    for number, (part, members, known) in enumerate(zip(parts, splits, names, strict=True), start=1):
        found = list(_samples(part, members, known if by_name else None, number))
        for sample, place in found:
            earlier = seen.get(sample, {})
            elsewhere = [first for split, first in earlier.items() if split != place.split]
            if elsewhere:
                apart.append((elsewhere[0], place))
            elif earlier:
                beside.append((earlier[place.split], place))
        for sample, place in found:
            seen.setdefault(sample, {}).setdefault(place.split, place)
    what = "name" if by_name else "numbers in all features"
    if apart:
        said = (
            f"{_told(apart, what, names)}, but lie in another split: what is learnt would be scored. Leave them out of "
            "the splits of one part (dataclasses.replace(part, splits=...))"
        )
        if not allowed:
            raise FeatureError(f"{said}, or set allow_copies=True if they are different samples")
        warn(f"{said}, unless they are different samples")
    if beside:
        warn(f"{_told(beside, what, names)}, and lie in its split; each copy counts, so leave all but one out")


def _samples(
    part: FeatureFields, splits: Splits, names: list[str] | None, number: int
) -> Iterator[tuple[Hashable, Place]]:
    for split, rows in splits.items():
        samples = sample_hashes(part.arrays, rows) if names is None else [names[row] for row in rows]
        for sample, row in zip(samples, rows, strict=True):
            yield sample, Place(number, split, int(row))


def _told(copies: Sequence[tuple[Place, Place]], what: str, names: Sequence[list[str] | None]) -> str:
    first, second = copies[0]
    known = names[second.part - 1]
    named = f", {known[second.row]!r}" if known else ""
    listed = f"first {first} and {second}{named}"
    return f"{len(copies):,} rows have the {what} of a row of an earlier part, {listed}"
