"""The rivals' rows: trained like everything else, kept, resumed, and refused where there is nothing to fuse."""

import numpy as np
import pytest

import bmnas
from bmnas.errors import ConfigError, UnknownNameError
from bmnas.evaluation.evaluation import evaluate
from bmnas.features.feature_set import FeatureSet
from bmnas.rivals import choice
from bmnas.rivals.networks import RIVALS, evaluate_rivals
from bmnas.rivals.operators import operator_genotypes
from bmnas.searching.read_outs import brief_score
from bmnas.searching.run_folder import Run
from tests.support.tiny import BUDGET, CONFIG, multilabel_features, tiny_features


@pytest.mark.parametrize("features", [tiny_features(), tiny_features(K=5, modalities=3), multilabel_features()])
def test_every_rival_has_a_row_on_any_features(features):
    rows = evaluate_rivals(features, CONFIG, BUDGET.change(epochs=1, seeds=2))
    names = [row.name for row in rows]
    assert names == [name for name, rival in RIVALS.items() if not rival.lacks(features)] and "GMU" in names
    assert ("MFAS, one row" in names) == (len(features.modalities) == 2)
    for row in rows:
        assert len(row.scores) == 2 and all(0 <= score <= 1 for score in row.scores)
        assert (
            row.parameters > 0 and row.metric == {"multiclass": "accuracy", "multilabel": "weighted F1"}[features.kind]
        )


def test_a_rival_learns_what_can_be_learnt():
    rng = np.random.default_rng(0)
    targets = rng.integers(0, 3, 300)
    arrays = {name: np.eye(3)[targets] + 0.3 * rng.standard_normal((300, 3)) for name in ("A_1", "B_1")}
    splits = {"train": np.arange(150), "val": np.arange(150, 200), "test": np.arange(200, 300)}
    features = FeatureSet.from_arrays(arrays, targets, splits, L=CONFIG.L)
    rows = bmnas.evaluate_rivals(features, CONFIG, BUDGET.change(epochs=10, seeds=1, max_lr=1e-2))
    assert {row.name: row.mean for row in rows if row.mean < 0.9} == {}


def test_what_was_trained_is_not_trained_again(tmp_path):
    run, features, asked = Run(tmp_path / "run"), tiny_features(), []
    first = evaluate_rivals(features, CONFIG, BUDGET, run, names=["GMU"])
    kept = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json")}
    again = evaluate_rivals(features, CONFIG, BUDGET, run, lambda *told: asked.append(told), ["GMU", "two-stream"])
    assert again[0].scores == first[0].scores and len(again) == 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert [told for told in asked if told[0] == "GMU"] == [("GMU", done, 3) for done in range(4)]


def test_seeds_differ_and_repeat():
    features, budget = tiny_features(), BUDGET.change(epochs=1)
    one, two = (evaluate_rivals(features, CONFIG, budget, names=["SimBaMM"])[0] for _ in range(2))
    assert one.scores == two.scores and len(set(one.scores)) > 1


def test_an_unknown_rival_and_a_single_modality():
    with pytest.raises(UnknownNameError, match="GMU"):
        evaluate_rivals(tiny_features(), CONFIG, BUDGET, names=["GMUU"])
    with pytest.raises(ConfigError, match="2 modalities; the features have 3"):
        evaluate_rivals(tiny_features(K=5, modalities=3), CONFIG, BUDGET, names=["MFAS, one row"])
    with pytest.raises(ConfigError, match="one modality"):
        evaluate_rivals(tiny_features(modalities=1), CONFIG, BUDGET)


def test_the_best_operator_on_validation_is_taken_and_each_is_trained_once(tmp_path, monkeypatch):
    features, run, trained = tiny_features(K=6, modalities=3), Run(tmp_path / "run"), []
    fit = choice.fit

    def counted(network, tensors, kind, rows, *rest):
        trained.append(rows.tolist())
        fit(network, tensors, kind, rows, *rest)

    monkeypatch.setattr(choice, "fit", counted)
    genotypes = operator_genotypes(features, CONFIG)
    orders = [f"{name}({inputs})" for name in ("Attention", "LinearGLU") for inputs in ("x, y", "y, x")]
    assert sorted(genotypes) == sorted(["Sum(x, y)", *orders, "ConcatFC(x, y)"])
    for genotype in genotypes.values():
        assert [cell.inputs for cell in genotype.cells] == [("A_2", "B_2"), ("C_2", "Cell_1")]
    (row,) = evaluate_rivals(features, CONFIG, BUDGET, run, names=["last features, best operator"])
    assert trained == 6 * [features.rows("train").tolist()]
    brief = CONFIG.change(shortlist_epochs=BUDGET.epochs, max_lr=BUDGET.max_lr)
    scores = {name: brief_score(genotype, features, brief) for name, genotype in genotypes.items()}
    best = max(scores, key=lambda name: scores[name])
    assert row.scores == evaluate("best", genotypes[best], features, CONFIG, BUDGET).scores
    (again,) = evaluate_rivals(features, CONFIG, BUDGET, run, names=[row.name])
    assert again.scores == row.scores and len(trained) == 6
