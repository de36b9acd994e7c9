"""The diagnosis against features whose information is known, traps, and both kinds of task."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from threadpoolctl import threadpool_info, threadpool_limits

import bmnas
from bmnas.errors import ConfigError, FeatureError, UnknownNameError
from bmnas.features.feature_set import FeatureSet
from bmnas.trust import probes
from bmnas.trust.diagnosis import diagnose, knowledge_of
from bmnas.trust.knowledge import CAN, CANNOT, UNDECIDED, Bits, Knowledge, compare_losses
from bmnas.trust.opinions import base_rates, pool
from bmnas.trust.probes import ProbeData, bits, group_numbers, probe_data, run_probe
from bmnas.trust.traps import COPIES, EXPECTED, XOR, trap
from tests.support.tiny import multilabel_features

ROWS = 400


def coded(targets, codes, **more):
    """Vectors that tell codes without error, in the middle of noise."""
    rng = np.random.default_rng(7)
    arrays = {
        name: np.concatenate([3 * np.eye(code.max() + 1)[code], rng.standard_normal((len(code), 2))], axis=1)
        for name, code in codes.items()
    }
    n = len(targets)
    splits = {"train": range(n // 2), "val": range(n // 2, 3 * n // 4), "test": range(3 * n // 4, n)}
    return FeatureSet.from_arrays(arrays, targets, {k: np.array(v) for k, v in splits.items()}, L=1, **more)


def states(seed=0, n=2 * ROWS):
    return np.random.default_rng(seed).integers(0, 4, (2, n))


def parts(found):
    assert found.decomposition is not None
    return found.decomposition.parts()


def test_a_sum_modulo_four_is_all_synergy():
    a, b = states()
    found = diagnose(coded((a + b) % 4, {"A_1": a, "B_1": b}))
    known = found.knowledge
    assert known.verdict == CAN and known.headroom.mean == pytest.approx(2, abs=0.2)
    assert known.own["A"].mean == pytest.approx(0, abs=0.1) and known.late.mean == pytest.approx(0, abs=0.1)
    assert list(parts(found).values()) == pytest.approx([0, 0, 0, 2], abs=0.25)
    assert "can help" in found.sentence() and "ranks no pair" in str(found)


def test_two_modalities_that_say_the_same_are_redundant():
    a, _ = states(1)
    found = diagnose(coded(a, {"A_1": a, "B_1": a}))
    assert found.knowledge.verdict == CANNOT
    assert list(parts(found).values()) == pytest.approx([2, 0, 0, 0], abs=0.1)


def test_each_modality_knows_its_own_part_and_late_fusion_is_enough():
    a, b = states(2) // 2
    found = diagnose(coded(2 * a + b, {"A_1": a, "B_1": b}))
    known = found.knowledge
    assert known.verdict == CANNOT and "late fusion is enough" in found.sentence()
    assert [known.own[m].mean for m in "AB"] == pytest.approx([1, 1], abs=0.1)
    assert known.late_gain.mean == pytest.approx(1, abs=0.15)
    assert list(parts(found).values())[1:3] == pytest.approx([1, 1], abs=0.2)


def test_one_modality_has_nothing_to_fuse():
    a, b = states(3, ROWS)
    found = diagnose(coded(a, {"A_1": a, "A_2": b}))
    assert found.decomposition is None and "nothing to fuse" in found.sentence()
    assert found.redundancy.merits["A_1"] > 1.5 > 0.2 > found.redundancy.merits["A_2"]


def test_of_three_modalities_the_best_is_set_against_the_rest():
    a, b = states(4)
    c = (a + b) % 2
    found = diagnose(coded(a, {"A_1": a, "B_1": b, "C_1": c}))
    assert found.decomposition and found.decomposition.second == "the rest"
    assert list(parts(found).values()) == pytest.approx([1, 1, 0, 0], abs=0.3)  # b + c tells a bit of a


def test_labels_are_counted_one_by_one():
    features = multilabel_features(n=500)
    found = diagnose(features)
    assert found.multilabel and found.knowledge.entropy == pytest.approx(1, abs=0.05)
    assert 0 < found.knowledge.own["B"].mean < found.knowledge.own["A"].mean < found.knowledge.joint.mean < 1
    assert found.knowledge.verdict == CANNOT  # each label is seen in one channel
    assert found.decomposition is not None
    assert max(found.decomposition.redundancy, found.decomposition.synergy) < 0.1 < found.decomposition.unique_second


@pytest.fixture(scope="module")
def of_copies():
    """The diagnosis of the trap of copies."""
    return diagnose(trap(COPIES, samples=400))


@pytest.mark.parametrize("name", EXPECTED)
def test_traps(name, of_copies):
    known = of_copies.knowledge if name == COPIES else knowledge_of(trap(name, samples=400))
    assert known.verdict == (CAN if name in (COPIES, XOR) else CANNOT)
    assert known.verdict in EXPECTED[name]
    assert known.verdict == CAN or known.best == "A" and "late fusion is enough" not in known.sentence()


@pytest.mark.slow
def test_eq_3_takes_the_copies(of_copies):
    assert of_copies.redundancy.best_product == ("A_1", "A_2") and "much the same" in str(of_copies)
    assert parts(of_copies)["synergy"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("samples", [-3, 0, 7, 40.0, "40", True, None])
def test_a_trap_of_no_size_is_refused(samples):
    with pytest.raises(ConfigError, match="samples is"):
        trap(COPIES, samples=samples)


def test_an_unknown_trap_is_named():
    with pytest.raises(UnknownNameError, match="copies"):
        trap("coppies")


def test_the_same_features_get_the_same_diagnosis_and_no_test_row_is_read(monkeypatch):
    monkeypatch.setattr(probes, "STEPS", 24)
    a, b = states(5, 200)
    features = coded(a, {"A_1": a, "B_1": b})
    test = features.rows("test")
    spoilt = {name: array.copy() for name, array in features.arrays.items()}
    for array in spoilt.values():
        array[test] = 1e3
    changed = FeatureSet.from_arrays(spoilt, features.targets, features.splits, L=1)
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first = diagnose(features).knowledge
    assert torch.equal(torch.random.get_rng_state(), state)
    assert knowledge_of(changed) == first


def test_few_rows_decide_nothing_and_one_is_refused():
    a, b = states(0, 40)
    few = diagnose(coded((a + b) % 4, {"A_1": a, "B_1": b}))
    assert few.knowledge.rows == 10 and few.knowledge.verdict == UNDECIDED and "10 validation rows" in few.sentence()
    a, b = states(0, 4)
    with pytest.raises(FeatureError, match="1 rows"):
        diagnose(coded(np.arange(4) % 2, {"A_1": a, "B_1": b}))


def test_nobody_gains_more_than_there_is_to_know():
    """Late fusion that is worse than the base rates, beside a joint probe that knows all."""
    a, b = (codes % 2 for codes in states(3, 64))
    known = knowledge_of(coded(a ^ b, {"A_1": a, "B_1": b}))
    for gain in (known.headroom, known.late_gain):
        assert -known.entropy <= gain.low <= gain.mean <= gain.high <= known.entropy


def bits_of(mean, half):
    return Bits(mean, mean - half, mean + half)


@pytest.mark.parametrize(
    ("headroom", "gain", "verdict", "words"),
    [
        (bits_of(0.5, 0.1), bits_of(0, 0.01), CAN, "can help here: they know +0.50 of 2.00 bits"),
        (bits_of(0.05, 0.1), bits_of(0, 0.01), UNDECIDED, "is undecided, by 100 validation rows"),
        (bits_of(0.0, 0.01), bits_of(0, 0.01), CANNOT, "A alone is enough"),
        (bits_of(0.0, 0.01), bits_of(0.5, 0.1), CANNOT, "0.50 bits more than A alone"),
        (bits_of(0.0, 0.01), bits_of(0.1, 0.2), CANNOT, "undecided"),
        (bits_of(0.02, 0.01), bits_of(0, 0.01), CANNOT, "cannot"),  # surely above 0, and surely below what matters
    ],
)
def test_the_verdict_follows_the_interval(headroom, gain, verdict, words):
    own = {"A": bits_of(1.5, 0.1), "B": bits_of(0.5, 0.1)}
    known = Knowledge(100, 2.0, own, bits_of(1.5, 0.1), bits_of(1.5, 0.1), headroom, gain)
    assert known.verdict == verdict and words in known.sentence() and known.best == "A"


# the parts


def test_bits_by_hand():
    logits = torch.tensor([[[0.0, 0.0], [np.log(3.0), 0.0]]])
    assert bits(logits, torch.tensor([0, 1]))[0].tolist() == pytest.approx([1, 2])
    assert bits(logits, torch.tensor([[0.0, 1], [1, 1]]))[0].tolist() == pytest.approx([1, (np.log2(4 / 3) + 1) / 2])


def test_base_rates_are_those_of_the_training_rows():
    targets = np.array([0] * 30 + [1] * 10 + [0, 1] * 20)
    features = coded(targets, {"A_1": targets, "B_1": targets})
    data = probe_data(features, features.modalities)
    assert base_rates(data).exp().tolist() == pytest.approx([31 / 42, 11 / 42])


def test_a_product_of_independent_opinions_is_bayes():
    """Two sources that are independent given the class: pooling their exact posteriors is as good as the joint one."""
    rng = np.random.default_rng(0)
    n = 4000
    y = rng.integers(0, 2, n)
    seen = np.where(rng.random((2, n)) < 0.8, y, 1 - y)
    features = coded(y, {"A_1": seen[0], "B_1": seen[1]})
    data = probe_data(features, features.modalities)
    rows = data.rows[data.train :]
    experts = [torch.from_numpy(np.log(np.where(np.arange(2) == s[rows, None], 0.8, 0.2)))[None] for s in seen]
    both = sum(np.log(np.where(np.arange(2) == s[rows, None], 0.8, 0.2)) for s in seen)
    exact = bits(torch.from_numpy(both)[None], data.targets[data.train :]).mean()
    pooled = bits(pool(experts, base_rates(data), data), data.targets[data.train :]).mean()
    assert float(pooled) == pytest.approx(float(exact), abs=0.02)


def test_weights_are_sought_on_one_thread_of_blas_and_the_others_are_given_back(monkeypatch):
    """OMP_NUM_THREADS does not reach the BLAS of scipy, and a problem of three numbers only waits for more threads."""
    seen, minimize = set(), optimize.minimize

    def blas_threads():
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    monkeypatch.setattr(
        optimize, "minimize", lambda *args, **more: seen.update(blas_threads()) or minimize(*args, **more)
    )
    data = ProbeData({}, torch.arange(8) % 2, 0, 2, np.arange(8))
    with threadpool_limits(limits=2, user_api="blas"):
        pool([torch.zeros(1, 8, 2)], torch.zeros(2), data)
        assert seen == {1} and blas_threads() == {2}


def test_no_row_is_scored_by_what_it_chose(monkeypatch):
    """Labels that are pure chance: whoever chose on the rows that it is scored on would seem to know something."""
    rng = np.random.default_rng(1)
    a, y = rng.integers(0, 4, 400), rng.integers(0, 2, 400)
    features = coded(y, {"A_1": a})
    data = probe_data(features, features.modalities)
    result = run_probe(data, [["A"]])
    assert result.losses.shape == (probes.SEEDS, 100) and float(result.losses.mean()) > 0.98


def test_additive_probes_do_not_see_an_exclusive_or_and_joint_ones_do():
    a, b = states(6) // 2
    features = coded(a ^ b, {"A_1": a, "B_1": b})
    data = probe_data(features, features.modalities)
    apart, together = (float(run_probe(data, blocks).losses.mean()) for blocks in ([["A"], ["B"]], [["A", "B"]]))
    assert apart > 0.95 and together < 0.1


def test_wide_features_are_projected():
    rng = np.random.default_rng(2)
    y = rng.integers(0, 2, 120)
    wide = rng.standard_normal((120, 700)).astype(np.float32)
    wide[:, :300] += 2 * y[:, None]
    splits = {"train": range(60), "val": range(60, 90), "test": range(90, 120)}
    features = FeatureSet.from_arrays({"A_1": wide, "B_1": wide[:, :3]}, y, splits, L=1)
    data = probe_data(features, features.modalities)
    assert data.inputs["A"].shape == (90, 60) and float(run_probe(data, [["A"]]).losses.mean()) < 0.2


def test_it_is_a_public_name():
    assert bmnas.diagnose.__wrapped__ is diagnose  # pyright: ignore[reportFunctionMemberAccess]


# rows that were recorded together


def repeated(features, copies, grouped):
    """The same features, each validation row as often as `copies` says; as one group, or as if each stood alone."""
    splits = {name: list(rows) for name, rows in features.splits.items()}
    rows = np.concatenate([splits["train"], np.repeat(splits["val"], copies), splits["test"]]).astype(int)
    ends = np.cumsum([0, len(splits["train"]), copies * len(splits["val"]), len(splits["test"])])
    places = dict(zip(("train", "val", "test"), map(np.arange, ends[:-1], ends[1:]), strict=True))
    arrays = {name: np.asarray(array)[rows] for name, array in features.arrays.items()}
    return FeatureSet.from_arrays(arrays, features.targets[rows], places, L=1, groups=rows if grouped else None)


def width(bits):
    return bits.high - bits.low


@pytest.mark.slow
def test_copies_of_a_row_in_a_group_prove_no_more_than_one():
    a, b = states(8, 240)
    noisy = np.where(np.random.default_rng(8).random(240) < 0.3, b, (a + b) % 4)
    features = coded(noisy, {"A_1": a, "B_1": b})
    once, grouped, alone = (
        knowledge_of(one) for one in (features, repeated(features, 8, True), repeated(features, 8, False))
    )
    assert (grouped.rows, grouped.groups) == (8 * 60, 60) and once.groups is None
    for name in ("headroom", "late_gain", "joint"):
        one, many, naive = (getattr(known, name) for known in (once, grouped, alone))
        assert (many.mean, width(many)) == pytest.approx((one.mean, width(one)), rel=0.1, abs=0.03)
        assert width(naive) < 0.6 * width(many)


@pytest.mark.parametrize("of_group", [0.0, 0.3, 1.0])
def test_intervals_hold_the_truth_where_groups_have_an_effect_of_their_own(of_group):
    """A true difference of 0, with effects of groups of unequal sizes and of probes: 95 in 100 intervals hold it."""
    rng, trials, held, naive = np.random.default_rng(3), 400, 0, 0
    names = np.repeat(np.arange(30), rng.integers(2, 12, 30))
    data = ProbeData({}, torch.zeros(len(names)), 0, 2, np.arange(len(names)), group_numbers(names))
    for _ in range(trials):
        effects = of_group * rng.standard_normal(30)[names] + 0.05 * rng.standard_normal((3, 1))
        losses = torch.from_numpy(effects + 0.3 * rng.standard_normal((3, len(names))))
        found, apart = (compare_losses(losses, torch.zeros_like(losses), d) for d in (data, replace(data, groups=None)))
        held += found.low <= 0 <= found.high
        naive += apart.low <= 0 <= apart.high
    assert held >= stats.binom.ppf(0.001, trials, 0.95)
    assert of_group == 0 or naive < 0.85 * trials  # what is mended


def test_groups_of_one_row_are_rows():
    losses = torch.from_numpy(np.random.default_rng(4).standard_normal((3, 50)))
    data = ProbeData({}, torch.zeros(50), 0, 2, np.arange(50), np.arange(50))
    found, apart = (compare_losses(losses, 0 * losses, d) for d in (data, replace(data, groups=None)))
    assert (found.mean, found.low, found.high) == pytest.approx((apart.mean, apart.low, apart.high))


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_a_group_lies_in_one_half(names):
    numbers = group_numbers(np.array(names))
    assert list(dict.fromkeys(numbers.tolist())) == list(range(len(set(names))))
    assert len(set(zip(names, numbers, strict=True))) == len(set(names))
    data = ProbeData({}, torch.zeros(len(names)), 0, 2, np.arange(len(names)), numbers)
    halves = data.halves.tolist()
    assert data.independent == len(set(names)) == len(set(zip(names, halves, strict=True)))
    assert len(set(halves)) == min(2, len(set(names)))


def test_the_order_of_several_groups_does_not_decide():
    a, b = states(0, 320)
    targets, codes = (a + b) % 4, {"A_1": a, "B_1": b}
    few, own = 10**6 + np.arange(320) // 30, np.arange(320)
    for columns in ([few, own], [own, few]):
        known = knowledge_of(coded(targets, codes, groups=np.stack(columns, axis=1)))
        assert known.groups is not None and known.groups < 5 and known.verdict == UNDECIDED
        assert f"{known.groups} groups" in known.sentence() and "no probe" not in known.sentence()


def test_few_groups_decide_nothing_and_one_is_refused():
    a, b = states(0, 320)
    targets, codes = (a + b) % 4, {"A_1": a, "B_1": b}
    few = diagnose(coded(targets, codes, groups=np.arange(320) // 8))
    assert (few.knowledge.rows, few.knowledge.groups) == (80, 10) and few.knowledge.verdict == UNDECIDED
    assert "10 groups" in few.sentence()
    with pytest.raises(FeatureError) as refused:
        diagnose(coded(targets, codes, groups=np.zeros(320, dtype=int)))
    assert "1 group " in str(refused.value)
