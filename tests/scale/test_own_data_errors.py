"""What is wrong with one's own data is said before any work, in words that name it and what to do."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.model_selection import cross_val_score

import bmnas
from bmnas.errors import ConfigError, FeatureError
from bmnas.features.findings import findings

N = 30
A = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
CLASSES = np.array(["ill", "well"])[np.arange(N) % 2]
X = {"Image": A, "Text": A + 1}

CASES = {
    "an array": (A, CLASSES, "X is ndarray"),
    "no features": ({}, CLASSES, "X is an empty dictionary"),
    "nested": ({"Image": A, "Text": {"one": A, "two": A}}, CLASSES, r"'Text'.*dictionary.*'Text_1'"),
    "sparse": ({"Image": A, "Text": scipy.sparse.csr_matrix(A)}, CLASSES, r"'Text'.*toarray"),
    "a class of one": (X, np.where(np.arange(N) == 4, "dead", CLASSES), "'dead'"),
    "measurements": (X, A[:, 0], "regression"),
    "one class": (X, np.full(N, "well"), "one class"),
    "modality x": ({"x_1": A, "Text": A + 1}, CLASSES, r"modality name 'x'.*before its last '_'.*Rename"),
    "feature y": ({"y": A, "Text": A + 1}, CLASSES, "feature name 'y'.*Rename"),
    "dots": ({"a.b": A, "Text": A + 1}, CLASSES, r"'a\.b'.*Rename"),
    "numbers": ({1: A, 2: A + 1}, CLASSES, "feature name 1"),
}


@pytest.mark.parametrize(("given", "y", "words"), CASES.values(), ids=CASES)
def test_the_error_names_what_is_wrong(given, y, words):
    with pytest.raises(FeatureError, match=words):
        bmnas.FusionClassifier(verbose=0).fit(given, y)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"search": {"metric": "macro F1"}}, "search has metric"),
        ({"search": {"seed": 3}}, "random_state"),
        ({"search": {"L": 3}}, "give L"),
        ({"rivals": "fast"}, "rivals is 'fast'"),
        ({"metric": "samples F1"}, "metric is 'samples F1'"),
        ({"class_weight": {"dead": 2.0}}, "dead"),
        ({"class_weight": {"ill": 0.0, "well": 0.0}}, "class_weight is 0"),
        ({"class_weight": {"ill": float("nan")}}, "nan; expected a finite number"),
        ({"search": {"device": "meta"}}, "device is 'meta'"),
        ({"L": "4"}, "L is '4'"),
        ({"L": 2.5}, r"L is 2\.5"),
        ({"L": 0}, "L is 0"),
        ({"test_size": "a fifth"}, "test_size is 'a fifth'"),
        ({"random_state": None}, "random_state is None"),
        ({"random_state": -1}, "random_state is -1"),
        ({"search": 3}, "search is 3"),
        ({"budget": ["epochs"]}, "budget is"),
        ({"modalities": "Image"}, "modalities is 'Image'"),
        ({"run": 3}, "run is 3"),
    ],
)
def test_settings_that_contradict_are_refused_before_the_search(settings, words, monkeypatch):
    monkeypatch.setattr("bmnas.searching.algorithm1.Algorithm1.validate", lambda *_: pytest.fail("it searched"))
    with pytest.raises(ConfigError, match=words):
        bmnas.FusionClassifier(verbose=0, **settings).fit(X, CLASSES)


def test_one_label_in_each_row_is_pointed_out():
    one_hot = np.eye(3)[np.arange(N) % 3]
    splits = {"train": range(10), "val": range(10, 20), "test": range(20, N)}
    for targets, count in ((one_hot, 1), (np.maximum(one_hot, np.eye(3)[0]), 0)):
        features = bmnas.FeatureSet.from_arrays(X, targets, splits, report=False)
        assert sum("exactly one label" in line for line in findings(features)) == count


def test_names_of_any_language_work_from_fit_to_onnx(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    names = ("my image_1", "my image_2", "Größe", "2")
    given = {name: A + i for i, name in enumerate(names)}
    search = {"epochs": 1, "C": 4, "shortlist_epochs": 1, "path_epochs": 0, "device": "cpu"}
    model = bmnas.FusionClassifier(
        verbose=0, rivals=None, run=tmp_path / "run", search=search, budget={"epochs": 1, "seeds": 1}
    ).fit(given, CLASSES)
    assert list(model.features_.modalities) == ["my image", "Größe", "2"]
    assert bmnas.Run(tmp_path / "run").features().names == names
    loaded = bmnas.load(tmp_path / "run")
    assert loaded.predict(given) == model.predict(given).tolist()
    session = onnxruntime.InferenceSession(str(loaded.export(tmp_path / "x.onnx")))
    assert [one.name for one in session.get_inputs()] == list(loaded.shapes)


@pytest.mark.parametrize("without", [0, 1, 7])
def test_rows_without_any_label_are_counted(without):
    targets = np.tile(np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], (5, 1))
    targets[:, 1] = 1
    targets[3 : 3 + without] = 0
    rng = np.random.default_rng(0)
    arrays = {"A_1": rng.normal(size=(20, 4)), "B_1": rng.normal(size=(20, 4))}
    features = bmnas.FeatureSet.from_arrays(
        arrays, targets, {"train": range(10), "val": range(10, 15), "test": range(15, 20)}, report=False
    )
    lines = [line for line in findings(features) if "no label" in line]
    assert [f"{without} of 20" in line and "row 3" in line for line in lines] == [True] * (without > 0)


QUICK = {"search": {"epochs": 1, "C": 4, "shortlist_epochs": 1}, "budget": {"epochs": 1, "seeds": 1}}


def small_model():
    return bmnas.FusionClassifier(rivals=None, verbose=0, **QUICK)


@pytest.fixture(scope="module")
def whole():
    """Data of three shapes without gaps, and a model that was trained on it."""
    rng = np.random.default_rng(0)
    arrays = {"Image": rng.normal(size=(90, 8)), "Text": rng.normal(size=(90, 6)), "Sound": rng.normal(size=(90, 5, 9))}
    labels = np.array(["a", "b", "c"])[np.arange(90) % 3]
    return arrays, labels, small_model().fit(arrays, labels)


@pytest.mark.parametrize("form", [np.asarray, list, torch.tensor, pd.Series])
def test_one_sample_alone_is_refused_by_name(form, whole):
    arrays, _, model = whole
    with pytest.raises(FeatureError, match=r"'Image'.*\(8,\).*array\[None\]"):
        model.predict({name: values[:1] for name, values in arrays.items()} | {"Image": form(arrays["Image"][0])})
    assert len(model.predict({name: values[:1] for name, values in arrays.items()})) == 1


def test_a_missing_modality_says_how_a_network_learns_to_do_without(whole):
    arrays, _, model = whole
    used = list(model.network_.shapes)
    with pytest.raises(FeatureError, match=f"{used[0]!r}.*modality_dropout=0.2"):
        model.predict_proba({name: values for name, values in arrays.items() if name != used[0]})
    gaps = arrays[used[0]].copy()
    gaps[4] = np.nan
    with pytest.raises(FeatureError, match=f"{used[0]!r}.*row 4.*modality_dropout=0.2"):
        model.predict_proba(arrays | {used[0]: gaps})


def test_a_frame_of_samples_is_what_scikit_learn_indexes_by_row(whole):
    arrays, labels, model = whole
    frame = pd.DataFrame({name: list(values) for name, values in arrays.items()})
    assert np.array_equal(model.predict_proba(frame), model.predict_proba(arrays))
    scores = cross_val_score(small_model(), frame, labels, cv=2, error_score="raise")
    assert np.isfinite(scores).all()


def test_a_cell_without_a_sample_is_a_missing_one(whole):
    arrays, labels, _ = whole
    frame = pd.DataFrame({name: list(values) for name, values in arrays.items()})
    frame.loc[[1, 5], "Text"] = None
    frame.at[2, "Sound"] = np.nan
    features = small_model().fit(frame, labels).features_
    assert {name: np.flatnonzero(rows).tolist() for name, rows in features.missing.items()} == {
        "Text": [1, 5],
        "Sound": [2],
    }


def test_a_frame_of_samples_keeps_its_order(whole):
    arrays, labels, _ = whole
    frame = pd.DataFrame({name: list(values) for name, values in arrays.items()})
    with pytest.raises(FeatureError, match="index"):
        small_model().fit(frame, pd.Series(labels[::-1], index=frame.index[::-1]))


EXPORT = """
import bmnas
bmnas.load("run").export("x.onnx")
"""


def test_an_export_prints_its_result_alone(whole, tmp_path):
    """In a process of its own, as torch's exporter says some things once."""
    pytest.importorskip("onnxscript")
    arrays, labels, _ = whole
    small_model().set_params(run=tmp_path / "run").fit(arrays, labels)
    made = subprocess.run([sys.executable, "-c", EXPORT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert made.stderr == "" and len(made.stdout.splitlines()) == 1 and "agree" in made.stdout


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"Text": [None] * 90}, "'Text' is None in every sample"),
        ({"Text": ["a"] * 90}, "'Text'.*expected numbers"),
        ({"Text": [np.ones(3), *[np.ones(4)] * 89]}, r"'Text'.*\(3,\), \(4,\)"),
    ],
)
def test_a_column_that_holds_no_samples_is_named(columns, words, whole):
    arrays, labels, _ = whole
    with pytest.raises(FeatureError, match=words):
        small_model().fit(pd.DataFrame({"Image": list(arrays["Image"]), **columns}), labels)


def test_a_column_that_stands_twice_is_named(whole):
    arrays, labels, _ = whole
    frame = pd.DataFrame({"Image": list(arrays["Image"])})
    with pytest.raises(FeatureError, match="'Image' twice"):
        small_model().fit(pd.concat([frame, frame], axis=1), labels)


def test_weights_find_their_classes_by_value_and_texts_are_no_numbers(whole):
    arrays, labels, _ = whole
    numbers = 1.0 + (labels == "a")
    model = small_model().set_params(class_weight={1: 2, 2: 0.5}).fit(arrays, numbers)
    assert 0 <= model.score(arrays, numbers.astype(int)) <= 1
    with pytest.raises(FeatureError, match=r"y has '1.0'; fit had"):
        model.score(arrays, numbers.astype(str))


def test_numbers_of_numpy_are_settings(whole):
    arrays, labels, _ = whole
    model = small_model().set_params(L=np.int64(4), random_state=np.int32(3), search={"epochs": np.int64(1)})
    assert model.fit(arrays, labels).features_.L == 4
    assert bmnas.SearchConfig(max_lr=np.float64(0.25), fast=np.True_) == bmnas.SearchConfig(max_lr=0.25, fast=True)
