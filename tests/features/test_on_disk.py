"""Features on the disk: batches, searches and trainings are those of features in memory, bit for bit."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bmnas
from bmnas.features import feature_set
from bmnas.features.feature_set import FeatureSet
from bmnas.features.mapped_tensors import MappedStore
from bmnas.features.token_store import TokenStore
from bmnas.searching import footprint
from bmnas.searching.networks import sketched
from bmnas.searching.run_folder import Run
from bmnas.training.batch_queue import read_ahead
from tests.support.tiny import BUDGET, FIVE_EPOCHS, TWO_CELLS, tiny_features

RANDOM = np.random.default_rng(0)


@pytest.fixture
def stored(tmp_path):
    return tiny_features().save(tmp_path / "features")


SHAPES = [(1, 1), (2, 2), (3, 2), (4, 1), (2, 4), (1, 8)]  # positions, and how often each is there


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.sampled_from([2, 5, 1024]), st.sampled_from(SHAPES), st.booleans())
def test_a_batch_from_the_disk_has_the_numbers_and_strides_of_one_in_memory(n, channels, shape, half):
    positions, copies = shape
    array = np.repeat(RANDOM.normal(size=(n, channels, positions)), copies, axis=2)
    array = array.astype(np.float16 if half else np.float32)
    rows = RANDOM.integers(0, n, 7)
    ours, theirs = MappedStore(array, torch.device("cpu")).batch(rows), TokenStore(torch.from_numpy(array))
    expected = theirs.batch(torch.from_numpy(rows))
    assert torch.equal(ours, expected) and (positions == 1 or ours.stride() == expected.stride())


def test_positions_that_repeat_in_some_rows_only_are_all_kept(monkeypatch):
    monkeypatch.setattr("bmnas.features.mapped_tensors.CHUNK", 2)
    array = np.repeat(RANDOM.normal(size=(6, 3, 2)).astype(np.float32), 4, axis=2)  # P = 2 of 8
    array[5] = RANDOM.normal(size=(3, 8))
    rows = np.arange(6)
    assert torch.equal(MappedStore(array, torch.device("cpu")).batch(rows), torch.from_numpy(array))


@pytest.mark.parametrize("config", FIVE_EPOCHS.values(), ids=FIVE_EPOCHS)
def test_a_search_on_the_disk_is_that_in_memory_bit_for_bit(stored, tmp_path, config):
    folders = {}
    for place in ("memory", "disk"):
        features, run = FeatureSet.open(stored), Run(tmp_path / place)
        short = config.change(features_in=place, epochs=2, shortlist_size=1)
        trace = bmnas.Trace(bmnas.search(features, short, run))
        assert features.tensors("cpu").on_disk == (place == "disk") and len(trace) == 2
        bmnas.read_out(run, features)
        bmnas.evaluate("it", run.genotype(), features, config, BUDGET, run)
        scores = [f"scores/{path.name}" for path in run.path("scores").glob("*.json")]
        names = ("trace.jsonl", "checkpoint.safetensors", "selection.json", *scores)
        folders[place] = {name: run.path(name).read_bytes() for name in names}
    assert folders["memory"] == folders["disk"]


@pytest.mark.parametrize("place", ["memory", "disk"])
def test_what_follows_a_search_reads_where_the_search_did(stored, tmp_path, place):
    """Notebooks 02 and 04 open the features anew."""
    run, config = Run(tmp_path), TWO_CELLS.change(features_in=place, epochs=2, shortlist_size=1)
    list(bmnas.search(FeatureSet.open(stored), config, run))
    for follow in (
        lambda features: bmnas.read_out(run, features),
        lambda features: bmnas.evaluate("it", run.genotype(), features, config, BUDGET, run),
    ):
        features = FeatureSet.open(stored)
        follow(features)
        assert features.tensors("cpu").on_disk == (place == "disk")


def test_several_seeds_at_once_read_from_the_disk(stored):
    events = {}
    for place in ("memory", "disk"):
        config = TWO_CELLS.change(epochs=2, features_in=place)
        events[place] = [e.record() for _, e in bmnas.search_seeds(FeatureSet.open(stored), config, {0: None, 1: None})]
    assert events["memory"] == events["disk"]


def test_features_that_do_not_fit_stay_on_the_disk_and_the_estimate_says_so(stored, monkeypatch):
    features = FeatureSet.open(stored)
    window = sketched(features, TWO_CELLS.change(features_in="disk"))
    inside = sketched(features, TWO_CELLS.change(features_in="memory"))
    assert window.features < inside.features == features.nbytes
    monkeypatch.setattr(footprint, "free_memory", lambda device: (window.total + inside.total) // 2)
    chosen = bmnas.estimate(features, TWO_CELLS)
    assert chosen.memory == window and "disk" in str(chosen) and features.tensors("cpu").on_disk
    assert "disk" not in str(inside)
    monkeypatch.setattr(footprint, "free_memory", lambda device: 10 * inside.total)
    assert not sketched(features, TWO_CELLS).on_disk
    assert not sketched(tiny_features(), TWO_CELLS).on_disk  # in memory already


def test_an_evaluation_of_features_that_do_not_fit_reads_from_the_disk(stored, monkeypatch):
    monkeypatch.setattr(feature_set, "free_memory", lambda device: 1000)
    assert FeatureSet.open(stored).tensors("cpu").on_disk
    assert not tiny_features().tensors("cpu").on_disk


def test_the_place_is_no_part_of_what_a_run_is(stored, tmp_path):
    features, run = FeatureSet.open(stored), Run(tmp_path / "run")
    next(bmnas.search(features, TWO_CELLS.change(features_in="disk"), run))
    assert len(list(bmnas.search(features, TWO_CELLS.change(features_in="memory"), run))) == TWO_CELLS.epochs


@given(st.integers(0, 20), st.integers(0, 6))
def test_items_made_ahead_come_in_order(count, depth):
    assert list(read_ahead(iter(range(count)), depth)) == list(range(count))


def test_a_thread_makes_items_before_they_are_needed_and_passes_errors_on():
    made, third = [], threading.Event()

    def items():
        for i in range(5):
            made.append(threading.get_ident())
            if i == 2:
                third.set()
            if i == 4:
                raise OSError("the disk is gone")
            yield i

    ahead = read_ahead(items(), 3)
    assert next(ahead) == 0 and third.wait(10) and threading.get_ident() not in made
    with pytest.raises(OSError, match="gone"):
        list(ahead)
