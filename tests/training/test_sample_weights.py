"""Weights of samples: an integer weight is a repeated row, in losses, gradients and scores, and 0 is no row at all."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bmnas
from bmnas.errors import FeatureError
from bmnas.features.feature_set import FeatureSet
from bmnas.scale.seeds.search import search_seeds
from bmnas.training import metrics
from bmnas.training.objective import Objective, class_weights
from bmnas.training.scores import SCORES, multiclass_score, ranking_score
from bmnas.training.steps import batch_gradients

N, K = 24, 3
SPLITS = {"train": np.arange(12), "val": np.arange(12, 18), "test": np.arange(18, N)}
KINDS = ["multiclass", "multilabel"]


def some_features(kind, weights=None, seed=0, **changes):
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(size=(N, 4)).astype(np.float32) for name in ("A", "B")}
    targets = np.arange(N) % K if kind == "multiclass" else (np.arange(N)[:, None] % [2, 3, 5] == 0).astype(int)
    return FeatureSet.from_arrays(**{"arrays": arrays, "targets": targets, "splits": SPLITS} | changes, weights=weights)


def repeated(features, counts):
    """Each sample as often as it counts, in its split."""
    rows = np.repeat(np.arange(N), counts)
    splits = {name: np.flatnonzero(np.isin(rows, members)) for name, members in SPLITS.items()}
    arrays = {name: array[rows, :, 0] for name, array in features.arrays.items()}
    return FeatureSet.from_arrays(arrays, features.targets[rows], splits, report=False)


def objective(features, wish):
    rows = features.rows("train")
    weights = None if features.weights is None else features.weights[rows]
    each = class_weights(wish, features.kind, features.classes, features.targets[rows], weights)
    return Objective(features.kind, SCORES[features.kind][0], each)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, K, dtype=torch.float64)

    def forward(self, batch):
        return self.linear(torch.cat([batch[name].flatten(1).double() for name in ("A", "B")], 1))


def whole_split(features, split, parts=1):
    """Loss and gradients of a split as one batch."""
    torch.manual_seed(0)
    network, tensors = Sum(), features.tensors("cpu")
    batch = tensors.weighted_batch(tensors.rows(split))
    loss, _, gradients = batch_gradients(
        network, objective(features, "balanced"), batch, [*network.parameters()], parts
    )
    return torch.cat([loss.flatten(), *(gradient.flatten() for gradient in gradients if gradient is not None)])


COUNTS = st.lists(st.integers(0, 4), min_size=N, max_size=N).filter(
    lambda counts: all(any(counts[i] for i in rows) for rows in SPLITS.values())
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30)
@given(counts=COUNTS, scale=st.sampled_from([1, 0.01, 300.0]), parts=st.integers(1, 3))
def test_an_integer_weight_is_a_repeated_row(kind, counts, scale, parts):
    weighted = some_features(kind, np.array(counts) * scale, report=False)
    for split in ("train", "val"):
        ours = whole_split(weighted, split, parts)
        assert torch.allclose(ours, whole_split(repeated(weighted, counts), split), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_of_weight_0_has_no_influence_on_the_loss(kind):
    weights = np.where(np.isin(np.arange(N), [2, 13]), 0.0, 1.5)
    before = some_features(kind, weights)
    arrays = {name: array[:, :, 0].copy() for name, array in before.arrays.items()}
    arrays["A"][[2, 13]] += 100
    targets = before.targets.copy()
    targets[[2, 13]] = targets[[3, 14]]
    after = some_features(kind, weights, arrays=arrays, targets=targets, report=False)
    for split in ("train", "val"):
        assert torch.equal(whole_split(before, split), whole_split(after, split))
    plain = [some_features(kind), some_features(kind, arrays=arrays, targets=targets, report=False)]
    assert not torch.equal(whole_split(plain[0], "train"), whole_split(plain[1], "train"))


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in SCORES[kind]])
@settings(max_examples=15)
@given(data=st.data())
def test_an_integer_weight_is_a_repeated_sample_of_a_score(kind, name, data):
    counts = np.array(data.draw(COUNTS))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    logits = torch.from_numpy(rng.normal(size=(N, K)))
    targets = torch.from_numpy(some_features(kind, report=False).targets)
    rows = np.repeat(np.arange(N), counts)
    ours = metrics.named_score(kind, name, logits, targets, counts.astype(np.float32))
    if kind == "multilabel" and name.endswith("F1"):
        expected = metrics.named_score(kind, name, logits[rows], targets[rows])
    elif kind == "multilabel":  # of probabilities computed once: torch rounds a copy of a row otherwise
        expected = ranking_score(name, logits.sigmoid().numpy()[rows], targets.numpy()[rows] > 0.5)
    else:
        expected = multiclass_score(name, logits.softmax(-1).numpy()[rows], targets.numpy()[rows])
    assert ours == pytest.approx(expected, nan_ok=True, abs=1e-6)


WRONG = {
    "too few": (np.ones(N - 1), "weights? has the shape"),
    "a column": (np.ones((N, 1)), "shape"),
    "below 0": (np.where(np.arange(N) == 5, -1.0, 1.0), "row 5"),
    "NaN": (np.where(np.arange(N) == 5, np.nan, 1.0), "row 5"),
    "infinite": (np.where(np.arange(N) == 5, np.inf, 1.0), "row 5"),
    "too large": (np.where(np.arange(N) == 5, 1e300, 1.0), "row 5"),
    "missing": ([None, *[1.0] * (N - 1)], "row 0"),
    "texts": (["1"] * N, "weight"),
    "0 everywhere": (np.zeros(N), "every sample"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_weight_is_named(case):
    weights, words = WRONG[case]
    X = {name: array[:, :, 0] for name, array in some_features("multiclass").arrays.items()}
    for refused in (
        lambda: some_features("multiclass", weights),
        lambda: bmnas.FusionClassifier(verbose=0).fit(X, np.arange(N) % K, sample_weight=weights),
    ):
        with pytest.raises(FeatureError, match=words):
            refused()


def test_a_split_without_weights_is_named():
    for split in ("train", "val"):
        with pytest.raises(FeatureError, match=f"every sample of {split}"):
            some_features("multiclass", np.where(np.isin(np.arange(N), SPLITS[split]), 0.0, 1.0))


def test_weights_are_stored_chosen_joined_and_part_of_what_a_result_depends_on(tmp_path):
    weights = np.linspace(0.5, 2, N)
    ours = some_features("multiclass", weights)
    opened = FeatureSet.open(ours.save(tmp_path / "ours"))
    plain = some_features("multiclass")
    for one in (opened, ours.choose(features=["A"])):
        assert one.weights is not None and np.allclose(one.weights, weights)
    assert opened.fingerprint == ours.fingerprint != plain.fingerprint
    assert "weights" not in plain.manifest
    joined = bmnas.join_features([ours, ours], tmp_path / "joined")
    assert joined.weights is not None and np.allclose(joined.weights, [*weights, *weights])


def test_a_search_is_weighted_alone_and_with_other_seeds_alike():
    config = bmnas.SearchConfig(C=4, L=8, N=1, M=1, epochs=2, batch_size=6, device="cpu")
    weighted, plain = (some_features("multiclass", weights) for weights in (np.arange(N) % 3 + 0.5, None))
    alone = list(bmnas.search(weighted, config))
    together = [event for seed, event in search_seeds(weighted, config, {0: None, 1: None}) if seed == config.seed]
    for ours, theirs in zip(alone, together, strict=True):
        for name in ("train_loss", "val_loss"):
            assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-3)
    assert alone[-1].val_loss != pytest.approx(list(bmnas.search(plain, config))[-1].val_loss, rel=1e-3)


QUICK = {"search": {"epochs": 1, "C": 4, "shortlist_epochs": 1, "device": "cpu"}, "budget": {"epochs": 1, "seeds": 1}}


def test_every_loss_of_a_fit_is_weighted_and_rows_of_weight_0_are_not_there(monkeypatch):
    seen = []
    plain_loss = metrics.loss

    def loss(kind, logits, targets, weights=None):
        seen.append(weights is not None)
        return plain_loss(kind, logits, targets, weights)

    monkeypatch.setattr(metrics, "loss", loss)
    rng = np.random.default_rng(0)
    X = {name: rng.normal(size=(80, 3)) for name in ("Image", "Text")}
    y, weights = np.arange(80) % 2, np.arange(80) % 4  # every fourth is not there
    model = bmnas.FusionClassifier(verbose=0, rivals="quick", **QUICK).fit(X, y, sample_weight=weights)
    assert len(seen) > 30 and all(seen)
    assert all((weights[rows] > 0).all() for rows in model.features_.splits.values())
    others = {name: np.where(weights[:, None] > 0, array, 7.0) for name, array in X.items()}
    again = bmnas.FusionClassifier(verbose=0, rivals=None, **QUICK).fit(others, y, sample_weight=weights)
    assert np.array_equal(model.predict_proba(X), again.predict_proba(X))
    rows = np.repeat(np.arange(80), weights)
    repeated_score = model.score({name: array[rows] for name, array in X.items()}, y[rows])
    assert model.score(X, y, sample_weight=weights) == pytest.approx(repeated_score)
