"""The rows that a fusion has to beat, from unimodal outputs alone."""

import numpy as np
import pytest
import torch

from bmnas.config import EvalConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.rivals.late_fusion import FUSIONS, LINEAR, MLP, SUM, TUNED, baselines, log_probabilities
from bmnas.rivals.logit_fusion import LogitFusion, TunedSum
from bmnas.rivals.out_of_fold import FOLDS, folds, with_heads
from bmnas.searching.run_folder import Run
from tests.support.tiny import CONFIG, multilabel_features, seen_rows, split_of, tiny_features

BUDGET = EvalConfig(epochs=1, seeds=2, max_lr=1e-2)


def feature_set(logits, targets, **more):
    n = len(targets)
    arrays = {f"{name}_1": np.zeros((n, 2)) for name in logits}
    splits = {"train": np.arange(n // 2), "val": np.arange(n // 2, 3 * n // 4), "test": np.arange(3 * n // 4, n)}
    return FeatureSet.from_arrays(arrays, targets, splits, logits=logits, L=4, **more)


def random_case(seed=0, n=80, classes=3):
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, n)
    hint = np.eye(classes)[targets]
    return {"A": hint + rng.normal(size=(n, classes)), "B": 9 * (hint + rng.normal(size=(n, classes)))}, targets


def by_name(rows):
    return {row.name: row for row in rows}


def test_each_modality_and_the_sum_by_hand():
    logits, targets = random_case()
    rows = by_name(baselines(feature_set(logits, targets), CONFIG, BUDGET))
    test = slice(60, 80)
    probabilities = {k: np.exp(z) / np.exp(z).sum(1, keepdims=True) for k, z in logits.items()}
    for name, p in probabilities.items():
        assert rows[f"{name} alone"].scores == (np.mean(p[test].argmax(1) == targets[test]),)
    product = probabilities["A"] * probabilities["B"]
    assert rows[SUM].scores == (np.mean(product[test].argmax(1) == targets[test]),)
    assert list(rows) == ["A alone", "B alone", SUM, TUNED, LINEAR, MLP]
    right = product[test].argmax(1) == targets[test]
    expected = {str(k): right[targets[test] == k].mean() for k in range(3)}
    assert rows[SUM].per_class == pytest.approx(expected)
    assert [rows[name].std for name in ("A alone", "B alone", SUM)] == [0.0] * 3
    assert [len(rows[name].scores) for name in (LINEAR, MLP)] == [2, 2]
    assert rows[SUM].parameters == 0 and rows[LINEAR].parameters == 6 * 3 + 3
    assert rows[MLP].parameters == (6 * 128 + 128) + (128 * 3 + 3)


def test_the_linear_layer_starts_as_the_sum():
    logits, targets = random_case()
    values = {name: torch.from_numpy(z).float() for name, z in log_probabilities(feature_set(logits, targets)).items()}
    values = {"other classes": torch.randn(len(targets), 5), **values}
    layer = LogitFusion({name: z.shape[1] for name, z in values.items()}, 3, None)
    torch.testing.assert_close(layer(values), values["A"] + values["B"])


@pytest.mark.parametrize("rate", [1e-4, 3e-3, 1e-1])
def test_a_short_training_of_the_linear_layer_loses_nothing_of_a_good_sum(rate):
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 8, 400)
    logits = {name: 9 * np.eye(8)[targets] + 2 * rng.normal(size=(400, 8)) for name in "AB"}
    rows = by_name(baselines(feature_set(logits, targets), CONFIG, BUDGET.change(max_lr=rate)))
    assert rows[LINEAR].mean > rows[SUM].mean - 0.05


def test_a_constant_added_to_all_logits_of_a_sample_changes_nothing():
    logits, targets = random_case()
    shifted = {name: z + np.linspace(-50, 50, len(z))[:, None] for name, z in logits.items()}
    first, second = (by_name(baselines(feature_set(z, targets), CONFIG, BUDGET)) for z in (logits, shifted))
    assert {name: row.scores for name, row in first.items()} == {name: row.scores for name, row in second.items()}
    for name, values in log_probabilities(feature_set(shifted, targets)).items():
        np.testing.assert_allclose(np.exp(values).sum(1), 1, rtol=1e-5)
        np.testing.assert_allclose(values, log_probabilities(feature_set(logits, targets))[name], atol=1e-4)


def test_labels_that_only_both_modalities_together_tell():
    """Two digits, perfectly seen; the label is their sum modulo 10, so no vote of the modalities can know it."""
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 10, (2, 2400))
    logits = {name: 4.0 * np.eye(10)[d] for name, d in zip("AB", digits, strict=True)}
    features = feature_set(logits, digits.sum(0) % 10)
    budget = EvalConfig(epochs=50, seeds=1, max_lr=1e-2)
    rows = by_name(baselines(features, CONFIG.change(batch_size=64), budget))
    assert rows[SUM].mean < 0.25 and rows["A alone"].mean < 0.25
    assert rows[LINEAR].mean < 0.35
    assert rows[MLP].mean > 0.8


def test_a_backbone_of_other_classes_has_no_row_of_its_own():
    logits, targets = random_case()
    logits["B"] = np.concatenate([logits["B"], logits["B"]], axis=1)
    rows = by_name(baselines(feature_set(logits, targets), CONFIG, BUDGET))
    assert list(rows) == ["A alone", LINEAR, MLP]
    assert rows[LINEAR].parameters == (3 + 6) * 3 + 3


@pytest.mark.parametrize("features", [tiny_features(), tiny_features(K=5, modalities=3), multilabel_features()])
def test_features_without_outputs_get_heads(features, tmp_path):
    run = Run(tmp_path / "run")
    rows = baselines(features, CONFIG, BUDGET, run)
    alone = [f"{name} alone, trained head" for name in features.modalities]
    assert [row.name for row in rows] == alone + [f"{name} (heads)" for name in FUSIONS]
    assert all(len(row.scores) == 2 and row.parameters > 0 and row.outcomes is not None for row in rows)
    with seen_rows() as seen:
        assert baselines(features, CONFIG, BUDGET, run) == rows
    assert seen == []
    single = tiny_features(modalities=1)
    assert [row.name for row in baselines(single, CONFIG, BUDGET)] == ["A alone, trained head"]


def test_a_head_answers_no_sample_that_it_was_fitted_to():
    """Labels of noise: heads that knew their own samples would be right on them, and a fusion of them lost on test."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((240, 40)) for name in ("A_1", "B_1")}
    splits = {"train": np.arange(120), "val": np.arange(120, 160), "test": np.arange(160, 240)}
    features = FeatureSet.from_arrays(arrays, rng.integers(0, 4, 240), splits, groups=np.arange(240) // 2)
    budget = BUDGET.change(epochs=30)
    answers = with_heads(features, CONFIG, budget, seed=0).logits["A"].argmax(1)
    right = answers == features.targets
    assert right[:160].mean() < 0.45 and right[160:].mean() < 0.45  # 1 in 4 by chance


@pytest.mark.parametrize("seed", range(3))
def test_folds_are_even_and_keep_groups_whole(seed):
    groups = np.random.default_rng(seed).integers(0, 40, 200)
    parts = folds(groups, seed)
    assert {len(set(parts[groups == group])) for group in np.unique(groups)} == {1}
    sizes = np.bincount(parts)
    assert len(sizes) == FOLDS and sizes.max() - sizes.min() <= np.bincount(groups).max()


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_the_tuned_sum_is_its_equation(kind):
    rng = np.random.default_rng(4)
    logits = {name: rng.standard_normal((5, 3)) for name in "AB"}
    network = TunedSum(("A", "B"), kind).double()
    weights, temperatures = np.array([0.5, 2.0]), np.array([0.7, 3.0])
    network.weights.data = torch.from_numpy(weights)
    network.log_temperatures.data = torch.from_numpy(np.log(temperatures))

    def equation(weights, temperatures):
        total = 0
        for (w, t), z in zip(zip(weights, temperatures, strict=True), logits.values(), strict=True):
            shares = np.exp(z / t) / np.exp(z / t).sum(1, keepdims=True)
            total = total + w * (np.log(shares) if kind == "multiclass" else z / t)
        return total

    output = network({name: torch.from_numpy(z)[:, :, None] for name, z in logits.items()})
    np.testing.assert_allclose(output.detach().numpy(), equation(weights, temperatures))
    output[:, 0].sum().backward()
    step = 1e-6
    for k in range(2):
        moved = np.eye(2)[k] * step
        of_weight = equation(weights + moved, temperatures) - equation(weights - moved, temperatures)
        assert network.weights.grad is not None and network.log_temperatures.grad is not None
        assert network.weights.grad[k].item() == pytest.approx(of_weight[:, 0].sum() / (2 * step), rel=1e-5)
        up, down = temperatures * np.exp(moved), temperatures * np.exp(-moved)
        of_heat = (equation(weights, up) - equation(weights, down))[:, 0].sum() / (2 * step)
        assert network.log_temperatures.grad[k].item() == pytest.approx(of_heat, rel=1e-5)


def test_multilabel_rows_threshold_the_backbones_own_probability():
    features = multilabel_features()
    rng = np.random.default_rng(1)
    logits = {name: features.targets * 1.5 - 1.2 + rng.normal(size=features.targets.shape) for name in ("A", "B")}
    given = feature_set(logits, features.targets)
    rows = by_name(baselines(given, CONFIG, BUDGET))
    test = given.rows("test")
    truth = given.targets[test] > 0

    def weighted_f1(z):
        found = 1 / (1 + np.exp(-z[test])) > 0.3
        each = [2 * (t & f).sum() / (t.sum() + f.sum()) for t, f in zip(truth.T, found.T, strict=True)]
        return np.dot(each, truth.sum(0)) / truth.sum()

    assert rows["A alone"].mean == pytest.approx(weighted_f1(logits["A"]))
    assert rows["A alone"].mean == rows["A alone"].all_scores["weighted F1"]
    assert rows[SUM].mean == pytest.approx(weighted_f1(logits["A"] + logits["B"]))  # the product of the odds


def test_trained_rows_are_kept_in_the_run_and_train_on_no_test_row(tmp_path):
    logits, targets = random_case()
    features, run = feature_set(logits, targets), Run(tmp_path / "run")
    with seen_rows() as seen:
        first = baselines(features, CONFIG, BUDGET, run)
    looked = [split_of(features, rows) for rows in seen]
    assert looked.count("test") == 6  # three rows of two seeds each look once
    trained = {row for rows, split in zip(seen, looked, strict=True) if split != "test" for row in rows}
    assert trained == {*range(60)}
    with seen_rows() as seen:
        assert baselines(features, CONFIG, BUDGET, run) == first
    assert seen == []
