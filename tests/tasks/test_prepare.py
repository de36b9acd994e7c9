"""From a name to features: options, cache, determinism."""

import hashlib
import json
import multiprocessing
import random
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from bmnas.errors import ConfigError, DataError, FeatureError, UnknownNameError
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.backbones.weight_files import load_backbone, weight_file
from bmnas.features.feature_set import FeatureSet
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.tasks.base import Modality, RawData
from bmnas.tasks.preparation import prepare

MODULE = sys.modules["bmnas.tasks.preparation"]  # `bmnas.prepare` is the function
TINY = {"samples": 60, "copies": 0}


def tiny(cache, **options):
    return prepare("digits", cache=cache, device="cpu", **(TINY | options))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One tiny feature set, its folder, what progress told, and the random state before and after."""
    cache, told, before = tmp_path_factory.mktemp("cache"), [], torch.get_rng_state()
    features = tiny(cache, progress=lambda *args: told.append(args))
    return features, next(cache.iterdir()), told, before, torch.get_rng_state()


def test_a_second_call_opens_what_the_first_made(made, monkeypatch):
    first, folder, *_ = made
    assert folder.name.startswith("digits-")
    monkeypatch.setattr(MODULE, "build", lambda *_args: pytest.fail("made again"))
    second = tiny(folder.parent)
    assert second.fingerprint == first.fingerprint
    assert all(isinstance(array, np.memmap) for array in second.arrays.values())


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(made, tmp_path):
    first = made[0]
    torch.manual_seed(2)
    again, other = tiny(tmp_path), tiny(tmp_path, seed=1)
    for name in first.names:
        assert first.arrays[name].tobytes() == again.arrays[name].tobytes() != other.arrays[name].tobytes()
    assert first.fingerprint == again.fingerprint
    assert first.manifest["backbones"]["Image"]["fingerprint"] == again.manifest["backbones"]["Image"]["fingerprint"]


def test_every_option_has_its_own_folder(tmp_path):
    task = TASKS["digits"]
    changes = ({}, {"L": 9}, {"samples": 61}, {"seed": 5}, {"snr_db": 0.0})
    assert len({MODULE.key(task, {**task.options, **change}) for change in changes}) == len(changes)
    planted = [prepare("planted", cache=tmp_path, samples=samples) for samples in (20, 24, 20)]
    assert [len(features.rows("train")) for features in planted] == [20, 24, 20]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_raised_recipe_makes_the_old_cache_unused():
    task = TASKS["digits"]
    changed = type(task)(**{**vars(task), "recipe": task.recipe + 1})
    assert MODULE.key(task, task.options) != MODULE.key(changed, task.options)


def test_none_stands_for_the_default():
    task = TASKS["digits"]
    assert task.resolve({"L": None, "samples": None, "source": None}) == task.options
    assert TASKS["avmnist"].resolve({"snr_db": None})["snr_db"] is None  # here None says: no noise


def test_the_manifest_says_how_it_was_made(made):
    manifest = made[0].manifest
    assert manifest["options"] == {**TASKS["digits"].options, **TINY}
    assert manifest["pooling"]["Image_1"] == {"module": "blocks.0", "axis": "grid", "channel": 1}
    for report in manifest["backbones"].values():
        assert set(report["scores"]) == {"fit", "train", "val", "test"} and "seconds" not in report
        assert report["rows"] == 60 and report["epochs"] > 0 and len(report["fingerprint"]) == 64
    json.dumps(manifest)


def test_logits_are_those_of_the_reported_scores(made):
    features = made[0]
    for name, report in features.manifest["backbones"].items():
        right = features.logits[name].argmax(1) == features.targets
        for split in ("train", "val", "test"):
            assert report["scores"][split] == pytest.approx(right[features.rows(split)].mean())


def test_progress_is_told(made):
    stages = ["train Image backbone", "extract Image", "train Audio backbone", "extract Audio"]
    told = made[2]
    assert list(dict.fromkeys(what for what, _, _ in told)) == stages
    assert all(0 < done <= total for _, done, total in told)


def test_nothing_is_printed_and_nothing_global_changes(made, tmp_path, capsys):
    assert torch.equal(made[3], made[4])
    threads = torch.get_num_threads()
    prepare("planted", samples=20, cache=tmp_path, threads=threads + 1)
    assert torch.get_num_threads() == threads
    assert capsys.readouterr() == ("", "")


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(UnknownNameError, match="dataset 'digit'.*: digits"):
        prepare("digit")
    with pytest.raises(UnknownNameError, match="'snr'.*: snr_db.*copies"):
        prepare("digits", snr=3)


@pytest.mark.parametrize(
    ("dataset", "options", "kind", "message"),
    [
        ("digits", {"samples": 5000}, ConfigError, "samples is 5000"),
        ("digits", {"samples": "full"}, ConfigError, "samples is 'full'"),
        ("digits", {"L": 8, **TINY}, ConfigError, "L is 8.*square"),
        ("digits", {"source": "real"}, DataError, "'digits' is synthetic"),
        ("digits", {"device": "gpu"}, ConfigError, "device is 'gpu'"),
        ("digits", {"seed": "one", **TINY}, ConfigError, "seed is 'one'; expected a whole number"),
        ("planted", {"L": "long"}, ConfigError, "L is 'long'; expected a whole number"),
        ("planted", {"samples": "full"}, ConfigError, "samples is 'full'; expected a whole number of at least 2"),
        ("planted", {"K": 1}, ConfigError, "K is 1"),
        ("planted", {"modality_count": 9}, ConfigError, "9"),
        ("planted", {"modalities": 9}, FeatureError, "9"),
        ("ntu", {"samples": 10}, ConfigError, "samples is 10"),
        ("avmnist", {"samples": 10}, ConfigError, "samples is 10"),
        ("avmnist", {"samples": "all"}, ConfigError, "samples is 'all'"),
        ("avsum", {"samples": 55000}, ConfigError, "samples is 55000; expected 80 to 54999"),
        ("avmnist", {"pca_components": 0}, ConfigError, "pca_components is 0"),
    ],
)
def test_bad_options_are_clear_errors_and_leave_no_cache(tmp_path, dataset, options, kind, message):
    with pytest.raises(kind, match=message):
        prepare(dataset, cache=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cache_is_refused(tmp_path):
    prepare("planted", samples=20, cache=tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "targets.npy").unlink()
    with pytest.raises(FeatureError, match="targets.npy is missing"):
        prepare("planted", samples=20, cache=tmp_path)


def test_a_machine_that_sees_no_lock_may_prepare_the_same(tmp_path, monkeypatch):
    build, raced = MODULE.build, []

    def slower(*args):
        features = build(*args)
        if not raced:  # the other machine finishes first
            raced.append(True)
            prepare("planted", samples=20, cache=tmp_path / "elsewhere")
            (made,) = (tmp_path / "elsewhere").iterdir()
            made.rename(tmp_path / made.name)
            (tmp_path / "elsewhere").rmdir()
        return features

    monkeypatch.setattr(MODULE, "build", slower)
    assert prepare("planted", samples=20, cache=tmp_path).fingerprint and len(list(tmp_path.iterdir())) == 1


def test_the_cache_lies_with_the_runs_by_default(monkeypatch, tmp_path):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    prepare("planted", samples=20)
    (folder,) = (tmp_path / "_features").iterdir()
    assert FeatureSet.open(folder).task == "planted"


# killed and gone on with


def work(cache, log):
    """A process that prepares small digits and writes down what it is told."""
    torch.set_num_threads(1)
    with log.open("a") as file:

        def progress(*told):
            file.write(" ".join(map(str, told)) + "\n")
            file.flush()

        progress("starts")
        prepare("digits", samples=120, copies=6, device="cpu", cache=cache, progress=progress)


def lines(log, beginning):
    return [line for line in log.read_text().splitlines() if line.startswith(beginning)] if log.exists() else []


def files(folder):
    """All that must be the same: everything but seconds."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "timing" not in path.name]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.slow
def test_kills_at_random_moments_change_no_bit_and_no_epoch_is_done_again(tmp_path):
    """The real thing: SIGKILL while a process trains its backbones and extracts, again and again."""
    processes = multiprocessing.get_context("forkserver")
    work(tmp_path / "whole", tmp_path / "log")
    chance, kills, log = random.Random(0), 0, tmp_path / "killed log"
    while not list((tmp_path / "killed").glob("digits-*")):
        process = processes.Process(target=work, args=(tmp_path / "killed", log))
        process.start()
        while len(lines(log, "starts")) <= kills:
            time.sleep(0.01)
        if kills < 6:
            time.sleep(chance.uniform(0.05, 0.4))
            process.kill()  # SIGKILL
            kills += 1
        process.join()
    assert kills == 6
    assert files(tmp_path / "killed") == files(tmp_path / "whole")
    epochs = lines(log, "train ")
    assert list(dict.fromkeys(epochs)) == lines(tmp_path / "log", "train ")
    assert len(epochs) <= len(set(epochs)) + kills  # at most the epoch that a kill fell into
    assert not list((tmp_path / "killed").glob(".*/*"))


class Pretrained(torch.nn.Module):
    """A body that is given, and a classifier."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        self.classifier = torch.nn.Linear(4, 2)

    def forward(self, x):
        return self.classifier(self.body(x))


def test_of_a_pretrained_network_the_classifier_alone_is_trained(tmp_path):
    def load(model):
        torch.nn.init.constant_(model.body[0].weight, 0.5)

    training = {"epochs": 20, "batch_size": 10, "max_lr": 0.1}
    modality = Modality("A", ("A_1",), Pretrained, {"A_1": Tap("body")}, training, pretrained=load)
    x = np.random.default_rng(0).standard_normal((40, 3)).astype(np.float32)
    labels = (x.sum(1) > 0).astype(np.int64)
    rows = np.arange(40)
    raw = RawData({"A": x}, labels, {"A": labels}, {"train": rows}, rows, "")
    number = int(np.random.SeedSequence([0, 0]).generate_state(1)[0])
    start = MODULE.untrained(modality, number)
    load(start)
    expected = start.body.state_dict()
    model, about = MODULE.backbone(modality, raw, [0, 0], tmp_path, torch.device("cpu"), None)
    for name, weight in model.body.state_dict().items():
        assert torch.equal(weight, expected[name])
    assert about["backbone"] == "Pretrained" and about["fingerprint"] == weights_fingerprint(model)
    assert about["scores"]["train"] > 0.9
    with torch.no_grad():
        again = (model.eval()(torch.from_numpy(x)).argmax(1).numpy() == labels).mean()
    assert again == pytest.approx(about["scores"]["train"])  # the body ran in training as it will in use
    reopened, _ = MODULE.backbone(modality, raw, [0, 0], tmp_path, torch.device("cpu"), None)
    assert weights_fingerprint(reopened) == about["fingerprint"]


def test_the_weights_of_the_backbones_lie_with_the_features(made):
    features, folder, *_ = made
    for modality in TASKS["digits"].modalities:
        model = modality.backbone()
        about = load_backbone(model, weight_file(folder, modality.name))
        assert about == features.manifest["backbones"][modality.name]
        assert weights_fingerprint(model) == about["fingerprint"]
    assert not list(folder.parent.glob(".*"))  # neither locks nor unfinished work


@pytest.mark.parametrize("says", [{}, {"task": "mine"}, {"task": "mine", "source": "synthetic", "L": 8}])
def test_features_of_a_task_of_ones_own_say_what_the_task_says(says, tmp_path, monkeypatch):
    noise = np.random.default_rng(0).normal(size=(40, 3))

    def make(options, root, progress):
        rows = {"train": range(20), "val": range(20, 30), "test": range(30, 40)}
        return FeatureSet.from_arrays({"A_1": noise, "B_1": noise}, np.arange(40) % 2, rows, report=False, **says)

    twin = TASKS["twodigits"]
    options = {"seed": 0, "L": 1, "samples": 40, "source": "synthetic"}
    mine = replace(twin, name="mine", source="synthetic", options=options, make=make, open_raw=None, grouped_by="")
    monkeypatch.setitem(TASKS, "mine", mine)
    with pytest.raises(FeatureError, match="L=1"):
        prepare("mine", cache=tmp_path)
    says = {"task": "mine", "source": "synthetic", "L": 1}
    assert prepare("mine", cache=tmp_path).source == "synthetic"
