"""How many rows stand behind a score: what chance does to it, by simulation, and by hand."""

import numpy as np
import pytest
import torch

from bmnas.training.metrics import named_score
from bmnas.training.scores import SCORES, rows_behind

DRAWS, ROWS = 100, 300


def targets_of(kind, rng):
    """Classes of which one, or labels of which two, are rare."""
    if kind == "multiclass":
        return rng.permutation(np.repeat([0, 1, 2], [6, 144, 150]))
    return np.stack([rng.random(ROWS) < share for share in (0.02, 0.05, 0.5)], axis=1).astype(np.int64)


def guess(kind, targets, rng):
    """The logits of a network that is right as often as any other here."""
    shown = np.eye(3)[targets] if kind == "multiclass" else targets - 0.5
    return torch.from_numpy(2 * shown + rng.standard_normal((len(targets), 3)))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in SCORES for name in SCORES[kind]])
def test_equal_networks_are_seldom_told_apart(kind, name):
    """By two standard errors, each at most sqrt((e1 + e2) / n); all rows would be too many for the rare classes."""
    rng = np.random.default_rng(0)
    apart = 0
    for _ in range(DRAWS):
        targets = targets_of(kind, rng)
        one, other = (named_score(kind, name, guess(kind, targets, rng), torch.from_numpy(targets)) for _ in range(2))
        n = rows_behind(name, targets)
        assert 0 < n <= ROWS
        apart += one - other > 2 * ((2 - one - other) / n) ** 0.5
    assert apart <= 0.05 * DRAWS


def test_by_hand():
    classes = np.repeat([0, 1, 3], [4, 16, 30])
    labels = np.zeros((50, 3), dtype=int)
    labels[:10, 0] = labels[:46, 1] = 1  # and the last is never there
    expected = {"accuracy": 50, "micro F1": 50, "weighted F1": 50, "balanced accuracy": 12, "macro F1": 12}
    assert {name: rows_behind(name, classes) for name in expected} == expected
    assert rows_behind("macro AUROC", classes) == rows_behind("macro average precision", classes) == 2
    expected = {"samples F1": 50, "micro F1": 28, "weighted F1": 28, "macro F1": 10, "macro AUROC": 2}
    assert {name: rows_behind(name, labels) for name in expected} == expected
    assert rows_behind("macro F1", np.zeros((9, 2), dtype=int)) == 0
