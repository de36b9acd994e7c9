"""Losses and scores against their definitions and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

from bmnas.training import metrics


def random_multiclass(seed, n=40, classes=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, classes))), torch.from_numpy(rng.integers(0, classes, n))


def random_multilabel(seed, n=40, classes=4):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(n, classes)))
    return logits, torch.from_numpy((rng.random((n, classes)) < 0.4).astype(np.float64))


def counted_f1(truth, predicted):
    """F1 of one class by counting; 1 where there is nothing to find and nothing was found."""
    both, either = int((truth & predicted).sum()), int(truth.sum() + predicted.sum())
    return 1.0 if either == 0 else 2 * both / either


@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy_and_accuracy(seed):
    logits, targets = random_multiclass(seed)
    probabilities = logits.exp() / logits.exp().sum(1, keepdim=True)
    assert metrics.loss("multiclass", logits, targets).item() == pytest.approx(log_loss(targets, probabilities))
    assert metrics.score("multiclass", logits, targets) == accuracy_score(targets, logits.argmax(1))
    assert metrics.scores("multiclass", logits, targets) == {"accuracy": accuracy_score(targets, logits.argmax(1))}


@pytest.mark.parametrize("seed", range(3))
def test_binary_cross_entropy_and_weighted_f1(seed):
    logits, targets = random_multilabel(seed)
    p = 1 / (1 + np.exp(-logits.numpy()))
    y = targets.numpy()
    assert metrics.loss("multilabel", logits, targets).item() == pytest.approx(
        -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    )
    each = [counted_f1(y[:, k] > 0, p[:, k] > 0.3) for k in range(4)]
    support = y.sum(0)
    assert metrics.score("multilabel", logits, targets) == pytest.approx(
        (np.array(each) * support).sum() / support.sum()
    )
    assert metrics.per_class("multilabel", logits, targets) == pytest.approx(each)
    found = metrics.scores("multilabel", logits, targets)
    assert list(found) == ["weighted F1", "macro F1", "micro F1", "samples F1"]
    assert found["macro F1"] == pytest.approx(np.mean(each))
    assert found["micro F1"] == pytest.approx(counted_f1((y > 0).ravel(), (p > 0.3).ravel()))
    assert found["samples F1"] == pytest.approx(
        np.mean([counted_f1(a > 0, b > 0.3) for a, b in zip(y, p, strict=True)])
    )


def test_the_threshold_is_0_3():
    edge = math.log(0.3 / 0.7)
    targets = torch.ones(2, 1)
    assert metrics.score("multilabel", torch.tensor([[edge + 1e-3], [edge + 1e-3]]), targets) == 1.0
    assert metrics.score("multilabel", torch.tensor([[edge - 1e-3], [edge - 1e-3]]), targets) == 0.0


def test_nothing_to_find_and_nothing_found_counts_as_right():
    logits, targets = torch.full((3, 2), -9.0), torch.zeros(3, 2)
    assert metrics.per_class("multilabel", logits, targets) == [1.0, 1.0]
    expected = f1_score(np.zeros((3, 2)), np.zeros((3, 2)), average="weighted", zero_division=1)
    assert metrics.score("multilabel", logits, targets) == expected == 1.0


@given(st.integers(0, 1000), st.integers(1, 30))
def test_recall_of_every_class(seed, n):
    logits, targets = random_multiclass(seed, n)
    found = metrics.per_class("multiclass", logits, targets)
    expected = recall_score(targets, logits.argmax(1), labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(found, expected)


@given(st.integers(0, 1000))
def test_the_score_that_counts_is_listed_first_under_its_name(seed):
    for kind, (logits, targets) in (("multiclass", random_multiclass(seed)), ("multilabel", random_multilabel(seed))):
        name, value = next(iter(metrics.scores(kind, logits, targets).items()))
        assert (name, value) == (metrics.METRICS[kind], metrics.score(kind, logits, targets))
