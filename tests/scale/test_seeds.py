"""Several seeds at once are the searches of each seed alone: step by step, in their folders, after any interruption."""

import multiprocessing
import time
from contextlib import contextmanager
from unittest import mock

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from bmnas.errors import ConfigError, RunError, SearchDiverged
from bmnas.features.feature_set import FeatureTensors
from bmnas.registry import PRIMITIVES
from bmnas.scale.seeds.engine import StackedEngine
from bmnas.scale.seeds.search import drift, search_seeds, seed_runs
from bmnas.scale.seeds.stacked import SeedPointwise
from bmnas.searching import seed_state
from bmnas.searching.algorithm1 import Algorithm1, Search, search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import open_run, run_name
from bmnas.searching.trace import Trace
from bmnas.space import layers
from bmnas.space.equivalence import network_key
from bmnas.space.hypernet import Hypernet
from bmnas.space.layers import Dropout
from bmnas.storage.checkpoint import save_state
from tests.notebooks.test_notebooks import NOTEBOOKS, execute, text, tiny
from tests.searching.test_search import assert_same_run, records
from tests.support.seed_folders import SEEDS, in_folders
from tests.support.tiny import CONFIG, FIVE_EPOCHS, TWO_CELLS, multilabel_features, tiny_features
from widgets.results.seeds import seeds_table

EQUAL = 1e-10  # of float64
CASES = {
    "paper": (tiny_features, TWO_CELLS.change(epochs=3)),
    "reference": (tiny_features, TWO_CELLS.change(epochs=3, mode="reference", arch_passes=2)),
    "vectors": (
        multilabel_features,
        TWO_CELLS.change(epochs=3, tokeniser="learned", r=1, warmup_epochs=1, batch_size=17, train_reshape=False),
    ),
}


def at_once(features, config, seeds=SEEDS):
    """Seed -> trace."""
    traces = {seed: Trace() for seed in seeds}
    for seed, event in search_seeds(features, config, dict.fromkeys(seeds)):
        traces[seed].append(event)
    return traces


# step by step


@pytest.fixture
def double(monkeypatch):
    """Everything in float64."""
    batch, build = FeatureTensors.batch, seed_state.build_hypernet

    def batch_of_doubles(tensors, rows):
        features, targets = batch(tensors, rows)
        targets = targets.double() if targets.is_floating_point() else targets
        return {name: feature.double() for name, feature in features.items()}, targets

    monkeypatch.setattr(FeatureTensors, "batch", batch_of_doubles)
    monkeypatch.setattr(seed_state, "build_hypernet", lambda *given: build(*given).double())


@contextmanager
def after_each_step(look):
    """Every step of an optimizer leaves what `look()` sees then."""
    seen, step = [], torch.optim.Adam.step

    def spy(optimizer, *given):
        step(optimizer, *given)
        seen.append(look())

    with mock.patch.object(torch.optim.Adam, "step", spy):
        yield seen


def stacked(features, config, seeds):
    """The epochs of several seeds as `search_seeds` computes them."""
    states = [seed_state.SeedState(features, config.change(seed=seed)) for seed in seeds]
    return Algorithm1(states, StackedEngine(features, states))


def copies(state):
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def steps_alone(features, config, seed):
    """The whole state after every step of a search of one seed, and its events."""
    one = Search(features, config.change(seed=seed))
    with after_each_step(lambda: copies(one.hypernet.state_dict())) as seen:
        events = [one.run_epoch() for _ in range(config.epochs)]
    return [*seen, copies(one.hypernet.state_dict())], events


def steps_at_once(features, config):
    """The same of all seeds: by step and seed, and by epoch and seed."""
    together = stacked(features, config, SEEDS)

    def look():
        return [copies(together.engine.stack.state(s)) for s in range(len(SEEDS))]

    with after_each_step(look) as seen:
        events = [together.run_epoch() for _ in range(config.epochs)]
    return [*seen, look()], events


@pytest.mark.parametrize("case", CASES)
def test_every_step_of_every_seed_is_that_of_its_search_alone(case, double):
    make, config = CASES[case]
    features = make()
    seen, events = steps_at_once(features, config)
    for s, seed in enumerate(SEEDS):
        alone, expected = steps_alone(features, config, seed)
        assert len(alone) == len(seen) > 10
        for number, state in enumerate(alone):
            assert set(state) == set(seen[number][s])
            for name, tensor in state.items():  # weights, statistics of BatchNorm, alpha, beta, gamma
                assert tensor.dtype in (torch.float64, torch.int64)
                assert (tensor - seen[number][s][name]).abs().max() <= EQUAL, (number, name)
        for event, one in zip(expected, [event[s] for event in events], strict=True):
            assert one.genotype == event.genotype
            assert (one.epoch, one.is_best, one.best_epoch, one.lr) == (
                event.epoch, event.is_best, event.best_epoch, event.lr,
            )  # fmt: skip
            assert (one.train_score, one.val_score) == (event.train_score, event.val_score)
            assert one.train_loss == pytest.approx(event.train_loss, abs=EQUAL)
            assert one.val_loss == pytest.approx(event.val_loss, abs=EQUAL)


def test_products_of_several_seeds_are_no_convolutions(monkeypatch):
    """A single seed's are, where they are large and the CPU has AVX-512."""
    calls = []
    monkeypatch.setattr(layers, "CAPABILITY", "AVX512")
    monkeypatch.setattr(layers, "LARGE_PRODUCT", {"AVX512": 0})
    monkeypatch.setattr(layers, "conv2d", lambda *tensors: calls.append(tensors) or conv2d(*tensors))
    config = TWO_CELLS.change(epochs=1, batch_size=64)
    alone = Search(tiny_features(), config.change(seed=SEEDS[0])).run_epoch()
    assert calls
    calls.clear()
    together = stacked(tiny_features(), config, SEEDS).run_epoch()[0]
    assert not calls
    assert together.val_loss == pytest.approx(alone.val_loss, rel=1e-3)


def test_the_seeds_differ_from_one_another():
    traces = at_once(tiny_features(), TWO_CELLS.change(epochs=1))
    losses = [traces[seed].events[0].train_loss for seed in SEEDS]
    assert len(set(losses)) == 3


def test_optimizers_are_handed_back(double):
    features = tiny_features()
    together = stacked(features, TWO_CELLS, SEEDS)
    together.run_epoch()
    alone = Search(features, TWO_CELLS.change(seed=1))
    alone.run_epoch()
    ours, theirs = together.states[1].state_dict(), alone.state_dict()
    for name in ("weight_optimizer", "arch_optimizer"):
        assert ours[name]["param_groups"] == theirs[name]["param_groups"]
        assert set(ours[name]["state"]) == set(theirs[name]["state"])
        for number, moments in theirs[name]["state"].items():
            for key, value in moments.items():
                assert (value - ours[name]["state"][number][key]).abs().max() <= EQUAL


# float32


def test_drift_is_small_and_seen():
    features, config = tiny_features(), TWO_CELLS
    traces = at_once(features, config)
    rows = drift(features, config.change(seed=2), traces[2])
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert max(row[key] for row in rows for key in ("weights", "train_loss", "val_loss")) < 1e-4
    others = drift(features, config.change(seed=1), traces[2])
    assert min(row["weights"] for row in others) > 1e-4


@pytest.fixture(scope="module")
def five():
    """The traces of five seeds at once."""
    return at_once(tiny_features(), TWO_CELLS, (0, 1, 2, 3, 4))


@pytest.mark.parametrize("seeds", [(2,), (1, 2), (2, 0), (3, 1, 2, 0)])
def test_a_seed_does_not_depend_on_those_beside_it(seeds, five):
    features = tiny_features()
    together = stacked(features, TWO_CELLS, seeds)
    for epoch in range(4):
        for seed, event in zip(seeds, together.run_epoch(), strict=True):
            assert event.record() == five[seed].events[epoch].record()


def test_one_seed_is_the_plain_search():
    features = tiny_features()
    expected = records(search(features, TWO_CELLS.change(seed=3)))
    assert [event.record() for _, event in search_seeds(features, TWO_CELLS, {3: None})] == expected


def test_the_random_numbers_of_others_are_left_alone():
    features = tiny_features()
    undisturbed = at_once(features, TWO_CELLS)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    watched = {seed: [] for seed in SEEDS}
    for number, (seed, event) in enumerate(search_seeds(features, TWO_CELLS, dict.fromkeys(SEEDS))):
        if number == 0:
            assert torch.equal(torch.rand(4), expected)
        torch.manual_seed(number)
        watched[seed].append(event.record())
    assert watched == {seed: records(trace) for seed, trace in undisturbed.items()}


# run folders


SHORT = {mode: config.change(epochs=2, shortlist_size=1) for mode, config in FIVE_EPOCHS.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Uninterrupted runs of three seeds in each mode."""
    folder = tmp_path_factory.mktemp("whole")
    return {mode: in_folders(tiny_features(), config, folder / mode) for mode, config in SHORT.items()}


def test_a_folder_holds_what_its_search_alone_leaves(whole, tmp_path):
    features, config = tiny_features(), SHORT["paper"].change(seed=1)
    alone, run = Run(tmp_path / "alone"), whole["paper"][1]
    list(search(features, config, alone))
    assert sorted(p.name for p in alone.folder.iterdir()) == sorted(p.name for p in run.folder.iterdir())
    assert run.config() == config and run.load_json("config.json") == alone.load_json("config.json")
    for ours, theirs in zip(run.trace(), alone.trace(), strict=True):
        assert ours.genotype == theirs.genotype and ours.val_loss == pytest.approx(theirs.val_loss, abs=1e-4)
    assert read_out(run, features).algorithm1 == alone.trace().best.genotype


def test_a_search_alone_goes_on_where_several_seeds_were_interrupted(tmp_path):
    features, config = tiny_features(), SHORT["paper"]
    runs = {seed: Run(tmp_path / f"seed{seed}") for seed in SEEDS}
    going = search_seeds(features, config, runs)
    next(going)
    going.close()
    resumed = Trace(search(features, config.change(seed=1), runs[1]))
    expected = Trace(search(features, config.change(seed=1)))
    assert len(resumed) == 2
    assert resumed.events[-1].train_loss == pytest.approx(expected.events[-1].train_loss, abs=1e-4)


def test_the_first_seed_is_the_newest_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    in_folders(tiny_features(), CONFIG.change(epochs=1), tmp_path, (5, 6, 7))
    assert open_run(None, "planted").name == "seed5"


def test_folders_are_named_as_those_of_each_seed_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    features, config = tiny_features(), CONFIG.change(seed=4)
    runs = seed_runs("planted", config, features, 2)
    assert [run.name for run in runs.values()] == [
        run_name("planted", config.change(seed=seed), features) for seed in (4, 5)
    ]
    named = seed_runs("planted", config, features, 3, "mine")
    assert {seed: run.folder for seed, run in named.items()} == {
        4: tmp_path / "mine", 5: tmp_path / "mine-s5", 6: tmp_path / "mine-s6",
    }  # fmt: skip
    for wrong in (0, -1, 2.0, True, None):
        with pytest.raises(ConfigError, match="seeds is .*1"):
            seed_runs("planted", config, features, wrong)


def test_the_table_has_a_row_a_seed(whole, tmp_path):
    features, runs = tiny_features(), whole["paper"]
    answers = {seed: read_out(runs[seed], features) for seed in (0, 1)}
    rows = seeds_table({**runs, 2: Run(tmp_path / "empty")}, answers).to_dict("records")
    assert [row["seed"] for row in rows] == [0, 1, 2] and rows[2]["epochs"] == "none"
    for row in rows[:2]:
        best, answer = runs[row["seed"]].trace().best, answers[row["seed"]]
        assert (row["epochs"], row["best epoch"]) == ("2 of 2", str(best.epoch))
        assert row["best accuracy on val [%]"] == f"{100 * best.val_score:.1f}"
        assert row["run"] == f"seed{row['seed']}" and answer.chosen.cells[0].inputs[0] in row["chosen"]
        assert row["Algorithm 1"] == ("another" if answer.differs else "the same")
    same = network_key(answers[0].chosen) == network_key(answers[1].chosen)
    assert (rows[0]["digest"] == rows[1]["digest"]) == same


def assert_same_runs(runs, whole):
    for seed in SEEDS:
        assert_same_run(runs[seed], whole[seed])


class Killed(BaseException):
    pass


@pytest.mark.parametrize(
    ("mode", "saved", "when"),
    [
        *(("paper", saved, "before") for saved in (0, 2, 4)),  # the first, the last of epoch 1, amid epoch 2
        *(("paper", saved, "after") for saved in (0, 2, 5)),  # amid epoch 1, at its end, at the end of all
        ("reference", 1, "after"),
    ],
)
def test_killed_at_a_checkpoint_of_any_seed(whole, tmp_path, mode, saved, when):
    """Some seeds are an epoch ahead of the others then; "before": a trace is ahead of its checkpoint."""
    features, config, calls = tiny_features(), SHORT[mode], []

    def dying(path, state):
        if when == "after":
            save_state(path, state)
        if len(calls) == saved:
            raise Killed
        calls.append(path)
        if when == "before":
            save_state(path, state)

    with mock.patch("bmnas.searching.run_folder.save_state", dying), pytest.raises(Killed):
        in_folders(features, config, tmp_path)
    assert_same_runs(in_folders(features, config, tmp_path), whole[mode])


def test_a_killed_process(whole, tmp_path):
    arguments = (tiny_features(), SHORT["paper"], tmp_path)
    process = multiprocessing.get_context("forkserver").Process(target=in_folders, args=arguments)
    process.start()
    trace = tmp_path / "seed2" / "trace.jsonl"
    while process.is_alive() and (not trace.exists() or trace.read_text().count("\n") < 1):
        time.sleep(0.005)
    process.kill()
    process.join()
    assert_same_runs(in_folders(tiny_features(), SHORT["paper"], tmp_path), whole["paper"])


def test_a_finished_seed_is_left_out(whole, tmp_path, monkeypatch):
    features, config = tiny_features(), SHORT["paper"]
    done = Run(tmp_path / "seed1")
    list(search(features, config.change(seed=1), done))
    before, sizes = done.path("checkpoint.safetensors").stat().st_mtime_ns, []
    made = StackedEngine.__init__
    monkeypatch.setattr(
        StackedEngine, "__init__", lambda self, *given: (sizes.append(len(given[1])), made(self, *given))[1]
    )
    runs = in_folders(features, config, tmp_path)
    assert sizes == [2]
    assert done.path("checkpoint.safetensors").stat().st_mtime_ns == before
    for seed in (0, 2):
        assert_same_run(runs[seed], whole["paper"][seed])
    events = list(search_seeds(features, config, runs))  # all are finished: their traces are read back
    assert sizes == [2] and [seed for seed, _ in events] == [0, 0, 1, 1, 2, 2]


def test_a_folder_of_another_configuration(tmp_path):
    in_folders(tiny_features(), CONFIG.change(epochs=1), tmp_path, (1,))
    with pytest.raises(RunError, match=r"seed1.*search.epochs.*1.*4"):
        in_folders(tiny_features(), CONFIG, tmp_path)


@pytest.mark.notebooks
def test_the_notebook_searches_two_seeds(notebook_kernel, tmp_path, monkeypatch):
    notebook = next(path for path in NOTEBOOKS if path.stem == "02_search")
    settings = tiny(notebook, seeds=2, seed=3, N=1, selection="algorithm1")
    shown = text(execute(notebook_kernel, notebook, tmp_path, monkeypatch, **settings))
    runs = sorted(path.parent for path in (tmp_path / "runs").glob("*/genotype.json"))
    assert [run.name.rpartition("-")[0] for run in runs] == ["mfeat-s3", "mfeat-s4"]
    assert all(run.name in shown for run in runs) and "2 finished runs, 2 Steps" in shown
    assert "Seed 3" in shown and "α, β, γ" in shown


# what can go wrong


@pytest.fixture
def sick(monkeypatch):
    """Seeds in this set begin with a weight that is not finite."""
    seeds, build = set(), seed_state.build_hypernet

    def built(features, config):
        net = build(features, config)
        if config.seed in seeds:
            nn.init.constant_(net.classifier.linear.weight, float("inf"))
        return net

    monkeypatch.setattr(seed_state, "build_hypernet", built)
    return seeds


def test_a_diverging_seed_is_named_and_the_others_go_on(sick, tmp_path):
    features = tiny_features()
    healthy = at_once(features, TWO_CELLS)
    sick.add(1)
    with pytest.warns(UserWarning, match=r"seed 1: epoch 1 of 4"):
        runs = in_folders(features, TWO_CELLS, tmp_path)
    assert len(runs[1].trace()) == 0
    for seed in (0, 2):
        assert records(runs[seed].trace()) == records(healthy[seed])


def test_when_all_seeds_diverge(sick):
    sick.update(SEEDS)
    with (
        pytest.warns(UserWarning, match="seed [01]: epoch 1"),
        pytest.raises(SearchDiverged, match="seed 2: epoch 1 of 4"),
    ):
        at_once(tiny_features(), TWO_CELLS)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"accumulate": 2, "bf16": True}, "bf16 = True, accumulate = 2 beside 3 seeds"),
        ({"compile": "default"}, "compile = 'default' beside 3 seeds"),
        ({"L": 8}, "L is 8, but the features"),
        ({"C": 20_000}, "the search needs about .* are free"),
    ],
)
def test_settings_that_several_seeds_do_not_know(settings, words):
    with pytest.raises(ConfigError, match=words):
        at_once(tiny_features(), CONFIG.change(**settings))


def test_no_seed():
    with pytest.raises(ConfigError, match=r"seed -> run folder"):
        next(search_seeds(tiny_features(), CONFIG, {}))


# primitives of one's own


@contextmanager
def registered(primitive):
    PRIMITIVES.register(primitive)
    try:
        yield primitive.__name__
    finally:
        del PRIMITIVES[primitive.__name__]


class Plain(nn.Module):
    symmetric, formula = True, "own(x, y)"

    def __init__(self, C, L, dropout, mode="paper"):
        super().__init__()
        self.dropout = Dropout(0.3)


def test_a_primitive_of_ones_own(double):
    class Median(Plain):
        arity = 3

        def forward(self, x, y, z):
            return self.dropout(torch.stack([x, y, z]).transpose(-1, -2)).transpose(-1, -2).median(0).values

    with registered(Median) as name:
        features, config = tiny_features(), TWO_CELLS.change(epochs=2, primitives=["Sum", name])
        traces = at_once(features, config)
        for row in drift(features, config.change(seed=1), traces[1]):
            assert max(row["train_loss"], row["val_loss"]) <= EQUAL
            assert row["weights"] <= 1e-6  # told in float32


@pytest.mark.parametrize(
    "bad",
    [lambda x: nn.functional.dropout(x, 0.5), lambda x: x if x.sum().item() > 0 else -x],
    ids=["random", "branch"],
)
def test_a_primitive_that_cannot_be_mapped_is_named(bad):
    class Odd(Plain):
        arity = 2

        def forward(self, x, y):
            return bad(x + y)

    with registered(Odd) as name, pytest.raises(ConfigError, match=f"'{name}'.* for several seeds at once.*one after"):
        at_once(tiny_features(), CONFIG.change(primitives=["Sum", name]))


# layers


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_of_width_one_is_a_product(groups):
    torch.manual_seed(0)
    conv = nn.Conv1d(6, 4, 1, groups=groups).double()
    x = torch.randn(3, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(SeedPointwise(conv)(x), conv(x), rtol=0, atol=1e-12)


def test_every_dropout_of_a_hypernet_can_be_repeated():
    net = Hypernet({"A_1": 3, "A_2": 3}, 2, 4, 4, N=1, M=2, r=2, dropout=0.1)
    kinds = {type(part) for part in net.modules() if isinstance(part, nn.Dropout)}
    assert kinds == {Dropout}
