"""Some modalities or features alone: no file is written or copied, and whoever stores a run knows which."""

import json
import pickle

import numpy as np
import pytest

import bmnas
from bmnas.errors import FeatureError, UnknownNameError
from bmnas.scale.seeds.search import seed_runs
from tests.support.tiny import CONFIG
from widgets import check_parameters

N = 40


@pytest.fixture
def stored(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(N, 3, 4)).astype(np.float32) for name in ("A_1", "A_2", "B_1", "C_1")}
    splits = {"train": range(20), "val": range(20, 30), "test": range(30, N)}
    features = bmnas.FeatureSet.from_arrays(arrays, np.arange(N) % 2, splits, report=False)
    return bmnas.FeatureSet.open(features.save(tmp_path / "features"))


def test_a_run_opens_the_chosen_features_from_where_all_lie(stored, tmp_path):
    files = {path: path.stat().st_mtime_ns for path in stored.folder.iterdir()}
    part = stored.choose(["A", "C"], features=["A_2", "C_1"])
    run = bmnas.Run(tmp_path / "run")
    list(bmnas.search(part, CONFIG.change(epochs=1), run))
    opened = run.features()
    assert opened.names == ("A_2", "C_1") and opened.modalities == {"A": ("A_2",), "C": ("C_1",)}
    assert opened.fingerprint == part.fingerprint != stored.fingerprint
    assert not (run.folder / "features").exists()
    assert {path: path.stat().st_mtime_ns for path in stored.folder.iterdir()} == files
    assert json.loads((run.folder / "features.json").read_text())["features"] == ["A_2", "C_1"]
    list(bmnas.search(stored.choose("A,C", '["A_2", "C_1"]'), CONFIG.change(epochs=1), run))  # the same run resumes
    with pytest.raises(bmnas.BmnasError):
        list(bmnas.search(stored, CONFIG.change(epochs=1), run))


def test_another_process_gets_the_chosen_features(stored):
    part = stored.choose(features=["B_1", "A_1"])
    text = pickle.dumps(part)
    assert len(text) < 2000 and pickle.loads(text).fingerprint == part.fingerprint
    saved = part.save(stored.folder.parent / "part")
    assert bmnas.FeatureSet.open(saved).fingerprint == part.fingerprint


def test_subsets_have_runs_of_their_own(stored):
    runs = [seed_runs("it", CONFIG, each)[0].name for each in (stored, stored.choose("A"), stored.choose(["A", "B"]))]
    assert len(set(runs)) == 3
    assert seed_runs("it", CONFIG, stored.choose(["B", "A"]))[0].name == runs[2]  # their order is the data set's


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"modalities": ["D"]}, UnknownNameError, "modality 'D'"),
        ({"features": ["A_9"]}, UnknownNameError, "feature 'A_9'"),
        ({"modalities": "Image"}, UnknownNameError, "modality 'Image'"),
        ({"modalities": []}, FeatureError, "modality"),
        ({"features": ""}, FeatureError, "feature"),
        ({"modalities": ["A"], "features": ["A_1", "B_1"]}, FeatureError, "B_1"),
        ({"modalities": ["A", "B"], "features": ["A_1"]}, FeatureError, "B"),
    ],
)
def test_nothing_that_was_named_is_left_out_in_silence(stored, wish, error, words):
    with pytest.raises(error, match=words):
        stored.choose(**wish)


def test_a_data_set_by_name(tmp_path):
    whole = bmnas.prepare("mfeat", cache=tmp_path)
    names = list(whole.modalities)[:2]
    part = bmnas.prepare("mfeat", cache=tmp_path, modalities=names)
    assert list(part.modalities) == names and part.folder == whole.folder
    assert len([path for path in tmp_path.iterdir() if not path.name.startswith(".")]) == 1


def test_a_parameter_whose_name_became_a_result_keeps_its_value():
    cell = "# Parameters of this notebook; None means all\nfeatures = None  # list of str: some\nseed = 0  # int: it"
    given = ["", cell, "# Parameters\nfeatures = ['A_1']", "check_parameters(In, globals())"]
    assert check_parameters(given, {"features": object(), "seed": 3}) == {"features": ["A_1"], "seed": 3}
    assert check_parameters(given[:2], {"features": object(), "seed": 3}) == {"features": None, "seed": 3}
