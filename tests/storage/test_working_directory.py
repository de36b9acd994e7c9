"""Relative folders mean what they meant when they were named, wherever the process goes afterwards."""

import os

import pytest

from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.trained_network import load, train_and_save
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import data_root, runs_root
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.tasks.preparation import prepare
from tests.support.tiny import BUDGET, CONFIG, tiny_features


@pytest.fixture
def go(tmp_path, monkeypatch):
    """Starts in one folder; `go()` goes on to another, of the same content at first: none."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "first")
    yield lambda: monkeypatch.chdir(tmp_path / "second")
    assert os.listdir(tmp_path / "second") == []


def test_a_search_its_read_out_and_its_evaluation(go):
    features, run = tiny_features(), Run("runs/one")
    events = search(features, CONFIG, run)
    next(events)
    go()
    assert len(list(events)) == CONFIG.epochs - 1 and len(run.trace()) == CONFIG.epochs
    answer = read_out(run, features).chosen
    evaluate("searched", answer, features, CONFIG, BUDGET.change(seeds=1), run)
    train_and_save(run, answer, features, CONFIG, BUDGET)
    assert load(run).predict(run.features())


def test_features_that_were_opened_or_saved_there(go):
    folder = tiny_features().save("features")
    features = FeatureSet.open("features")
    go()
    assert len(FeatureSet.open(folder)) == len(FeatureSet.open(features.folder or "")) == len(features)


def test_features_that_were_prepared_there(go):
    features = prepare("planted", cache="cache")
    go()
    assert FeatureSet.open(features.folder or "").fingerprint == features.fingerprint


def test_folders_of_the_environment(go, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", "my_runs")
    monkeypatch.setenv("BMNAS_DATA", "my_data")
    before = runs_root(), data_root()
    go()
    assert (runs_root(), data_root()) == before
