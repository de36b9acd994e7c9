"""Paired comparisons against SciPy, brute force, and a simulation of methods that are equally good."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from sklearn.metrics import f1_score

from bmnas.errors import ConfigError
from bmnas.evaluation.comparison import compare, compare_pairs, holm
from bmnas.evaluation.estimates import Estimate, estimate
from bmnas.evaluation.group_values import group_values
from bmnas.evaluation.outcomes import COUNTED, Outcomes

NULLS = [  # standard deviations of the effects of a seed, of a group, and of both together
    (0.0, 0.1, 0.3),
    (0.02, 0.0, 0.3),
    (0.02, 0.1, 0.3),
    (0.05, 0.1, 0.2),
    (0.01, 0.0, 0.1),
]
TAILS = {
    "normal": lambda rng, shape: rng.standard_normal(shape),
    "heavy": lambda rng, shape: rng.standard_t(2, shape),  # of infinite variance
}
SIZES = {  # of groups, as shares of the test samples
    "equal": lambda groups: np.full(groups, 1 / groups),
    "one of 70 %": lambda groups: np.array([0.7, *np.full(groups - 1, 0.3 / (groups - 1))]),
}
METRICS = {"multiclass": [metric for metric in COUNTED if metric != "micro F1"], "multilabel": ["weighted F1"]}


def accuracy(sums):
    return sums[..., 0] / sums[..., 1]


def right_and_one(right):
    return np.stack([right, np.ones_like(right)], axis=-1).astype(float)


def differences(rng, seeds, groups, of_seed, of_group, of_both, tail="normal"):
    noise = TAILS[tail]
    rows, columns = noise(rng, (seeds, 1)), noise(rng, (1, groups))
    return of_seed * rows + of_group * columns + of_both * noise(rng, (seeds, groups))


def answers(rng, targets, groups, seeds, tail):
    """Answers of a method that is right more often in some groups, and of some seeds, than in others."""
    noise = TAILS[tail]
    number = groups.max() + 1
    merit = 1 + 0.5 * noise(rng, (1, number)) + 0.2 * noise(rng, (seeds, 1)) + 0.3 * noise(rng, (seeds, number))
    wrong = rng.random((seeds, *targets.shape)) < (1 / (1 + np.exp(merit)))[:, groups].reshape(
        seeds, len(groups), *[1] * (targets.ndim - 1)
    )
    if targets.ndim == 2:
        return targets ^ wrong
    return np.where(wrong, (targets + rng.integers(1, 4, wrong.shape)) % 4, targets)


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize(("seeds", "groups"), [(2, 3), (2, 10), (3, 5), (3, 200), (5, 40)])
def test_equal_methods_are_called_better_in_five_per_cent_at_most(seeds, groups, tail, null):
    rng, trials = np.random.default_rng(seeds * groups), 200
    better = 0
    for _ in range(trials):
        better += estimate(differences(rng, seeds, groups, *null, tail)).interval()[0] > 0
    assert better <= stats.binom.ppf(0.999, trials, 0.05)


def test_two_seeds_that_are_alike_by_chance_prove_nothing():
    rng, trials, better = np.random.default_rng(7), 6000, 0
    of_seed, of_group = 2**0.5, (0.15 * 300) ** 0.5  # the worst ratio; no seed has groups of its own
    for _ in range(trials):
        better += estimate(differences(rng, 2, 300, of_seed, of_group, 0.0)).interval()[0] > 0
    assert better <= 0.05 * trials


@pytest.mark.parametrize(("sizes", "tail"), [("equal", "normal"), ("one of 70 %", "heavy")])
@pytest.mark.parametrize(("kind", "metric"), [(kind, metric) for kind, names in METRICS.items() for metric in names])
@pytest.mark.parametrize(("seeds", "groups"), [(2, 3), (2, 10), (3, 5)])
def test_equal_methods_are_seldom_called_better_whatever_the_score_and_the_groups(
    seeds, groups, kind, metric, tail, sizes
):
    rng, trials, better = np.random.default_rng(groups), 100, 0
    members = np.repeat(np.arange(groups), (150 * SIZES[sizes](groups)).astype(int))
    for _ in range(trials):
        shape = len(members)
        classes = rng.choice(4, shape, p=[0.6, 0.2, 0.15, 0.05])
        targets = classes if kind == "multiclass" else rng.random((shape, 3)) < 0.3
        both = [Outcomes(kind, answers(rng, targets, members, seeds, tail), targets, members, "", metric) for _ in "ab"]
        values = [group_values(each.score, each.counts(), members) for each in both]
        (comparison,) = compare("a", dict(zip("ab", values, strict=True)))
        better += comparison.verdict == "better"
    assert better <= stats.binom.ppf(0.999, trials, 0.05)


def test_of_many_equal_rivals_hardly_one_is_called_worse():
    rng, trials, wrong = np.random.default_rng(1), 300, 0
    for _ in range(trials):
        scores = {str(i): 0.8 + differences(rng, 3, 60, 0.01, 0.05, 0.2) for i in range(7)}
        wrong += any(comparison.verdict == "better" for comparison in compare("0", scores))
    assert wrong <= stats.binom.ppf(0.999, trials, 0.05)


def test_a_true_difference_is_seen():
    rng = np.random.default_rng(2)
    ours = 0.9 + differences(rng, 5, 200, 0.005, 0.05, 0.2)
    (found,) = compare("ours", {"ours": ours, "rival": ours - 0.1 + differences(rng, 5, 200, 0.005, 0.02, 0.1)})
    assert found.verdict == "better" and found.low > 0.05 and found.high < 0.15
    (reverse,) = compare("rival", {"ours": ours, "rival": ours - 0.1})
    assert reverse.verdict == "worse"


def test_groups_alone_are_the_paired_t_test():
    rng = np.random.default_rng(3)
    column = rng.standard_normal(50)
    equal_seeds = np.tile(column, (4, 1))
    known = estimate(equal_seeds)
    reference = stats.ttest_1samp(column, 0)
    interval = reference.confidence_interval(0.95)
    expected = (column.mean(), reference.pvalue, interval.low, interval.high)
    assert (known.mean, known.p_value, *known.interval()) == pytest.approx(expected)


def test_seeds_alone_are_the_paired_t_test():
    row = np.array([0.1, 0.3, 0.2, 0.25])
    reference = stats.ttest_1samp(row, 0)
    interval = reference.confidence_interval(0.95)
    for known in (estimate(np.tile(row[:, None], (1, 30))), estimate(row)):
        assert (known.p_value, *known.interval()) == pytest.approx((reference.pvalue, interval.low, interval.high))


@pytest.mark.parametrize("shape", [(1, 500), (5, 1), (1, 1)])
def test_one_seed_or_one_group_proves_nothing(shape):
    known = estimate(np.full(shape, 0.3))
    assert (known.p_value, *known.interval()) == (1.0, -np.inf, np.inf)
    (comparison,) = compare("a", {"a": np.full(shape, 0.9), "b": np.full(shape, 0.1)})
    assert comparison.verdict == "undecided"


def test_copies_of_a_sample_in_a_group_prove_no_more_than_one():
    rng = np.random.default_rng(4)
    ours, rival = rng.random((2, 3, 40)) < np.array([0.8, 0.7])[:, None, None]
    groups = np.arange(40)

    def scores(right, copies):
        wide = np.repeat(right, copies, axis=1)
        names = np.repeat(groups, copies)
        return group_values(accuracy, right_and_one(wide), names)

    once, often = (compare("a", {"a": scores(ours, n), "b": scores(rival, n)})[0] for n in (1, 10))
    assert (once.low, once.high) == pytest.approx((often.low, often.high))


@given(arrays(bool, st.integers(2, 30)), st.data())
def test_the_values_of_equal_groups_are_their_means(right, data):
    size = data.draw(st.sampled_from([n for n in range(1, len(right) + 1) if len(right) % n == 0]))
    groups = np.arange(len(right)) // size
    (values,) = group_values(accuracy, right_and_one(right)[None], groups).terms
    assert values[0] == pytest.approx(right.reshape(-1, size).mean(1))


def test_the_values_of_f1_are_its_jackknife():
    rng = np.random.default_rng(5)
    targets, predicted = rng.random((2, 24, 3)) < 0.5
    groups = rng.permutation(np.arange(24) // 3)

    outcomes = Outcomes("multilabel", predicted[None], targets, groups, "")

    def score(rows):
        return float(f1_score(targets[rows], predicted[rows], average="weighted", zero_division=1))

    (values,) = group_values(outcomes.score, outcomes.counts(), groups).terms
    for g, value in enumerate(values[0]):
        assert value == pytest.approx(8 * score(np.arange(24)) - 7 * score(np.flatnonzero(groups != g)))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_test_of_bonferroni(p_values):
    numbers = range(len(p_values))
    subsets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(numbers, size)]
    expected = [max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in subsets if j in s) for j in numbers]
    assert holm(p_values) == pytest.approx(expected)


def holds_zero(printed):
    """Whether an interval as people read it, `-0.10 to +0.94`, holds 0; one without ends holds everything."""
    low, high = map(float, printed.split(" to ")) if printed else (-np.inf, np.inf)
    return low <= 0 <= high


@given(st.integers(1, 6), st.sampled_from([(1, 20), (2, 8), (3, 20), (3, 1)]), st.integers(0, 10**6), st.data())
def test_a_printed_interval_excludes_zero_exactly_where_the_verdict_is_decided(rivals, shape, seed, data):
    rng = np.random.default_rng(seed)
    effects = data.draw(st.lists(st.sampled_from([0.0, 1e-6, 0.02, 0.05, 0.5]), min_size=rivals, max_size=rivals))
    spread = data.draw(st.sampled_from([0.0, 1e-7, 0.05, 0.3]))
    noise = [spread * rng.standard_normal(shape) for _ in effects]
    pairs = {str(i): (e + x, np.zeros(shape)) for i, (e, x) in enumerate(zip(effects, noise, strict=True))}
    for one in compare_pairs("a", pairs):
        assert (one.verdict == "undecided") == (not one.p_value < 0.05), one
        for digits in (1, 2):
            assert (one.verdict == "undecided") == holds_zero(one.ends(digits)), one
        assert one.low <= one.difference <= one.high
        assert {one.verdict, one.turned().verdict} in ({"undecided"}, {"better", "worse"})


def test_the_intervals_are_at_the_levels_at_which_holm_tests():
    rng = np.random.default_rng(8)
    pairs = {str(effect): (effect + rng.standard_normal((9, 1)), np.zeros((9, 1))) for effect in (9.0, 1.0, 0.0, -0.1)}
    pairs = {name: (mine[:, 0], other[:, 0]) for name, (mine, other) in pairs.items()}
    reference = {name: stats.ttest_1samp(mine, 0) for name, (mine, _) in pairs.items()}
    order = sorted(reference, key=lambda name: reference[name].pvalue)
    failed = next(i for i, name in enumerate(order) if reference[name].pvalue >= 0.05 / (4 - i))
    assert failed > 0
    for one in compare_pairs("a", pairs):
        place = min(order.index(one.rival), failed)
        expected = reference[one.rival].confidence_interval(1 - 0.05 / (4 - place))
        assert (one.low, one.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize(("mine", "other"), [(3, 5), (2, 6), (5, 2)])
@pytest.mark.parametrize("groups", [0, 8, 60])  # none: seeds alone
@pytest.mark.parametrize("null", NULLS)
def test_equal_methods_of_unequal_seeds_are_seldom_called_better(mine, other, groups, null):
    rng, trials, better = np.random.default_rng(mine * other + groups), 300, 0
    for _ in range(trials):
        first, second = (differences(rng, seeds, max(groups, 1), *null) for seeds in (mine, other))
        pair = (first, second) if groups else (first[:, 0], second[:, 0])
        (comparison,) = compare_pairs("a", {"b": pair})
        assert (comparison.seeds, comparison.rival_seeds) == (mine, other)
        better += comparison.verdict == "better"
    assert better <= stats.binom.ppf(0.999, trials, 0.05)


def test_unequal_seeds_alone_are_the_test_of_welch():
    rng = np.random.default_rng(10)
    mine, other = rng.standard_normal(4), 2 * rng.standard_normal(7)
    (one,) = compare_pairs("a", {"b": (mine, other)})
    reference = stats.ttest_ind(mine, other, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert (one.p_value, one.low, one.high) == pytest.approx((reference.pvalue, interval.low, interval.high))


@given(st.floats(0, 1), st.floats(0, 2), st.floats(1, 50), st.integers(2, 500))
def test_the_interval_of_a_share_stays_within_its_range_and_holds_the_mean(mean, error, freedom, independent):
    low, high = Estimate(mean, error, freedom).share_interval(independent)
    assert 0 <= low <= mean <= high <= 1


@pytest.mark.parametrize(("right", "samples"), [(0, 12), (12, 12), (7, 12), (188, 200)])
def test_the_interval_of_a_share_of_many_seeds_alike_is_that_of_wilson(right, samples):
    outcomes = (np.arange(samples) < right).astype(float)
    known = estimate(np.tile(outcomes, (2, 1)))
    low, high = known.share_interval(samples)
    t = stats.t.ppf(0.975, samples - 1)
    roots = [p for p in np.linspace(0, 1, 200_001) if (p - right / samples) ** 2 <= t**2 * p * (1 - p) / samples]
    assert (low, high) == pytest.approx((min(roots), max(roots)), abs=0.01)


def test_an_untrained_rival_stands_beside_every_seed():
    rng = np.random.default_rng(6)
    trained, untrained = rng.random((3, 20)), rng.random((1, 20))
    (once,) = compare("a", {"a": trained, "b": untrained})
    (tiled,) = compare("a", {"a": trained, "b": np.tile(untrained, (3, 1))})
    assert once == tiled and once.seeds == 3


@pytest.mark.parametrize(
    ("name", "scores", "names"),
    [
        ("c", {"a": np.ones((2, 3)), "b": np.ones((2, 3))}, "'c'"),
        ("a", {"a": np.ones((2, 3)), "b": np.ones((2, 4))}, "(2, 4)"),
        ("a", {"a": np.ones((2, 3)), "b": np.ones((3, 3))}, "(3, 3)"),
        ("a", {"a": np.ones((2, 3)), "b": np.full((2, 3), np.nan)}, "(2, 3)"),
    ],
)
def test_scores_that_cannot_be_compared_are_named(name, scores, names):
    with pytest.raises(ConfigError) as refused:
        compare(name, scores)
    assert names in str(refused.value)
