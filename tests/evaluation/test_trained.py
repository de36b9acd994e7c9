"""A trained network, kept in a run, loaded in another process and used on new samples."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import bmnas
from bmnas.errors import FeatureError, RunError
from bmnas.evaluation import evaluation
from bmnas.evaluation.evaluation import train_and_test
from bmnas.evaluation.trained_network import FILE, TrainedNetwork, load, train_and_save
from bmnas.searching.networks import build_network
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import CellGenotype, StepGenotype
from bmnas.storage.checkpoint import load_tensors, save_tensors
from bmnas.tasks.planted import planted_genotype
from tests.support.tiny import BUDGET, CONFIG, multilabel_features, tiny_features

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def features():
    return tiny_features()


@pytest.fixture(scope="module")
def run(features, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("trained") / "run")
    run.folder.mkdir()
    train_and_save(run, planted_genotype(features), features, CONFIG, BUDGET)
    return run


def test_predictions_are_those_of_the_evaluated_network(run, features):
    genotype = planted_genotype(features)
    network = build_network(genotype, features, CONFIG, 0)
    logits, _ = train_and_test(network, features, CONFIG.batch_size, BUDGET, 0, "cpu")
    rows = features.rows("test")
    trained = load(run)
    assert torch.equal(trained.logits(features, "cpu")[rows], logits)
    expected = [features.classes[k] for k in logits.argmax(1)]
    assert [trained.predict(features, "cpu")[row] for row in rows] == expected
    assert len(set(expected)) > 1
    np.testing.assert_allclose(trained.probabilities(features, "cpu")[rows], logits.softmax(1), rtol=1e-5)


PROGRAM = """
import json, sys
import numpy as np
import bmnas
arrays = dict(np.load(sys.argv[2]))
print(json.dumps(bmnas.load(sys.argv[1]).predict(arrays, "cpu")))
"""


def test_loaded_in_a_fresh_process_for_new_arrays(run, features, tmp_path):
    rng = np.random.default_rng(4)
    arrays = {name: rng.normal(size=(30, 6, 4)) for name in planted_genotype(features).features}
    np.savez(tmp_path / "new.npz", **arrays)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(run.folder), str(tmp_path / "new.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    expected = load(run).predict(arrays, "cpu")
    assert json.loads(done.stdout) == expected and len(expected) == 30


def test_found_by_the_name_of_the_run(run, features, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(run.folder.parent))
    monkeypatch.chdir(run.folder.parent.parent)
    assert bmnas.load("run").predict(features, "cpu") == load(run).predict(features, "cpu")


def test_many_samples_at_once_and_none_at_all(run, features):
    names = planted_genotype(features).features
    arrays = {name: np.tile(features.arrays[name], (9, 1, 1)) for name in names}  # more than one pass holds
    once = load(run).logits(features, "cpu")
    torch.testing.assert_close(load(run).logits(arrays, "cpu"), once.repeat(9, 1), rtol=1e-5, atol=1e-5)
    assert load(run).predict({name: array[:0] for name, array in arrays.items()}, "cpu") == []
    (single,) = load(run).predict({name: array[:1] for name, array in arrays.items()}, "cpu")
    assert single == load(run).predict(features, "cpu")[0]


def test_the_data_is_not_changed(run, features):
    before = {name: array.copy() for name, array in features.arrays.items()}
    load(run).predict(features, "cpu")
    assert all(np.array_equal(before[name], features.arrays[name]) for name in before)


def test_multilabel_and_vectors(tmp_path):
    features, run = multilabel_features(), Run(tmp_path / "run")
    run.folder.mkdir()
    trained = train_and_save(run, bmnas.Genotype.from_dict(MIXED), features, CONFIG, BUDGET)
    p = trained.probabilities(features, "cpu")
    assert p.shape == (240, 3) and np.allclose(p, 1 / (1 + np.exp(-trained.logits(features, "cpu").numpy())), atol=1e-6)
    expected = [[name for name, q in zip("012", row, strict=True) if q > 0.3] for row in p]
    assert trained.predict(features, "cpu") == expected
    vectors = {"A_1": features.arrays["A_1"], "B_1": features.arrays["B_1"][:, :, 0]}  # (n, C_in) as people have it
    assert trained.predict(vectors, "cpu") == expected


MIXED = {
    "r": 1,
    "cells": [{"inputs": ["A_1", "B_1"], "steps": [{"primitive": "ConcatFC", "inputs": ["x", "y"]}]}],
}


def given(features):
    return {name: features.arrays[name].copy() for name in planted_genotype(features).features}


ZERO = CellGenotype(("A_1", "B_1"), (StepGenotype("Zero", ("x", "y")),))
UNREAD = CellGenotype(("A_2", "B_2"), (StepGenotype("Sum", ("x", "y")), StepGenotype("Zero", ("x", "y"))))
FUSING = CellGenotype(("A_2", "B_2"), (StepGenotype("LinearGLU", ("x", "y")),))


@pytest.mark.parametrize(
    ("cells", "ignored"), [((ZERO,), {"B_1"}), ((ZERO, UNREAD), {"B_1", "B_2"}), ((ZERO, FUSING), {"B_1"})]
)
def test_what_no_answer_depends_on_may_be_left_out_or_missing(cells, ignored, features):
    genotype = bmnas.Genotype(cells, 1)
    network = build_network(genotype, features, CONFIG, 0).eval()
    shapes = {name: features.arrays[name].shape[1:] for name in network.reshape}
    trained = TrainedNetwork(network, features.kind, features.classes, shapes)
    assert trained.ignored == ignored and all(name in trained.describe() for name in ignored)
    whole = {name: features.arrays[name] for name in shapes}
    needed = {name: x for name, x in whole.items() if name not in ignored}
    missing = {name: np.full_like(x, np.nan) if name in ignored else x for name, x in whole.items()}
    expected = trained.logits(whole, "cpu")
    assert torch.equal(trained.logits(needed, "cpu"), expected) and torch.equal(
        trained.logits(missing, "cpu"), expected
    )
    with pytest.raises(FeatureError, match="'A_1'"):  # what it needs is still demanded
        trained.logits({name: x for name, x in whole.items() if name != "A_1"}, "cpu")
    with pytest.raises(FeatureError, match="B_1"):  # a row with a hole is damaged, and not missing
        trained.logits(whole | {"B_1": np.where(np.arange(4) == 1, np.nan, whole["B_1"])}, "cpu")


def test_bad_input(run, features):
    trained, (first, second) = load(run), planted_genotype(features).features
    cases = {
        f"the network uses the feature {second!r}, but given were: {first}": {first: given(features)[first]},
        f"feature {first!r} has the shape (128, 5, 4); expected (n, 6, 4)": {
            **given(features),
            first: given(features)[first][:, :5],
        },
        f"feature {second!r} has the shape (6, 4)": {**given(features), second: given(features)[second][0]},
        "different numbers of samples": {**given(features), first: given(features)[first][:7]},
        f"feature {first!r} is not an array of real numbers": {**given(features), first: [["a", "b"], ["c", "d"]]},
        f"feature {second!r} is not an array of real numbers": {**given(features), second: [[1.0], [1.0, 2.0]]},
    }
    for message, arrays in cases.items():
        with pytest.raises(FeatureError) as error:
            trained.predict(arrays, "cpu")
        assert message in str(error.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_input_that_is_not_finite(run, features, bad):
    arrays, name = given(features), planted_genotype(features).features[0]
    arrays[name][3, 2, 1] = bad
    with pytest.raises(FeatureError, match=f"feature '{name}' holds NaN or infinite values"):
        load(run).predict(arrays, "cpu")


def test_no_network_yet(tmp_path):
    with pytest.raises(RunError, match="network.safetensors"):
        load(Run(tmp_path / "run"))


@pytest.mark.parametrize("kept", [0, 100, -10])
def test_a_truncated_file(run, tmp_path, kept):
    broken = Run(tmp_path / "broken")
    broken.folder.mkdir()
    broken.path(FILE).write_bytes(run.path(FILE).read_bytes()[:kept])
    with pytest.raises(RunError) as error:
        load(broken)
    assert str(broken.path(FILE)) in str(error.value)


@pytest.mark.parametrize("field", ["genotype", "search", "kind", "classes", "shapes", "vectors"])
def test_a_file_that_lacks_a_field(run, tmp_path, field):
    broken = Run(tmp_path / "broken")
    broken.folder.mkdir()
    state, about = load_tensors(run.path(FILE))
    save_tensors(broken.path(FILE), state, {key: value for key, value in about.items() if key != field})
    with pytest.raises(RunError, match=rf"network\.safetensors.*{field}"):
        load(broken)


def test_weights_that_do_not_fit(run, tmp_path):
    broken = Run(tmp_path / "broken")
    broken.folder.mkdir()
    state, about = load_tensors(run.path(FILE))
    save_tensors(broken.path(FILE), {key: value for key, value in state.items() if "conv" not in key}, about)
    with pytest.raises(RunError, match="network.safetensors"):
        load(broken)


# what is trained once


@pytest.fixture
def fits(monkeypatch):
    """How often a network is trained, and how often the test split is looked at."""
    counts = {"fit": 0, "predict": 0}
    for name in counts:
        original = getattr(evaluation, name)

        def counted(*args, name=name, original=original, **more):
            counts[name] += 1
            return original(*args, **more)

        monkeypatch.setattr(evaluation, name, counted)
    return counts


def saved(run):
    return run.path(FILE).read_bytes()


def empty(folder):
    folder.mkdir()
    return Run(folder)


def test_the_first_seed_is_trained_and_tested_once(features, fits, run, tmp_path):
    genotype, two = planted_genotype(features), BUDGET.change(seeds=2)
    alone = bmnas.evaluate("x", genotype, features, CONFIG, two, empty(tmp_path / "alone"))
    assert fits == {"fit": 2, "predict": 2}
    mine = empty(tmp_path / "run")
    train_and_save(mine, genotype, features, CONFIG, two)
    assert fits == {"fit": 3, "predict": 3} and saved(mine) == saved(run)
    found = bmnas.evaluate("x", genotype, features, CONFIG, two, mine)
    assert fits == {"fit": 4, "predict": 4}  # the second seed
    assert found.to_dict() == alone.to_dict()
    train_and_save(mine, genotype, features, CONFIG, two)
    assert fits == {"fit": 4, "predict": 4}


def test_a_network_whose_score_is_known_is_trained_but_not_tested_again(features, fits, run, tmp_path):
    genotype, mine = planted_genotype(features), empty(tmp_path / "run")
    bmnas.evaluate("x", genotype, features, CONFIG, BUDGET, mine)
    before = dict(fits)
    train_and_save(mine, genotype, features, CONFIG, BUDGET)
    assert fits == {"fit": before["fit"] + 1, "predict": before["predict"]} and saved(mine) == saved(run)
    mine.path(FILE).write_bytes(saved(mine)[:100])
    train_and_save(mine, genotype, features, CONFIG, BUDGET)
    assert fits["fit"] == before["fit"] + 2 and saved(mine) == saved(run)


def test_another_network_takes_its_place(features, fits, tmp_path):
    genotype, mine, kept = planted_genotype(features), empty(tmp_path / "run"), set()
    longer, other = BUDGET.change(epochs=BUDGET.epochs + 1), CONFIG.change(dropout=0.3)
    for config, budget in ((CONFIG, BUDGET), (CONFIG, longer), (other, longer), (CONFIG, BUDGET)):
        train_and_save(mine, genotype, features, config, budget)
        kept.add(saved(mine))
    assert len(kept) == 3 and fits == {"fit": 4, "predict": 3}
