"""Data frames, labels and predictions of one's own: rows belong together by their index, and no label is made up."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

import bmnas
from bmnas.errors import FeatureError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.scale.own_data.inputs import as_arrays
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype

N = 60
QUICK = {"search": {"epochs": 1, "C": 4, "shortlist_epochs": 1, "path_epochs": 0, "device": "cpu"}}
MODEL = {"verbose": 0, "rivals": None, "budget": {"epochs": 1, "seeds": 1}, **QUICK}


def frames(seed=0):
    rng = np.random.default_rng(seed)
    index = [f"patient {i}" for i in rng.permutation(N)]
    X = {name: pd.DataFrame(rng.normal(size=(N, 3)), index=index) for name in ("Scan_1", "Blood_1")}
    return X, pd.Series(np.tile(["ill", "well"], N // 2), index=index)


def sorted_part(X, y, part):
    """The same samples, one of the parts in another order than the others."""
    if part == "y":
        return X, y.sort_index()
    return {**X, part: X[part].sort_index()}, y


@pytest.fixture(scope="module")
def fitted():
    X, y = frames()
    return bmnas.FusionClassifier(**MODEL).fit(X, y), X, y


@pytest.mark.parametrize("part", ["Scan_1", "Blood_1", "y"])
def test_rows_of_another_order_are_not_paired_by_their_place(fitted, part):
    model, X, y = fitted
    others, labels = sorted_part(X, y, part)
    for refused in (lambda: bmnas.FusionClassifier(**MODEL).fit(others, labels), lambda: model.score(others, labels)):
        with pytest.raises(FeatureError, match="another order.*patient"):
            refused()
    if part != "y":
        with pytest.raises(FeatureError, match="another order"):
            model.predict(others)
        with pytest.raises(FeatureError, match="another order"):
            splits = {"train": range(40), "val": range(40, 50), "test": range(50, 60)}
            FeatureSet.from_arrays(others, y, {name: list(rows) for name, rows in splits.items()})


def test_groups_of_another_order_are_refused_and_texts_are_groups(fitted):
    _, X, y = fitted
    groups = pd.Series([f"ward {i % 9}" for i in range(N)], index=y.index)
    with pytest.raises(FeatureError, match="another order"):
        bmnas.FusionClassifier(**MODEL).fit(X, y, groups=groups.sort_index())
    model = bmnas.FusionClassifier(**MODEL).fit(X, y, groups=groups)
    wards = [set(groups.iloc[rows]) for rows in model.features_.splits.values()]
    assert not wards[0] & wards[1] and not wards[0] & wards[2] and not wards[1] & wards[2]


def test_arrays_have_no_order_but_their_own(fitted):
    model, X, y = fitted
    plain = {name: frame.to_numpy() for name, frame in X.items()}
    assert (model.predict({**X, "Blood_1": plain["Blood_1"]}) == model.predict(X)).all()


MISSING = [None, float("nan"), np.nan, pd.NA, pd.NaT]


@pytest.mark.parametrize("value", MISSING, ids=repr)
@pytest.mark.parametrize("make", [list, lambda values: np.array(values, object), lambda values: pd.Series(values)])
def test_a_missing_label_is_no_class(value, make):
    X, y = frames()
    labels = y.tolist()
    labels[7] = value
    arrays = {name: frame.to_numpy() for name, frame in X.items()}
    splits = {"train": list(range(40)), "val": list(range(40, 50)), "test": list(range(50, 60))}
    for refused in (
        lambda: bmnas.FusionClassifier(**MODEL).fit(arrays, make(labels)),
        lambda: FeatureSet.from_arrays(arrays, make(labels), splits),
        lambda: FeatureSet.from_arrays(arrays, y.to_numpy(), splits, groups=make(labels)),
    ):
        with pytest.raises(FeatureError, match="row 7"):
            refused()


@pytest.mark.parametrize("label", ["healthy", "", "zebra"])
def test_a_label_that_fit_did_not_see_has_no_score(fitted, label):
    model, X, y = fitted
    with pytest.raises(FeatureError, match=repr(label)):
        model.score(X, [label, *y[1:]])


def test_labels_of_another_number_have_no_score(fitted):
    model, X, y = fitted
    with pytest.raises(FeatureError, match="60 samples"):
        model.score(X, y.to_numpy()[:1])


COLUMNS = {
    "texts": (pd.DataFrame({"a": ["1.5"] * N, "b": [1.0] * N}), "'a'"),
    "dates": (pd.DataFrame({"a": pd.date_range("2020", periods=N), "b": [1.0] * N}), "'a'"),
    "categories": (pd.DataFrame({"a": pd.Categorical(["x"] * N), "b": [1.0] * N}), "'a'"),
    "complex numbers": (pd.DataFrame({"a": [1j] * N}), "'a'"),
    "1e300": (pd.DataFrame({"a": [1.0, 1e300, *[1.0] * (N - 2)]}), r"1e\+300 in row 1"),
    "an array of 1e300": (np.array([[1e300, 1.0]] * N), r"1e\+300 in row 0"),
    "an image of 1e300": (np.full((N, 3, 5, 5), 1e300), r"1e\+300"),
    "a list of 1e300": ([np.full((3, 2 + i % 2), 1e300) for i in range(N)], r"1e\+300"),
    "masked": (np.ma.masked_array(np.ones((N, 2)), mask=[[True, False]] * N), "masked"),
    "masked images": (np.ma.masked_array(np.ones((N, 2, 5, 5)), mask=np.ones((N, 2, 5, 5), bool)), "masked"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_what_is_no_number_is_named(kind):
    values, message = COLUMNS[kind]
    with pytest.raises(FeatureError, match=f"'Scan_1'.*{message}|Scan_1.*{message}"):
        FeatureSet.from_arrays(
            as_arrays({"Scan_1": values, "Blood_1": np.ones((N, 2))}, 4),
            np.arange(N) % 2,
            {"train": [0, 1], "val": [2], "test": [3]},
        )


def test_missing_values_of_a_frame_stay_missing():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], "Int64"), "b": pd.array([1.5, None, 2.5], "Float64")})
    assert np.isnan(as_arrays({"Scan_1": frame}, 4)["Scan_1"]).tolist() == [[False] * 2, [True] * 2, [False] * 2]


def test_a_primitive_that_is_defined_again_is_another_to_the_key_of_a_network(monkeypatch):
    keys = []
    for symmetric in (True, False):
        monkeypatch.setitem(PRIMITIVES, "Own", type("Own", (nn.Module,), {"arity": 2, "symmetric": symmetric}))
        pairs = [("x", "y"), ("y", "x")]
        both = [Genotype((CellGenotype(("a", "b"), (StepGenotype("Own", pair),)),), 1) for pair in pairs]
        keys.append(network_key(both[0]) == network_key(both[1]))
    assert keys == [True, False]
