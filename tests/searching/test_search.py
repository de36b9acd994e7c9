"""Algorithm 1: what an epoch does and does not touch, determinism, resume, divergence, and a planted answer."""

import json
import math
import os
import random
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, SearchDiverged
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.algorithm1 import Algorithm1, Search, search
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import Trace
from bmnas.space.derivation import derive
from bmnas.storage.checkpoint import load_state
from bmnas.tasks.planted import planted_features, planted_genotype
from bmnas.training import metrics
from bmnas.training.steps import batch_starts, batches
from tests.support.tiny import (
    CONFIG,
    FIVE_EPOCHS,
    TWO_CELLS,
    diverging,
    multilabel_features,
    seen_rows,
    split_of,
    tiny_features,
)

ROOT = Path(__file__).resolve().parents[2]


def records(events):
    return [event.record() for event in events]


def snapshot(parameters):
    return [parameter.detach().clone() for parameter in parameters]


def equal(before, parameters):
    return all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))


# events


def test_fields_of_the_events():
    features = tiny_features()
    events = list(search(features, TWO_CELLS))
    assert [event.epoch for event in events] == [1, 2, 3, 4]
    assert {event.epochs for event in events} == {4} and {event.metric for event in events} == {"accuracy"}
    best, best_epoch = -1.0, 0
    for event in events:
        assert event.is_best == (event.val_score > best)
        if event.is_best:
            best, best_epoch = event.val_score, event.epoch
        assert (event.best_score, event.best_epoch) == (best, best_epoch)
        assert event.train_loss > 0 and event.val_loss > 0
        assert 0 <= event.train_score <= 1 and 0 <= event.val_score <= 1
        assert event.genotype == derive(event.architecture, 2)
        assert event.seconds > 0 and event.peak_memory_mb > 10
        assert event.seconds_left == pytest.approx(event.seconds * (4 - event.epoch))
        assert list(event.architecture.alpha["Cell_2"]) == [*features.names, "Cell_1"]
        assert sum(event.architecture.gamma["Cell_1"]["Step_2"].values()) == pytest.approx(1, abs=1e-6)


def test_the_last_learning_rate_of_each_epoch():
    events = list(search(tiny_features(), CONFIG))  # 4 steps an epoch; periods of 1, 2 and 4 epochs
    low, high = CONFIG.min_lr, CONFIG.max_lr
    parts = [3 / 4, 3 / 8, 7 / 8, 3 / 16]
    expected = [low + (high - low) * (1 + math.cos(math.pi * part)) / 2 for part in parts]
    assert [event.lr for event in events] == pytest.approx(expected, rel=1e-9)


def test_scores_are_the_hypernets_in_eval_mode():
    features = tiny_features()
    state = Search(features, TWO_CELLS)
    event = state.run_epoch()
    rows = torch.from_numpy(features.rows("val"))
    arrays = {name: torch.from_numpy(array)[rows] for name, array in features.arrays.items()}
    targets = torch.from_numpy(features.targets)[rows]
    with torch.no_grad():
        logits = state.hypernet.eval()(arrays)
    assert event.val_score == (logits.argmax(1) == targets).double().mean()
    assert event.val_loss == pytest.approx(torch.nn.functional.cross_entropy(logits, targets).item(), rel=1e-6)


def test_a_trace_of_a_multilabel_search():
    features = multilabel_features()
    events = Trace(search(features, CONFIG.change(epochs=10, C=8, max_lr=1e-2)))
    assert events.best.metric == "weighted F1"
    targets = torch.from_numpy(features.targets[features.rows("val")])
    everything = metrics.score("multilabel", torch.ones_like(targets), targets)
    assert events.best.best_score > everything + 0.1


# determinism


def test_two_searches_in_one_process_are_the_same():
    features = tiny_features()
    first = records(search(features, TWO_CELLS))
    torch.randn(7)
    assert records(search(features, TWO_CELLS)) == first
    assert records(search(features, TWO_CELLS.change(seed=1))) != first


PROGRAM = """
import json, sys
from bmnas.searching.algorithm1 import search
from tests.support.tiny import TWO_CELLS, tiny_features
open(sys.argv[1], "w").write(json.dumps([event.record() for event in search(tiny_features(), TWO_CELLS)]))
"""


def test_a_fresh_process_finds_the_same(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "there.json")]
    subprocess.run(command, env=environment, cwd=ROOT, check=True)
    assert (tmp_path / "there.json").read_text() == json.dumps(records(search(tiny_features(), TWO_CELLS)))


def test_a_watcher_that_draws_random_numbers_changes_nothing():
    features, watched = tiny_features(), []
    undisturbed = records(search(features, TWO_CELLS))
    for event in search(features, TWO_CELLS):
        torch.manual_seed(event.epoch)
        torch.rand(5)
        watched.append(event.record())
    assert watched == undisturbed


def test_a_search_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    list(search(tiny_features(), TWO_CELLS.change(epochs=1)))
    assert torch.equal(torch.rand(4), expected)


# resume


def assert_same_run(run, whole):
    assert run.path("trace.jsonl").read_bytes() == whole.path("trace.jsonl").read_bytes()
    ours, theirs = (dict(flat(load_state(r.path("checkpoint.safetensors")))) for r in (run, whole))
    assert list(ours) == list(theirs)
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, torch.Tensor) else value == theirs[key], key
    assert run.trace().best.genotype == whole.trace().best.genotype


def flat(value, where=""):
    """(path, leaf) of a nested state."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        yield where, value
        return
    for key, part in parts:
        yield from flat(part, f"{where}/{key}")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted run of each mode."""
    found = {}
    for name, config in FIVE_EPOCHS.items():
        found[name] = Run(tmp_path_factory.mktemp("whole") / name)
        assert len(list(search(tiny_features(), config, found[name]))) == 5
    return found


@pytest.mark.parametrize("mode", FIVE_EPOCHS)
@pytest.mark.parametrize("stop", [1, 2, 3, 4, 5])
def test_resumed_after_any_epoch(whole, tmp_path, mode, stop):
    features, config, run = tiny_features(), FIVE_EPOCHS[mode], Run(tmp_path / "run")
    going = search(features, config, run)
    seen = [next(going).record() for _ in range(stop)]
    going.close()
    again = records(search(features, config, run))
    assert again[:stop] == seen and [record["epoch"] for record in again] == [1, 2, 3, 4, 5]
    assert_same_run(run, whole[mode])


def test_interrupted_after_every_epoch(whole, tmp_path):
    features, run = tiny_features(), Run(tmp_path / "run")
    for stop in (1, 2, 3, 4, 5):
        for event in search(features, FIVE_EPOCHS["paper"], run):
            if event.epoch == stop:
                break
    assert_same_run(run, whole["paper"])


def search_slowly(run):
    for _ in search(tiny_features(), FIVE_EPOCHS["paper"], run):
        time.sleep(0.02)


@pytest.mark.parametrize("moment", [0.02, 0.2])
def test_killed_at_any_moment(whole, tmp_path, moment):
    run = Run(tmp_path / "run")
    process = get_context("forkserver").Process(target=search_slowly, args=(run,))
    process.start()
    deadline = time.monotonic() + 60
    while not run.path("trace.jsonl").exists() and time.monotonic() < deadline and process.is_alive():
        time.sleep(0.002)
    time.sleep(moment * random.random())
    process.kill()
    process.join()
    assert run.path("trace.jsonl").exists()
    assert len(list(search(tiny_features(), FIVE_EPOCHS["paper"], run))) == 5
    assert_same_run(run, whole["paper"])


# divergence


def test_a_lost_search_names_the_epoch_and_keeps_the_last_good_checkpoint(tmp_path):
    features, run = tiny_features(), Run(tmp_path / "run")
    going = search(features, CONFIG, run)
    next(going)
    next(going)
    kept = run.path("checkpoint.safetensors").read_bytes()
    state = Search(features, CONFIG)
    state.load_state_dict(run.load_checkpoint())
    with torch.no_grad():
        state.hypernet.classifier.linear.weight.fill_(float("inf"))
    with pytest.raises(SearchDiverged, match="epoch 3 of 4.*epoch 2"):
        state.run_epoch()
    assert state.epoch == 2
    assert run.path("checkpoint.safetensors").read_bytes() == kept
    going.close()
    assert len(list(search(features, CONFIG, run))) == 4


def test_a_learning_rate_that_diverges(tmp_path):
    run = Run(tmp_path / "run")
    config = CONFIG.change(mode="reference")
    with diverging(), pytest.raises(SearchDiverged, match="epoch 1 of 4"):
        list(search(tiny_features(), config, run))
    assert len(run.trace()) == 0 and run.load_checkpoint() is None


# what a step touches


def test_warmup_leaves_the_architecture_where_it_was():
    state = Search(tiny_features(), TWO_CELLS.change(warmup_epochs=2))
    before = snapshot(state.choices)
    for _ in range(2):
        state.run_epoch()
        assert equal(before, state.choices)
    state.run_epoch()
    assert not any(torch.equal(a, b) for a, b in zip(before, state.choices, strict=True))


def test_the_architecture_moves_well_beyond_where_it_began():
    features = planted_features(K=4, samples=256, channels=8)
    movement = Trace(search(features, CONFIG.change(epochs=6, C=8))).movement()
    assert movement["alpha"] > 0.02 and movement["gamma"] > 0.005  # 0.0003 at the start


def test_weight_steps_leave_the_architecture_and_architecture_steps_the_weights():
    state = Search(tiny_features(), TWO_CELLS)
    choices, weights = snapshot(state.choices), snapshot(state.weights)
    Algorithm1([state], state.engine).update_weights(1)
    assert equal(choices, state.choices)
    assert not any(torch.equal(a, b) for a, b in zip(weights, state.weights, strict=True))
    weights = snapshot(state.weights)
    Algorithm1([state], state.engine).update_architecture(1)
    assert equal(weights, state.weights)
    assert not any(torch.equal(a, b) for a, b in zip(choices, state.choices, strict=True))


def test_weights_and_architecture_are_all_parameters():
    state = Search(tiny_features(), TWO_CELLS)
    together = [*state.weights, *state.choices]
    assert {id(p) for p in together} == {id(p) for p in state.hypernet.parameters()}
    assert len(together) == len({id(p) for p in together})


@pytest.mark.parametrize("train_reshape", [True, False])
def test_reshape_layers_are_trained_or_left(train_reshape):
    state = Search(tiny_features(), CONFIG.change(train_reshape=train_reshape))
    before = snapshot(state.hypernet.reshape.parameters())
    state.run_epoch()
    assert equal(before, state.hypernet.reshape.parameters()) != train_reshape


def test_only_training_rows_train_weights_and_only_validation_rows_the_architecture():
    features = tiny_features()
    state = Search(features, CONFIG.change(arch_passes=2))
    with seen_rows() as seen:
        Algorithm1([state], state.engine).update_weights(1)
        assert {split_of(features, rows) for rows in seen} == {"train"}
        assert sorted(sum(seen, [])) == features.rows("train").tolist()
        seen.clear()
        Algorithm1([state], state.engine).update_architecture(1)
        assert {split_of(features, rows) for rows in seen} == {"val"}
        assert sorted(sum(seen, [])) == sorted(2 * features.rows("val").tolist())


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_no_search_reads_a_test_row(mode):
    features = tiny_features()
    with seen_rows() as seen:
        list(search(features, TWO_CELLS.change(mode=mode, warmup_epochs=1)))
    assert {split_of(features, rows) for rows in seen} == {"train", "val"}


def test_test_rows_do_not_matter():
    features = tiny_features()
    arrays = {name: array.copy() for name, array in features.arrays.items()}
    for array in arrays.values():
        array[features.rows("test")] = 1e6
    splits = features.splits
    other = FeatureSet.from_arrays(arrays, features.targets, splits, classes=features.classes, task="planted")
    assert records(search(other, CONFIG)) == records(search(features, CONFIG))


# reference mode


def test_the_releases_score_is_of_a_second_pass_in_train_mode():
    features = tiny_features()
    config = TWO_CELLS.change(mode="reference", dropout=0.0, batch_size=32)  # one validation batch
    state = Search(features, config)
    for part in state.hypernet.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0  # Attention's own
    event = state.run_epoch()
    rows = torch.from_numpy(features.rows("val"))
    batch, targets = state.engine.tensors.batch(rows)
    with torch.no_grad():
        evaluated = metrics.loss("multiclass", state.hypernet.eval()(batch), targets).item()
        logits = state.hypernet.train()(batch)
    assert event.val_loss == pytest.approx(metrics.loss("multiclass", logits, targets).item(), rel=1e-5)
    assert event.val_score == metrics.score("multiclass", logits, targets)
    assert event.val_loss != pytest.approx(evaluated, rel=1e-3)


def test_statistics_of_batchnorm_move_twice_a_validation_batch_in_the_release():
    counts = {}
    for score_mode in ("eval", "train"):
        state = Search(tiny_features(), CONFIG.change(score_mode=score_mode))
        state.run_epoch()
        counts[score_mode] = next(iter(state.hypernet.reshape.values())).norm.num_batches_tracked.item()
    assert counts == {"eval": 4 + 2, "train": 4 + 2 * 2}


@pytest.mark.parametrize(("ties", "expected"), [("earlier", [1, 3]), ("later", [1, 2, 3, 4])])
def test_which_of_two_equal_epochs_is_kept(ties, expected, monkeypatch):
    scores = iter([0.25, 0.25, 0.5, 0.5])
    monkeypatch.setattr(Algorithm1, "validate", lambda self: [(1.0, next(scores))])
    events = list(search(tiny_features(), CONFIG.change(ties=ties)))
    assert [event.epoch for event in events if event.is_best] == expected
    assert events[-1].best_epoch == expected[-1]


def test_the_modes_pools_differ():
    gamma = {}
    for mode in ("paper", "reference"):
        (event,) = search(tiny_features(), CONFIG.change(mode=mode, epochs=1))
        gamma[mode] = list(event.architecture.gamma["Cell_1"]["Step_1"])
    assert gamma["paper"] == ["Zero", *gamma["reference"]]


# batches


@pytest.mark.parametrize("samples", [1, 2, 15, 16, 17, 32, 33, 64, 65])
def test_batches_hold_every_row_once_and_are_as_many_as_the_schedule_expects(samples):
    rows = torch.arange(100, 100 + samples)
    parts = list(batches(rows, 16, (0, 1, 2)))
    assert sorted(torch.cat(parts).tolist()) == rows.tolist()
    assert len(parts) == len(batch_starts(samples, 16))
    assert all(len(part) <= 17 for part in parts) and (samples == 1 or all(len(part) > 1 for part in parts))
    assert [p.tolist() for p in batches(rows, 16, (0, 1, 2))] == [p.tolist() for p in parts]
    others = [p.tolist() for p in batches(rows, 16, (0, 1, 3))]
    assert samples < 15 or others != [p.tolist() for p in parts]


def test_restarts_stay_at_whole_epochs_where_a_last_row_joins_the_batch_before():
    features = tiny_features(samples=64)
    splits = {**features.splits, "train": np.arange(33), "val": np.arange(64, 96)}
    odd = FeatureSet.from_arrays(features.arrays, features.targets, splits, classes=features.classes)
    state = Search(odd, CONFIG)  # 33 = 16 + 17: two steps an epoch
    rates = [state.run_epoch().lr for _ in range(3)]
    parts = [1 / 2, 1 / 4, 3 / 4]
    low, high = CONFIG.min_lr, CONFIG.max_lr
    assert rates == pytest.approx([low + (high - low) * (1 + math.cos(math.pi * p)) / 2 for p in parts], rel=1e-9)


# settings, and the answer


def test_another_L_than_the_features():
    with pytest.raises(ConfigError, match="L is 8.*'planted'.*L = 4"):
        next(search(tiny_features(), CONFIG.change(L=8)))


def test_more_cells_than_the_pair_rule_allows_are_refused_before_the_first_epoch(monkeypatch):
    monkeypatch.setattr(Search, "run_epoch", lambda _: pytest.fail("an epoch was run for nothing"))
    features = tiny_features()
    config = CONFIG.change(N=len(features.names), mode="reference")
    with pytest.raises(ConfigError, match="pair rule 'reference' leaves pairs of .* set cells_as_inputs = True"):
        next(search(features, config))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_pair_is_found(seed):
    features = planted_features(K=8, seed=seed, samples=600)
    config = SearchConfig(C=16, L=4, N=1, M=1, epochs=8, max_lr=3e-3, arch_lr=3e-3, seed=seed, device="cpu", threads=1)
    found = Trace(search(features, config)).best
    assert found.genotype.cells[0].inputs == planted_genotype(features).cells[0].inputs  # by chance 1 in 28
    assert found.val_score > 2 / 8
