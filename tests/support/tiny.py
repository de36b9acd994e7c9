"""Feature sets and settings so small that a whole search takes a fraction of a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from unittest import mock

import numpy as np

from bmnas.config import EvalConfig, SearchConfig
from bmnas.features.feature_set import FeatureSet, FeatureTensors
from bmnas.tasks.planted import planted_features
from bmnas.training.learning_rates import Schedule

CONFIG = SearchConfig(
    C=4, L=4, N=1, M=1, epochs=4, batch_size=16, max_lr=3e-3, arch_lr=3e-3, shortlist_epochs=1, device="cpu", threads=1
)
TWO_CELLS = CONFIG.change(N=2, M=2, dropout=0.2)
FIVE_EPOCHS = {"paper": TWO_CELLS.change(epochs=5), "reference": TWO_CELLS.change(epochs=5, mode="reference")}
BUDGET = EvalConfig(epochs=2, seeds=3, max_lr=3e-3)


def tiny_features(seed: int = 0, K: int = 4, modalities: int = 2, samples: int = 64, channels: int = 6) -> FeatureSet:
    """Planted features: 64 training rows, 32 for validation, 32 for the test."""
    return planted_features(K, modalities, seed, samples, channels=channels)


def multilabel_features(seed: int = 0, n: int = 240) -> FeatureSet:
    """Three labels, each told by one channel of one of three features; one of them is a vector."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n, 3)) < 0.5).astype(np.float32)
    arrays = {"A_1": rng.normal(size=(n, 3, 4)), "A_2": rng.normal(size=(n, 4, 4)), "B_1": rng.normal(size=(n, 5))}
    arrays["A_1"][:, 0] += 3 * targets[:, [0]]
    arrays["A_2"][:, 1] += 3 * targets[:, [1]]
    arrays["B_1"][:, 2] += 3 * targets[:, 2]
    splits = {"train": range(n // 2), "val": range(n // 2, 3 * n // 4), "test": range(3 * n // 4, n)}
    return FeatureSet.from_arrays(arrays, targets, {k: np.array(v) for k, v in splits.items()}, task="labels")


@contextmanager
def seen_rows() -> Iterator[list[list[int]]]:
    """Every list of rows that anybody asks `FeatureTensors.batch` for, in order."""
    seen: list[list[int]] = []
    batch = FeatureTensors.batch

    def spy(tensors, rows):
        seen.append(rows.tolist())
        return batch(tensors, rows)

    with mock.patch.object(FeatureTensors, "batch", spy):
        yield seen


def split_of(features: FeatureSet, rows: list[int]) -> str:
    """The split that all of these rows belong to; "mixed" if there is none."""
    for name, members in features.splits.items():
        if set(rows) <= set(members.tolist()):
            return name
    return "mixed"


@contextmanager
def diverging() -> Iterator[None]:
    """Every step has a learning rate that settings refuse: it surely diverges."""
    with mock.patch.object(Schedule, "of_epoch", lambda *_: repeat(1e30)):
        yield
