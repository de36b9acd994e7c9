"""A primitive, rival, task or backbone of one's own that is edited under its name: no old result stands for the new."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bmnas.errors import FeatureError, RunError
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
from bmnas.registry import PRIMITIVES, TASKS
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import run_name
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
