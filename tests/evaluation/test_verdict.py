"""The verdict that people read: what it needs, and that equal methods are hardly ever called better."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score

from bmnas.errors import ConfigError
from bmnas.evaluation.outcomes import COUNTED, Outcomes, pack, unpack
from bmnas.evaluation.results import Evaluation, compare_results, verdict
from tests.support.methods import draw, evaluation
from widgets.results.methods import score_frame, scores_of_methods


@pytest.mark.parametrize(("seeds", "rivals"), [(1, 1), (2, 1), (3, 1), (5, 1), (3, 6)])
def test_equal_methods_are_called_better_in_five_per_cent_of_readings_at_most(seeds, rivals):
    rng, trials, lines, tables = np.random.default_rng(seeds), 300, 0, 0
    groups = np.repeat(np.arange(30), 5)
    for _ in range(trials):
        results = [evaluation(str(i), draw(rng, seeds, 30, 5), groups) for i in range(rivals + 1)]
        lines += "better" in verdict(results, "0")
        tables += "better" in score_frame(scores_of_methods(results, ["0"])).to_string()
    assert max(lines, tables) <= stats.binom.ppf(0.999, trials, 0.05)
    assert seeds > 1 or lines == 0


def test_seeds_alone_call_equal_methods_better_in_five_per_cent_at_most():
    rng, trials, lines = np.random.default_rng(9), 400, 0
    for _ in range(trials):
        ours, rival = (Evaluation(name, "accuracy", tuple(0.8 + 0.02 * rng.standard_normal(3))) for name in "ab")
        lines += "better" in verdict([ours, rival], "a")
    assert lines <= stats.binom.ppf(0.999, trials, 0.05)


def test_what_differs_is_called_better_and_the_reverse_worse():
    rng, groups = np.random.default_rng(1), np.arange(400)
    good, bad = (evaluation(name, draw(rng, 3, 400, 1, skill), groups) for name, skill in (("g", 0.9), ("b", 0.6)))
    assert [compare_results([good, bad], name)[0].verdict for name in "gb"] == ["better", "worse"]
    assert "better" in verdict([good, bad], "g") and "worse" in verdict([good, bad], "b")


def test_an_untrained_rival_stands_beside_every_seed_and_a_trained_one_with_one_seed_proves_nothing():
    rng, groups = np.random.default_rng(2), np.arange(300)
    ours = evaluation("ours", draw(rng, 4, 300, 1, 0.95), groups)
    fixed, once = (
        evaluation(name, draw(rng, 1, 300, 1, 0.5), groups, size) for name, size in (("fixed", 0), ("once", 9))
    )
    comparisons = compare_results([ours, fixed, once], "ours")
    verdicts = {one.rival: (one.verdict, one.seeds, one.rival_seeds) for one in comparisons}
    assert verdicts == {"fixed": ("better", 4, 4), "once": ("undecided", 4, 1)}


@st.composite
def methods(draw_one):
    """Methods with scores of any kind and number of seeds, with and without their answers, tested on some groups."""
    rng = np.random.default_rng(draw_one(st.integers(0, 10**6)))
    metric, groups, size = draw_one(st.sampled_from(COUNTED)), draw_one(st.integers(1, 12)), draw_one(st.integers(1, 4))
    members = np.repeat(np.arange(groups), size)
    targets = rng.integers(0, 3, len(members))
    results = []
    for name in "abcd"[: draw_one(st.integers(2, 4))]:
        seeds, skill = draw_one(st.integers(1, 5)), draw_one(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
        right = rng.random((seeds, len(members))) < skill
        answers = np.where(right, targets, (targets + rng.integers(1, 3, right.shape)) % 3)
        outcomes = Outcomes("multiclass", answers, targets, members, "one", metric)
        scores = tuple(map(float, outcomes.score(outcomes.counts().sum(1))))
        kept = outcomes if draw_one(st.booleans()) else None
        results.append(Evaluation(name, metric, scores, parameters=draw_one(st.integers(0, 1)), outcomes=kept))
    return results


@given(methods())
def test_a_printed_difference_is_that_of_the_printed_scores_and_no_score_leaves_its_range(results):
    rows = score_frame(scores_of_methods(results, ["a"])).to_dict("records")
    column = next(name for name in rows[0] if str(name).endswith("[%]"))
    for row in rows:
        mean = float(row[column])
        if row["95 % interval"] != "-":
            low, high = map(float, row["95 % interval"].split(" to "))
            assert 0 <= low <= round(mean, 2) <= high <= 100
        if row["method"] != "a":
            difference, _, ends = row["a less this"].partition(" (")
            assert float(difference) == pytest.approx(float(rows[0][column]) - mean, abs=0.0051)
            low, high = map(float, ends[:-1].split(" to ")) if ends else (-np.inf, np.inf)
            assert (row["a is"] == "undecided") == (low <= 0 <= high)


@pytest.mark.parametrize("seeds", [(3, 5), (5, 3), (2, 5)])
def test_equal_methods_of_unequal_seeds_are_called_better_in_five_per_cent_of_readings_at_most(seeds):
    rng, trials, better = np.random.default_rng(sum(seeds)), 300, 0
    groups = np.repeat(np.arange(30), 5)
    for _ in range(trials):
        results = [evaluation(name, draw(rng, n, 30, 5), groups) for name, n in zip("ab", seeds, strict=True)]
        better += "better" in verdict(results, "a")
    assert better <= stats.binom.ppf(0.999, trials, 0.05)


def test_the_same_samples_in_groups_prove_less():
    rng = np.random.default_rng(3)
    once = [np.repeat(draw(rng, 1, 40, 1), 10, axis=1) for _ in range(2)]  # ten copies of each of 40 samples
    answers = [np.repeat(each, 3, axis=0) for each in once]
    widths = []
    for groups in (np.arange(400), np.repeat(np.arange(40), 10)):
        (one,) = compare_results([evaluation(name, a, groups) for name, a in zip("ab", answers, strict=True)], "a")
        widths.append(one.high - one.low)
    assert widths[1] > 2 * widths[0]


def test_methods_tested_on_other_samples_are_not_compared():
    right, groups = np.ones((2, 5)), np.arange(5)
    with pytest.raises(ConfigError, match="different samples"):
        verdict([evaluation("a", right, groups), evaluation("b", right, groups, split="other")], "a")
    with pytest.raises(ConfigError, match="'c'"):
        verdict([evaluation("a", right, groups)], "c")


@given(arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=6)), st.integers(0, 99))
def test_scores_of_answers_are_those_of_scikit_learn(answers, seed):
    rng = np.random.default_rng(seed)
    targets = rng.random(answers.shape[1:]) < 0.5
    outcomes = Outcomes("multilabel", answers, targets, np.arange(len(targets)), "")
    if targets.any() and targets.shape[1] > 1:  # of one label scikit-learn makes two classes
        expected = [f1_score(targets, each, average="weighted", zero_division=1) for each in answers]
        assert outcomes.score(outcomes.counts().sum(1)) == pytest.approx(expected)
    first, numbers = answers[:, :, 0].astype(int), targets[:, 0].astype(int)
    single = Outcomes("multiclass", first, numbers, np.arange(len(targets)), "")
    assert single.score(single.counts().sum(1)) == pytest.approx([accuracy_score(numbers, each) for each in first])


@given(arrays(np.int64, st.integers(1, 40), elements=st.integers(0, 65535)))
def test_class_numbers_there_and_back(numbers):
    assert np.array_equal(unpack(pack(numbers), "multiclass", numbers.shape), numbers)


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9)))
def test_labels_there_and_back(labels):
    assert np.array_equal(unpack(pack(labels), "multilabel", labels.shape), labels)


def test_an_old_result_that_knows_one_group_a_sample_is_compared_by_all():
    rng = np.random.default_rng(5)
    pairs = np.stack([np.arange(120) // 4, 30 + np.arange(120) % 30], axis=1)
    ours, rival = draw(rng, 3, 120, 1), draw(rng, 3, 120, 1)
    new = [evaluation(name, answers, pairs) for name, answers in (("a", ours), ("b", rival))]
    old = evaluation("b", rival, pairs[:, 0])
    (expected,) = compare_results(new, "a")
    assert compare_results([new[0], old], "a") == [expected]
    assert compare_results([old, new[0]], "b") == [expected.turned()]


def test_of_different_groups_the_coarser_count():
    rng = np.random.default_rng(6)
    ours, rival = (draw(rng, 3, 120, 1) for _ in range(2))
    coarse = [evaluation(name, answers, np.arange(120) % 10) for name, answers in (("a", ours), ("b", rival))]
    fine = evaluation("a", ours, np.arange(120))
    assert compare_results([fine, coarse[1]], "a") == compare_results(coarse, "a")
    assert compare_results([fine, coarse[1]], "b") == compare_results(coarse, "b")
