"""A search of another searcher in a run folder: its files, kill and resume, and what it lacks."""

import multiprocessing
import os
import signal

import pytest

from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import run_name
from bmnas.searching.searchers import recorded_search
from bmnas.searching.searchers.recorded_search import TRIALS, search_trials
from bmnas.searching.selection import SELECTION, load_selection
from tests.support.searchers import EVERY, usable
from tests.support.tiny import CONFIG, tiny_features

RANDOM = CONFIG.change(searcher="random", budget=6)
SAME = ("config.json", TRIALS, SELECTION, "genotype.json")


class Killed(BaseException):
    pass


def contents(run):
    return {name: run.path(name).read_bytes() for name in SAME}


@pytest.mark.parametrize("searcher", EVERY)
def test_a_search_leaves_its_answer(tmp_path, searcher):
    run, features = Run(tmp_path / "run"), tiny_features()
    trials = list(search_trials(features, RANDOM.change(searcher=searcher), run))
    assert len(trials) == 6 or searcher == "spos"  # whose budget is its supernet's
    best = max(trials, key=lambda trial: (trial.score, -trial.trial))
    assert run.genotype() == best.genotype == load_selection(run).chosen
    assert not load_selection(run).differs and run.config().searcher == searcher
    with pytest.raises(RunError, match="alpha"):
        _ = run.trace().best


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_killed_search_resumes_and_ends_in_the_same_bytes(tmp_path, monkeypatch, after):
    features, whole, run = tiny_features(), Run(tmp_path / "whole"), Run(tmp_path / "run")
    expected = list(search_trials(features, RANDOM, whole))
    trained, brief_score = [], recorded_search.brief_score

    def dying(genotype, *others):
        if len(trained) == after:
            raise Killed
        trained.append(genotype)
        return brief_score(genotype, *others)

    monkeypatch.setattr(recorded_search, "brief_score", dying)
    with pytest.raises(Killed):
        list(search_trials(features, RANDOM, run))
    monkeypatch.setattr(recorded_search, "brief_score", brief_score)
    if after:
        with run.path(TRIALS).open("a") as file:
            file.write('{"trial": 9, "gen')  # torn by the kill
    resumed = list(search_trials(features, RANDOM, run))
    assert [trial.record() for trial in resumed] == [trial.record() for trial in expected]
    assert contents(run) == contents(whole)
    monkeypatch.setattr(recorded_search, "brief_score", None)
    assert len(list(search_trials(features, RANDOM, run))) == 6  # nothing is trained again


def kill_itself(folder, searcher, trainings):
    """A process that searches until it has recorded some trainings, and ends by SIGKILL in the next one."""

    def dying(*inputs):
        if len(recorded_search.recorded_trials(Run(folder))) == trainings:
            os.kill(os.getpid(), signal.SIGKILL)
        return brief_score(*inputs)

    recorded_search.brief_score, brief_score = dying, recorded_search.brief_score
    list(search_trials(tiny_features(), CONFIG.change(searcher=searcher, budget=14), Run(folder)))


@pytest.mark.parametrize("searcher", [usable("tpe"), *(usable(name, pytest.mark.slow) for name in ("nsga_ii", "gp"))])
def test_a_process_that_was_killed_resumes_and_ends_in_the_same_bytes(tmp_path, searcher):
    process = multiprocessing.get_context("forkserver").Process(
        target=kill_itself, args=(tmp_path / "run", searcher, 12)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run, whole, config = Run(tmp_path / "run"), Run(tmp_path / "whole"), CONFIG.change(searcher=searcher, budget=14)
    assert len(recorded_search.recorded_trials(run)) == 12
    list(search_trials(tiny_features(), config, run))
    list(search_trials(tiny_features(), config, whole))
    assert contents(run) == contents(whole)


def test_another_searcher_or_budget_is_another_run(tmp_path):
    features = tiny_features()
    configs = [CONFIG, RANDOM, RANDOM.change(budget=7), RANDOM.change(searcher="mfas")]
    assert len({run_name("planted", config, features) for config in configs}) == 4
    list(search_trials(features, RANDOM, Run(tmp_path / "run")))
    with pytest.raises(RunError, match="search.budget"):
        list(search_trials(features, RANDOM.change(budget=7), Run(tmp_path / "run")))


def test_a_damaged_record_names_its_line(tmp_path):
    run = Run(tmp_path / "run")
    list(search_trials(tiny_features(), RANDOM, run))
    lines = run.path(TRIALS).read_text().splitlines()
    run.path(TRIALS).write_text("\n".join([lines[0], "{}", *lines[2:]]) + "\n")
    with pytest.raises(RunError, match="line 2"):
        list(search_trials(tiny_features(), RANDOM, run))


def test_wrong_calls_are_refused(tmp_path):
    features = tiny_features()
    with pytest.raises(UnknownNameError, match="algorithm1"):
        CONFIG.change(searcher="randm")
    with pytest.raises(ConfigError, match="search_trials"):
        list(search(features, RANDOM))
    with pytest.raises(ConfigError, match=r"bmnas\.search "):
        list(search_trials(features, CONFIG))
    with pytest.raises(ConfigError, match="budget"):
        list(search_trials(features, CONFIG.change(searcher="random", budget_unit="epochs")))
