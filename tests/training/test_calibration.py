"""The loss of calibrated logits against a fine grid of factors and offsets."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.training import metrics
from bmnas.training.calibration import FURTHEST, LEAST, MOST, calibrated_loss
from bmnas.training.objective import Objective

FACTORS = np.geomspace(LEAST, MOST, 41)
OFFSETS = np.linspace(-FURTHEST, FURTHEST, 65)
OBJECTIVES = {
    "classes": Objective("multiclass", "accuracy"),
    "weighted classes": Objective("multiclass", "accuracy", (0.2, 1.0, 3.0, 1.0)),
    "labels": Objective("multilabel", "weighted F1"),
    "weighted labels": Objective("multilabel", "weighted F1", ((1.0, 5.0), (1.0, 1.0), (0.5, 2.0), (1.0, 0.1))),
}


def drawn(objective, n, scale, seed):
    """Logits that know something of the targets, at a wrong scale and offset; weights of the samples."""
    rng = np.random.default_rng(seed)
    if objective.kind == "multiclass":
        targets = torch.from_numpy(rng.integers(4, size=n))
        known = torch.nn.functional.one_hot(targets, 4)
    else:
        targets = known = torch.from_numpy((rng.random((n, 4)) < 0.3).astype(np.float32))
    logits = scale * (torch.from_numpy(rng.normal(size=(n, 4))).float() + rng.uniform(0, 2) * known + rng.normal())
    return logits.float(), targets, torch.from_numpy(rng.uniform(0.1, 3, n)).float()


@given(
    name=st.sampled_from(list(OBJECTIVES)),
    n=st.integers(8, 60),
    scale=st.sampled_from([0.01, 0.1, 1.0, 10.0, 100.0]),
    seed=st.integers(0, 100),
    weighted=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_no_factor_and_offset_of_a_grid_are_better(name, n, scale, seed, weighted):
    objective = OBJECTIVES[name]
    logits, targets, weights = drawn(objective, n, scale, seed)
    weights = weights if weighted else None
    offsets = OFFSETS if objective.kind == "multilabel" else [0.0]
    standard = (logits - logits.mean()) / logits.std(correction=0)
    grid = min(
        metrics.loss(objective, float(a) * standard + float(b), targets, weights).item()
        for a in FACTORS
        for b in offsets
    )
    found = calibrated_loss(objective, logits, targets, weights).item()
    assert 0.9 * grid - 5e-3 <= found <= 1.001 * grid + 5e-3


@pytest.mark.parametrize("name", OBJECTIVES)
def test_several_networks_have_the_losses_of_each(name):
    objective = OBJECTIVES[name]
    several = [drawn(objective, 40, scale, seed=1)[0] for scale in (0.1, 1, 10)]
    _, targets, weights = drawn(objective, 40, 1, seed=1)
    together = calibrated_loss(objective, torch.stack(several), targets, weights)
    alone = torch.stack([calibrated_loss(objective, logits, targets, weights) for logits in several])
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(together, together[:1].expand(3), rtol=1e-4, atol=1e-4)  # the scale makes no difference


@pytest.mark.parametrize("name", OBJECTIVES)
def test_logits_that_say_nothing_cost_as_much_as_the_shares_of_the_targets(name):
    """Equal logits have no scale: the loss is that of chance, or of labels' common share."""
    objective = Objective(OBJECTIVES[name].kind, OBJECTIVES[name].metric)
    _, targets, _ = drawn(objective, 50, 1, seed=2)
    found = calibrated_loss(objective, torch.full((50, 4), 3.0), targets).item()
    share = targets.float().mean().item()
    chance = np.log(4) if objective.kind == "multiclass" else -share * np.log(share) - (1 - share) * np.log(1 - share)
    assert found == pytest.approx(chance, abs=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("scale", [1e-30, 1e30, 3e37])
def test_the_largest_and_the_least_logits_have_a_loss(name, scale):
    logits, targets, weights = drawn(OBJECTIVES[name], 40, 1, seed=3)
    usual = calibrated_loss(OBJECTIVES[name], logits, targets, weights)
    torch.testing.assert_close(calibrated_loss(OBJECTIVES[name], logits * scale, targets, weights), usual)
