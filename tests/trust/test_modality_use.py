"""EMAP and Shapley values against loops over pairs and orders, and networks whose use of modalities is known."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bmnas.errors import ConfigError, FeatureError
from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.features.feature_set import FeatureSet
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.trust.modality_use import additive_projection, modality_use, shapley_values


def test_a_sum_is_its_own_projection():
    x, y = torch.randn(2, 7, 3, dtype=torch.float64)
    assert torch.allclose(additive_projection(x[:, None] + y[None]), x + y)


def test_a_projection_by_loops():
    f = np.random.default_rng(0).standard_normal((4, 4, 2))
    expected = [
        sum(f[i, j] for j in range(4)) / 4 + sum(f[k, i] for k in range(4)) / 4 - f.reshape(16, 2).mean(0)
        for i in range(4)
    ]
    assert np.allclose(additive_projection(torch.from_numpy(f)).numpy(), expected)


def test_the_product_of_centred_numbers_projects_to_nothing():
    x, y = torch.tensor([[1.0, -1, 1, -1], [1, 1, -1, -1]])
    assert torch.allclose(additive_projection((x[:, None] * y[None])[..., None]), torch.zeros(4, 1))


@given(st.lists(st.floats(-1, 1), min_size=16, max_size=16))
def test_shapley_values_are_mean_gains_over_all_orders(worths):
    players = "abcd"
    worth = {frozenset(p for i, p in enumerate(players) if k >> i & 1): w for k, w in enumerate(worths)}
    orders = list(permutations(players))
    expected = {
        p: sum(
            worth[frozenset(order[: order.index(p) + 1])] - worth[frozenset(order[: order.index(p)])]
            for order in orders
        )
        / len(orders)
        for p in players
    }
    found = shapley_values(players, worth.__getitem__)
    assert found == pytest.approx(expected)
    assert sum(found.values()) == pytest.approx(worth[frozenset(players)] - worth[frozenset()])


def test_in_an_additive_game_each_gets_its_own():
    own = {"a": 0.5, "b": 0.2, "c": -0.1}
    assert shapley_values(list(own), lambda s: sum(own[p] for p in s)) == pytest.approx(own)


def test_too_many_players_are_refused():
    with pytest.raises(ConfigError):
        shapley_values([str(i) for i in range(13)], lambda s: 0.0)


class Signs(nn.Module):
    """Logits of two classes from the signs of A_1 and B_1; C_1 is read and ignored."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.placeholders = None
        self.alike = frozenset()
        pairs = (("A_1", "B_1"), ("C_1", "Cell_1"))
        step = StepGenotype("Sum", ("x", "y"))
        self.genotype = Genotype(tuple(CellGenotype(pair, (step,)) for pair in pairs), 1)

    def forward(self, batch):
        a, b = batch["A_1"][:, 0, 0], batch["B_1"][:, 0, 0]
        value = {"product": a * b, "sum": a + 0.5 * b, "first": a}[self.kind] + 0 * batch["C_1"][:, 0, 0]
        return torch.stack([-value, value], dim=1)


def signs(kind):
    """All four pairs of signs, equally often; the label is what the network of this kind says."""
    a, b = np.tile([1.0, -1, 1, -1], 40), np.tile([1.0, 1, -1, -1], 40)
    y = {"product": a * b, "sum": a + 0.5 * b, "first": a}[kind] > 0
    noise = np.random.default_rng(0).standard_normal((160, 1))
    arrays = {"A_1": a[:, None], "B_1": b[:, None], "C_1": noise, "D_1": noise}
    splits = {"train": np.arange(80), "val": np.arange(80, 120), "test": np.arange(120, 160)}
    features = FeatureSet.from_arrays(arrays, y.astype(int), splits, L=1, classes=("no", "yes"))
    shapes = dict.fromkeys(("A_1", "B_1", "C_1"), (1, 1))
    return TrainedNetwork(Signs(kind), "multiclass", ("no", "yes"), shapes), features  # type: ignore[arg-type]


def test_a_product_falls_to_chance_without_its_interaction():
    use = modality_use(*signs("product"))
    assert use.score == use.paired_score == 1
    assert use.additive_scores["A"] == use.additive_scores["B"] == 0.5 and use.additive_scores["C"] == 1
    assert (use.without["A"], use.alone["A"], use.empty) == (0.5, 0.5, 0.5)
    assert use.shapley == pytest.approx({"A": 0.25, "B": 0.25, "C": 0})
    assert "50.0 %" in use.sentence() and "D" not in use.shapley  # which the network does not read


@pytest.mark.parametrize("kind", ["sum", "first"])
def test_a_sum_loses_nothing(kind):
    use = modality_use(*signs(kind))
    assert set(use.additive_scores.values()) == {1.0} and use.score == 1


def test_a_modality_that_is_ignored_is_worth_nothing():
    use = modality_use(*signs("first"))
    assert use.shapley == pytest.approx({"A": 0.5, "B": 0, "C": 0})
    assert use.without == {"A": 0.5, "B": 1.0, "C": 1.0}


def test_an_unknown_split_is_named():
    with pytest.raises(FeatureError, match="tset"):
        modality_use(*signs("sum"), split="tset")
