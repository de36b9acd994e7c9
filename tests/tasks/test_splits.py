"""The splits of the paper's data sets: who is where, and the counts that the paper prints."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.errors import DataError
from bmnas.tasks.egogesture.annotations import EGO_COUNTS, EGO_TEST, EGO_VAL
from bmnas.tasks.mmimdb.split import MMIMDB_COUNTS
from bmnas.tasks.ntu.names import NtuName
from bmnas.tasks.ntu.splits import (
    NTU_CROSS_VIEW,
    NTU_DEV,
    NTU_OFFICIAL,
    NTU_OFFICIAL_TRAIN,
    NTU_PRINTED,
    NTU_SPLITS,
    NTU_TEST,
    ntu_cross_view,
    ntu_rows,
)
from bmnas.tasks.real_data.extraction import fewer


def test_counts_agree_with_one_another():
    assert sum(NTU_OFFICIAL.values()) == 56880 and sum(NTU_CROSS_VIEW.values()) == 56880 - 302
    assert sum(EGO_COUNTS) == 24161 and sum(MMIMDB_COUNTS) == 25959
    train, dev, test = NTU_SPLITS["mfas"].counts
    assert (train + dev, test) == (NTU_OFFICIAL["train"], NTU_OFFICIAL["test"])
    assert np.subtract(NTU_SPLITS["release"].counts, NTU_PRINTED).tolist() == [0, 1, 2]  # the paper lacks three files
    without = NTU_SPLITS["mfas"].counts_without
    assert without is not None and sum(without) == 56578


def test_the_paper_and_the_release_disagree_about_the_subjects():
    assert set(NTU_SPLITS["paper"].train) != set(NTU_SPLITS["release"].train)
    assert (len(NTU_SPLITS["paper"].train), len(NTU_SPLITS["release"].train)) == (7, 8)


@pytest.mark.parametrize("name", NTU_SPLITS)
def test_subjects_are_in_one_part_only(name):
    train = set(NTU_SPLITS[name].train)
    assert not train & set(NTU_DEV) and train | set(NTU_DEV) <= set(NTU_OFFICIAL_TRAIN)
    assert set(NTU_OFFICIAL_TRAIN) | set(NTU_TEST) == set(range(1, 41)) and len(NTU_TEST) == 20
    assert not set(NTU_OFFICIAL_TRAIN) & set(NTU_TEST) and not set(EGO_VAL) & set(EGO_TEST)


ALL = [NtuName(1, camera, performer, 1, 1) for performer in range(1, 41) for camera in (1, 2, 3)]


@pytest.mark.parametrize("name", NTU_SPLITS)
def test_rows_are_those_of_the_subjects(name):
    rows = ntu_rows(ALL, name)
    subjects = {part: {ALL[i].performer for i in found} for part, found in rows.items()}
    assert subjects == {"train": set(NTU_SPLITS[name].train), "val": set(NTU_DEV), "test": set(NTU_TEST)}


def test_cross_view_holds_out_one_camera():
    rows = ntu_cross_view(ALL)
    assert {ALL[i].camera for i in rows["test"]} == {1} and {ALL[i].camera for i in rows["train"]} == {2, 3}


def test_a_split_without_samples_is_refused():
    with pytest.raises(DataError, match="val.*2, 5, 9, 14.*120"):
        ntu_rows([NtuName(1, 1, 1, 1, 1)] * 120, "release")


@given(n=st.integers(8, 60), samples=st.integers(4, 60), seed=st.integers(0, 9))
def test_fewer_is_a_random_part(n, samples, seed):
    splits = {"train": np.arange(n), "val": np.arange(n, 2 * n), "test": np.arange(2 * n, 3 * n)}
    if samples > n:
        with pytest.raises(DataError, match=f"samples is {samples}"):
            fewer(splits, samples, seed)
        return
    small = fewer(splits, samples, seed)
    assert [len(rows) for rows in small.values()] == [samples, samples // 4, samples // 4]
    assert all(set(small[part]) <= set(rows) and (np.diff(small[part]) > 0).all() for part, rows in splits.items())


def test_fewer_is_no_prefix():
    splits = {"train": np.arange(1000), "val": np.arange(1000, 2000), "test": np.arange(2000, 3000)}
    assert all(rows.max() % 1000 > 500 for rows in fewer(splits, 100, 0).values())
