"""Joined feature sets: every row as it was, and nothing joined that does not belong together."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bmnas
from bmnas.errors import FeatureError
from bmnas.features.disk_extraction import bulk_extract
from bmnas.features.extraction_settings import ExtractionSettings
from bmnas.features.feature_set import FeatureSet
from tests.support.slow_samples import SlowSamples, backbones
from tests.support.tiny import multilabel_features, tiny_features

SETTINGS = ExtractionSettings(L=4, batch_size=1, workers=0, device="cpu")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(20, 60), min_size=1, max_size=3), st.booleans())
def test_every_row_keeps_its_numbers_and_its_split(tmp_path_factory, sizes, multilabel):
    make = multilabel_features if multilabel else (lambda seed, n: tiny_features(seed, samples=n))
    parts = [make(seed, n) for seed, n in enumerate(sizes)]
    joined = bmnas.join_features(parts, tmp_path_factory.mktemp("joined") / "f")
    assert FeatureSet.open(joined.folder).fingerprint == joined.fingerprint and len(joined) == sum(map(len, parts))
    for split in ("train", "val", "test"):
        for name in joined.names:
            rows = np.concatenate([part.arrays[name][part.rows(split)] for part in parts])
            assert np.array_equal(joined.arrays[name][joined.rows(split)], rows)
        targets = np.concatenate([part.targets[part.rows(split)] for part in parts])
        assert np.array_equal(joined.targets[joined.rows(split)], targets)


class Later(SlowSamples):
    """The same data, of which only some rows are there."""

    def __init__(self, rows):
        super().__init__(60)
        self.splits = {name: np.intersect1d(members, rows) for name, members in self.splits.items()}


def test_rows_that_are_extracted_later_are_those_of_one_extraction(tmp_path):
    even, odd = np.arange(0, 60, 2), np.arange(1, 60, 2)
    first, second, whole = (
        bulk_extract(tmp_path / name, Later(rows), backbones(), SETTINGS).features
        for name, rows in (("even", even), ("odd", odd), ("whole", np.arange(60)))
    )
    joined = bmnas.join_features([first, second], tmp_path / "joined")
    order = np.argsort(np.concatenate([even, odd]))
    for name in whole.names:
        assert np.array_equal(joined.arrays[name][order], whole.arrays[name])
    for name in whole.logits:
        assert np.array_equal(joined.logits[name][order], whole.logits[name])
    scores = [part.manifest["backbones"]["A"]["scores"] for part in (joined, whole)]
    assert scores[0] == pytest.approx(scores[1])
    assert joined.manifest["options"]["joined"] == [first.fingerprint, second.fingerprint]
    names = (tmp_path / "joined" / "names.txt").read_text().splitlines()
    assert names == [f"sample {row}" for row in np.concatenate([even, odd])]


def shifted(part, by):
    """The same rows with other splits: train is what was validated, and so on."""
    order = ("train", "val", "test")
    return replace(part, splits={name: part.splits[order[(i + by) % 3]] for i, name in enumerate(order)})


@pytest.mark.parametrize("named", [True, False])
def test_a_sample_in_several_splits_of_the_parts_is_an_error(tmp_path, named):
    first, second = (
        bulk_extract(tmp_path / name, Later(np.arange(60)[rows]), backbones(), SETTINGS).features
        for name, rows in (("even", slice(0, None, 2)), ("thirds", slice(0, None, 3)))
    )
    if not named:
        (tmp_path / "even" / "names.txt").unlink()
    with pytest.raises(FeatureError, match="10 rows .*row 0 of part 1 .val.*row 0 of part 2 .train.*sample 0"):
        bmnas.join_features([shifted(first, 2), second], tmp_path / "f")
    assert not (tmp_path / "f").exists()
    with pytest.warns(UserWarning, match="10 rows"):
        joined = bmnas.join_features([shifted(first, 2), second], tmp_path / "f", allow_copies=True)
    assert len(joined) == 50 and (tmp_path / "f" / "names.txt").exists() == named
    with pytest.warns(UserWarning, match="10 rows .*in its split"):
        bmnas.join_features([first, second], tmp_path / "g")
    left = {name: rows[np.isin(rows % 2, 1)] for name, rows in second.splits.items()}  # of every second third
    with warnings.catch_warnings(action="error"):
        bmnas.join_features([first, replace(second, splits=left)], tmp_path / "h")


def test_rows_for_training_alone_leave_validation_and_test_as_they_were(tmp_path):
    old, new = tiny_features(0), tiny_features(1)
    outside = replace(new, splits=new.splits | {"test": new.splits["test"][1:]})  # one row is in no split
    joined = bmnas.join_features([old], tmp_path / "f", to_train=[outside])
    for split in ("val", "test"):
        assert np.array_equal(joined.rows(split), old.rows(split))
    more = np.delete(np.arange(len(new)), new.splits["test"][0]) + len(old)
    assert joined.rows("train").tolist() == [*old.rows("train"), *more]
    assert np.array_equal(joined.targets[len(old) :], new.targets)
    with pytest.raises(FeatureError, match="rows"):  # what is tested in the old one would be learnt
        bmnas.join_features([old], tmp_path / "g", to_train=[old])


def test_names_of_other_samples_are_refused(tmp_path):
    part = bulk_extract(tmp_path / "part", SlowSamples(), backbones(), SETTINGS).features
    (tmp_path / "part" / "names.txt").write_text("sample 0\n")
    with pytest.raises(FeatureError, match="1 name of 60 samples"):
        bmnas.join_features([part], tmp_path / "f")


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"L": 2}, "L"),
        ({"task": "another"}, "task"),
        ({"classes": tuple("abcdefghij")}, "classes"),
        ({"manifest": {"backbones": {}, "pooling": {"A_1": "max"}}}, "pooling"),
        ({"manifest": {"backbones": {"A": {"fingerprint": "f00"}}, "pooling": {}}}, "weights"),
    ],
)
def test_what_does_not_belong_together_is_named(tmp_path, change, name):
    first = tiny_features()
    if "L" in change:
        other = FeatureSet.from_arrays(
            {key: array[..., :2] for key, array in first.arrays.items()}, first.targets, first.splits, L=2,
            classes=first.classes, task=first.task, source=first.source, modalities=first.modalities,
        )  # fmt: skip
    else:
        other = replace(first, **change)
    with pytest.raises(FeatureError, match=f"part 2 .*{name}"):
        bmnas.join_features([first, other], tmp_path / "f")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_not_written_over(tmp_path):
    (tmp_path / "f").mkdir()
    with pytest.raises(FeatureError, match="exists"):
        bmnas.join_features([tiny_features()], tmp_path / "f")
    with pytest.raises(FeatureError, match="at least one"):
        bmnas.join_features([], tmp_path / "g")
