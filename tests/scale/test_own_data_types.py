"""Whatever holds one's own numbers and labels is read for what it is, or refused by name: never in silence."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch

import bmnas
from bmnas.errors import FeatureError
from bmnas.features.convert import as_numbers
from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import as_groups
from bmnas.features.labels import as_labels
from bmnas.scale.own_data.inputs import as_arrays

N = 12
RNG = np.random.default_rng(0)
A = RNG.normal(size=(N, 3)).astype(np.float32)
HALVES = torch.tensor(np.round(A * 4) / 4)  # which bfloat16 holds exactly

READ = {
    "bfloat16": HALVES.bfloat16(),
    "a list of bfloat16": list(HALVES.bfloat16()),
    "a negative view": torch.complex(HALVES, -HALVES).conj().imag,
    "with a gradient": HALVES.clone().requires_grad_(),
    "big-endian": HALVES.numpy().astype(">f4"),
    "Python objects": HALVES.numpy().astype(object),
    "reversed memory": HALVES.numpy()[::-1, ::-1].copy()[::-1, ::-1],
}


@pytest.mark.parametrize("kind", READ)
def test_numbers_are_the_same_whatever_holds_them(kind):
    assert np.array_equal(as_arrays({"A": READ[kind]}, 4)["A"].reshape(N, 3), HALVES.numpy())


def test_none_among_objects_is_missing():
    cells = A.astype(object)
    cells[4] = None
    assert np.isnan(as_arrays({"A": cells}, 4)["A"]).all(1).tolist() == [row == 4 for row in range(N)]


REFUSED = {
    "sparse": (HALVES.to_sparse(), "to_dense"),
    "sparse in a list": ([HALVES.to_sparse()[0]] * N, "to_dense"),
    "on no device": (torch.empty(N, 3, device="meta"), "meta"),
    "nested": (lambda: torch.nested.nested_tensor([A, A[:, :2]], layout=torch.jagged), "nested"),  # 3 s of imports
    "texts among objects": (np.array([["a", 1.0]] * N, object), "'A'"),
    "None everywhere": ([None] * N, "every sample"),
    "sequences without positions": (np.empty((N, 3, 0)), "no number"),
    "images without rows": (np.empty((N, 3, 0, 5)), "no number"),
    "masked samples": ([np.ma.masked_array(row, row > row.mean()) for row in A], "masked in sample 0"),
    "a masked sequence": ([np.ma.masked_array(np.ones((2, k)), np.eye(2, k)) for k in range(3, 3 + N)], "sample 0"),
    "more than a float": ([[10**400, 1.0]] * N, "'A'"),
    "minus infinity, which pooling hides": (np.where(np.eye(9)[3] == 1, -np.inf, np.ones((N, 3, 9))), "infinite"),
    "the same in an image": (np.where(np.eye(9) == 1, -np.inf, np.ones((N, 3, 9, 9))), "infinite"),
    "the same in lists": ([np.where(np.eye(2, k) == 1, -np.inf, 1.0) for k in range(3, 3 + N)], "infinite"),
    "lists that differ within a sample": ([[[1.0], [1.0, 2.0]]] * N, "'A'"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_is_named(kind):
    values, words = REFUSED[kind]
    values = values() if callable(values) else values
    with pytest.raises(FeatureError, match=words):
        as_arrays({"A": values}, 4)


@pytest.mark.parametrize(
    ("column", "warned"),
    [
        (1e9 + np.arange(N), True),  # float32 has one number in 64
        (2**40 + np.arange(N), True),
        (np.arange(N) * 1e-50, True),
        (1.7e9 + 1e6 * np.arange(N), False),
        (np.full(N, 0.3) + np.spacing(0.3) * (np.arange(N) % 2), False),  # float64's own rounding
        (np.full(N, 1e9), False),
        (np.where(np.arange(N) == 3, np.nan, 1e9 + np.arange(N)), True),
    ],
)
def test_what_float32_rounds_away_is_said(column, warned, recwarn):
    as_numbers("feature 'A'", np.stack([A[:, 0].astype(float), column], 1))
    assert [("column 1" in str(each.message)) for each in recwarn] == [True] * warned


@pytest.mark.parametrize(
    ("column", "warned"),
    [
        (2**60 + np.arange(N), True),  # less than float64's rounding, which whole numbers have none of
        (np.uint64(2**64 - N) + np.arange(N, dtype=np.uint64), True),
        (-(2**62) - np.arange(N), True),
        (np.arange(N), False),
        (2**60 * (np.arange(N) % 4), False),
    ],
)
def test_what_float32_rounds_away_of_whole_numbers_is_said(column, warned, recwarn):
    as_numbers("feature 'A'", np.stack([np.arange(N).astype(column.dtype), column], 1))
    assert [("column 1" in str(each.message)) for each in recwarn] == [True] * warned


LABELS = {
    "texts and numbers": ([1, "1"] * 6, "mixes texts"),
    "the same as objects": (np.array([1, "1"] * 6, object), "mixes texts"),
    "an empty text": (["", "a"] * 6, "row 0"),
    "blanks": (["a", "  "] * 6, "row 1"),
    "no date": (np.array(["2020-01-01", "NaT"] * 6, "M8[D]"), "row 1"),
    "infinite": ([1.0, np.inf] * 6, "row 1"),
    "complex": ([1j, 2] * 6, "complex"),
    "sets": ([{"a"}, {"b"}] * 6, "object"),
    "lists of names": ([["a"], ["a", "b"]] * 6, "MultiLabelBinarizer"),
    "a column of names": (np.array([["a"], ["b"]] * 6), "ravel"),
    "a frame of one column": (pd.DataFrame({"label": ["a", "b"] * 6}), "frame"),
    "a column of numbers": (np.arange(N)[:, None], "ravel"),
    "nothing": (None, "shape"),
    "a generator": ((label for label in "ab"), "shape"),
    "masked": (np.ma.masked_array(np.arange(N), np.arange(N) == 5), "masked in row 5"),
    "texts and bytes": ([b"a", "a"] * 6, "mixes texts"),
    "one-hot texts": (np.eye(3)[np.arange(N) % 3].astype(str), "rows of the numbers 0 and 1"),
}
COLUMNS = ("a column of names", "a frame of one column", "a column of numbers")  # which groups may be


@pytest.mark.parametrize("kind", LABELS)
def test_what_is_no_label_is_named(kind):
    y, words = LABELS[kind]
    with pytest.raises(FeatureError, match=words):
        as_labels("y", y)


@pytest.mark.parametrize("kind", sorted(set(LABELS) - {"complex", "sets", *COLUMNS}))
def test_what_is_no_label_is_no_group_either(kind):
    with pytest.raises(FeatureError, match="groups"):
        as_groups(LABELS[kind][0])


@pytest.mark.parametrize(
    "groups",
    [
        [1.0, 2.0, 1.0],
        [b"p", b"q", b"p"],
        np.array(["p", "q", "p"], object),
        np.array([2**63 + 1, 2**63, 2**63 + 1], np.uint64)[::-1],
        torch.tensor([1.0, 2.0, 1.0], requires_grad=True),
        np.array(["2020-01-01", "2021-01-01", "2020-01-01"], "M8[D]"),
    ],
)
def test_groups_of_any_type_are_told_apart(groups):
    first, second, third = as_groups(groups).tolist()
    assert first == third != second


@pytest.mark.parametrize("kind", COLUMNS)
def test_groups_may_be_a_column(kind):
    values = LABELS[kind][0]
    assert np.array_equal(as_groups(values), as_groups(np.asarray(values)[:, 0]))


SPEAKERS, ROOMS = ["ann", "bob", "ann", "cy"], [1, 1, 2, 3]


@pytest.mark.parametrize(
    "groups",
    [
        list(zip(SPEAKERS, ROOMS, strict=True)),
        [list(pair) for pair in zip(SPEAKERS, ROOMS, strict=True)],
        pd.DataFrame({"speaker": SPEAKERS, "room": ROOMS}),
        np.array([SPEAKERS, [f"room {room}" for room in ROOMS]]).T,
        np.array([[1, 11], [2, 11], [1, 12], [3, 13]]),
        pd.Series(list(zip(SPEAKERS, ROOMS, strict=True))),
        pd.MultiIndex.from_arrays([SPEAKERS, ROOMS]),
        [pd.Series(pair) for pair in zip(SPEAKERS, ROOMS, strict=True)],
        torch.tensor([[1, 11], [2, 11], [1, 12], [3, 13]]),
    ],
)
def test_a_sample_may_be_of_several_groups(groups):
    table = as_groups(groups)
    same = table.reshape(-1, 1) == table.reshape(-1)
    expected = np.array([*zip(SPEAKERS, map(str, ROOMS), strict=True)]).reshape(-1)
    assert table.shape == (4, 2) and np.array_equal(same, expected[:, None] == expected)


def test_equal_names_in_two_columns_are_one_group():
    assert as_groups([("ann", "bob"), ("bob", "cy"), ("cy", "dee")]).tolist() == [[0, 1], [1, 2], [2, 3]]


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (np.eye(3)[np.arange(N) % 3], "rows of 0 and 1"),
        (np.arange(5 * N).reshape(N, 5), "5 columns"),
        ([("a", "b"), ("a",)] * 6, "lengths"),
        ([("a", 1), ("b", "1")] * 6, "column 1"),
        ([("a", 1.5), ("b", np.nan)] * 6, "column 1"),
        ([], "columns"),
        ([5, (1, 2)] * 6, "lengths"),
        (np.zeros((N, 2, 2)), "dimensions"),
    ],
)
def test_tables_that_are_no_groups_are_refused(groups, words):
    with pytest.raises(FeatureError, match=words):
        as_groups(groups)


@pytest.mark.parametrize("other", ["Café ", "café", "Cafe\u0301", "Caf\u00e9\u200b", "\ufeffCafé", " Café"])
def test_names_that_look_alike_are_pointed_out(other, recwarn):
    names = np.array(["Café", other, "Tea"])[np.arange(N) % 3]
    splits = {"train": range(6), "val": range(6, 9), "test": range(9, N)}
    features = FeatureSet.from_arrays({"A": A, "B": A + 1}, names, splits, groups=names)
    words = [str(each.message) for each in recwarn if "differ only in" in str(each.message)]
    assert [word.partition(":")[0] for word in words] == ["groups", "targets"] and len(features.classes) == 3


def test_texts_as_hdf5_holds_them_are_names():
    names = ["Größe", "Masse"]
    targets = np.array([name.encode() for name in names])[np.arange(N) % 2]
    splits = {"train": range(6), "val": range(6, 9), "test": range(9, N)}
    for each in (targets, targets.astype(object), targets.tolist()):
        assert FeatureSet.from_arrays({"A": A, "B": A + 1}, each, splits, report=False).classes == ("Größe", "Masse")


@pytest.mark.parametrize("mixed", [[1, "1"], [b"a", "a"], np.array([1, "1"], object)])
def test_texts_and_numbers_are_not_joined_to_one_class(mixed):
    splits = {"train": range(6), "val": range(6, 9), "test": range(9, N)}
    with pytest.raises(FeatureError, match="mixes texts"):
        FeatureSet.from_arrays({"A": A, "B": A + 1}, list(mixed) * 6, splits)


@pytest.mark.parametrize(
    "y",
    [
        ["a", "b"],
        [b"a", b"b"],
        [0, 1],
        [True, False],
        [0.5, 1.0],
        np.array(["a", "b"], object),
        pd.Series(["a", "b"], dtype="category"),
        torch.tensor([3, 4]),
        np.array([2**63 + 1, 3], np.uint64),
        [np.str_("a"), "b"],
        np.array(["2020-01-01", "2021-01-01"], "M8[D]"),
    ],
)
def test_labels_stay_what_they_are(y):
    assert as_labels("y", y).tolist() == np.asarray(y).tolist()


def test_masks_of_another_order_are_not_paired_by_their_place():
    index = [f"patient {i}" for i in range(N)]
    X = {name: pd.DataFrame(A, index=index) for name in ("Scan_1", "Blood_1")}
    masks = {"Scan": pd.Series(np.arange(N) > 3, index=index[::-1])}
    splits = {"train": range(6), "val": range(6, 9), "test": range(9, N)}
    for refused in (
        lambda: bmnas.FusionClassifier(verbose=0).fit(X, np.arange(N) % 2, masks=masks),
        lambda: FeatureSet.from_arrays(X, np.arange(N) % 2, splits, masks=masks),
        lambda: FeatureSet.from_arrays(
            X, np.arange(N) % 2, splits, logits={"Scan": pd.DataFrame(A[:, :2], index=index[::-1])}
        ),
    ):
        with pytest.raises(FeatureError, match="another order.*patient"):
            refused()


LAST = {(5, 8, 8, 3): True, (5, 9, 7, 1): True, (5, 3, 8, 8): False, (5, 3, 8, 4): False, (5, 1, 8, 3): False}


@pytest.mark.parametrize(("shape", "is_odd"), LAST.items())
def test_pictures_whose_colours_come_last_are_named(shape, is_odd):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        as_arrays({"Picture": np.random.default_rng(0).normal(size=shape)}, L=4)
    assert any("'Picture'" in str(one.message) and str(shape) in str(one.message) for one in seen) == is_odd
