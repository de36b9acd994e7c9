"""The parts of the shortlist: single paths, candidates that differ, successive halving, restarts."""

from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest
import torch

from bmnas.searching import read_outs
from bmnas.searching.algorithm1 import Search
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.read_outs import select
from bmnas.searching.selection import Candidate, Selection
from bmnas.searching.shortlisting import ranking
from bmnas.searching.shortlisting.candidates import (
    exchanged,
    leading,
    plain_networks,
    single_features,
    varied,
)
from bmnas.searching.shortlisting.halving import Rung, halve, read_out_epochs, rungs, second_rung
from bmnas.searching.shortlisting.paths import path_epochs, path_logits, trained_paths
from bmnas.space.derivation import derive
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import living_features, network_key
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.tasks.planted import planted_features
from bmnas.training.calibration import calibrated_loss
from tests.support.tiny import CONFIG, TWO_CELLS, multilabel_features, seen_rows, split_of, tiny_features

SHORT = CONFIG.change(primitives=("Sum", "LinearGLU"), shortlist_size=2)
QUIET = lambda what, done, of: None  # noqa: E731
MODALITIES = {"A": ("A_1", "A_2"), "B": ("B_1", "B_2")}
FEATURES = ("A_1", "A_2", "B_1", "B_2")


def space(**settings):
    return Space(FEATURES, **{"N": 1, "M": 1, "r": 1, "primitives": ("Sum", "LinearGLU", "ConcatFC"), **settings})


def one_cell(primitive, inputs=("x", "y"), pair=("A_1", "B_1")):
    return Genotype((CellGenotype(pair, (StepGenotype(primitive, inputs),)),), 1)


# single paths


def test_single_paths_are_trained_on_the_training_split_alone_and_architecture_stays():
    features = tiny_features()
    hypernet = Search(features, SHORT).hypernet
    with seen_rows() as seen:
        trained = trained_paths(hypernet, features, SHORT)
    assert {split_of(features, rows) for rows in seen} == {"train"}
    assert len(seen) == path_epochs(SHORT) * 4 == 2 * SHORT.epochs * 4  # batches of 16 of 64 rows
    assert trained.architecture() == hypernet.architecture()
    moved = [
        name for name, weight in trained.named_parameters() if not torch.equal(weight, hypernet.state_dict()[name])
    ]
    assert any("LinearGLU" in name for name in moved) and any("reshape" in name for name in moved)


def test_without_path_epochs_the_weights_stay():
    features = tiny_features()
    hypernet = Search(features, SHORT).hypernet
    trained = trained_paths(hypernet, features, SHORT.change(path_epochs=0))
    assert all(torch.equal(weight, hypernet.state_dict()[name]) for name, weight in trained.state_dict().items())


def test_trained_paths_fit_the_genotypes_better():
    """What the search leaves has never seen a discrete genotype."""
    features, config = planted_features(4, 2, 0, 128), SHORT.change(C=8, path_epochs=20, max_lr=1e-2)
    hypernet = Search(features, config).hypernet
    trained = trained_paths(hypernet, features, config)
    genotypes = list(Space.of(features.names, config).genotypes())

    def mean_loss(net):
        score = InheritedScore(net, features.tensors("cpu"), features.kind)
        return sum(score.losses(genotypes)) / len(genotypes)

    assert mean_loss(trained) < 0.9 * mean_loss(hypernet)


@pytest.mark.parametrize("config", [SHORT, TWO_CELLS])
def test_a_path_is_what_inherits(config):
    features = tiny_features()
    hypernet = Search(features, config).hypernet
    score = InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    genotype = derive(hypernet.architecture(), config.depth)
    with torch.no_grad():
        logits = path_logits(score.hypernet, genotype, features.tensors("cpu").batch(score.rows)[0])
    assert torch.equal(score.logits([genotype])[0], logits)
    assert score.losses([genotype])[0] == calibrated_loss(features.kind, logits[None], score.targets).item()


@pytest.mark.parametrize("together", [1, 3, 64])
@pytest.mark.parametrize("make", [tiny_features, multilabel_features])
def test_losses_of_several_genotypes_are_those_of_each(make, together):
    features, config = make(), TWO_CELLS
    score = InheritedScore(Search(features, config).hypernet, features.tensors("cpu"), features.kind)
    score.together = together
    genotypes = list(islice(Space.of(features.names, config).genotypes(), 7))
    alone = [score.losses([genotype])[0] for genotype in genotypes]
    assert score.losses(genotypes) == pytest.approx(alone, rel=1e-4)
    assert score.losses([]) == []


# candidates


def test_different_inputs_come_first_and_both_orders_together():
    pairs = [("A_1", "B_1"), ("A_1", "B_2")]
    ranked = [
        one_cell("LinearGLU", ("x", "y"), pairs[0]),
        one_cell("Sum", pair=pairs[0]),
        one_cell("Sum", pair=pairs[1]),
    ]
    assert list(varied(ranked, both_orders=False)) == [ranked[0], ranked[2], ranked[1]]
    twin = one_cell("LinearGLU", ("y", "x"), pairs[0])
    assert list(varied(ranked, both_orders=True)) == [ranked[0], twin, ranked[2], ranked[1]]
    assert exchanged(twin) == ranked[0] and exchanged(ranked[1]) == ranked[1]


def test_one_network_is_listed_once():
    zero = [one_cell("Zero", pair=("A_1", other)) for other in ("A_2", "B_1", "B_2")]
    assert list(varied(zero, both_orders=True)) == zero[:1]


@pytest.mark.parametrize("both_orders", [True, False])
@pytest.mark.parametrize("whole", [space(), space(N=2), space(M=2, r=2)], ids=["N1M1", "N2M1", "N1M2"])
def test_the_leader_comes_with_other_operators_before_other_inputs(whole, both_orders):
    """A ranking that is blind to operators puts the worst of them first."""
    everything = list(whole.genotypes())
    leader, *others = everything
    ranked = [leader, *sorted(others, key=lambda one: one.cells[0].inputs == leader.cells[0].inputs)]
    listed = leading(whole, ranked, 4, both_orders)
    assert len(listed) == 10 == len(set(map(network_key, listed))) and listed[0] == leader

    def operators(one):
        return [step for cell in one.cells for step in cell.steps]

    def changes(one):
        same = [cell.inputs for cell in one.cells] == [cell.inputs for cell in leader.cells]
        pairs = list(zip(operators(one), operators(leader), strict=True))
        return sum(a != b for a, b in pairs) if same and all({*a.inputs} == {*b.inputs} for a, b in pairs) else None

    keys = {network_key(one) for one in everything if changes(one) == 1} - {network_key(leader)}
    expected = min(4, len(keys))
    assert [changes(one) for one in listed[1 : 1 + expected]] == [1] * expected
    assert {one.cells[0].inputs for one in listed[1 + expected :]} - {leader.cells[0].inputs}


def contains(whole, genotype):
    """Whether a space has a genotype, without listing all."""
    pairs = [cell.inputs for cell in genotype.cells]
    steps = [step in whole.step_choices(m) for cell in genotype.cells for m, step in enumerate(cell.steps)]
    known = [pair in whole.pairs(n) for n, pair in enumerate(pairs)]
    return (len(pairs), len(steps)) == (whole.N, whole.N * whole.M) and whole.allows(pairs) and all(known + steps)


def test_plain_networks_have_the_last_features_and_one_operator():
    networks = plain_networks(space(), MODALITIES)
    assert {(step.primitive, step.inputs) for step in networks} == {
        ("Sum", ("x", "y")), ("LinearGLU", ("x", "y")), ("LinearGLU", ("y", "x")), ("ConcatFC", ("x", "y"))
    }  # fmt: skip
    for operator, genotypes in networks.items():
        assert genotypes == [Genotype((CellGenotype(("A_2", "B_2"), (operator,)),), 1)]
    deep = space(N=2, M=2, r=2)
    for operator, genotypes in plain_networks(deep, MODALITIES).items():
        assert genotypes and all(contains(deep, genotype) for genotype in genotypes)
        assert {step for genotype in genotypes for cell in genotype.cells for step in cell.steps} == {operator}
    assert plain_networks(space(), {"A": FEATURES}) == {}


@pytest.mark.parametrize(("N", "M", "r"), [(1, 1, 1), (2, 1, 1), (1, 2, 2), (3, 1, 1)])
def test_single_features_depend_on_one_feature_alone(N, M, r):
    networks = single_features(space(N=N, M=M, r=r))
    assert [living_features(genotype) for genotype in networks] == [(name,) for name in FEATURES]
    assert len(set(map(network_key, networks))) == 4


def test_there_is_no_single_feature_where_the_output_holds_y():
    assert single_features(space(r=2)) == []


# halving


def by_name(name):
    """No two are alike."""
    return name


def test_the_better_half_is_trained_longer():
    losses = {name: float(i) for i, name in enumerate("abcdef")}
    trained = []

    def train(name, epochs, seed):
        trained.append((name, epochs, seed))
        return 1 - losses[name], losses[name]

    steps = [Rung(6, 1), Rung(3, 2), Rung(2, 4, seeds=2)]  # no two rungs of one length
    outcomes = halve(list("fedcba"), dict.fromkeys("abcdef", 0.0), steps, train, QUIET, alike=by_name)
    assert {name: outcome.epochs for name, outcome in outcomes.items()} == dict(a=4, b=4, c=2, d=1, e=1, f=1)
    assert trained[6:] == [(n, 2, 0) for n in "abc"] + [(n, 4, s) for n, s in product("ab", (0, 1))]
    assert sum(rung.cost for rung in steps) == sum(epochs for _, epochs, _ in trained)


def test_the_first_rung_goes_by_loss_with_the_ranking_and_the_second_by_score():
    prior = {"a": 5.0, "b": 0.0, "c": 1.0, "d": 0.6}
    losses = {"a": 0.0, "b": 2.0, "c": 0.5, "d": 0.5}
    scores = {"a": 0.9, "b": 0.7, "c": 0.8, "d": 0.8}
    train = lambda name, epochs, seed: (scores[name], losses[name] + epochs * (name == "d"))  # noqa: E731
    steps = [Rung(4, 0), Rung(3, 2), Rung(1, 4)]
    outcomes = halve(list("abcd"), prior, steps, train, QUIET, alike=by_name)
    assert {name: outcome.epochs for name, outcome in outcomes.items()} == {"a": 0, "b": 2, "c": 4, "d": 2}


@pytest.mark.parametrize(("places", "length"), [(4, 2), (3, 1)])
def test_the_reference_is_trained_at_length_where_it_costs_no_finalist(places, length):
    losses = dict(zip("abcde", range(5), strict=True))
    train = lambda name, epochs, seed: (0.0, losses[name])  # noqa: E731
    steps = [Rung(5, 1), Rung(places, 2), Rung(3, 2, seeds=3, trained=1)]
    outcomes = halve(list("abcde"), dict.fromkeys("abcde", 0.0), steps, train, QUIET, ["e"], by_name)
    assert outcomes["e"].epochs == length
    assert [outcomes[name].seeds for name in "abcde"] == [3, 3, 3, 1, 1]


@pytest.mark.parametrize(
    ("places", "groups", "expected"),
    [
        (5, [], "abcdf"),  # no more than three are near copies
        (5, ["e"], "abcef"),  # of which one may be the reference
        (5, ["ghf", "ig"], "abcfg"),  # the best of each group
        (4, ["ghf", "ig"], "abcf"),  # no place of a finalist goes to a reference
        (3, ["ghf", "ig"], "abc"),
        (9, [], "abcdefghi"),  # more of them where there are no others
    ],
)
def test_near_copies_and_references_in_the_second_rung(places, groups, expected):
    alike = dict(zip("abcdefghi", "112112334", strict=True))  # a, b, d and e have the same inputs
    staying = second_rung("abcdefghi", places, 3, groups, alike.__getitem__)
    assert "".join(staying) == expected


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_rungs_shrink_and_lengthen(size):
    steps = rungs(SHORT.change(shortlist_size=size, shortlist_epochs=5), 3 * size)
    assert [rung.networks for rung in steps] == [3 * size, size, min(3, size)]
    assert [rung.epochs for rung in steps] == [3, 13, 13]
    assert [rung.epochs for rung in rungs(SHORT.change(epochs=60), 9)] == [1, 40, 40]  # two thirds of a long search


@pytest.mark.parametrize("rule", ["shortlist", "best_ranked", "algorithm1"])
@pytest.mark.parametrize("size", [1, 3])
def test_a_read_out_trains_the_epochs_that_are_counted(rule, size, monkeypatch):
    features, config = tiny_features(), SHORT.change(selection=rule, shortlist_size=size, shortlist_epochs=3)
    search = Search(features, config)
    derived = search.run_epoch().genotype
    trained = [path_epochs(config)] if rule == "shortlist" else []

    def counted(genotype, features, config, epochs, seed, *_):
        trained.append(epochs)
        return 0.5, float(len(trained))

    monkeypatch.setattr(read_outs, "brief_training", counted)  # each training once
    answer = select(search.hypernet, derived, features, config)
    assert read_out_epochs(rule, config, len(answer.candidates)) == sum(trained)


# the whole


def test_algorithm_1_plain_networks_and_a_single_modality_are_always_candidates():
    features = tiny_features()
    search = Search(features, SHORT)
    derived = search.run_epoch().genotype
    answer = select(search.hypernet, derived, features, SHORT)
    keys = [network_key(candidate.genotype) for candidate in answer.candidates]
    assert len(set(keys)) == len(keys) and network_key(derived) in keys
    for networks in plain_networks(Space.of(features.names, SHORT), features.modalities).values():
        assert {network_key(genotype) for genotype in networks} & set(keys)
    assert sum(len(living_features(candidate.genotype)) == 1 for candidate in answer.candidates) == 1
    finalists = [candidate for candidate in answer.candidates if candidate.trainings == 3]
    best = max(finalists, key=answer.merit)
    assert best.trained_score == max(candidate.trained_score for candidate in finalists)
    assert answer.chosen == best.genotype and not answer.by_loss
    assert Selection.from_dict(answer.to_dict()) == answer


def test_an_answer_of_one_modality_says_so(monkeypatch):
    features = tiny_features()
    search = Search(features, SHORT)
    derived = search.run_epoch().genotype

    def trained(genotype, features, config, epochs, seed):
        alone = len(living_features(genotype)) == 1
        return (0.9, 0.1) if alone else (0.5, 1.0)

    monkeypatch.setattr(read_outs, "brief_training", trained)
    answer = select(search.hypernet, derived, features, SHORT.change(path_epochs=0))
    (name,) = answer.modalities
    assert f"ONE MODALITY alone, {name}" in answer.comparison()
    assert any(feature in living_features(answer.chosen) for feature in features.modalities[name])


@pytest.mark.parametrize(
    ("alone", "rows", "words"),
    [
        (Candidate(one_cell("Zero"), 2, 0.5, 0.97, 0.2, 13, 1, ("A",)), 200, "200 validation rows do not tell"),
        (Candidate(one_cell("Zero"), 2, 0.5, 0.5, 0.9, 13, 1, ("A",)), 200, "49.0 points less"),
        (Candidate(one_cell("Zero"), 2, 0.5, 0.5, 0.9, 13, 1, ("A",)), 10, "49.0 points less"),
        (Candidate(one_cell("Zero"), 2, 0.5, 0.9, 0.9, 13, 1, ("A",)), 10, "10 validation rows do not tell"),
        (Candidate(one_cell("Zero"), 2, 0.5, 0.5, 0.9, 3, 1, ("A",)), 200, "earlier round"),
    ],
)
def test_an_answer_is_set_beside_the_best_of_one_modality(alone, rows, words):
    fused = Candidate(one_cell("Sum"), 1, 0.6, 0.99, 0.1, 13, 3, ("A", "B"))
    answer = Selection("shortlist", fused.genotype, (fused, alone), 42, True, rows, ("A", "B"))
    assert (
        answer.chosen == fused.genotype and words in answer.comparison() and "ONE MODALITY, A," in answer.comparison()
    )
    assert Selection.from_dict(answer.to_dict()) == answer


def test_rows_that_were_recorded_together_are_fewer():
    fused = Candidate(one_cell("Sum"), 1, 0.6, 0.95, 0.1, 13, 3, ("A", "B"))
    alone = Candidate(one_cell("Zero"), 2, 0.5, 0.85, 0.9, 13, 1, ("A",))
    answer = Selection("shortlist", fused.genotype, (fused, alone), 42, True, 500, ("A", "B"))
    assert "10.0 points less" in answer.comparison()
    grouped = replace(answer, independent=50)
    assert (
        "500 validation rows, which tell as much as 50 independent rows of an accuracy, do not tell"
        in grouped.comparison()
    )
    assert Selection.from_dict(grouped.to_dict()) == grouped


@pytest.mark.parametrize("columns", [0, 1, 2])
def test_a_read_out_counts_the_rows_that_are_independent(columns):
    features, config = tiny_features(), SHORT.change(path_epochs=0)
    search = Search(features, config)
    derived = search.run_epoch().genotype
    fourths = np.arange(len(features)) // 4
    groups = [None, fourths, np.stack([fourths, 10**6 - np.arange(len(features)) // 3], axis=1)][columns]
    val = features.rows("val")
    expected = [len(val), len(np.unique(val // 4)), len(np.unique(val // 4)) // 2][columns]
    answer = select(search.hypernet, derived, replace(features, groups=groups), config)
    assert (answer.rows, answer.independent) == (len(val), expected)


@pytest.mark.parametrize(("operator", "cautious"), [("Zero", True), ("Sum", False), ("ConcatFC", False)])
def test_a_gain_over_a_network_without_an_operator_is_no_proof_of_fusion(operator, cautious):
    """An operator may find as much in one modality, as on a copy of it."""
    fused = Candidate(one_cell("LinearGLU"), 1, 0.6, 0.99, 0.1, 13, 3, ("A", "B"))
    alone = Candidate(one_cell(operator), 2, 0.5, 0.5, 0.9, 13, 1, ("A",))
    text = Selection("shortlist", fused.genotype, (fused, alone), 42, True, 200, ("A", "B")).comparison()
    assert "49.0 points less" in text and ("no operator" in text) == cautious


def test_where_no_candidate_is_of_one_modality_nothing_says_that_fusing_beats_one():
    ranked = enumerate(("Sum", "ConcatFC"), start=1)
    fused, other = (Candidate(one_cell(name), rank, 0.6, 0.9, 0.1, 13, 3, ("A", "B")) for rank, name in ranked)
    text = Selection("shortlist", fused.genotype, (fused, other), 42, True, 200, ("A", "B")).comparison()
    assert "No candidate uses one modality alone" in text
    old = Selection("shortlist", fused.genotype, (fused, other), 42, True)  # of a version that did not know
    assert "one modality" not in old.comparison()


def test_records_of_older_versions_are_read():
    genotypes = [one_cell("Sum"), one_cell("LinearGLU")]
    candidates = (Candidate(genotypes[0], 1, 0.6, 0.7), Candidate(genotypes[1], 2, 0.5, 0.8))
    record = Selection("shortlist", genotypes[0], candidates, 42, True).to_dict()
    del record["modalities"], record["rows"]
    for candidate in record["candidates"]:
        del candidate["trained_loss"], candidate["epochs"], candidate["trainings"], candidate["modalities"]
    old = Selection.from_dict(record)
    assert old.chosen == genotypes[1] and old.modalities == ()


@pytest.mark.parametrize("scores", [(0.7, 0.8), (0.8, 0.8)])
@pytest.mark.parametrize("older", [True, False])
def test_the_loss_decides_in_older_records_and_between_equal_scores(scores, older):
    genotypes = [one_cell("Sum"), one_cell("LinearGLU")]
    losses = (0.1, 0.2) if scores[0] < scores[1] else (0.2, 0.1)
    finalists = zip(genotypes, (1, 2), scores, losses, strict=True)
    candidates = tuple(Candidate(one, rank, 0.5, score, loss, 13, 3) for one, rank, score, loss in finalists)
    record = Selection("shortlist", genotypes[0], candidates, 42, True).to_dict()
    if older:
        del record["by_loss"]
    read = Selection.from_dict(record)
    assert read.chosen == genotypes[0 if older and scores == (0.7, 0.8) else 1]
    assert Selection.from_dict(read.to_dict()) == read


def test_more_trainings_count_before_the_loss():
    """A network that lost the second rung may have had one lucky training."""
    genotypes = [one_cell("Sum"), one_cell("LinearGLU")]
    candidates = (Candidate(genotypes[0], 1, 0.6, 0.7, 0.1, 13, 1), Candidate(genotypes[1], 2, 0.5, 0.8, 0.2, 13, 3))
    assert Selection("shortlist", genotypes[0], candidates).chosen == genotypes[1]


def test_a_local_search_starts_again_elsewhere(monkeypatch):
    """Of two summits the higher one is far from the first start."""
    monkeypatch.setattr(ranking, "EXHAUSTIVE", 3)
    monkeypatch.setattr(ranking, "LOCAL_SEARCH", 400)
    whole = space(N=2)
    everything = list(whole.genotypes())
    low, high = everything[0], everything[-1]

    def score(genotype):
        apart = lambda other: sum(a != b for a, b in zip(genotype.cells, other.cells, strict=True))  # noqa: E731
        return max(1.0 - apart(low), 3.0 - 2 * apart(high))

    def scores(genotypes):
        return list(map(score, genotypes))

    once = ranking.rank(whole, [low], scores, QUIET)
    again = ranking.rank(whole, ranking.restarts(whole, [low], seed=0), scores, QUIET)
    assert max(once.values()) == 1.0 and max(again.values()) == 3.0
    assert len(again) <= 400
