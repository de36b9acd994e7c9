"""Joint training of a run: its samples and backbones are those of the features, and the test split is met once."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

import bmnas
from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, DataError, FeatureError, RunError, UnknownNameError
from bmnas.evaluation.joint import evaluation as joint_evaluation
from bmnas.evaluation.joint.evaluation import JOINT, build_joint, check_joint, evaluate_joint
from bmnas.evaluation.joint.sources import raw_samples
from bmnas.evaluation.joint.training import of_splits, predict_joint, train_joint
from bmnas.evaluation.trained_network import train_and_save
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.weight_files import weight_file
from bmnas.features.extraction import Backbone
from bmnas.features.feature_set import FeatureSet
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.rivals.live_mmtm import evaluate_live_mmtm
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.storage.checkpoint import load_tensors, save_tensors
from bmnas.tasks.planted import planted_genotype
from bmnas.tasks.preparation import prepare
from tests.support.tiny import tiny_features
from tests.tasks.test_real_tasks import CHEAP, TOYS, WRITERS

GENOTYPE = Genotype((CellGenotype(("Image_3", "Audio_2"), (StepGenotype("ConcatFC", ("x", "y")),)),), r=1)
CONFIG = SearchConfig(C=4, L=4, N=1, M=1, batch_size=16, dropout=0.2, device="cpu", threads=1)
BUDGET = EvalConfig(epochs=3, seeds=2, max_lr=3e-3)


def digits(cache):
    return prepare("digits", samples=60, copies=0, cache=cache, device="cpu")


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    return digits(tmp_path_factory.mktemp("cache"))


def empty(folder):
    folder.mkdir()
    return Run(folder)


@pytest.fixture(scope="module")
def whole(features, tmp_path_factory):
    """A run whose joint training nobody stopped."""
    run = empty(tmp_path_factory.mktemp("whole") / "run")
    return run, evaluate_joint(run, GENOTYPE, features, CONFIG, BUDGET)


def test_the_scores_are_those_of_a_network_trained_by_hand(features, whole):
    samples = raw_samples(features)
    network = build_joint(GENOTYPE, features, CONFIG, samples, 1)
    both = of_splits(samples, "train", "val")
    assert len(both) == 60 + 360
    train_joint(network, both, kind="multiclass", epochs=3, batch_size=16, max_lr=3e-3, seed=1, device="cpu")
    logits, targets = predict_joint(network, of_splits(samples, "test"), batch_size=50, device="cpu")
    assert whole[1].scores[1] == (logits.argmax(1) == targets).double().mean().item()
    assert targets.tolist() == features.targets[features.rows("test")].tolist()
    assert (whole[1].name, whole[1].parameters, len(whole[1].scores)) == (JOINT, network.sizes()["trained"], 2)


def test_it_starts_from_the_backbones_of_the_features_and_moves_them(features):
    samples = raw_samples(features)
    network = build_joint(GENOTYPE, features, CONFIG, samples, 0)
    made = {name: about["fingerprint"] for name, about in features.manifest["backbones"].items()}
    assert {name: weights_fingerprint(part) for name, part in network.backbones.items()} == made
    inputs = {name: x[:40] for name, x in samples.inputs.items()}
    rows = features.rows("train")[:40]
    with torch.no_grad():
        network.eval()
        found = {name: x.numpy() for name, x in network.features(inputs).items()}
    for name, values in found.items():  # the raw samples, through these backbones, are the stored features
        np.testing.assert_allclose(values, features.arrays[name][rows], rtol=1e-4, atol=1e-5)
    train_joint(network, of_splits(samples, "train"), kind="multiclass", epochs=1, batch_size=16, device="cpu")
    after = {name: weights_fingerprint(part) for name, part in network.backbones.items()}
    assert all(after[name] != made[name] for name in made)


class Counting(Dataset):
    """Writes down which rows are read."""

    def __init__(self, rows, name, log):
        self.rows, self.name, self.log = rows, name, log

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, row):
        self.log.append((self.name, row))
        return self.rows[row]


def test_the_test_split_is_met_once_a_seed_and_last(features, whole, tmp_path, monkeypatch):
    log, original = [], joint_evaluation.of_splits
    monkeypatch.setattr(joint_evaluation, "of_splits", lambda s, *n: Counting(original(s, *n), " ".join(n), log))
    run = empty(tmp_path / "run")
    result = evaluate_joint(run, GENOTYPE, features, CONFIG, BUDGET)
    assert result.scores == whole[1].scores
    for _ in range(BUDGET.seeds):
        trained, tested = log[: 3 * 420], log[3 * 420 : 3 * 420 + 360]
        assert {name for name, _ in trained} == {"train val"}
        assert sorted(tested) == [("test", row) for row in range(360)]
        del log[: 3 * 420 + 360]
    assert log == []
    evaluate_joint(run, GENOTYPE, features, CONFIG, BUDGET)
    assert log == []  # read back


def test_what_the_run_folder_keeps(whole):
    run, result = whole
    about = json.loads(run.path("joint.json").read_text())
    assert about["method"] == result.to_dict() and "the test split once" in about["note"]
    assert about["budget"] == BUDGET.to_dict() and about["batch_size"] == 16 and about["source"] == "synthetic"
    assert len(list(run.path("scores").glob("*.json"))) == 2
    assert [path for path in run.folder.rglob("*") if path.suffix in (".safetensors", ".lock", ".partial")] == []


def test_another_budget_or_batch_is_another_result(features, whole, tmp_path):
    run = Run(shutil.copytree(whole[0].folder, tmp_path / "run"))
    once = BUDGET.change(seeds=1)
    evaluate_joint(run, GENOTYPE, features, CONFIG, once, batch_size=8)
    evaluate_joint(run, GENOTYPE, features, CONFIG, once.change(epochs=1))
    assert len(list(run.path("scores").glob("*.json"))) == 4


# killed


def work(cache, folder, log, kill_at):
    """A process that kills itself after an epoch: seed 1, epoch `kill_at`."""
    torch.set_num_threads(1)

    def progress(what, epoch, _epochs):
        with log.open("a") as file:
            file.write(f"{what}: {epoch}\n")
        if what.endswith("seed 1") and epoch == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    evaluate_joint(Run(folder), GENOTYPE, digits(cache), CONFIG, BUDGET, progress=progress)


def test_a_killed_process_is_gone_on_with_to_the_same_bytes(features, whole, tmp_path):
    run, log = empty(tmp_path / "run"), tmp_path / "log"
    processes = multiprocessing.get_context("forkserver")
    process = processes.Process(target=work, args=(features.folder.parent, run.folder, log, 2))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    evaluate_joint(run, GENOTYPE, features, CONFIG, BUDGET, progress=lambda *told: log.open("a").write(f"{told[1]}\n"))
    lines = [f"{JOINT}, seed {seed}: {epoch}" for seed in (0, 1) for epoch in (1, 2, 3)]
    assert log.read_text().splitlines() == [*lines[:5], "3"]  # only the last epoch was left
    names = ["joint.json", *(f"scores/{path.name}" for path in whole[0].path("scores").glob("*.json"))]
    for name in names:
        assert run.path(name).read_bytes() == whole[0].path(name).read_bytes()


# the paper's tasks, on miniature files


@pytest.fixture
def toys(monkeypatch):
    for name, modalities in TOYS.items():
        monkeypatch.setitem(TASKS, name, replace(TASKS[name], modalities=modalities))


def any_genotype(features):
    pair = tuple(members[-1] for members in features.modalities.values())
    return Genotype((CellGenotype(pair, (StepGenotype("Sum", ("x", "y")),)),), r=1)


@pytest.mark.parametrize("name", WRITERS)
def test_raw_files_of_the_papers_tasks(name, toys, tmp_path):
    WRITERS[name](tmp_path / name)
    features = prepare(name, root=tmp_path, cache=tmp_path / "cache", backbone_epochs=1, **CHEAP)
    config = CONFIG.change(L=features.L, batch_size=4)
    run, budget = empty(tmp_path / "run"), BUDGET.change(epochs=1, seeds=1)
    result = evaluate_joint(run, any_genotype(features), features, config, budget, root=tmp_path, workers=0)
    assert result.metric == TASKS[name].metric and 0 <= result.mean <= 1 and len(result.per_class) > 20
    samples = raw_samples(features, tmp_path)
    rival = evaluate_live_mmtm(run, features, config, budget, samples=samples, workers=0)
    assert rival.metric == result.metric and 0 <= rival.mean <= 1 and rival.scores != ()
    for split, rows in samples.splits.items():
        labels = np.array([samples.read(int(row))[1] for row in rows])
        np.testing.assert_array_equal(labels, features.targets[features.rows(split)])


def test_only_the_samples_of_the_features_are_read(toys, tmp_path):
    """Fewer than there are, and without the unreadable ones."""
    names = WRITERS["ntu"](tmp_path / "ntu")
    next(tmp_path.rglob(f"{names[0]}.skeleton")).write_text("damaged")
    features = prepare("ntu", root=tmp_path, cache=tmp_path / "cache", backbone_epochs=1, **CHEAP)
    samples = raw_samples(features, tmp_path)
    chosen = {samples.names[row] for rows in samples.splits.values() for row in rows}
    assert samples.names[0] == names[0]  # the damaged one is the first of all
    assert build_joint(any_genotype(features), features, CONFIG.change(L=features.L), samples, 0).sizes()["fusion"]
    assert names[0] not in chosen and len(chosen) == sum(len(rows) for rows in features.splits.values()) == 11
    gone, other = sorted(chosen)[:2]
    video = next(tmp_path.rglob(f"{other}*.avi"))
    content = video.read_bytes()
    video.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DataError, match=other):  # another file of the same name
        raw_samples(features, tmp_path)
    video.write_bytes(content)
    next(tmp_path.rglob(f"{gone}.skeleton")).unlink()
    with pytest.raises(DataError, match=f"the sample '{gone}' .* is not in the raw data any more"):
        raw_samples(features, tmp_path)


# what cannot be trained jointly


def test_features_without_raw_data_are_refused(tmp_path):
    arrays = FeatureSet.from_arrays({"A_1": np.zeros((6, 3))}, [0, 1] * 3, {"train": [0, 1], "val": [2], "test": [3]})
    planted, cases = tiny_features(), {"'custom' .real.": arrays}
    cases |= {"'planted' .synthetic.": planted, "ask for NTU RGB.D at https": prepare(
        "ntu", source="stand-in", samples=60, cache=tmp_path / "cache", root=tmp_path
    )}  # fmt: skip
    for message, features in cases.items():
        with pytest.raises(DataError, match=f"raw data.*{message}"):
            check_joint(features, BUDGET)
    with pytest.raises(DataError, match="raw data"):
        evaluate_joint(empty(tmp_path / "run"), planted_genotype(planted), planted, CONFIG, BUDGET)
    assert not list((tmp_path / "run").iterdir())


def test_validation_is_not_what_the_paper_does(features):
    with pytest.raises(ConfigError, match="select is 'validation'; joint training takes the last epoch"):
        check_joint(features, BUDGET.change(select="validation"))


def test_backbones_that_are_gone_damaged_or_others(features, tmp_path):
    folder = Path(shutil.copytree(features.folder, tmp_path / "features"))
    moved, path = FeatureSet.open(folder), weight_file(folder, "Audio")
    samples, content = raw_samples(moved), path.read_bytes()
    path.write_bytes(content[:-3])
    with pytest.raises(FeatureError, match="Audio.safetensors.*LeNet"):
        build_joint(GENOTYPE, moved, CONFIG, samples, 0)
    path.write_bytes(content[:-4] + b"\0\0\0\0")
    with pytest.raises(FeatureError, match="Audio.safetensors.*LeNet.*sha256"):
        build_joint(GENOTYPE, moved, CONFIG, samples, 0)
    path.write_bytes(content)
    weights, about = load_tensors(path)
    save_tensors(path, {name: weight + 1 for name, weight in weights.items()}, about)
    with pytest.raises(FeatureError, match="Audio.safetensors"):
        build_joint(GENOTYPE, moved, CONFIG, samples, 0)
    path.unlink()
    with pytest.raises(FeatureError, match="Audio.*notebook 01"):
        check_joint(moved, BUDGET)


def test_other_raw_data_is_refused(features):
    other = replace(features, manifest={**features.manifest, "options": {**features.manifest["options"], "seed": 5}})
    with pytest.raises(DataError, match="the raw data of 'digits' is not that"):
        raw_samples(other)


def test_it_selects_and_hides_as_the_search_does(features, tmp_path):
    config = CONFIG.change(metric="macro F1", modality_dropout=0.5)
    result = evaluate_joint(empty(tmp_path / "run"), GENOTYPE, features, config, BUDGET.change(epochs=1, seeds=1))
    assert result.metric == "macro F1" and result.mean == result.all_scores["macro F1"]
    network = build_joint(GENOTYPE, features, config, raw_samples(features), 0)
    assert network.fusion.placeholders is not None and network.fusion.placeholders.dropout.p == 0.5


def test_a_loaded_network_takes_raw_samples_through_its_backbones(features, tmp_path):
    """One run on some of the modalities' features: its raw logits are those of the stored features."""
    part = features.choose(features=["Image_3", "Audio_2"])
    run = empty(tmp_path / "run")
    run.claim(CONFIG, part)
    train_and_save(run, GENOTYPE, part, CONFIG, BUDGET.change(epochs=1, seeds=1))
    trained = bmnas.load(run)
    network, samples = trained.with_backbones(), raw_samples(features)
    rows = features.rows("test")[:40]
    inputs = {name: x[rows] for name, x in samples.inputs.items()}
    stored = {name: features.arrays[name][rows] for name in trained.shapes}
    with torch.no_grad():
        torch.testing.assert_close(network(inputs), trained.logits(stored, "cpu"), rtol=1e-3, atol=1e-4)
    for words in ("Image_3", f"(batch, {len(features.classes)})", *features.classes):
        assert words in trained.describe()
    trained.preprocessing = "0" * 16
    with pytest.raises(FeatureError, match="preprocessing"):
        trained.with_backbones()


def own_models():
    torch.manual_seed(0)
    models = {name: nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3)) for name in ("Image", "Text")}
    taps = {name: {f"{name}_1": Tap("0"), f"{name}_2": Tap("2")} for name in models}
    return {name: Backbone(model=model, taps=taps[name]) for name, model in models.items()}


@pytest.mark.parametrize("remembered", [True, False])
def test_backbones_of_ones_own_are_attached_if_they_made_the_features(remembered, tmp_path):
    backbones, raw = own_models(), {name: torch.randn(40, 5) for name in ("Image", "Text")}
    arrays = {}
    for name, backbone in backbones.items():
        arrays |= bmnas.extract(backbone.model, backbone.taps, raw[name].split(10), L=1)[0]
    about = {name: {"fingerprint": weights_fingerprint(one.model)} for name, one in backbones.items()}
    features = FeatureSet.from_arrays(
        arrays, np.arange(40) % 2, {"train": range(20), "val": range(20, 30), "test": range(30, 40)}, L=1,
        backbones=about if remembered else None, report=False,
    )  # fmt: skip
    config, genotype, run = CONFIG.change(L=1), any_genotype(features), empty(tmp_path / "run")
    run.claim(config, features)
    trained = train_and_save(run, genotype, features, config, BUDGET.change(epochs=1, seeds=1))
    stored = {name: features.arrays[name] for name in trained.shapes}
    with torch.no_grad():
        ours = trained.with_backbones(backbones)(raw)
    torch.testing.assert_close(ours, trained.logits(stored, "cpu"), rtol=1e-4, atol=1e-5)
    with pytest.raises(UnknownNameError, match="Sound"):
        trained.with_backbones({"Sound": backbones["Image"]})
    torch.nn.init.zeros_(backbones["Text"].model[0].weight)
    if remembered:
        with pytest.raises(FeatureError, match="backbone of Text has other weights"):
            trained.with_backbones(backbones)


def test_a_network_without_known_backbones_says_so(tmp_path):
    own = tiny_features()
    genotype, run = any_genotype(own), empty(tmp_path / "run")
    run.claim(CONFIG, own)
    trained = train_and_save(run, genotype, own, CONFIG, BUDGET.change(epochs=1, seeds=1))
    with pytest.raises(DataError, match="no backbones behind them"):
        trained.with_backbones()
    trained.run = None
    with pytest.raises(RunError, match="no run"):
        trained.with_backbones()
