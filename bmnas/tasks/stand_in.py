"""Stand-ins for data that is given out on request only: features of the true names and shapes, and a planted answer.

The numbers are random. Two features, one of each modality, tell the class, each a part of it; the others show one of
the two parts, blurred. Multiclass: the classes are a table, one feature tells the row and the other the column.
Multilabel: one feature tells the first half of the labels, the other the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.tasks.planted import answer

BLUR = 0.6  # how often another feature shows a random part
SIGNAL = 0.5  # size of a pattern beside noise of standard deviation 1
SMALL = 1200
STATES = 8  # that a multilabel half has
POSITIVE = 0.25  # share of the labels that a state sets
BLOCK = 1000  # rows made together, so that full size needs no second copy


@dataclass(frozen=True)
class StandIn:
    """What a stand-in imitates.

    Attributes:
        task, title: key and name of the data set.
        modalities: modality -> feature -> C_in; two modalities.
        vectors: features without extent.
        pair: the planted features, one of each modality, in order.
        classes: names.
        kind: "multiclass" or "multilabel".
        columns: of the table of classes (multiclass).
        full: the paper's sizes of train, val and test.
        epochs: of the paper's search.
        request: where the real data is asked for.
    """

    task: str
    title: str
    modalities: Mapping[str, Mapping[str, int]]
    vectors: tuple[str, ...]
    pair: tuple[str, str]
    classes: tuple[str, ...]
    kind: str
    columns: int
    full: tuple[int, int, int]
    epochs: int
    request: str

    def features(self, samples: int | str = SMALL, seed: int = 0, L: int = 8) -> FeatureSet:
        """Makes the feature set, float16.

        Args:
            samples: rows of the training split; val and test have a quarter each. "full", or the paper's number: the
                paper's sizes of all three.
            seed: of everything random.
            L: length of the features with an extent.

        Raises:
            ConfigError: fewer samples than classes.
        """
        sizes = self.sizes(samples)
        rng = np.random.default_rng(seed)
        targets, parts, states = self._planted(sum(sizes), rng)
        arrays = {}
        for modality, channels in self.modalities.items():
            for name, C_in in channels.items():
                shown = parts[modality]
                if name not in self.pair:  # others are blurred
                    blurred = rng.random(len(shown)) < BLUR
                    shown = np.where(blurred, rng.integers(0, states[modality], len(shown)), shown)
                arrays[name] = _feature(shown, states[modality], C_in, 1 if name in self.vectors else L, rng)
        ends = np.cumsum((0, *sizes))
        return FeatureSet.from_arrays(
            arrays,
            targets,
            {name: np.arange(ends[i], ends[i + 1]) for i, name in enumerate(("train", "val", "test"))},
            kind=self.kind,
            classes=self.classes,
            L=L,
            task=self.task,
            source="stand-in",
            notes=self._notes(sizes),
            options={"planted": answer(self.pair).to_dict()},
        )

    def sizes(self, samples: int | str) -> tuple[int, int, int]:
        """Returns the sizes of train, val and test."""
        if samples in ("full", self.full[0]):
            return self.full
        if not isinstance(samples, int) or isinstance(samples, bool) or samples < len(self.classes):
            raise ConfigError(
                f"samples is {samples!r}; expected a whole number from {len(self.classes)} (one a class), or 'full'"
            )
        return samples, samples // 4, samples // 4

    def _planted(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, int]]:
        """Draws targets, and for each modality its part of them, with the number of states."""
        first, second = self.modalities
        K = len(self.classes)
        if self.kind == "multiclass":
            targets = rng.integers(0, K, n)
            parts = {first: targets // self.columns, second: targets % self.columns}
            return targets, parts, {first: -(-K // self.columns), second: self.columns}
        parts = {modality: rng.integers(0, STATES, n) for modality in self.modalities}
        halves = {first: K // 2, second: K - K // 2}
        labels = [label_table(count, rng)[parts[modality]] for modality, count in halves.items()]
        return np.concatenate(labels, 1), parts, dict.fromkeys(self.modalities, STATES)

    def _notes(self, sizes: tuple[int, int, int]) -> str:
        full, own = (" / ".join(f"{size:,}" for size in part) for part in (self.full, sizes))
        cut = "full size" if sizes == self.full else f"the paper has {full} and {self.epochs} epochs"
        return (
            f"stand-in features, NOT {self.title}: random numbers of its names and shapes, class planted in "
            f"{self.pair[0]} and {self.pair[1]}; {own} samples ({cut}); real data on request: {self.request}"
        )


def label_table(count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws which labels each state sets: float32 (STATES, count) of 0 and 1, both of them in each column."""
    table = rng.random((STATES, count)) < POSITIVE
    always = rng.permuted(np.tile(np.arange(STATES), (count, 1)), axis=1)[:, :2]  # (count, 2)
    table[always[:, 0], np.arange(count)] = True
    table[always[:, 1], np.arange(count)] = False
    return table.astype(np.float32)


def _feature(shown: np.ndarray, states: int, channels: int, L: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a random pattern for each state, and noise: float16 (n, channels, L)."""
    patterns = rng.standard_normal((states, channels, L), dtype=np.float32) * np.float32(SIGNAL)
    feature = np.empty((len(shown), channels, L), np.float16)
    for start in range(0, len(shown), BLOCK):
        part = shown[start : start + BLOCK]
        noise = rng.standard_normal((len(part), channels, L), dtype=np.float32)
        feature[start : start + BLOCK] = patterns[part] + noise
    return feature
