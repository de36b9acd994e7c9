"""Searchers: what they propose and keep against slow transcriptions of their rules, the budget, and replay."""

import random
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bmnas
from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.registry import SEARCHERS
from bmnas.searching.searchers.trials import Budget, Trial, run_searcher
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from tests.support.searchers import EVERY

SMALL = Space(("A_1", "A_2", "B_1"), N=1, M=1, r=1, primitives=("Sum", "LinearGLU"))
LARGE = Space(("A_1", "A_2", "B_1", "B_2"), N=2, M=2, r=2, primitives=("Sum", "Attention", "LinearGLU"))


def mocked_score(genotype, seed=0, part=None):
    """A score that genotype and seed decide; equal networks have equal ones."""
    return random.Random(repr((network_key(genotype), seed))).random()


def trials_of(name, space, trainings, seed=0, **more):
    return list(run_searcher(SEARCHERS[name], space, mocked_score, Budget(trainings), seed, **more))


def networks(genotypes):
    """Drops later genotypes of networks that came before."""
    first = {}
    for genotype in genotypes:
        first.setdefault(network_key(genotype), genotype)
    return list(first.values())


def random_by_hand(space, seed, proposals):
    generator = random.Random(seed)
    return [space.random(generator) for _ in range(proposals)]


def evolution_by_hand(space, seed, proposals):
    generator = random.Random(seed)
    history = [space.random(generator) for _ in range(20)]
    while len(history) < proposals:
        alive = history[-20:]
        drawn = generator.choices(range(20), k=5)
        parent = alive[drawn[0]]
        for place in drawn[1:]:
            if mocked_score(alive[place], seed) > mocked_score(parent, seed):
                parent = alive[place]
        history.append(generator.choice(list(space.neighbours(parent))))
    return history


def local_search_by_hand(space, seed, proposals):
    generator = random.Random(seed)
    history = []
    starts = 10
    while len(history) < proposals:
        drawn = [space.random(generator) for _ in range(starts)]
        history += drawn
        here, starts, improved = max(drawn, key=lambda g: mocked_score(g, seed)), 1, True
        while improved:
            around = list(space.neighbours(here))
            generator.shuffle(around)
            history += around
            better = [g for g in around if mocked_score(g, seed) > mocked_score(here, seed)]
            improved = bool(better)
            here = max(better, key=lambda g: mocked_score(g, seed), default=here)
    return history


BY_HAND = {
    "random": random_by_hand,
    "regularised_evolution": evolution_by_hand,
    "local_search": local_search_by_hand,
}


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_searcher_trains_what_its_rule_says(name, seed):
    trials = trials_of(name, LARGE, 60, seed)
    by_hand = networks(BY_HAND[name](LARGE, seed, 200))[:60]
    assert [trial.genotype for trial in trials] == by_hand
    scores = [mocked_score(genotype, seed) for genotype in by_hand]
    assert [trial.score for trial in trials] == scores
    assert [trial.best_score for trial in trials] == [max(scores[: n + 1]) for n in range(60)]
    assert [trial.best_trial for trial in trials] == [scores.index(max(scores[: n + 1])) + 1 for n in range(60)]


@pytest.mark.parametrize("name", EVERY)
@given(
    st.integers(1, 12),
    st.integers(0, 99),
    st.sampled_from([SMALL, LARGE, Space(("A", "B"), 1, 1, 1, ("Sum",)), Space(("A", "B", "C"), 2, 1, 1, ("Zero",))]),
)
@settings(max_examples=6, deadline=None)
def test_any_searcher_keeps_to_space_and_budget(name, trainings, seed, space):
    trials = trials_of(name, space, trainings, seed)
    assert 1 <= len(trials) <= trainings
    assert len({network_key(trial.genotype) for trial in trials}) == len(trials)
    for trial in trials:
        assert bmnas.Genotype.from_dict(trial.genotype.to_dict()) == trial.genotype
        trial.genotype.check(space.features)
        assert trial.genotype.N <= space.N and trial.genotype.r == space.r
        assert {s.primitive for cell in trial.genotype.cells for s in cell.steps} <= set(space.primitives)
    assert [t.record() for t in trials] == [t.record() for t in trials_of(name, space, trainings, seed)]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kept", [0, 1, 7, 14])
def test_a_search_resumes_after_its_recorded_trials(name, kept):
    whole = trials_of(name, LARGE, 15)
    trained = []

    def trainer(genotype, seed, part):
        trained.append(genotype)
        return mocked_score(genotype, seed)

    recorded = [Trial.from_record(trial.record()) for trial in whole[:kept]]
    resumed = list(run_searcher(SEARCHERS[name], LARGE, trainer, Budget(15), 0, recorded))
    assert [t.record() for t in resumed] == [t.record() for t in whole]
    assert trained == [t.genotype for t in whole[kept:]]


def test_a_record_of_another_search_is_refused():
    other = trials_of("random", LARGE, 3, seed=1)
    with pytest.raises(RunError, match="trial 1"):
        trials_of("random", LARGE, 5, seed=0, recorded=other)


@pytest.mark.parametrize(("budget", "trainings"), [(Budget(7), 7), (Budget(7, "epochs", 3), 2), (Budget(0.5), 0)])
def test_budgets_in_trainings_and_epochs(budget, trainings):
    assert len(list(run_searcher(SEARCHERS["random"], LARGE, mocked_score, budget, 0))) == trainings


def test_a_budget_in_seconds_starts_no_training_after_it():
    recorded = [
        Trial.from_record(trial.record(), seconds=2.0) for trial in trials_of("random", LARGE, 10)
    ]  # of a search whose trainings took two seconds each
    trials = run_searcher(SEARCHERS["random"], LARGE, mocked_score, Budget(5, "seconds"), 0, recorded)
    assert len(list(trials)) == 3


@pytest.mark.parametrize(
    ("amount", "unit"), [(0, "trainings"), (-1, "epochs"), (5, "hours"), (float("nan"), "seconds")]
)
def test_a_wrong_budget_is_refused(amount, unit):
    with pytest.raises(ConfigError):
        Budget(amount, unit)


def test_a_space_that_is_used_up_ends_the_search():
    every = {network_key(g) for g in SMALL.genotypes()}
    for name in BY_HAND:
        trials = trials_of(name, SMALL, 10_000)
        assert {network_key(t.genotype) for t in trials} == every, name


def test_an_unknown_searcher_is_refused_with_the_list():
    with pytest.raises(UnknownNameError, match="regularised_evolution"):
        SEARCHERS["evolution"]


def test_a_generator_that_ends_ends_the_search():
    def three(space, generator):
        first, second, third = islice(space.genotypes(), 3)
        yield first
        yield second
        yield third

    assert len(list(run_searcher(three, LARGE, mocked_score, Budget(None), 0))) == 3


def test_what_a_generator_returns_is_proposed_while_a_budget_is_left():
    every = list(SMALL.genotypes())

    def first_two(space, generator):
        assert (yield every[0]) == mocked_score(every[0])
        yield every[1]
        return the_next_four()

    def the_next_four():
        for genotype in every[2:6]:
            assert (yield genotype) == mocked_score(genotype)

    for budget, trained in ((None, 2), (1, 1), (5, 5), (20, 6)):
        trials = run_searcher(first_two, SMALL, mocked_score, Budget(budget), 0)
        assert [trial.genotype for trial in trials] == every[:trained]


def test_a_searcher_that_is_no_generator_is_refused():
    with pytest.raises(ConfigError, match="list"):
        list(run_searcher(lambda space, generator: list(space.genotypes()), SMALL, mocked_score, Budget(3), 0))
