"""A primitive, rival, task or backbone of one's own that is edited under its name: no old result stands for the new."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bmnas.errors import ConfigError, FeatureError, RunError
from bmnas.evaluation.evaluation import evaluate, evaluate_networks
from bmnas.evaluation.joint.network import joint_network
from bmnas.evaluation.joint.training import train_joint
from bmnas.evaluation.trained_network import load, train_and_save
from bmnas.features.disk_extraction import bulk_extract
from bmnas.features.extraction import Backbone
from bmnas.features.extraction_folder import work_folder
from bmnas.features.extraction_settings import ExtractionSettings
from bmnas.features.samples import Samples
from bmnas.features.taps import Tap
from bmnas.registry import PRIMITIVES, SEARCHERS, TASKS
from bmnas.rivals.choice import Candidate
from bmnas.rivals.field.contest import Contest
from bmnas.rivals.field.searchers import contest_trials
from bmnas.rivals.networks import RIVALS, Rival, add, evaluate_rivals
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import run_name
from bmnas.searching.searchers.recorded_search import search_trials
from bmnas.searching.searchers.trials import Budget
from bmnas.searching.selection import Selection
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.tasks.preparation import key
from bmnas.trust.truth_table import belonging
from tests.support.tiny import BUDGET, CONFIG, tiny_features
from widgets.labs.gap import Gap

POOL = ("Sum", "Own")


def define(factor: float) -> None:
    """Registers the primitive, as a cell that is edited and run again does."""

    class Own(nn.Module):
        arity = 2
        symmetric = True

        def __init__(self, C, L, dropout, mode="paper"):
            super().__init__()
            self.norm = nn.LayerNorm([C, L])

        def forward(self, x, y):
            return factor * self.norm(x) + y

    PRIMITIVES.register(Own)


@pytest.fixture(autouse=True)
def own_primitive():
    define(1.0)
    yield
    PRIMITIVES.pop("Own")


@pytest.fixture
def features():
    return tiny_features()


@pytest.fixture
def genotype(features):
    x, y = features.names[0], features.names[-1]
    return Genotype((CellGenotype((x, y), (StepGenotype("Own", ("x", "y")),)),), r=1)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def test_an_evaluation_is_computed_again(features, genotype, run):
    first = evaluate("own", genotype, features, CONFIG, BUDGET, run)
    assert evaluate("own", genotype, features, CONFIG, BUDGET, run).scores == first.scores
    define(-30.0)
    fresh = evaluate("own", genotype, features, CONFIG, BUDGET)
    assert fresh.scores != first.scores  # else this test could not fail
    assert evaluate("own", genotype, features, CONFIG, BUDGET, run).scores == fresh.scores


def test_a_search_a_read_out_and_a_lab_refuse_the_run_of_the_former_primitive(features, run):
    config = CONFIG.change(primitives=POOL, epochs=2)
    next(iter(search(features, config, run)))
    name = run_name("planted", config, features)
    define(-30.0)
    assert run_name("planted", config, features) != name
    for refused in (lambda: list(search(features, config, run)), lambda: read_out(run, features), lambda: Gap.of(run)):
        with pytest.raises(RunError, match="'Own'"):
            refused()
    define(1.0)
    assert len(list(search(features, config, run))) == 2


def test_a_run_without_primitives_of_ones_own_is_written_as_ever(features, run):
    run.claim(CONFIG, features)
    assert set(run.load_json("config.json")) == {"schema", "dataset", "source", "features", "search"}


def test_a_run_of_a_version_that_kept_no_code_still_opens(features, run):
    config = CONFIG.change(primitives=POOL)
    run.claim(config, features)
    run.save_json("config.json", {k: v for k, v in run.load_json("config.json").items() if k != "code"})
    run.claim(config, features)


def test_a_saved_network_is_not_loaded_with_another_primitive(features, genotype, run):
    before = train_and_save(run, genotype, features, CONFIG, BUDGET).logits(features)
    define(-30.0)
    with pytest.raises(RunError, match="'Own'"):
        load(run)
    assert not torch.equal(train_and_save(run, genotype, features, CONFIG, BUDGET).logits(features), before)


def test_a_rival_is_computed_again(features, run):
    def evaluated(factor, folder):
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.linear = nn.Linear(features.channels[features.names[0]], len(features.classes))

            def forward(self, batch):
                return self.linear(factor * batch[features.names[0]].mean(-1))

        def build(seed):
            torch.manual_seed(seed)
            return Net()

        return evaluate_networks("n", build, lambda seed: {"rival": "n"}, features, CONFIG, BUDGET, folder, None)

    first = evaluated(1.0, run)
    assert evaluated(-30.0, run).scores == evaluated(-30.0, None).scores != first.scores


def test_a_truth_table_belongs_to_the_code(features):
    config = CONFIG.change(primitives=POOL)
    before = belonging(TASKS["planted"], features, config, BUDGET)
    define(-30.0)
    assert belonging(TASKS["planted"], features, config, BUDGET) != before


class Numbers(Samples):
    def __init__(self):
        splits = {
            "train": torch.arange(4).numpy(),
            "val": torch.arange(4, 6).numpy(),
            "test": torch.arange(6, 8).numpy(),
        }
        super().__init__(list("abcdefgh"), ["0", "1"], "multiclass", splits, {})

    def read(self, row, only=None):
        return {"A": torch.full((3,), float(row)).numpy(), "B": torch.full((3,), float(-row)).numpy()}, row % 2


def backbone(power: int) -> nn.Module:
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.layer(x) ** power)

    return Net()


def test_an_unfinished_extraction_is_not_resumed_with_another_backbone(tmp_path, monkeypatch):
    settings = ExtractionSettings(L=4, batch_size=2, workers=0, device="cpu")

    def extract(power):
        backbones = {m: Backbone(backbone(power), {f"{m}_1": Tap("layer")}) for m in "AB"}
        return bulk_extract(tmp_path / "made", Numbers(), backbones, settings)

    monkeypatch.setattr("bmnas.features.disk_extraction.publish", lambda work, folder: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        extract(1)
    monkeypatch.undo()
    assert work_folder(tmp_path / "made").exists()
    with pytest.raises(FeatureError, match="code"):
        extract(2)
    assert len(extract(1).features) == 8


def test_a_joint_training_is_not_resumed_with_another_backbone(tmp_path):
    x = {m: torch.randn(8, 3) for m in "AB"}
    data = [({m: x[m][i] for m in "AB"}, torch.tensor(i % 2)) for i in range(8)]
    genotype = Genotype((CellGenotype(("A_1", "B_1"), (StepGenotype("Own", ("x", "y")),)),), r=1)

    def train(power):
        nets, taps = {m: backbone(power) for m in "AB"}, {m: {f"{m}_1": Tap("layer")} for m in "AB"}
        network = joint_network(genotype, nets, taps, x, 2, C=4, L=4)
        train_joint(
            network, data, kind="multiclass", batch_size=4, epochs=1, max_lr=1e-3, device="cpu",
            checkpoint=tmp_path / "joint.safetensors",
        )  # fmt: skip

    train(1)
    train(1)
    with pytest.raises(RunError, match="another training"):
        train(2)
    define(-30.0)
    with pytest.raises(RunError, match="another training"):
        train(1)


def test_features_of_a_task_of_ones_own_are_made_again_when_it_is_edited():
    def task(factor):
        def make(options, root, progress):
            return tiny_features(seed=factor)

        return replace(TASKS["planted"], name="own", make=make)

    assert key(task(1), {}) == key(task(1), {})
    assert key(task(1), {}) != key(task(2), {})


# rivals and searchers of one's own, edited as in a notebook: the cell is run again

RIVAL = """
import torch
from torch import nn

FACTOR = 1.0
NAMES = {"first": 0}

def shift(x):
    return x + 0.0

class Net(nn.Module):
    power = 1

    def __init__(self, channels, classes, width=5):
        super().__init__()
        self.name = list(channels)[NAMES["first"]]
        self.hidden = nn.Linear(channels[self.name], width)
        self.head = nn.Linear(width, classes)

    def forward(self, batch):
        x = shift(batch[self.name].mean(-1)) * FACTOR
        return self.head(self.hidden(x).tanh() ** self.power)

def build(features, dropout):
    return Net(features.channels, len(features.classes))
"""
RIVAL_EDITS = {
    "a constant": ("FACTOR = 1.0", "FACTOR = -30.0"),
    "a dictionary": ('{"first": 0}', '{"first": -1}'),
    "a helper": ("x + 0.0", "x + 9.0"),
    "a class attribute": ("power = 1", "power = 2"),
    "a default": ("width=5", "width=6"),
    "a layer": ("nn.Linear(width, classes)", "nn.Linear(width, classes, bias=False)"),
    "an activation": (".tanh()", ".relu()"),
    "the pooling": (".mean(-1)", ".amax(-1)"),
    "an argument": ("len(features.classes))", "len(features.classes), width=7)"),
    "the builder": ("return Net(features", "torch.manual_seed(3)\n    return Net(features"),
}


def run_cell(source):
    names = {"__name__": "__main__"}
    exec(compile(source, "<cell>", "exec"), names)  # as a cell of a notebook
    return names


@pytest.fixture
def no_rival():
    yield
    RIVALS.pop("mine", None)


@pytest.mark.parametrize("edit", RIVAL_EDITS.values(), ids=RIVAL_EDITS)
def test_an_edited_rival_is_trained_again(edit, features, run, no_rival):
    def scores(source, folder):
        add("mine", "a notebook", run_cell(source)["build"])
        (result,) = evaluate_rivals(features, CONFIG, BUDGET, folder, names=["mine"])
        return result.scores

    def count():
        return len(list(run.folder.rglob("*.json")))

    edited = RIVAL.replace(*edit)
    assert edited != RIVAL
    first, files = scores(RIVAL, run), count()
    assert scores(RIVAL, run) == first and count() == files
    assert scores(edited, run) == scores(edited, None)
    assert count() > files


def test_the_choice_among_an_edited_rivals_networks_is_made_again(features, run, no_rival):
    def register(factor):
        class Net(nn.Module):
            def __init__(self, power):
                super().__init__()
                self.head = nn.Linear(features.channels[features.names[0]], len(features.classes))
                self.power = power

            def forward(self, batch):
                return self.head(factor * batch[features.names[0]].mean(-1) ** self.power)

        def candidate(power):
            def build(seed):
                torch.manual_seed(seed)
                return Net(power)

            return Candidate(build, {"rival": "mine", "power": power})

        RIVALS.register(Rival("mine", "a notebook", lambda f, config: {str(p): candidate(p) for p in (1, 2)}))

    counts = [0]
    for factor in (1.0, 1.0, -30.0):
        register(factor)
        evaluate_rivals(features, CONFIG, BUDGET, run, names=["mine"])
        counts.append(len(list(run.folder.rglob("*.json"))))
    assert counts[1] == counts[2] and counts[3] == 2 * counts[1]  # choices and seeds, all of them again


SEARCHER = """
LIMIT = 50
ORDER = [0, 1]

def better(score, best):
    return score > best

def mine(space, generator, patience=9):
    best = -1.0
    while True:
        genotype = space.random(generator)
        score = yield genotype
        if better(score, best):
            best = score
        for _ in range(patience % 2):
            generator.random()
"""
SEARCHER_EDITS = {
    "its own line": ("best = -1.0", "best = 0.0"),
    "a helper": ("score > best", "score >= best"),
    "a default": ("patience=9", "patience=8"),
    "the loop": ("while True", "while best < 2"),
    "what it draws": ("            generator.random()", "            generator.gauss(0, 1)"),
    "a constant that it uses now": ("range(patience % 2)", "range(LIMIT % 2)"),
    "a list": ("range(patience % 2)", "ORDER"),
    "what it proposes": ("space.random(generator)", "(space.random(generator), space.random(generator))[1]"),
    "an end": ("while True", "for _ in range(3)"),
    "the last line": ("generator.random()\n", "generator.random()\n        LIMIT\n"),
}


@pytest.fixture
def searcher():
    def register(source):
        return SEARCHERS.register(run_cell(source)["mine"])

    yield register
    SEARCHERS.pop("mine", None)


@pytest.mark.parametrize("edit", SEARCHER_EDITS.values(), ids=SEARCHER_EDITS)
def test_an_edited_searcher_has_another_run(edit, features, searcher, run):
    edited = SEARCHER.replace(*edit)
    assert edited != SEARCHER
    searcher(SEARCHER)
    config = CONFIG.change(searcher="mine", budget=2, shortlist_epochs=1)
    name = run_name("planted", config, features)
    trials = list(search_trials(features, config, run))
    searcher(SEARCHER)
    assert run_name("planted", config, features) == name
    assert [t.record() for t in search_trials(features, config, run)] == [t.record() for t in trials]
    searcher(edited)
    assert run_name("planted", config, features) != name
    with pytest.raises(RunError, match="searcher 'mine'"):
        list(search_trials(features, config, run))


def test_a_table_searches_again_with_an_edited_searcher(features, searcher, run, genotype):
    selection = Selection(rule="algorithm1", algorithm1=genotype)
    contest = Contest(run, features, CONFIG.change(shortlist_epochs=1), BUDGET, genotype, selection)
    searcher(SEARCHER)
    first = contest_trials("mine", Budget(2), contest, None)
    again = contest_trials("mine", Budget(2), contest, None)
    assert [t.record() for t in again] == [t.record() for t in first]
    searcher(SEARCHER.replace(*SEARCHER_EDITS["what it proposes"]))
    assert [t.genotype for t in contest_trials("mine", Budget(2), contest, None)] != [t.genotype for t in first]


@pytest.mark.parametrize("registry", [PRIMITIVES, RIVALS, SEARCHERS, TASKS], ids=lambda registry: registry.kind)
def test_names_of_bmnas_cannot_be_taken(registry):
    name = next(iter(registry))
    thing = type(name, (), {}) if registry is PRIMITIVES else type("Thing", (), {"name": name})()
    with pytest.raises(ConfigError, match="already registered"):
        registry.register(thing)
