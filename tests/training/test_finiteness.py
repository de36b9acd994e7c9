"""Outputs that are not finite get neither a score nor a prediction, wherever they arise."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import bmnas
from bmnas.errors import BmnasError, FeatureError, PredictionError, SearchDiverged
from bmnas.evaluation.joint.training import predict_joint
from bmnas.features.backbone_training import train_unimodal
from bmnas.searching.algorithm1 import Search
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import build_network
from bmnas.searching.read_outs import brief_score
from bmnas.training import metrics
from bmnas.training.finiteness import check_predictions
from bmnas.training.steps import predict
from tests.support.tiny import BUDGET, CONFIG, tiny_features

HUGE = 3e38  # finite in float32
ONE_SEED = BUDGET.change(seeds=1, epochs=1)
GENOTYPE = bmnas.Genotype((bmnas.CellGenotype(("A_1", "A_2"), (bmnas.StepGenotype("ConcatFC", ("x", "y")),)),), 1)


def features(split: str) -> tuple[bmnas.FeatureSet, list[int]]:
    """Features whose rows 2 and on of a split are far too large, and these rows."""
    plain = tiny_features()
    rows = plain.rows(split)[2:]
    arrays = {f"{'AB'[i // 2]}_{i % 2 + 1}": np.array(a, np.float32) for i, a in enumerate(plain.arrays.values())}
    for array in arrays.values():
        array[rows] = HUGE
    logits = {name: np.zeros((len(plain), len(plain.classes)), np.float32) for name in "AB"}
    made = bmnas.FeatureSet.from_arrays(arrays, plain.targets, plain.splits, logits=logits)
    return made, rows.tolist()


def trained(tmp_path) -> bmnas.TrainedNetwork:
    good = features("test")[0]
    network = build_network(GENOTYPE, good, CONFIG, 0)
    shapes = {name: good.arrays[name].shape[1:] for name in network.reshape}
    return bmnas.TrainedNetwork(network, good.kind, good.classes, shapes)  # type: ignore[arg-type]


CALLS: dict[str, tuple[str, Callable]] = {
    "evaluate": ("test", lambda found, _: bmnas.evaluate("it", GENOTYPE, found, CONFIG, ONE_SEED)),
    "the best epoch on validation": (
        "val",
        lambda found, _: bmnas.evaluate("it", GENOTYPE, found, CONFIG, ONE_SEED.change(select="validation")),
    ),
    "score_by_epoch": ("test", lambda found, _: bmnas.score_by_epoch(GENOTYPE, found, CONFIG, ONE_SEED)),
    "a brief training": ("val", lambda found, _: brief_score(GENOTYPE, found, CONFIG)),
    "logits": ("test", lambda found, path: trained(path).logits(found, "cpu")),
    "probabilities": ("test", lambda found, path: trained(path).probabilities(found, "cpu")),
    "predict": ("test", lambda found, path: trained(path).predict(found, "cpu")),
}


@pytest.mark.parametrize("name", CALLS)
def test_features_that_are_far_too_large_are_an_error_that_names_the_rows(name, tmp_path):
    split, call = CALLS[name]
    found, rows = features(split)
    with pytest.raises(PredictionError) as caught:
        call(found, tmp_path)
    named = re.search(r"rows ([\d, ]+)", str(caught.value))
    assert named is not None
    numbers = [int(number) for number in named[1].split(", ") if number.strip()]
    assert numbers and set(numbers) <= set(rows)


def test_a_search_ends_at_the_validation_that_is_not_finite():
    found, _ = features("val")
    config = CONFIG.change(warmup_epochs=4)  # no architecture step reads these rows before
    with pytest.raises(SearchDiverged, match="validation"):
        list(bmnas.search(found, config))
    with pytest.warns(UserWarning, match="seed 0"), pytest.raises(SearchDiverged, match="seed 1"):
        list(bmnas.search_seeds(found, config, {0: None, 1: None}))


def test_the_message_names_layer_and_feature():
    found, rows = features("test")
    network, tensors = build_network(GENOTYPE, found, CONFIG, 0), found.tensors("cpu")
    with pytest.raises(PredictionError) as caught:
        predict(network, tensors, tensors.rows("test"))
    text = str(caught.value)
    assert text.startswith("test") and f"{len(rows)} of {len(rows) + 2}" in text and f"rows {rows[0]}, " in text
    layer = re.search(r"layer that gives such values is '([\w.]+)'", text)
    assert layer is not None and layer[1] in dict(network.named_modules())
    assert re.search(r"feature is '(A_1|A_2)', up to 3e\+38", text)


def test_inherited_weights_that_are_not_finite_score_nothing():
    """All rows at once: BatchNorm normalises by the batch here."""
    state = Search(features("test")[0], CONFIG)
    with torch.no_grad():
        state.hypernet.get_parameter("reshape.A_2.conv.weight").fill_(torch.inf)
    score = InheritedScore(state.hypernet, state.engine.tensors, state.kind)
    with pytest.raises(PredictionError, match="'A_2'"):
        score(GENOTYPE)


def test_unimodal_logits_that_overflow_give_no_late_fusion():
    found, rows = features("test")
    found.logits["A"][rows[0]] = [-HUGE, *[HUGE] * (len(found.classes) - 1)]  # finite, but their difference is not
    with pytest.raises(FeatureError, match=rf"logits\['A'\].*row {rows[0]}\b"):
        bmnas.baselines(found, CONFIG, ONE_SEED)
    found.logits["A"][rows[0]] = -np.inf  # as a backbone in half precision gives
    with pytest.raises(FeatureError, match=rf"logits\['A'\].*row {rows[0]}\b"):
        bmnas.baselines(found, CONFIG, ONE_SEED)


def test_a_backbone_that_overflows_has_no_score():
    inputs = np.ones((12, 3), np.float32)
    inputs[8:] = HUGE
    rows = {"fit": np.arange(8), "test": np.arange(8, 12)}
    with pytest.raises(PredictionError, match="4 of 4"):
        train_unimodal(nn.Linear(3, 2), 1e3 * inputs[:, :], np.arange(12) % 2, rows, epochs=1, device="cpu")


def test_a_joint_network_that_overflows_has_no_score():
    backbone = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    taps = {"A": {"A_1": "0", "A_2": "1"}}
    network = bmnas.joint_network(GENOTYPE, {"A": backbone}, taps, {"A": torch.ones(2, 3)}, 2, C=4, L=4)
    data = [({"A": torch.full((3,), HUGE if i == 3 else 1.0)}, torch.tensor(i % 2)) for i in range(5)]
    with pytest.raises(PredictionError, match=r"rows 3\b"):
        predict_joint(network, data, batch_size=2, device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_no_score_is_made_of_them(kind, value):
    logits, targets = torch.zeros(4, 2), torch.zeros(4, 2) if kind == "multilabel" else torch.zeros(4, dtype=torch.long)
    logits[2, 1] = value
    for score in (metrics.score, metrics.scores, metrics.per_class):
        with pytest.raises(PredictionError, match="rows 2"):
            score(kind, logits, targets)


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_all_bad_rows_are_counted_and_the_first_are_named(bad):
    logits = torch.zeros(len(bad), 3)
    logits[torch.tensor(bad), 1] = torch.nan
    rows = [10 + i for i in range(len(bad))]
    expected = [row for row, broken in zip(rows, bad, strict=True) if broken]
    if not expected:
        check_predictions(logits, "val", rows)
        return
    with pytest.raises(BmnasError) as caught:
        check_predictions(logits, "val", rows)
    assert f"{len(expected)} of {len(bad)} rows" in str(caught.value)
    assert f"rows {', '.join(map(str, expected[:5]))}" in str(caught.value)


def too_large_to_square(split: str) -> bmnas.FeatureSet:
    """Features of which one row of a split has finite numbers whose squares are infinite in float32."""
    plain = tiny_features()
    arrays = {name: np.array(array) for name, array in plain.arrays.items()}
    for array in arrays.values():
        array[plain.rows(split)[2]] = 1e20
    return bmnas.FeatureSet.from_arrays(arrays, plain.targets, plain.splits, report=False)


@pytest.mark.parametrize(
    "work",
    [
        lambda found: bmnas.evaluate("it", GENOTYPE, found, CONFIG, ONE_SEED),
        lambda found: list(bmnas.search(found, CONFIG)),
        lambda found: list(bmnas.search_trials(found, CONFIG.change(searcher="random", budget=2))),
        lambda found: bmnas.evaluate_rivals(found, CONFIG, ONE_SEED, names=["GMU"]),
    ],
    ids=["evaluate", "search", "search_trials", "evaluate_rivals"],
)
def test_a_variance_that_is_infinite_makes_no_sample_like_another(work):
    with pytest.raises((PredictionError, SearchDiverged), match="[AB]_[12]"):
        work(too_large_to_square("train"))


def test_nor_does_it_in_an_inherited_score():
    with pytest.raises(PredictionError, match="[AB]_[12]"):
        list(bmnas.search_trials(too_large_to_square("val"), CONFIG.change(searcher="spos", path_epochs=1)))
