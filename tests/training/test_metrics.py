"""Losses and scores against their definitions and scikit-learn."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score

import bmnas
from bmnas.errors import ConfigError
from bmnas.training import metrics
from bmnas.training.scores import SCORES
from tests.support.tiny import BUDGET, CONFIG


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
    scores = metrics.scores("multiclass", logits, targets)
    assert list(scores) == list(SCORES["multiclass"])
    assert scores["accuracy"] == accuracy_score(targets, logits.argmax(1))


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
    assert list(found) == [
        "weighted F1",
        "macro F1",
        "micro F1",
        "samples F1",
        "macro AUROC",
        "macro average precision",
    ]
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


@st.composite
def labels(draw):
    """(predicted, true) of 1 to 6 labels and 1 to 30 samples, (n, K) booleans."""
    n, K = draw(st.integers(1, 30)), draw(st.integers(1, 6))
    rows = st.lists(st.lists(st.booleans(), min_size=K, max_size=K), min_size=n, max_size=n)
    return np.array(draw(rows)), np.array(draw(rows))


def as_tensors(predicted, true):
    """Logits on either side of the threshold, and targets."""
    return torch.where(torch.from_numpy(predicted), 2.0, -2.0), torch.from_numpy(true).float()


@given(labels())
def test_every_f1_by_counting_for_any_number_of_labels(pair):
    predicted, true = pair
    tensors = as_tensors(predicted, true)
    each = [counted_f1(true[:, k], predicted[:, k]) for k in range(true.shape[1])]
    support = [int(true[:, k].sum()) for k in range(true.shape[1])]
    weighted = sum(a * b for a, b in zip(each, support, strict=True)) / sum(support) if sum(support) else np.mean(each)
    expected = {
        "weighted F1": weighted,
        "macro F1": np.mean(each),
        "micro F1": counted_f1(true.ravel(), predicted.ravel()),
        "samples F1": np.mean([counted_f1(a, b) for a, b in zip(true, predicted, strict=True)]),
    }
    scores = metrics.scores("multilabel", *tensors)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)
    assert metrics.score("multilabel", *tensors) == pytest.approx(weighted)
    assert metrics.per_class("multilabel", *tensors) == pytest.approx(each)


@given(labels())
def test_two_labels_and_more_are_scikit_learns_to_the_bit(pair):
    predicted, true = pair
    if true.shape[1] == 1:
        return
    for average in ("weighted", "macro", "micro", "samples"):
        assert metrics.f1(*as_tensors(predicted, true), average) == f1_score(
            true, predicted, average=average, zero_division=1
        )


def test_one_label_that_is_never_predicted_scores_nothing():
    targets = torch.zeros(200, 1)
    targets[:20] = 1
    assert metrics.scores("multilabel", torch.full((200, 1), -9.0), targets)["weighted F1"] == 0.0


@pytest.mark.parametrize("logits, targets", [((4,), (4,)), ((4, 1), (4,)), ((4, 2), (4, 1)), ((3, 1), (4, 1))])
def test_a_multilabel_score_of_other_shapes_is_an_error(logits, targets):
    with pytest.raises(ConfigError, match="targets"):
        metrics.f1(torch.zeros(logits), torch.zeros(targets), "weighted")


def test_one_label_from_the_search_to_the_evaluation(tmp_path):
    """Logits beside the features, so that late fusion is scored, too."""
    rng = np.random.default_rng(0)
    targets = (rng.random((96, 1)) < 0.3).astype(np.float32)
    arrays = {name: rng.normal(size=(96, 4, 4)).astype(np.float32) for name in ("A_1", "A_2", "B_1")}
    arrays["A_1"][:, 0] += 4 * targets
    logits = {name: rng.normal(size=(96, 1)).astype(np.float32) + 4 * targets - 2 for name in ("A", "B")}
    splits = {"train": np.arange(48), "val": np.arange(48, 72), "test": np.arange(72, 96)}
    features = bmnas.FeatureSet.from_arrays(arrays, targets, splits, logits=logits)
    run = bmnas.Run(tmp_path / "run")
    list(bmnas.search(features, CONFIG, run))
    genotype = bmnas.read_out(run, features).chosen
    result = bmnas.evaluate("searched", genotype, features, CONFIG, BUDGET.change(seeds=1), run)
    network = bmnas.train_and_save(run, genotype, features, CONFIG, BUDGET.change(seeds=1))
    rows = features.rows("test")
    predicted = np.array([bool(names) for names in network.predict(features, "cpu")])[rows]
    expected = counted_f1(targets[rows, 0] > 0.5, predicted)
    assert result.scores == (pytest.approx(expected),)
    assert list(result.per_class.values()) == [pytest.approx(expected)]
    for rival in bmnas.baselines(features, CONFIG, BUDGET.change(seeds=1)):
        assert list(rival.per_class.values()) == [pytest.approx(rival.mean)], rival.name
