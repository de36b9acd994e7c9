"""Diagnoses of odd features: missing samples, numbers of any size, noise, shifted base rates, what is hard to find."""

import numpy as np
import pytest

from bmnas import EvalConfig, FeatureSet, SearchConfig, diagnose
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.trust.diagnosis import knowledge_of
from bmnas.trust.knowledge import CAN, CANNOT, UNDECIDED, known_by
from bmnas.trust.modality_use import modality_use
from bmnas.trust.probes import probe_data
from bmnas.trust.run_answers import train_on_train

SAMPLES = 800


def feature_set(arrays, targets):
    n = len(targets)
    splits = {"train": np.arange(n // 2), "val": np.arange(n // 2, 3 * n // 4), "test": np.arange(3 * n // 4, n)}
    return FeatureSet.from_arrays(arrays, targets, splits, L=1)


def noise(rng, columns=6, n=SAMPLES):
    return rng.standard_normal((n, columns)).astype(np.float32)


def shown(states, rng):
    """States that can be seen: (n, 4)."""
    return (3 * np.eye(4)[states] + 0.3 * rng.standard_normal((len(states), 4))).astype(np.float32)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("scale", [1e-25, 1e-13, 1e20])
def test_probes_read_the_same_in_any_unit(rng, scale):
    states = rng.integers(0, 4, SAMPLES)
    seen = shown(states, rng)
    small, large = (
        probe_data(feature_set({"A_1": np.float32(factor) * seen}, states), {"A": ("A_1",)}) for factor in (scale, 1)
    )
    np.testing.assert_allclose(small.inputs["A"], large.inputs["A"], atol=1e-4)
    np.testing.assert_allclose(large.inputs["A"][: large.train].numpy().std(0), 1, atol=1e-4)


@pytest.mark.parametrize("constant", [0.0, 1.0, 1e6, 1e-30, -0.1])
def test_a_column_that_never_changes_says_nothing(rng, constant):
    arrays = {"A_1": np.hstack([np.full((SAMPLES, 1), constant, np.float32), noise(rng, 2)])}
    read = probe_data(feature_set(arrays, np.arange(SAMPLES) % 2), {"A": ("A_1",)}).inputs["A"]
    assert not read[:, 0].any() and read[:, 1:].std() == pytest.approx(1, abs=0.1)


def test_a_sample_that_lacks_a_feature_is_its_mean(rng):
    features, _, arrays = with_missing(rng)
    data = probe_data(features, features.modalities)
    lacking = np.isnan(arrays["B_1"][data.rows, 0])
    assert lacking.any() and not data.inputs["B"][lacking].any() and data.inputs["B"][~lacking].any(1).all()
    assert data.inputs["B"][: data.train].mean(0).abs().max() < 1e-5


def test_where_nobody_knows_anything_nothing_is_said(rng):
    known = knowledge_of(feature_set({"A_1": noise(rng), "B_1": noise(rng)}, rng.integers(0, 3, SAMPLES)))
    assert known.clueless and known.verdict == UNDECIDED
    assert "enough" not in known.sentence() and "no probe knows anything" in known.sentence()


def test_other_base_rates_on_val_are_no_knowledge(rng):
    share = np.where(np.arange(SAMPLES) < SAMPLES // 2, 0.1, 0.5)  # of training rows, and of the others
    features = feature_set({"A_1": noise(rng)}, (rng.random(SAMPLES) < share).astype(int))
    known = known_by(probe_data(features, features.modalities), "A")
    assert known.low == 0 and known.mean < 0.05


@pytest.mark.slow
def test_an_exclusive_or_among_useless_columns_is_found(rng):
    """The probes that are trained first miss it: a small step in so many directions."""
    n = 2000
    a, b = rng.integers(0, 2, (2, n))
    arrays = {
        "A_1": np.hstack([shown(a, rng), noise(rng, 96, n)]),
        "B_1": np.hstack([shown(b, rng), noise(rng, 96, n)]),
    }
    known = knowledge_of(feature_set(arrays, a ^ b))
    assert known.verdict == CAN and known.headroom.mean > 0.9


@pytest.mark.slow
def test_copies_are_no_gain_over_one_of_them(rng):
    """What is hard takes many probes: late fusion of a modality and its copy has no more of them than the modality."""
    n = 2000
    points = rng.uniform(-1, 1, (n, 2)).astype(np.float32)
    targets = (np.floor((points[:, 0] + 1) * 2) + np.floor((points[:, 1] + 1) * 2)).astype(int) % 2  # a checkerboard
    known = knowledge_of(feature_set({"A_1": points, "B_1": points.copy()}, targets))
    assert known.late_gain.low <= 0 and known.verdict != CAN


def with_missing(rng):
    """A knows nothing, B shows the class; both are missing at times."""
    states = rng.integers(0, 4, SAMPLES)
    arrays = {"A_1": noise(rng), "B_1": shown(states, rng)}
    arrays["A_1"][rng.random(SAMPLES) < 0.2] = np.nan
    arrays["B_1"][(rng.random(SAMPLES) < 0.3) & ~np.isnan(arrays["A_1"][:, 0])] = np.nan
    return feature_set(arrays, states), states, arrays


def test_a_modality_that_samples_lack_is_diagnosed(rng):
    features, states, arrays = with_missing(rng)
    genotype = Genotype((CellGenotype(("A_1", "B_1"), (StepGenotype("ConcatFC", ("x", "y")),)),), 1)
    config = SearchConfig(C=8, L=1, N=1, M=1, batch_size=32, device="cpu", threads=1)
    trained, _ = train_on_train(genotype, features, config, EvalConfig(epochs=40))
    found = diagnose(features, trained)
    known, there = found.knowledge, ~np.isnan(arrays["B_1"][:, 0])
    assert known.own["A"].mean < 0.05 and known.best == "B" and known.verdict == CANNOT
    assert known.own["B"].mean == pytest.approx(2 * there.mean(), abs=0.15)  # two bits where it is there
    assert np.isfinite(found.redundancy.similarity).all() and found.redundancy.of("A_1", "B_1") < 0.1
    assert found.use is not None and np.isfinite(list(found.use.shapley.values())).all()
    assert found.use.shapley["B"] > 0.2 > abs(found.use.shapley["A"])


def test_the_share_of_a_modality_that_nobody_lacks_is_as_before(rng):
    """The mean of the rows that are there is the mean of all rows."""
    states = rng.integers(0, 4, SAMPLES)
    features = feature_set({"A_1": noise(rng), "B_1": shown(states, rng)}, states)
    genotype = Genotype((CellGenotype(("A_1", "B_1"), (StepGenotype("Sum", ("x", "y")),)),), 1)
    config = SearchConfig(C=8, L=1, N=1, M=1, batch_size=32, device="cpu", threads=1)
    trained, _ = train_on_train(genotype, features, config, EvalConfig(epochs=5))
    use = modality_use(trained, features)
    rows = features.rows("val")
    mean = features.arrays["A_1"][features.rows("train")].mean(0)
    filled = {"A_1": np.broadcast_to(mean, (len(rows), *mean.shape)), "B_1": features.arrays["B_1"][rows]}
    assert use.alone["B"] == pytest.approx(float((trained.logits(filled).argmax(1).numpy() == states[rows]).mean()))
