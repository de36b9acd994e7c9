"""Arrays at the border: no number saturates, wraps, is cut or loses its mask in silence, and each error names it."""

import numpy as np
import pytest
import torch

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, FeatureError
from bmnas.evaluation.trained_network import train_and_save
from bmnas.features.feature_set import FeatureSet
from bmnas.features.growing_arrays import Columns, GrowingArrays
from bmnas.rivals.networks import evaluate_rivals
from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from bmnas.tasks.planted import planted_genotype
from bmnas.training import metrics
from tests.support.tiny import BUDGET, CONFIG, tiny_features

ROWS = np.arange(12)
SPLITS = {"train": ROWS[:6], "val": ROWS[6:9], "test": ROWS[9:]}


def large(value, dtype=np.float64):
    array = np.ones((12, 3), dtype)
    array[7, 1] = value
    return array


def masked(values):
    return np.ma.masked_array(values, mask=np.arange(values.size).reshape(values.shape) == 4)


def made(**changes):
    fields = {"arrays": {"A_1": np.ones((12, 3)), "B_1": np.ones((12, 3))}, "targets": ROWS % 2, "splits": SPLITS}
    return FeatureSet.from_arrays(**fields | changes)


LARGE = np.uint64(2**63 + 1)
CASES = {
    "a feature of 1e300": ({"arrays": {"A_1": large(1e300), "B_1": large(1)}}, r"'A_1' is 1e\+300 in row 7"),
    "a feature of -1e39": ({"arrays": {"A_1": large(-1e39), "B_1": large(1)}}, r"'A_1' is -1e\+39 in row 7"),
    "logits of 1e300": ({"logits": {"A": large(1e300)}}, r"'A'.* is 1e\+300 in row 7"),
    "labels above int64": ({"targets": np.where(ROWS == 3, LARGE, np.uint64(0))}, "9223372036854775809 in row 3"),
    "rows above int64": ({"splits": SPLITS | {"val": np.array([6, 2**63 + 1], np.uint64)}}, "9223372036854775809"),
    "labels of two rows of 1e300": ({"targets": large(1e300), "kind": "multilabel"}, r"targets is 1e\+300 in row 7"),
    "a masked feature": ({"arrays": {"A_1": masked(large(1)), "B_1": large(1)}}, "'A_1'.*masked"),
    "masked labels": ({"targets": masked(ROWS % 2)}, "targets.*masked"),
    "a complex feature": ({"arrays": {"A_1": large(1j, complex), "B_1": large(1)}}, "'A_1'.*complex"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_type_cannot_hold_is_named(case):
    changes, message = CASES[case]
    with pytest.raises(FeatureError, match=message):
        made(**changes)


@pytest.mark.parametrize("value", [3.4e38, -3.4e38, np.nextafter(np.float32(np.inf), 0, dtype=np.float32)])
def test_the_largest_numbers_of_float32_are_taken(value):
    assert np.isfinite(made(arrays={"A_1": large(value), "B_1": large(1)}).arrays["A_1"]).all()


def test_nan_is_called_nan_still():
    with pytest.raises(FeatureError, match="NaN or infinite"):
        made(arrays={"A_1": large(np.nan), "B_1": large(1)})


@pytest.mark.parametrize(("value", "message"), [(1e300, r"1e\+300 in row 0"), (1j, "complex"), ("7", "not an array")])
def test_a_prediction_takes_the_same_numbers(value, message, tmp_path):
    features = tiny_features()
    genotype = planted_genotype(features)
    network = train_and_save(Run(tmp_path / "run"), genotype, features, CONFIG, BUDGET.change(epochs=1))
    name = genotype.features[0]
    arrays = {key: np.array(array[:2]) for key, array in features.arrays.items()}
    arrays[name] = np.full(arrays[name].shape, value)
    with pytest.raises(FeatureError, match=message):
        network.predict(arrays)


@pytest.mark.parametrize(
    ("dtype", "value"), [("int64", 2.5), ("int64", 2**63), ("uint8", 256), ("int8", -129), ("int64", np.nan)]
)
def test_labels_of_an_extraction_are_whole_numbers_that_fit(tmp_path, dtype, value):
    arrays = GrowingArrays(tmp_path, Columns(samples=2, files={"targets": "t.npy"}, dtypes={"targets": dtype}))
    with pytest.raises(FeatureError, match="'targets' of b"):
        arrays.put([0, 1], {"targets": np.array([1, value])}, ["a", "b"])


def test_features_stored_as_float16_do_not_overflow_in_silence(tmp_path):
    arrays = GrowingArrays(tmp_path, Columns(samples=1, files={"A_1": "a.npy"}, dtypes={"A_1": "float16"}))
    with pytest.raises(FeatureError, match="'A_1' of a reaches 6.6e\\+04, too much for float16"):
        arrays.put([0], {"A_1": np.full((1, 2, 4), 66000, np.float32)}, ["a"])


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_of_one_row_with_one_position_is_named(split):
    sizes = {"train": 6, "val": 3} | {split: 1}
    splits = {"train": ROWS[: sizes["train"]], "val": ROWS[6 : 6 + sizes["val"]], "test": ROWS[9:]}
    features = made(splits=splits, L=1, arrays={n: np.random.rand(12, 3) for n in ("A_1", "A_2", "B_1")})
    with pytest.raises(ConfigError, match=f"'{split}' has one row"):
        next(iter(search(features, CONFIG.change(L=1, epochs=1), None)))


def test_batches_of_one_row_are_named_in_any_training():
    features = made(L=1, arrays={n: np.random.rand(12, 3) for n in ("A_1", "A_2", "B_1")})
    config = SearchConfig(C=4, L=1, N=1, M=1, batch_size=1, epochs=1, device="cpu")
    with pytest.raises(ConfigError, match="batch_size"):
        next(iter(search(features, config, None)))
    with pytest.raises(ConfigError, match="batch"):
        evaluate_rivals(features, config, BUDGET.change(seeds=1, epochs=1), names=["CentralNet"])


def test_accuracy_of_targets_in_a_column_is_refused():
    with pytest.raises(ConfigError, match=r"\(3, 1\)"):
        metrics.score("multiclass", torch.eye(3), torch.arange(3)[:, None])
