"""Samples of several groups, as pairs of drawings are: against brute force, and a simulation of equal methods."""

import itertools
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bmnas.evaluation.comparison import compare
from bmnas.evaluation.estimates import estimate
from bmnas.evaluation.group_values import group_values
from bmnas.registry import TASKS


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def split(right, groups):
    """The accuracies of answers that are right or not, (S, n), by groups."""
    return group_values(accuracy, np.stack([right, np.ones_like(right)], -1).astype(float), groups)


@lru_cache
def pairs_of_task(name):
    task = TASKS[name]
    assert task.open_raw is not None
    raw = task.open_raw(task.options, Path(), None)
    assert raw.groups is not None
    return raw.groups[raw.splits["test"]]


def crossing(rng, first, second, samples):
    return np.stack([rng.integers(0, first, samples), first + rng.integers(0, second, samples)], 1)


def pairs_of(rng, things, samples):
    return np.array([rng.choice(things, 2, replace=False) for _ in range(samples)])


GROUPS = {
    "twodigits": lambda rng: pairs_of_task("twodigits"),
    "ink": lambda rng: pairs_of_task("ink")[:1000],
    "5 speakers, 4 rooms": lambda rng: crossing(rng, 5, 4, 200),
    "40 speakers, 3 rooms": lambda rng: crossing(rng, 40, 3, 300),
    "pairs of 12": lambda rng: pairs_of(rng, 12, 200),
    "two that hold much": lambda rng: np.repeat(np.r_[np.arange(200) % 2, 10 + np.arange(100)][:, None], 2, axis=1),
    "pairs with one of two": lambda rng: rng.permuted(np.stack([np.arange(300) % 2, 10 + np.arange(300)], 1), axis=1),
}
MERITS = {  # of a sample, by the merits of groups (1, G) and its two groups
    "first": lambda merits, first, second: merits[:, first],
    "second": lambda merits, first, second: merits[:, second],
    "both": lambda merits, first, second: merits[:, first] + merits[:, second],
}


@pytest.mark.parametrize("merit", MERITS)
@pytest.mark.parametrize("name", GROUPS)
def test_equal_methods_are_seldom_called_better_whichever_group_their_errors_follow(name, merit):
    rng, trials, better = np.random.default_rng(0), 80, 0
    groups = GROUPS[name](rng)
    first, second = np.unique(groups, return_inverse=True)[1].reshape(groups.shape).T
    for _ in range(trials):
        values = {}
        for method in "ab":
            merits = rng.standard_normal((1, max(first.max(), second.max()) + 1))
            noise = 0.1 * rng.standard_normal((3, 1)) + 0.5 * rng.standard_normal((3, len(groups)))
            chance = 1 / (1 + np.exp(-1.5 * (1.2 + MERITS[merit](merits, first, second) + noise)))
            values[method] = split(rng.random(chance.shape) < chance, groups)
        (comparison,) = compare("a", values)
        better += comparison.verdict == "better"
    assert better <= stats.binom.ppf(0.99, trials, 0.05)


@pytest.mark.parametrize("name", ["twodigits", "ink", "pairs of 12"])
def test_the_squared_error_sums_over_all_samples_that_share_a_group(name):
    rng = np.random.default_rng(1)
    groups = GROUPS[name](rng)
    easy = rng.standard_normal(groups.max() + 1)
    right = (rng.standard_normal(len(groups)) < 0.5 + easy[groups].sum(1)).astype(float)
    share = (groups[:, None, :, None] == groups[None, :, None, :]).any((-1, -2))
    rest = right - right.mean()
    expected = rest @ share @ rest / len(rest) ** 2
    known = estimate(split(np.tile(right, (2, 1)), groups))
    things = len(np.unique(groups))
    assert known.error**2 == pytest.approx(expected, rel=8 / things)
    assert known.mean == pytest.approx(right.mean(), abs=1 / things)


@given(st.integers(2, 40), st.integers(1, 8), st.integers(0, 10**6))
def test_a_group_named_twice_is_one_group(samples, number, seed):
    rng = np.random.default_rng(seed)
    right, groups = rng.random((3, samples)) < 0.7, rng.integers(0, number, samples)
    once, column, twice = (split(right, table) for table in (groups, groups[:, None], np.stack([groups] * 2, 1)))
    for other in (column, twice):
        assert len(other.terms) == 1 and np.array_equal(other.terms[0], once.terms[0])
        assert other.independent == once.independent == len(np.unique(groups))


@given(st.integers(2, 30), st.integers(1, 3), st.integers(0, 10**6))
def test_the_order_of_columns_and_samples_changes_nothing(samples, columns, seed):
    rng = np.random.default_rng(seed)
    right, groups = rng.random((3, samples)) < 0.7, rng.integers(0, 5, (samples, columns))
    order = rng.permutation(samples)
    known = estimate(split(right, groups))
    for other in (split(right[:, order], groups[order]), split(right, groups[:, ::-1])):
        assert estimate(other).error == pytest.approx(known.error)


@given(st.integers(2, 12), st.integers(2, 4), st.integers(0, 10**6))
def test_the_values_are_the_jackknife_of_all_sets_of_groups(samples, columns, seed):
    rng = np.random.default_rng(seed)
    right, groups = rng.random((1, samples)) < 0.7, rng.integers(0, 5, (samples, columns))
    members = [frozenset(row) for row in groups.tolist()]
    values = split(right, groups)
    if frozenset.intersection(*members):
        assert values.independent == 1 and estimate(np.repeat(values.terms[0], 2, axis=0)).error == np.inf
        return
    for place, term in enumerate(values.terms):
        sets = sorted({s for row in members for s in itertools.combinations(sorted(row), place + 1)})
        kept = [[not set(each) <= row for row in members] for each in sets]
        expected = [len(sets) * right.mean() - (len(sets) - 1) * right[0, rows].mean() for rows in kept]
        assert term[0] == pytest.approx(np.array(expected))


@given(st.lists(st.integers(1, 30), min_size=2, max_size=40))
def test_groups_of_unequal_size_count_as_fewer(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    values = split(np.ones((2, len(groups))), groups)
    shares = np.array(sizes) / sum(sizes)
    assert values.effective == pytest.approx(max(2, (shares**2).sum() ** 2 / (shares**4).sum()))
    assert 2 <= values.effective <= values.independent + 1e-9 == len(sizes) + 1e-9


def test_samples_that_all_share_a_group_prove_nothing():
    right = np.random.default_rng(2).random((2, 3, 20)) < np.array([0.9, 0.2])[:, None, None]
    groups = np.stack([np.arange(20), np.full(20, 99)], 1)
    (one,) = compare("a", {name: split(rows, groups) for name, rows in zip("ab", right, strict=True)})
    assert one.verdict == "undecided" and one.high == np.inf
