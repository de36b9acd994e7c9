"""FusionClassifier: one's own arrays in scikit-learn's manner."""

import contextlib
import io
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks

import bmnas
from bmnas.errors import ConfigError, FeatureError
from bmnas.scale.own_data.inputs import as_arrays
from bmnas.scale.own_data.splitting import split_rows
from bmnas.training.progress import seldom
from bmnas.training.steps import seeded

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"search": {"epochs": 2, "C": 4, "shortlist_epochs": 1, "device": "cpu"}, "budget": {"epochs": 2, "seeds": 2}}


def samples(n: int = 120, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Three modalities, two classes at 85:15; each modality is missing for a fifth of the samples, never all."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < 0.15, "ill", "well")
    X = {"Image": rng.normal(size=(n, 6)), "Text": rng.normal(size=(n, 3, 4)), "Sound": rng.normal(size=(n, 5))}
    for i, x in enumerate(X.values()):
        x[y == "ill"] += 2.0
        x[i::5] = np.nan
    return X, y


@pytest.fixture(scope="module")
def fitted():
    X, y = samples()
    model = bmnas.FusionClassifier(class_weight="balanced", metric="balanced accuracy", verbose=0, **QUICK)
    return model.fit(X, y), X, y


def test_fit_splits_searches_trains_compares_and_reports(fitted):
    model, _, y = fitted
    assert model.classes_.tolist() == ["ill", "well"] and len(model.search_) == 2
    splits = model.features_.splits
    assert sorted(np.concatenate(list(splits.values()))) == list(range(len(y)))
    shares = [np.mean(y[rows] == "ill") for rows in splits.values()]
    assert max(shares) - min(shares) < 0.05
    methods = set(model.leaderboard_["method"])
    assert {"Image alone, trained head", "Text alone, trained head", "GMU", "two-stream", bmnas.SEARCHED} <= methods
    assert set(model.leaderboard_.columns) > {"balanced accuracy", "macro F1", "macro AUROC"}
    assert len(model.subsets_) == 7
    for part in ("Fusion", "fusion helps"), ("balanced accuracy",), ("'Text' is missing for 24 of 120",):
        assert any(words in model.report_ for words in part)


def test_long_work_without_a_bar_still_says_where_it_is():
    lines: list[str] = []
    for seconds, written in ((0.0, 3), (np.inf, 0)):
        lines.clear()
        progress = seldom(lines.append, seconds)
        for done in range(3):
            progress("shortlist", done, 3000)
        assert len(lines) == written and all(line.startswith("shortlist: ") for line in lines)


def test_predictions_are_labels_and_probabilities_sum_to_one(fitted):
    model, X, y = fitted
    p = model.predict_proba(X)
    assert p.shape == (len(y), 2) and np.allclose(p.sum(1), 1)
    assert (model.predict(X) == model.classes_[p.argmax(1)]).all() and 0 <= model.score(X, y) <= 1


def test_any_subset_is_predicted_and_a_sample_without_any_is_refused(fitted):
    model, X, _ = fitted
    rows = np.flatnonzero(~np.isnan(X["Image"][:, 0]))
    alone = {"Image": X["Image"][rows]}
    hidden = {name: X[name][rows] if name == "Image" else np.full_like(X[name][rows], np.nan) for name in X}
    assert np.array_equal(model.predict_proba(alone), model.predict_proba(hidden))
    nothing = {name: np.full_like(x[:3], np.nan) for name, x in X.items()}
    with pytest.raises(FeatureError, match=r"rows 0, 1, 2"):
        model.predict(nothing)
    with pytest.raises(FeatureError, match="Smell"):
        model.predict({"Smell": X["Image"]})
    with pytest.raises(FeatureError, match="'image'; the training had"):  # not a network's answer to nothing
        model.network_.predict({"image": X["Image"]})
    for name in X:  # whether or not the network uses it
        assert len(model.network_.predict({name: np.nan_to_num(model.features_.arrays[name][rows])})) == len(rows)


def test_a_network_of_complete_data_refuses_missing_rows():
    X, y = samples()
    X = {name: np.nan_to_num(x) for name, x in X.items()}
    model = bmnas.FusionClassifier(rivals=None, verbose=0, **QUICK).fit(X, y)
    assert model.subsets_ is None and model.leaderboard_["method"].tolist() == [bmnas.SEARCHED]
    X["Image"][0] = np.nan
    if "Image" in model.network_.shapes:
        with pytest.raises(FeatureError, match="modality_dropout"):
            model.predict(X)
    with pytest.raises(ConfigError, match="modality_dropout"):
        bmnas.subset_scores(model.network_, model.features_)


def test_several_labels_at_once():
    X, _ = samples()
    Y = (np.random.default_rng(1).random((120, 3)) < 0.4).astype(int)
    model = bmnas.FusionClassifier(rivals=None, verbose=0, class_weight="balanced", **QUICK).fit(X, Y)
    assert model.predict(X).shape == Y.shape and 0 <= model.score(X, Y) <= 1


@pytest.mark.parametrize("kind", ["numpy", "torch", "frame", "memmap"])
def test_every_container_holds_the_same_numbers(kind, tmp_path):
    x = np.random.default_rng(0).normal(size=(10, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    given = {
        "numpy": x,
        "torch": torch.from_numpy(x),
        "frame": pd.DataFrame(x),
        "memmap": np.load(tmp_path / "x.npy", mmap_mode="r"),
    }[kind]
    assert np.array_equal(as_arrays({"A": given}, 4)["A"], x)


def test_ragged_samples_are_pooled_over_their_own_length():
    rng = np.random.default_rng(0)
    long, short = rng.normal(size=(3, 9)) - 100, rng.normal(size=(3, 5)) - 100  # padding by 0 would win every maximum
    found = as_arrays({"A": [long, None, short]}, 4)["A"]
    assert np.isnan(found[1]).all()
    for row, x in ((0, long), (2, short)):
        pooled = torch.nn.functional.adaptive_max_pool1d(torch.from_numpy(x).float()[None], 4)[0]
        assert np.allclose(found[row], pooled)
    assert np.array_equal(as_arrays({"A": [short, short]}, 4)["A"], found[[2, 2]])


def test_images_become_a_grid():
    x = np.random.default_rng(0).normal(size=(2, 3, 6, 6)).astype(np.float32)
    found = as_arrays({"A": x}, 4)["A"]
    assert np.array_equal(found, x.reshape(2, 3, 2, 3, 2, 3).max((3, 5)).reshape(2, 3, 4))


@pytest.mark.parametrize(
    "X, words",
    [
        (np.zeros((4, 2)), "dictionary"),
        ({"A": [np.zeros((2, 5)), np.zeros((3, 4))]}, r"\(2, 5\), \(3, 4\)"),
        ({"A": np.zeros((4, 2)), "B": np.zeros((5, 2))}, "'B': 5"),
        ({"A": np.array([["x"], ["y"]])}, "'A'"),
        ({"A": np.zeros((2, 2, 2, 2, 2))}, "'A'"),
        ({"A": np.where(np.arange(20).reshape(1, 2, 10) > 15, np.nan, 1.0)}, "padding"),
    ],
)
def test_other_inputs_are_errors_that_name_them(X, words):
    with pytest.raises(FeatureError, match=words):
        as_arrays(X, 4)


def test_groups_stay_whole():
    rng = np.random.default_rng(0)
    groups, targets = rng.integers(0, 30, 300), rng.integers(0, 2, 300)
    splits = split_rows(targets, groups, 0.2, 0.2, 0)
    parts = [set(groups[rows]) for rows in splits.values()]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert sorted(np.concatenate(list(splits.values()))) == list(range(300))


@pytest.mark.parametrize(
    "X, y",
    [
        ({"A": np.zeros((30, 2)), "B": np.ones((30, 2))}, np.zeros(30)),
        ({"A": np.zeros((30, 2)), "B": np.ones((30, 2))}, np.arange(20) % 2),
        ({"A": np.zeros((30, 2)), "B": np.ones((30, 2))}, [np.nan] * 30),
        ({"A": np.zeros((30, 2))}, np.arange(30) % 2),
        ({"A": np.zeros((30, 2)), "B": np.ones((30, 2))}, [1, *[0] * 29]),
    ],
    ids=["one class", "lengths", "nan", "one feature", "a class of one sample"],
)
def test_what_cannot_be_fitted_is_an_error(X, y):
    with pytest.raises(FeatureError):
        bmnas.FusionClassifier(verbose=0).fit(X, y)


@pytest.mark.parametrize(
    "check",
    [
        "check_estimator_cloneable",
        "check_estimator_repr",
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_valid_tag_types",
    ],
)
def test_scikit_learns_checks_that_need_no_array(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        getattr(estimator_checks, check)("FusionClassifier", bmnas.FusionClassifier())


def test_a_clone_is_fitted_to_the_same_network(fitted):
    model, X, y = fitted
    again = clone(model).set_params(rivals=None).fit(X, y)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))


def test_frames_that_are_joined_are_what_scikit_learn_can_index_by_row(fitted):
    _, X, y = fitted
    frames = pd.concat({"Image": pd.DataFrame(X["Image"]), "Sound": pd.DataFrame(X["Sound"])}, axis=1)
    quick = {"search": {"epochs": 1, "C": 4, "N": 1, "selection": "algorithm1"}, "budget": {"epochs": 1, "seeds": 1}}
    model = bmnas.FusionClassifier(rivals=None, verbose=0, **quick)
    apart = clone(model).fit({"Image": X["Image"], "Sound": X["Sound"]}, y)
    joined = clone(model).fit(frames, y)
    assert np.array_equal(joined.predict_proba(frames), apart.predict_proba({"Image": X["Image"], "Sound": X["Sound"]}))
    assert joined.score(frames, y) == apart.score({"Image": X["Image"], "Sound": X["Sound"]}, y)
    search = GridSearchCV(model, {"L": [1, 2]}, cv=2, error_score="raise").fit(frames, y)
    assert search.best_params_["L"] in (1, 2) and set(search.predict(frames)) <= {"ill", "well"}


def test_export_runs_by_onnxruntime_alone(fitted, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, X, _ = fitted
    path = model.network_.export(tmp_path / "x.onnx", model.features_)
    assert re.search(r"agree to \d\.\de-\d\d on \d+ stored rows", capsys.readouterr().out)
    model.network_.export(path)  # the run of the fit is gone, and with it the stored rows
    assert "random rows" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path))
    assert [one.name for one in session.get_inputs()] == list(model.network_.shapes)
    for n in (1, 7):
        given = {name: model.features_.arrays[name][:n].astype(np.float32) for name in model.network_.shapes}
        (logits,) = session.run(None, given)
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        assert np.allclose(p, model.predict_proba({name: x[:n] for name, x in X.items()}), atol=1e-4)
    assert session.get_modelmeta().custom_metadata_map["classes"] == '["ill", "well"]'


def test_torch_export_takes_any_batch(fitted):
    model, _, _ = fitted
    program = model.network_.program().module()
    given = [torch.from_numpy(model.features_.arrays[name][:5].astype(np.float32)) for name in model.network_.shapes]
    assert torch.allclose(
        program(*given), model.network_(dict(zip(model.network_.shapes, given, strict=True))), atol=1e-5
    )


def test_classes_and_preprocessing_travel_with_the_network(fitted, tmp_path):
    X, y = samples()
    run = tmp_path / "run"
    model = bmnas.FusionClassifier(rivals=None, verbose=0, run=run, **QUICK).fit(X, y)
    network = bmnas.load(run)
    assert isinstance(network, torch.nn.Module) and network.takes_subsets
    assert np.array_equal(network.probabilities(model.features_), model.predict_proba(X))
    given = {"targets": 1 - model.features_.targets, "splits": model.features_.splits, "report": False}
    swapped = bmnas.FeatureSet.from_arrays(model.features_.arrays, classes=["well", "ill"], **given)
    with pytest.raises(FeatureError, match="'well', 'ill'"):
        network.predict(swapped)
    other = bmnas.FeatureSet.from_arrays(
        model.features_.arrays, classes=["ill", "well"], backbones={"Image": {"sha256": "other"}}, **given
    )
    with pytest.raises(FeatureError, match="preprocessing"):
        network.predict(other)


def snippet(page: str) -> str:
    """The first block of Python of a page that makes a FusionClassifier."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if "FusionClassifier(" in block)


@pytest.mark.parametrize("page", ["README.md", "docs/own_data.md"])
def test_the_snippet_runs_as_it_stands(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = samples()
    brief = bmnas.FusionClassifier.fit

    def fit(self, *given, **more):
        return brief(self.set_params(rivals=None, **QUICK), *given, **more)

    monkeypatch.setattr(bmnas.FusionClassifier, "fit", fit)
    names = {"image": X["Image"], "text": X["Text"], "sound": X["Sound"], "y": y, "person": np.arange(120) // 2}
    new = ~np.isnan(X["Image"][:, 0])
    names |= {"new_image": X["Image"][new]}
    with contextlib.redirect_stdout(io.StringIO()) as out, seeded((0,), torch.device("cpu")):
        exec(compile(snippet(page), page, "exec"), names)
    assert "Leaderboard" in out.getvalue() and ("helps" in out.getvalue() or "Network found" in out.getvalue())
