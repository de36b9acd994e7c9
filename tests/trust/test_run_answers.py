"""The rankings behind the answers of a run: those by which each read-out chooses its candidates."""

import pytest
import torch

from bmnas.config import EvalConfig
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.networks import build_network
from bmnas.searching.read_outs import read_out, select
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import search_trials
from bmnas.searching.selection import load_selection
from bmnas.space.enumeration import Space
from bmnas.trust import run_answers
from bmnas.trust.run_answers import answer_paths, ranking_score
from tests.support.tiny import CONFIG, tiny_features


@pytest.mark.parametrize("rule", ["shortlist", "best_ranked"])
def test_the_ranking_is_that_of_the_read_out(rule):
    features, config = tiny_features(), CONFIG.change(primitives=("Sum", "LinearGLU"), selection=rule, path_epochs=3)
    state = Search(features, config)
    derived = state.run_epoch().genotype
    score = ranking_score(state.hypernet, features, config)
    assert score is not None
    order = sorted(Space.of(features.names, config).genotypes(), key=score, reverse=True)
    answer = select(state.hypernet, derived, features, config)
    listed = [one for one in answer.candidates if one.genotype in order]
    assert len(listed) > 4
    if rule == "best_ranked":
        assert all(score(order[one.rank - 1]) == score(one.genotype) for one in listed)
    else:  # networks outside the space are ranked too
        assert sorted(listed, key=lambda one: -score(one.genotype)) == sorted(listed, key=lambda one: one.rank)


def test_a_search_costs_what_it_trains_and_darts_pt_what_it_tunes(tmp_path):
    features = tiny_features()
    config = CONFIG.change(searcher="dc_nas", budget=23, shortlist_epochs=2)
    run = Run(tmp_path / "dc_nas")
    trials = list(search_trials(features, config, run))
    (path,) = answer_paths(run, load_selection(run), 1.0, training_epochs=4)
    assert path.cost == pytest.approx((21 * 0.7 + 2) * 2 / 4)
    assert path.picks[-1][1] == load_selection(run).chosen and len(trials) == 23
    run = Run(tmp_path / "darts_pt")
    events = list(search(features, CONFIG.change(selection="darts_pt", shortlist_epochs=2), run))
    answer = read_out(run, features)
    derived, projected = answer_paths(run, answer, 0.5, training_epochs=4)
    searched = sum(event.seconds for event in events) / 0.5
    assert answer.projection is not None and answer.projection.tunings == 2
    assert derived.cost == pytest.approx(searched)
    assert projected.cost == pytest.approx(searched * (1 + 2 * 2 / CONFIG.epochs))
    assert (derived.picks[-1][1], projected.picks[-1][1]) == (answer.algorithm1, answer.chosen)


def test_the_first_training_of_a_process_is_not_what_a_training_costs(monkeypatch):
    """A clock that only `fit` moves: by 9 more seconds the first time."""
    features, config = tiny_features(), CONFIG.change(threads=1)
    genotype = next(Space.of(features.names, config).genotypes())
    clock, epochs, right = [0.0], [], run_answers.fit

    def fit(network, tensors, objective, rows, size, budget, seed):
        right(network, tensors, objective, rows, size, budget, seed)
        clock[0] += budget.epochs + (0 if epochs else 9)
        epochs.append(budget.epochs)

    monkeypatch.setattr(run_answers, "fit", fit)
    monkeypatch.setattr(run_answers.time, "perf_counter", lambda: clock[0])
    trained, seconds = run_answers.train_on_train(genotype, features, config, EvalConfig(epochs=3))
    assert (epochs, seconds) == ([1, 3], 3)
    monkeypatch.undo()
    alone = build_network(genotype, features, config, 0)
    tensors = features.tensors("cpu")
    right(alone, tensors, "multiclass", tensors.rows("train"), config.batch_size, EvalConfig(epochs=3), 0)
    ours = trained.network.state_dict()
    assert all(torch.equal(value, ours[name]) for name, value in alone.state_dict().items())


@pytest.mark.parametrize("rule", ["algorithm1", "darts_pt"])
def test_some_read_outs_rank_no_networks(rule):
    features, config = tiny_features(), CONFIG.change(selection=rule)
    assert ranking_score(Search(features, config).hypernet, features, config) is None
