"""Engines: every setting has one, and Algorithm 1 drives whichever it is given."""

import pytest
import torch

from bmnas.scale.engines import AcceleratedEngine
from bmnas.searching.algorithm1 import Algorithm1, Search
from bmnas.searching.engine import ENGINES, SingleEngine, engine_name
from bmnas.searching.seed_state import SeedState
from tests.support.tiny import TWO_CELLS, tiny_features


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, SingleEngine),
        ({"accumulate": 2}, SingleEngine),
        ({"fast": True}, SingleEngine),  # of older versions, without effect
        ({"bf16": True}, AcceleratedEngine),
        ({"compile": "default"}, AcceleratedEngine),
    ],
)
def test_which_engine_computes_a_setting(settings, kind):
    assert ENGINES[engine_name(TWO_CELLS.change(**settings))] is kind


class Counting(SingleEngine):
    """Notes what Algorithm 1 asks for."""

    def __init__(self, features, state):
        super().__init__(features, state)
        self.calls = []

    def drawing(self, purpose, epoch):
        self.calls.append((purpose.name, epoch))
        return super().drawing(purpose, epoch)

    def predict(self, rows):
        self.calls.append(("predict", len(rows)))
        return super().predict(rows)

    def hand_back(self):
        self.calls.append(("hand back",))


def test_algorithm_1_drives_an_engine_of_ones_own():
    features, config = tiny_features(), TWO_CELLS.change(warmup_epochs=1)
    state = SeedState(features, config)
    engine = Counting(features, state)
    algorithm, alone = Algorithm1([state], engine), Search(features, config)
    for _ in range(2):
        (event,) = algorithm.run_epoch()
        assert event.record() == alone.run_epoch().record()
    assert engine.calls == [
        ("WEIGHTS", 1), ("predict", 32), ("hand back",),
        ("WEIGHTS", 2), ("ARCHITECTURE", 2), ("predict", 32), ("hand back",),
    ]  # fmt: skip
    assert all(torch.equal(a, b) for a, b in zip(state.weights, alone.weights, strict=True))
