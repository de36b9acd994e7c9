"""Searchers on a truth table: random search against all draws, picks by cost, and rankings of known order."""

import math
from dataclasses import asdict, replace
from itertools import combinations, pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bmnas.errors import ConfigError
from bmnas.space.derivation import derive
from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype
from bmnas.trust.benchmark import add_searchers, bench, bench_standing, bench_trials
from bmnas.trust.expected_regret import random_regret, taken_with
from bmnas.trust.search_paths import (
    SearchPath,
    choice_score,
    last_features_path,
    ranking_tau,
    regret_curves,
    standings_frame,
    trials_path,
    trials_tau,
)
from bmnas.trust.truth_table import Truth
from tests.support.synthetic import architecture

SPACE = Space(("A_1", "A_2", "B_1"), 1, 1, 1, ("Sum", "LinearGLU"))


def table_of(scores):
    networks = dict(zip(SPACE.genotypes(), (((v, v), (t, t)) for v, t in scores), strict=False))
    return Truth({"space": asdict(SPACE)}, None, 2, networks)


TABLE = table_of([(0.1 * i, 0.05 * i + 0.01 * (i % 2)) for i in range(9)])


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=7, unique_by=lambda p: p[0]),
       st.data())  # fmt: skip
def test_random_search_is_the_mean_over_all_draws(scores, data):
    b = data.draw(st.integers(1, len(scores)))
    frame = pd.DataFrame(scores, columns=["val", "test"])
    best = frame["test"].max()
    regrets = sorted(best - max(draw)[1] for draw in combinations(scores, b))
    found = random_regret(frame, b)
    assert found.mean == pytest.approx(sum(regrets) / len(regrets), abs=1e-6)
    assert found.low == regrets[max(0, math.ceil(0.1 * len(regrets)) - 1)]
    assert found.high == regrets[max(0, math.ceil(0.9 * len(regrets)) - 1)]


@given(st.integers(1, 3000), st.data())
def test_some_network_is_taken(networks, data):
    chances = taken_with(networks, data.draw(st.integers(1, networks)))
    assert chances.sum() == pytest.approx(1) and chances.min() >= 0


@pytest.mark.parametrize("trainings", [0, 10])
def test_impossible_numbers_of_trainings_are_refused(trainings):
    with pytest.raises(ConfigError):
        taken_with(9, trainings)


def trials(seed=3):
    """All networks of the table in a random order."""
    return bench_trials("random", TABLE, seed, len(TABLE.networks))


def test_the_path_of_trainings_improves_on_validation_and_ends_at_the_best():
    path = trials_path("random", trials())
    assert path.cost == len(TABLE.networks)  # all that was spent, also where the best came before
    halved = trials_path("random", trials(), cost=0.5)
    assert [cost for cost, _ in halved.picks] == [cost / 2 for cost, _ in path.picks]
    vals = [TABLE.networks[genotype][0][0] for _, genotype in path.picks]
    costs = [cost for cost, _ in path.picks]
    assert vals == sorted(vals) and costs == sorted(costs) and costs[0] == 1 and vals[-1] == pytest.approx(0.8)
    assert path.at(0.5) is None and path.at(1) == path.picks[0][1] and path.at(99) == path.picks[-1][1]


def test_last_features_with_each_operator():
    path = last_features_path(TABLE, ("A_2", "B_1"))
    assert path and path.cost == 3 and path.picks[-1][1].cells[0].inputs == ("A_2", "B_1")
    assert path.picks[-1][1] == max(
        (g for g in TABLE.networks if g.cells[0].inputs == ("A_2", "B_1")), key=lambda g: TABLE.networks[g][0]
    )
    assert last_features_path(TABLE, ("A_2", "C_1")) is None
    with pytest.raises(ConfigError):
        last_features_path(TABLE, ("A_2",))


def test_tau_of_known_rankings():
    truth = {genotype: test[0] for genotype, (_, test) in TABLE.networks.items()}
    assert ranking_tau(TABLE, truth.__getitem__) == pytest.approx(1)
    assert ranking_tau(TABLE, lambda g: -truth[g]) == pytest.approx(-1)
    assert math.isnan(ranking_tau(TABLE, lambda g: 0.0))


def test_the_derived_genotype_has_the_largest_product_of_its_weights():
    names = ("A_1", "A_2", "B_1", "B_2")
    space = Space(names, 1, 1, 1, ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC"))
    weights = architecture(names, N=1, M=1, seed=4)
    derived = derive(weights, 1)
    best = max(choice_score(weights, genotype) for genotype in space.genotypes() if arity(genotype) == arity(derived))
    assert choice_score(weights, derived) == pytest.approx(best)
    cell = derived.cells[0]
    by_hand = math.prod(weights.alpha["Cell_1"][name] for name in cell.inputs)
    by_hand *= math.prod(weights.beta["Cell_1"]["Step_1"][name] for name in cell.steps[0].inputs)
    by_hand *= weights.gamma["Cell_1"]["Step_1"][cell.steps[0].primitive]
    assert choice_score(weights, derived) == pytest.approx(math.log(by_hand))


def arity(genotype: Genotype) -> int:
    return len(genotype.cells[0].steps[0].inputs)


def test_standings_have_random_search_of_equal_cost_beside_them():
    best = max(TABLE.networks, key=lambda g: TABLE.networks[g][1])
    elsewhere = Genotype.from_dict({**best.to_dict()})
    worst = min(TABLE.networks, key=lambda g: TABLE.networks[g][1])
    paths = [
        SearchPath("good", ((2.2, elsewhere),)),
        SearchPath("bad", ((50.0, worst),)),
        trials_path("random", trials()),
    ]
    good, bad, drawn = standings_frame(TABLE, paths, {"good": 0.4}).to_dict("records")
    frame = TABLE.frame()
    assert good["regret"] == 0 and good["rank"] == 1 and good["tau"] == 0.4
    assert good["random"] == random_regret(frame, 3).mean and math.isnan(bad["tau"])
    assert bad["rank"] == 9 and bad["random"] == random_regret(frame, 9).mean  # no more than there are
    assert drawn["trainings"] <= 9


def test_an_answer_that_a_sample_lacks_has_no_score():
    lacking = list(Space(("A_1", "A_2", "C_1"), 1, 1, 1, ("Sum",)).genotypes())[-1]
    (row,) = standings_frame(TABLE, [SearchPath("other", ((1.0, lacking),))]).to_dict("records")
    assert math.isnan(row["regret"])


def test_tau_of_what_a_searcher_trained_is_kendalls():
    some = trials()[:6]
    tests = [TABLE.networks[trial.genotype][1][0] for trial in some]
    expected, _ = stats.kendalltau([trial.score for trial in some], tests)
    assert trials_tau(TABLE, some) == pytest.approx(expected)
    assert math.isnan(trials_tau(TABLE, some[:1]))
    elsewhere = next(Space(("A_1", "C_1"), 1, 1, 1, ("Sum",)).genotypes())
    assert trials_tau(TABLE, [*some, replace(some[0], genotype=elsewhere)]) == pytest.approx(expected)


def test_a_regret_curve_is_the_mean_of_what_its_searches_answer():
    searches = [trials_path("random", trials(seed)) for seed in range(4)]
    late = SearchPath("late", ((3.0, searches[0].picks[-1][1]),))
    curves = regret_curves(TABLE, {"random": searches, "late": [late]}, 9)
    assert list(curves.index) == list(range(1, 10)) and list(curves) == ["random", "late"]
    best = max(test[0] for _, test in TABLE.networks.values())
    for spent in (1, 4, 9):
        answers = [genotype for path in searches if (genotype := path.at(spent))]
        mean = np.mean([TABLE.networks[genotype][1][0] for genotype in answers])
        assert curves.to_dict()["random"][spent] == pytest.approx(best - mean)
    assert len(answers) == 4 and [math.isnan(x) for x in curves.to_dict("list")["late"]] == [True] * 2 + [False] * 7


def test_searches_on_the_table_are_summed_up_with_an_interval():
    rows = bench("random", TABLE, seeds=range(5), budget=4)
    answers = standings_frame(TABLE, [trials_path("random", trials())])
    first, second = add_searchers(answers, TABLE, ["random"], range(5), 4).to_dict("records")
    standing = bench_standing("random", rows, TABLE)
    assert first["searches"] == 1 and math.isnan(first["low"]) and second == pytest.approx(standing)
    expected = stats.ttest_1samp(rows["regret"], 0).confidence_interval(0.95)
    largest = TABLE.frame()["test"].max() - TABLE.frame()["test"].min()
    assert (standing["low"], standing["high"]) == pytest.approx((max(expected.low, 0), min(expected.high, largest)))
    assert standing["regret"] == pytest.approx(rows["regret"].mean()) and standing["searches"] == 5
    assert standing["random"] == random_regret(TABLE.frame(), 4).mean and standing["trainings"] == 4


@given(st.lists(st.integers(0, len(TABLE.networks) - 1), min_size=2, max_size=6))
def test_the_interval_of_a_regret_is_of_regrets_that_there_can_be(picked):
    regrets = TABLE.frame()["test"].max() - TABLE.frame()["test"]
    rows = pd.DataFrame({"regret": regrets.iloc[picked], "trainings": 4, "test": 0.5, "tau": 0.0, "rank": 1})
    standing = bench_standing("any", rows, TABLE)
    if len({*rows["regret"]}) == 1:  # equal searches do not show how far others would vary
        assert (standing["low"], standing["high"]) == (-math.inf, math.inf)
        return
    ends = [0, standing["low"], standing["regret"], standing["high"], regrets.max()]
    assert all(one <= next_one + 1e-12 for one, next_one in pairwise(ends))
