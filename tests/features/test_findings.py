"""What splits and frames say about samples that are torn apart, copied, or paired wrongly: a line each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from bmnas.errors import FeatureError
from bmnas.features.convert import check_order
from bmnas.features.feature_set import FeatureSet
from bmnas.features.findings import findings
from bmnas.scale.own_data.inputs import by_feature

N = 20
SPLITS = {"train": np.arange(10), "val": np.arange(10, 15), "test": np.arange(15, N)}


def lines(change) -> list[str]:
    rng = np.random.default_rng(0)
    arrays = {"Image": rng.normal(size=(N, 4)), "Text": rng.normal(size=(N, 3))}
    change(arrays)
    return findings(FeatureSet.from_arrays(arrays, np.arange(N) % 2, SPLITS, report=False))


@pytest.mark.parametrize("split", SPLITS)
def test_a_feature_that_a_whole_split_lacks_is_named(split):
    def take_away(arrays):
        arrays["Image"][SPLITS[split]] = np.nan

    assert sum(f"'Image' is missing for every sample of {split}" in line for line in lines(take_away)) == 1


@pytest.mark.parametrize(
    ("row", "of", "features", "expected"),
    [
        (16, 3, ("Image", "Text"), "1 of 5 samples of test"),
        (12, 3, ("Image", "Text"), "1 of 5 samples of val"),
        (16, 12, ("Image", "Text"), "1 of 5 samples of test"),
        (4, 3, ("Image", "Text"), None),  # in one split
        (16, 3, ("Image",), None),
    ],
)
def test_samples_that_stand_in_two_splits_are_counted(row, of, features, expected):
    def copy(arrays):
        for name in features:
            arrays[name][row] = arrays[name][of]

    found = [line for line in lines(copy) if "another split" in line]
    assert [line.partition(" equal")[0] for line in found] == [expected] * bool(expected)
    assert all(f"row {row} and row {of}" in line for line in found)


@pytest.mark.parametrize(
    ("numbers", "warned"),
    [
        (np.arange(N)[::-1], True),
        (np.roll(np.arange(N), 1) + 500, False),  # other numbers
        (np.arange(N), False),
        (np.arange(N)[::-1] / 2, False),
        (np.arange(N)[::-1] // 2, False),  # twice each: no id
    ],
)
def test_ids_in_another_order_are_pointed_out(numbers, warned, recwarn):
    given = {"Image": pd.DataFrame({"id": np.arange(N)}), "Text": pd.DataFrame({"id": numbers})}
    check_order(given)
    assert ["'id'" in str(each.message) and "Text and Image" in str(each.message) for each in recwarn] == [
        True
    ] * warned


def test_a_feature_set_is_not_saved_where_no_file_can_be_made(tmp_path):
    """It waited for ever for a lock that nobody held."""
    (tmp_path / "file").write_text("")
    arrays = {"Image": np.arange(2.0 * N).reshape(N, 2), "Text": np.arange(3.0 * N).reshape(N, 3)}
    features = FeatureSet.from_arrays(arrays, np.arange(N) % 2, SPLITS, report=False)
    for folder in (tmp_path / "file" / "x", *([Path("/proc/x")] if Path("/proc").is_dir() else [])):
        with pytest.raises(FeatureError, match="cannot be written"):
            features.save(folder)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_a_class_that_no_sample_of_the_training_split_has_is_named(kind):
    rng = np.random.default_rng(0)
    targets = np.arange(N) % 2 * 2  # there is no 1
    targets[SPLITS["val"][0]] = 1
    if kind == "multilabel":
        targets = np.eye(3, dtype=np.float32)[targets]
    with pytest.warns(UserWarning, match="no sample of train has '1'"):
        FeatureSet.from_arrays({"Image": rng.normal(size=(N, 4))}, targets, SPLITS)


@pytest.mark.parametrize("where", ["features", "targets", "predict"])
def test_a_sparse_matrix_is_named_wherever_numbers_are_given(where):
    array = np.random.default_rng(0).normal(size=(N, 4))
    sparse, y = scipy.sparse.csr_matrix(array), np.arange(N) % 2
    works = {
        "features": lambda: FeatureSet.from_arrays({"Image": sparse}, y, SPLITS),
        "targets": lambda: FeatureSet.from_arrays({"Image": array}, scipy.sparse.csr_matrix(y), SPLITS),
        "predict": lambda: by_feature({"Image": sparse}),
    }
    with pytest.raises(FeatureError, match="sparse"):
        works[where]()
