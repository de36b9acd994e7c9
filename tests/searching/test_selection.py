"""Both answers of a search: inherited scores by an independent path, ranking, shortlist, records."""

import json
from typing import get_args

import pytest
import torch

from bmnas.config.groups import ReadOut
from bmnas.errors import RunError
from bmnas.searching import inherited_score, read_outs
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.read_outs import READ_OUTS, read_out, select
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import Candidate, Selection, load_selection
from bmnas.searching.shortlisting import finished_search, ranking
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.network import FusionNetwork
from bmnas.training import metrics
from tests.support.tiny import CONFIG, TWO_CELLS, multilabel_features, seen_rows, split_of, tiny_features

SHORT = CONFIG.change(primitives=("Sum", "LinearGLU"), shortlist_size=3)
SMALL = SHORT.change(selection="best_ranked")


def searched(features, config, epochs=2):
    state = Search(features, config)
    for _ in range(epochs):
        event = state.run_epoch()
    return state.hypernet, event.genotype


def copied(hypernet, genotype, features, config):
    """The genotype's own network with the hypernet's weights, copied name by name."""
    net = FusionNetwork(
        genotype, features.channels, len(features.classes), config.C, config.L, 0.0, config.mode, features.vectors
    )
    state = {}
    theirs = hypernet.state_dict()
    for key in net.state_dict():
        parts = key.split(".")
        if len(parts) > 4 and parts[2] == "steps":
            step = genotype.cells[int(parts[1][5:]) - 1].steps[int(parts[3][5:]) - 1]
            parts[4:4] = ["primitives", step.primitive]
        state[key] = theirs[".".join(parts)]
    net.load_state_dict(state)
    net.eval()
    for part in net.modules():
        if isinstance(part, torch.nn.BatchNorm1d):
            part.train()
    return net


CASES = {
    "two cells": (tiny_features, TWO_CELLS),
    "r": (tiny_features, TWO_CELLS.change(r=3)),
    "reference": (tiny_features, TWO_CELLS.change(mode="reference")),
    "multilabel, a vector": (multilabel_features, TWO_CELLS),
}


@pytest.mark.parametrize("case", CASES)
def test_inherited_scores_are_those_of_the_network_with_the_hypernets_weights(case):
    make, config = CASES[case]
    features = make()
    hypernet, derived = searched(features, config)
    before = {name: tensor.clone() for name, tensor in hypernet.state_dict().items()}
    training = hypernet.training
    batch, targets = features.tensors("cpu").batch(torch.from_numpy(features.rows("val")))
    score, scores = InheritedScore(hypernet, features.tensors("cpu"), features.kind), []
    for genotype in [derived, *list(Space.of(features.names, config).neighbours(derived))[::7]]:
        with torch.no_grad():
            logits = copied(hypernet, genotype, features, config)(batch)
        scores.append(score(genotype))
        assert scores[-1] == metrics.score(features.kind, logits, targets), genotype.describe()
    assert len(set(scores)) > 3
    after = hypernet.state_dict()
    assert hypernet.training == training
    assert list(after) == list(before) and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("room", [1, 2, 5, 4096])
def test_kept_outputs_change_no_score(room):
    features = tiny_features(K=3)
    config = CONFIG.change(N=2, primitives=("Sum", "LinearGLU"))
    hypernet, _ = searched(features, config)
    shared = InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    shared.room = room
    genotypes = list(Space.of(features.names, config).genotypes())[::9]
    again = [*genotypes, *genotypes[::-1]]
    found = [shared(genotype) for genotype in again]
    alone = [InheritedScore(hypernet, features.tensors("cpu"), features.kind)(genotype) for genotype in genotypes]
    assert found == alone + alone[::-1]
    assert len(shared.cache) <= room


def test_a_cell_is_computed_once_for_all_genotypes_that_give_it_the_same_inputs(monkeypatch):
    features = tiny_features(K=3)
    config = CONFIG.change(N=2, primitives=("Sum", "LinearGLU"))
    hypernet, _ = searched(features, config)
    score, computed = InheritedScore(hypernet, features.tensors("cpu"), features.kind), []
    compute = inherited_score.path_cell
    monkeypatch.setattr(inherited_score, "path_cell", lambda *given: computed.append(given[1]) or compute(*given))
    genotypes = list(Space.of(features.names, config).genotypes())
    for genotype in genotypes:
        score(genotype)
    wanted = {  # (Cell, what it is and what it sees)
        (n, cell, genotype.cells[0] if "Cell_1" in cell.inputs else None)
        for genotype in genotypes
        for n, cell in enumerate(genotype.cells, start=1)
    }
    assert len(computed) == len(wanted) < len(genotypes)


def test_a_small_space_is_ranked_as_a_whole():
    features = tiny_features()
    hypernet, derived = searched(features, SMALL)
    reports = []
    found = select(hypernet, derived, features, SMALL, lambda *report: reports.append(report))
    everything = list(Space.of(features.names, SMALL).genotypes())
    assert found.exhaustive and found.ranked == len(set(everything) | {derived})
    score = InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    scores = {genotype: score(genotype) for genotype in {*everything, derived}}
    best = sorted(scores.values(), reverse=True)
    for candidate in found.candidates:
        assert candidate.inherited_score == scores[candidate.genotype]
        assert best[candidate.rank - 1] == candidate.inherited_score
    assert found.candidates[0].rank == 1
    assert {what for what, _, _ in reports} == {"ranking genotypes", "training the shortlist"}
    assert all(0 <= done <= of for _, done, of in reports)


def test_the_shortlist_holds_different_networks_and_the_derived_one():
    features = tiny_features()
    config = SMALL.change(primitives=("Sum", "ConcatFC"))
    hypernet, _ = searched(features, config)
    worst = worst_genotype(hypernet, features, config)
    found = select(hypernet, worst, features, config)
    keys = [network_key(candidate.genotype) for candidate in found.candidates]
    assert len(set(keys)) == len(keys) == config.shortlist_size + 1
    assert network_key(worst) == keys[-1]
    assert [candidate.rank for candidate in found.candidates] == sorted(c.rank for c in found.candidates)


def worst_genotype(hypernet, features, config):
    score = InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    return min(Space.of(features.names, config).genotypes(), key=score)


def test_a_twin_of_the_derived_genotype_is_not_listed_twice():
    first = one_cell("Sum", ("x", "y"))
    twin = one_cell("Sum", ("y", "x"))
    others = [one_cell("LinearGLU", inputs) for inputs in (("x", "y"), ("y", "x"))]
    scores = {first: 0.5, others[0]: 0.9, others[1]: 0.7, twin: 0.5}
    assert read_outs._shortlist(scores, twin, 2) == [(1, others[0]), (2, others[1]), (3, first)]


def one_cell(primitive, inputs, pair=("A_1", "B_1")):
    return Genotype((CellGenotype(pair, (StepGenotype(primitive, inputs),)),), 1)


def test_a_larger_space_is_searched_locally(monkeypatch):
    monkeypatch.setattr(ranking, "EXHAUSTIVE", 5)
    features = tiny_features()
    hypernet, _ = searched(features, TWO_CELLS.change(M=1))
    config = TWO_CELLS.change(M=1, shortlist_size=2, selection="best_ranked")
    space = Space.of(features.names, config)
    start = worst_genotype(hypernet, features, config)
    found = select(hypernet, start, features, config)
    assert not found.exhaustive and 1 < found.ranked <= ranking.LOCAL_SEARCH
    best, score = found.candidates[0], InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    assert best.inherited_score > score(start)
    assert best.inherited_score == max(map(score, [best.genotype, *space.neighbours(best.genotype)]))  # a summit


def test_a_local_search_keeps_to_its_limit(monkeypatch):
    monkeypatch.setattr(ranking, "EXHAUSTIVE", 5)
    monkeypatch.setattr(ranking, "LOCAL_SEARCH", 12)
    features = tiny_features()
    hypernet, derived = searched(features, TWO_CELLS)
    found = select(hypernet, derived, features, TWO_CELLS.change(shortlist_size=1, selection="best_ranked"))
    assert found.ranked == 12


def test_algorithm_1_can_be_beaten(monkeypatch):
    """The derived genotype is a poor one; the shortlist's answer is what the brief trainings say."""
    features = tiny_features()
    hypernet, _ = searched(features, SMALL)
    worst = worst_genotype(hypernet, features, SMALL)
    trained = {}

    def brief(genotype, features, config):
        trained[genotype] = 0.2 if genotype == worst else 0.5 + 0.1 * len(trained)
        return trained[genotype]

    monkeypatch.setattr(read_outs, "brief_score", brief)
    found = select(hypernet, worst, features, SMALL)
    assert found.algorithm1 == worst and found.differs and found.chosen == found.shortlist != worst
    assert trained[found.chosen] == max(trained.values())
    assert "DIFFER" in found.comparison() and "20.0 %" in found.comparison()


def test_ties_go_to_the_better_rank():
    pool = [one_cell("LinearGLU", ("x", "y")), one_cell("LinearGLU", ("y", "x")), one_cell("Sum", ("x", "y"))]
    candidates = tuple(Candidate(g, rank, 0.5, s) for rank, (g, s) in enumerate(zip(pool, (0.6, 0.7, 0.7)), start=1))  # noqa: B905
    assert Selection("shortlist", pool[0], candidates).chosen == pool[1]


def test_the_rule_algorithm1_ranks_and_trains_nothing(monkeypatch):
    features = tiny_features()
    hypernet, derived = searched(features, CONFIG)
    monkeypatch.setattr(finished_search, "InheritedScore", None)  # calling it would fail
    for name in ("brief_score", "fit"):
        monkeypatch.setattr(read_outs, name, None)
    with seen_rows() as seen:
        found = select(hypernet, derived, features, CONFIG.change(selection="algorithm1"))
    assert seen == []
    assert (
        found == Selection("algorithm1", derived, modalities=found.modalities)
        and found.chosen == derived
        and not found.differs
    )
    assert found.shortlist is None and "Only Algorithm 1's" in found.comparison()


def test_every_rule_of_the_settings_has_its_function():
    assert set(READ_OUTS) == set(get_args(ReadOut))


@pytest.mark.parametrize("rule", READ_OUTS)
def test_test_rows_are_never_read(rule):
    features, config = tiny_features(), SHORT.change(selection=rule)
    hypernet, derived = searched(features, config)
    with seen_rows() as seen:
        select(hypernet, derived, features, config)
    assert {split_of(features, rows) for rows in seen} == (set() if rule == "algorithm1" else {"train", "val"})


@pytest.mark.parametrize("rule", READ_OUTS)
def test_selecting_twice_gives_the_same_and_leaves_the_hypernet_alone(rule):
    features, config = tiny_features(), SHORT.change(selection=rule)
    hypernet, derived = searched(features, config)
    before = {name: tensor.clone() for name, tensor in hypernet.state_dict().items()}
    assert select(hypernet, derived, features, config) == select(hypernet, derived, features, config)
    assert all(torch.equal(tensor, before[name]) for name, tensor in hypernet.state_dict().items())
    assert all(parameter.requires_grad for parameter in hypernet.parameters())


# records


def test_there_and_back():
    pool = [one_cell("Sum", ("x", "y")), one_cell("LinearGLU", ("x", "y"))]
    given = Selection(
        "shortlist", pool[0], (Candidate(pool[1], 1, 0.6, 0.7), Candidate(pool[0], 9, 0.1, 0.2)), 42, True
    )
    assert Selection.from_dict(json.loads(json.dumps(given.to_dict()))) == given
    assert Selection.from_dict(Selection("algorithm1", pool[0]).to_dict()) == Selection("algorithm1", pool[0])


@pytest.mark.parametrize(
    "data", [None, [], {}, {"rule": "shortlist"}, {"rule": "x", "algorithm1": {}, "candidates": []}]
)
def test_damaged_records(data):
    with pytest.raises(RunError, match="selection"):
        Selection.from_dict(data)


def test_the_answer_of_a_run_is_read_out_once(tmp_path, monkeypatch):
    features, run = tiny_features(), Run(tmp_path / "run")
    with pytest.raises(RunError, match="run notebook 02"):
        load_selection(run)
    events = list(search(features, SMALL, run))
    first = read_out(run, features)
    assert first.algorithm1 == events[events[-1].best_epoch - 1].genotype
    assert run.genotype() == first.chosen and load_selection(run) == first
    monkeypatch.setattr(read_outs, "select", None)  # calling it would fail
    assert read_out(run, features) == first


OTHERS = {
    "other numbers": lambda: tiny_features(seed=1),
    "a feature less": lambda: tiny_features(K=3),
    "a feature more": lambda: tiny_features(K=5),
    "other modalities": lambda: tiny_features(modalities=1),
    "more samples": lambda: tiny_features(samples=80),
    "other channels": lambda: tiny_features(channels=5),
    "another task": multilabel_features,
}


@pytest.mark.parametrize("read_before", [False, True])
@pytest.mark.parametrize("other", OTHERS)
def test_other_features_are_refused_and_leave_the_run_as_it_was(tmp_path, other, read_before):
    run, features = Run(tmp_path / "run"), tiny_features()
    list(search(features, CONFIG.change(epochs=1, selection="algorithm1"), run))
    if read_before:
        read_out(run, features)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file() and path.name != "lock"}
    with pytest.raises(RunError, match=f"{run.name} belongs to another"):
        read_out(run, OTHERS[other]())
    after = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file() and path.name != "lock"}
    assert after == before


def test_a_search_that_went_on_is_read_out_anew(tmp_path):
    features, run = tiny_features(), Run(tmp_path / "run")
    config = CONFIG.change(selection="algorithm1")
    going = search(features, config, run)
    next(going)
    going.close()
    read_out(run, features)
    assert run.load_json("selection.json")["epoch"] == 1
    list(search(features, config, run))
    assert read_out(run, features).chosen == run.trace().best.genotype
    assert run.load_json("selection.json")["epoch"] == 4


def test_no_answer_before_the_first_epoch(tmp_path):
    features, run = tiny_features(), Run(tmp_path / "run")
    run.claim(CONFIG, features)
    with pytest.raises(RunError, match="no finished epoch"):
        read_out(run, features)
