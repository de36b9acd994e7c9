"""What a search will take: memory from shapes, time from steps that leave no trace, and a refusal if it cannot fit."""

import re
from importlib import import_module

import pytest
import torch

from bmnas import machine as memory
from bmnas.errors import ConfigError, SearchDiverged
from bmnas.registry import PRIMITIVES
from bmnas.searching import footprint as footprints
from bmnas.searching import networks
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.cost_estimate import estimate
from bmnas.searching.footprint import LIBRARIES, Footprint, saved_bytes
from bmnas.searching.networks import build_hypernet, sketched
from bmnas.space.enumeration import Space
from bmnas.space.hypernet import Hypernet
from bmnas.space.reshape import Reshape
from bmnas.training.loop import take_step
from tests.support.tiny import CONFIG, TWO_CELLS, diverging, multilabel_features, tiny_features

estimates = import_module("bmnas.searching.cost_estimate")  # `bmnas.estimate` itself is the function
CPU = torch.device("cpu")


def records(events):
    return [event.record() for event in events]


# memory from shapes


def test_features_and_weights_are_counted():
    features = tiny_features()  # 4 features (128, 6, 4) float32, int64 targets
    needed = sketched(features, CONFIG)
    assert needed.features == 4 * 128 * 6 * 4 * 4 + 128 * 8
    parameters = sum(p.numel() for p in Search(features, CONFIG).hypernet.parameters())
    assert needed.weights == 4 * 4 * parameters
    assert sketched(features, CONFIG).features == 0  # the search above has put them into memory


def test_a_hypernet_is_sketched_once_and_again_where_its_size_may_be_another(monkeypatch):
    built = []
    monkeypatch.setattr(networks, "_sketches", {})
    monkeypatch.setattr(networks, "build_hypernet", lambda *given: built.append(given) or build_hypernet(*given))
    first = sketched(tiny_features(), CONFIG)
    assert sketched(tiny_features(seed=1), CONFIG.change(seed=1)) == first and len(built) == 1
    others = [
        (tiny_features(K=5), {}), (tiny_features(modalities=3), {}), (tiny_features(samples=8), {}),
        (tiny_features(channels=7), {}), (tiny_features(), {"C": 5}), (tiny_features(), {"batch_size": 8}),
    ]  # fmt: skip
    for features, change in others:
        sketched(features, CONFIG.change(**change))
    assert len(built) == 1 + len(others)
    monkeypatch.setitem(PRIMITIVES, "Sum", type("Sum", (PRIMITIVES["Sum"],), {}))  # another class of the same name
    sketched(tiny_features(), CONFIG)
    assert len(built) == 2 + len(others)


def test_what_autograd_keeps_is_what_a_real_step_keeps():
    features, config = tiny_features(), TWO_CELLS
    state = Search(features, config)
    with torch.device("meta"):
        sketch = Hypernet(features.channels, 4, 4, 4, 2, 2, dropout=config.dropout)
    batch, _ = state.engine.tensors.batch(state.engine.tensors.rows("train")[:16])
    own = {t.data_ptr() for t in (*state.hypernet.parameters(), *state.hypernet.buffers(), *batch.values())}
    real = {}

    def pack(tensor):
        real[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits = state.engine.network.train()(batch)
    held = sum(t.untyped_storage().nbytes() for key, t in real.items() if key not in own) + logits.nbytes
    assert saved_bytes(sketch, features, 16) == pytest.approx(held, rel=0.02)


def test_micro_batches_and_smaller_batches_keep_less():
    features = tiny_features()
    whole, halves, small = (
        sketched(features, CONFIG.change(**change)).step for change in ({}, {"accumulate": 2}, {"batch_size": 8})
    )
    assert small < halves < whole
    assert Footprint(1, 2, 30, 4).total == 33 + LIBRARIES and Footprint(1, 2, 3, 40).largest == "scoring"


def test_a_primitive_that_needs_values_counts_nothing(monkeypatch):
    class Stubborn(Reshape):
        def checked(self, feature):
            raise RuntimeError("no meta kernel")

    monkeypatch.setattr("bmnas.space.hypernet.Reshape", Stubborn)
    with torch.device("meta"):
        features = tiny_features(K=2)
        assert saved_bytes(Hypernet(features.channels, 2, 2, features.L, 1, 1), features, 4) == 0


# free memory


def groups(folder, version, limit, used, files):
    names, own = (memory.VERSION_2, "0::/a/b") if version == 2 else (memory.VERSION_1, "4:cpu,memory:/a/b")
    place = folder / ("a/b" if version == 2 else "memory/a/b")
    place.mkdir(parents=True)
    (place / names[0]).write_text(f"{limit}\n")
    (place / names[1]).write_text(f"{used}\n")
    (place / "memory.stat").write_text(f"anon 3\n{names[2]} {files}\n")
    (folder / "own").write_text(f"{own}\n1:name=systemd:/\n")


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("limit", "free"), [("1000", 1000 - 700 + 50), ("600", 0), ("max", 8_000_000)])
def test_free_memory_knows_limits(tmp_path, monkeypatch, version, limit, free):
    if (version, limit) == (1, "max"):
        limit = "9223372036854771712"
    groups(tmp_path, version, limit, 700, 50)
    (tmp_path / "meminfo").write_text("MemTotal: 16000 kB\nMemAvailable: 7812 kB\n")
    for name, path in (("GROUPS", ""), ("OWN_GROUPS", "own"), ("MEMINFO", "meminfo")):
        monkeypatch.setattr(memory, name, tmp_path / path)
    assert memory.free_memory(CPU) == min(free, 7812 * 1024)


def test_free_memory_of_this_machine():
    assert 1e7 < memory.free_memory(CPU) < 1e14


# the refusal


@pytest.mark.parametrize(
    ("changes", "most", "advice"),
    [
        ({"batch_size": 64, "C": 64}, "step", "a smaller batch_size (or accumulate"),
        ({"C": 256, "batch_size": 4}, "weights", "a smaller C, N or M"),
    ],
)
def test_a_search_that_cannot_fit_is_refused_before_it_starts(monkeypatch, changes, most, advice):
    features, config = tiny_features(), CONFIG.change(**changes)
    monkeypatch.setattr(footprints, "free_memory", lambda device: 51_000_000)
    for work in (lambda: estimate(features, config), lambda: next(search(features, config))):
        with pytest.raises(ConfigError, match=r"\d+ MB.*51 MB.*'cpu'") as no:
            work()
        assert most in str(no.value) and advice in str(no.value)
    assert not features.loaded("cpu")


def test_a_search_that_fits_is_not(monkeypatch):
    monkeypatch.setattr(footprints, "free_memory", lambda device: 52_000_000)
    assert len(records(search(tiny_features(), CONFIG))) == CONFIG.epochs


# time


@pytest.mark.parametrize("features", [tiny_features(), multilabel_features()], ids=["multiclass", "multilabel"])
def test_an_estimate_leaves_no_trace(features):
    config = TWO_CELLS.change(accumulate=2)
    expected = records(search(features, config))
    torch.manual_seed(7)
    first = torch.rand(3)
    torch.manual_seed(7)
    estimate(features, config)
    assert torch.equal(torch.rand(3), first)
    assert records(search(features, config)) == expected


def test_every_step_of_an_epoch_is_counted_as_often_as_it_is_taken(monkeypatch):
    features = tiny_features()  # 64 rows for training, 32 for validation
    config = CONFIG.change(batch_size=16, arch_passes=3)
    monkeypatch.setattr(estimates, "_seconds", lambda step, device: 1.0)
    assert estimate(features, config.change(selection="algorithm1")).read_out_seconds == 0
    ranked = Space.of(features.names, config).size(20_000)
    seconds = estimate(features, config.change(selection="best_ranked")).read_out_seconds
    assert seconds == ranked / estimates.SCORED + (5 + 1) * 1
    operators = len(Space.of(features.names, config).step_choices(0))
    candidates = 12 + 1 + 1 + operators  # leading, Algorithm 1's, a single feature, plain
    trained = 2 * 4 + candidates * 1 + 5 * 3 + 3 * 2 * 3  # single paths, and the epochs of three rungs
    assert estimate(features, config).read_out_seconds == pytest.approx(ranked / estimates.SCORED + trained)
    twice = estimate(features, config.change(N=2, M=2, shortlist_epochs=2, shortlist_size=3, selection="best_ranked"))
    assert twice.read_out_seconds == 3_000 / estimates.SCORED + (3 + 1) * 2  # a local search
    projected = estimate(features, config.change(N=2, M=2, shortlist_epochs=2, selection="darts_pt"))
    assert projected.read_out_seconds == 2 * (2 + 2 + 1) * 2 * projected.epoch_seconds  # a tuning a choice at most
    assert estimate(features, config).epoch_seconds == 64 / 16 + 3 * 32 / 16 + 1
    assert estimate(features, config.change(batch_size=500)).epoch_seconds == 1 + 3 + 1


def test_the_steps_are_real_ones(monkeypatch):
    sizes = []

    def spy(learner, batch):
        sizes.append((len(batch[1]), learner.micro_batches, sum(p.numel() for p in learner.parameters)))
        return take_step(learner, batch)

    monkeypatch.setattr(estimates, "take_step", spy)
    found = estimate(tiny_features(), CONFIG.change(accumulate=2))
    assert {size[:2] for size in sizes} == {(16, 2)} and len({size[2] for size in sizes}) == 2
    assert found.epoch_seconds > 0 and found.seconds == 4 * found.epoch_seconds


def test_a_learning_rate_that_diverges_is_left_to_the_search():
    features = tiny_features()
    with diverging():
        assert estimate(features, CONFIG).seconds > 0
    with diverging(), pytest.raises(SearchDiverged, match="epoch 1 of 4.*max_lr"):
        list(search(features, CONFIG))


def test_the_line():
    line = str(estimates.Estimate(4.0, 10, 7.2, Footprint(300_000_000, 10**8, 10**8, 0), 20_100_000_000))
    assert line == (
        "about 40 s (10 epochs of 4.00 s), then up to 7 s to read the answer out, and 550 MB "
        "(features 300 MB, weights 100 MB, step 100 MB, scoring 0 MB, libraries 50 MB); "
        "20.1 GB are free"
    )
    assert re.match(r"about \d+ s \(4 epochs of ", str(estimate(tiny_features(), CONFIG)))
