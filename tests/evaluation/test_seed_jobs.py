"""Seeds trained at once leave the files of seeds trained one after another."""

import random

import pytest

import bmnas
from bmnas.errors import ConfigError, UnknownNameError
from bmnas.evaluation import evaluation
from bmnas.searching.run_folder import Run
from tests.support.tiny import BUDGET, CONFIG, tiny_features


@pytest.fixture(autouse=True)
def one_worker_again():
    yield
    bmnas.use_workers()


def evaluated(folder):
    features, run = tiny_features(), Run(folder)
    genotype = bmnas.Space.of(features.names, CONFIG).random(random.Random(0))
    result = bmnas.evaluate("it", genotype, features, CONFIG, BUDGET, run)
    return result, {path.name: path.read_bytes() for path in run.path("scores").iterdir()}


@pytest.mark.slow
def test_seeds_at_once_leave_the_same_files(tmp_path, monkeypatch):
    one, files = evaluated(tmp_path / "one")
    bmnas.use_workers(2)
    monkeypatch.setattr(evaluation, "once", _only_reads(evaluation.once))  # nothing may be left for this process
    several, others = evaluated(tmp_path / "several")
    assert files == others and len(files) == BUDGET.seeds and several.scores == one.scores


def _only_reads(once):
    def computed_already(run, about, features, compute):
        return once(run, about, features, lambda: pytest.fail("computed in this process"))

    return computed_already


@pytest.mark.parametrize(("workers", "engine", "error"), [(0, "joblib", ConfigError), (2, "jobli", UnknownNameError)])
def test_a_wrong_worker_is_refused(workers, engine, error):
    with pytest.raises(error):
        bmnas.use_workers(workers, engine)
