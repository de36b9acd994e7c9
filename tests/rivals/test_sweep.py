"""The sweep over N and M: each configuration has a search of its own, and is neither searched nor trained twice."""

import math
import re
from dataclasses import replace

import pytest
from scipy.stats import kendalltau

from bmnas.evaluation.evaluation import evaluate
from bmnas.rivals.field.sweep import rank_correlation, sweep, sweep_table
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials, search_trials
from bmnas.searching.selection import load_selection
from tests.rivals.test_field import contest
from tests.support.tiny import CONFIG
from widgets.results.sweep import HYPERNETS, sweep_sheet


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    one = contest(tmp_path_factory.mktemp("sweep"))
    for _ in search(one.features, CONFIG, one.run):
        pass
    selection = read_out(one.run, one.features)
    one = replace(one, genotype=selection.chosen, selection=selection)
    return one, list(sweep(one, ((1, 1), (1, 2), (2, 1))))


def test_each_configuration_is_searched_and_evaluated(made):
    one, swept = made
    assert [each.run.folder for each in swept] == [
        one.run.folder,
        one.run.folder / "sweep" / "N1M2",
        one.run.folder / "sweep" / "N2M1",
    ]
    for each in swept:
        assert (each.selection.chosen.N, each.selection.chosen.M) == (each.N, each.M)
        config = CONFIG.change(N=each.N, M=each.M)
        again = evaluate("again", each.selection.chosen, one.features, config, one.budget)
        assert each.result.scores == again.scores and len(each.curve.scores) == CONFIG.epochs
        assert each.result.origin is not None and each.result.origin.run == each.run.name
    frame = sweep_table(swept)
    assert list(frame["N"]) == [1, 1, 2] and list(frame["high"] - frame["low"] >= 0) == 3 * [True]


def test_nothing_is_done_twice(made):
    one, swept = made
    before = {path: path.stat().st_mtime_ns for path in one.run.folder.rglob("trace.jsonl")}
    before |= {path: path.stat().st_mtime_ns for path in one.run.path("scores").glob("*.json")}
    again = list(sweep(one, ((1, 1), (1, 2), (2, 1))))
    assert [each.result.scores for each in again] == [each.result.scores for each in swept]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert Run(one.run.folder / "sweep" / "N2M1").has_checkpoint()


def test_the_figures_have_every_configuration_and_tau(made):
    _, swept = made
    scores = [(each.run.trace().best.val_score, each.result.mean) for each in swept]
    tau = kendalltau(*zip(*scores, strict=True))[0]
    assert rank_correlation(swept) == pytest.approx(tau, nan_ok=True) and math.isnan(rank_correlation(swept[:1]))
    marks = sweep_sheet(swept).marks
    assert len(re.findall("<polyline", marks)) == 3
    for each in swept:
        assert marks.count(f"N = {each.N}, M = {each.M}") >= 2


def test_another_searcher_searches_each_configuration_itself(tmp_path):
    one = contest(tmp_path)
    config = CONFIG.change(searcher="random", budget=3, shortlist_epochs=2)
    best = list(search_trials(one.features, config, one.run))[-1]
    selection = load_selection(one.run)
    one = replace(one, config=config, genotype=selection.chosen, selection=selection)
    swept = list(sweep(one, ((1, 1), (2, 1))))
    assert swept[0].run == one.run and swept[0].curve.search_score == best.best_score
    for each in swept:
        trials = recorded_trials(each.run)
        assert list(each.curve.scores) == [trial.best_score for trial in trials] and len(trials) == 3
        assert each.selection.chosen == trials[trials[-1].best_trial - 1].genotype and not each.run.has_checkpoint()
        assert each.result.origin is not None and each.result.origin.search_epochs == 3 * 2
        assert (each.result.origin.source, each.result.origin.run) == ("random", each.run.name)
    assert HYPERNETS not in sweep_sheet(swept).marks and "short trainings" in sweep_sheet(swept).marks
