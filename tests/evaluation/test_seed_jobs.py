"""Seeds trained at once leave the files of seeds trained one after another."""

import json
import random

import pytest

import bmnas
from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.evaluation import evaluation
from bmnas.machine import processor
from bmnas.searching.run_folder import Run
from bmnas.storage.job_list import JOB_ENGINES
from bmnas.storage.jobs import Outcome
from tests.support.tiny import BUDGET, CONFIG, tiny_features


@pytest.fixture(autouse=True)
def one_worker_again():
    yield
    bmnas.use_workers()


def evaluated(folder, config=CONFIG):
    features, run = tiny_features(), Run(folder)
    genotype = bmnas.Space.of(features.names, config).random(random.Random(0))
    result = bmnas.evaluate("it", genotype, features, config, BUDGET, run)
    return result, {path.name: path.read_bytes() for path in run.path("scores").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [{}, {"class_weight": "balanced", "metric": "macro F1"}, {"modality_dropout": 0.3}], ids=str
)
def test_seeds_at_once_leave_the_same_files(settings, tmp_path, monkeypatch):
    one, files = evaluated(tmp_path / "one", CONFIG.change(**settings))
    bmnas.use_workers(2)
    monkeypatch.setattr(evaluation, "once", _only_reads(evaluation.once))  # nothing may be left for this process
    several, others = evaluated(tmp_path / "several", CONFIG.change(**settings))
    assert files == others and len(files) == BUDGET.seeds and several.scores == one.scores


def _only_reads(once):
    def computed_already(run, about, features, compute):
        return once(run, about, features, lambda: pytest.fail("computed in this process"))

    return computed_already


class Fate:
    """An engine whose jobs all end alike, or one that computes them here."""

    shares_fate = False

    def __init__(self, status):
        self.status, self.seen = status, []

    def side_by_side(self, workers, address):
        return 1

    def run(self, work, jobs, workers, address):
        for job in jobs:
            self.seen.append((job.name, workers, address))
            yield Outcome(job, self.status, "it was so") if self.status else work(job)


@pytest.fixture
def fate(monkeypatch):
    def chosen(status, workers=2):
        engine = Fate(status)
        monkeypatch.setitem(JOB_ENGINES, "fate", engine)
        bmnas.use_workers(workers, "fate:there")
        return engine

    return chosen


def test_what_kills_workers_is_not_tried_in_this_process(fate, tmp_path, monkeypatch):
    fate("lost")
    monkeypatch.setattr(evaluation, "once", lambda *_: pytest.fail("computed in this process"))
    with pytest.raises(RunError, match="it, seed 0: it was so"):
        evaluated(tmp_path)


def test_what_failed_in_a_worker_is_said_and_tried_here(fate, tmp_path):
    fate("failed")
    with pytest.warns(UserWarning, match="it, seed 1: it was so"):
        _, files = evaluated(tmp_path)
    assert len(files) == BUDGET.seeds


def test_another_engine_has_one_worker_too(fate, tmp_path):
    engine = fate("", workers=1)
    evaluated(tmp_path)
    assert engine.seen == [(f"it, seed {seed}", 1, "there") for seed in range(BUDGET.seeds)]


def test_workers_whose_features_do_not_fit_are_refused_before_they_start(fate, tmp_path, monkeypatch):
    """By an engine of this machine; what each takes is told to all."""
    bmnas.use_workers(2)
    monkeypatch.setattr("bmnas.storage.job_list.free_memory", lambda device: tiny_features().nbytes)
    with pytest.raises(ConfigError, match="memory|GB"):
        evaluated(tmp_path)
    assert not list((tmp_path / "scores").glob("*.json"))


def test_the_machine_of_each_result_lies_beside_it(tmp_path):
    evaluated(tmp_path)
    timings = [json.loads(path.read_text()) for path in (tmp_path / "timing").iterdir()]
    assert len(timings) == BUDGET.seeds
    assert {timing["machine"]["processor"] for timing in timings} == {processor()}


@pytest.mark.parametrize(("workers", "engine", "error"), [(0, "joblib", ConfigError), (2, "jobli", UnknownNameError)])
def test_a_wrong_worker_is_refused(workers, engine, error):
    with pytest.raises(error):
        bmnas.use_workers(workers, engine)
