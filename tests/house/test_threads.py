"""One thread by default, in all that computes, and the user's own number afterwards."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bmnas
from bmnas.config import SearchConfig
from bmnas.errors import ConfigError
from bmnas.evaluation.joint.network import joint_network
from bmnas.evaluation.joint.training import predict_joint, train_and_test_joint
from bmnas.features.backbone_training import train_unimodal
from bmnas.features.extraction import extract
from bmnas.machine import use_threads
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.run_folder import Run
from tests.support.tiny import BUDGET, CONFIG, tiny_features

DEFAULT = SearchConfig(**{name: value for name, value in CONFIG.to_dict().items() if name != "threads"})
ONE_SEED = BUDGET.change(seeds=1, epochs=1)


@pytest.fixture
def numbers() -> Iterator[set[int]]:
    """The numbers of threads with which modules computed, while the user has two."""
    seen: set[int] = set()

    def look(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        if output.device.type != "meta":  # shapes alone, for the estimate of memory
            seen.add(torch.get_num_threads())

    hook = nn.modules.module.register_module_forward_hook(look)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield seen
    finally:
        hook.remove()
        torch.set_num_threads(before)


@pytest.fixture
def run(tmp_path) -> Run:
    """A finished search, read out."""
    run = Run(tmp_path / "run")
    list(search(tiny_features(), CONFIG, run))
    bmnas.read_out(run, tiny_features())
    return run


def model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 2))


def logits_features() -> bmnas.FeatureSet:
    features = tiny_features()
    logits = {name: np.zeros((len(features), len(features.classes)), np.float32) for name in features.modalities}
    arrays = {name: np.array(array) for name, array in features.arrays.items()}
    return bmnas.FeatureSet.from_arrays(
        arrays, features.targets, features.splits, logits=logits, modalities=features.modalities
    )


def joint() -> tuple:
    data = [({"a": torch.randn(8)}, torch.tensor(i % 2)) for i in range(8)]
    step = bmnas.StepGenotype("Sum", ("x", "y"))
    genotype = bmnas.Genotype((bmnas.CellGenotype(("a_1", "a_2"), (step,)),), 1)
    taps = {"a": {"a_1": "1", "a_2": "3"}}
    return joint_network(genotype, {"a": model()}, taps, {"a": torch.randn(2, 8)}, 2, C=4, L=4), data


def train_joint_once() -> None:
    network, data = joint()
    train_and_test_joint(network, data, data, kind="multiclass", batch_size=4, epochs=1, device="cpu")  # type: ignore[arg-type]


def predict_joint_once() -> None:
    network, data = joint()
    predict_joint(network, data, batch_size=4, device="cpu")  # type: ignore[arg-type]


CALLS: dict[str, Callable[[Run], object]] = {
    "search": lambda run: list(search(tiny_features(), DEFAULT)),
    "an epoch of a Search": lambda run: Search(tiny_features(), DEFAULT).run_epoch(),
    "search_seeds": lambda run: list(bmnas.search_seeds(tiny_features(), DEFAULT, {0: None, 1: None})),
    "read_out": lambda run: (
        (run.path("selection.json").unlink(), run.path("genotype.json").unlink())
        and bmnas.read_out(run, tiny_features())
    ),
    "estimate": lambda run: bmnas.estimate(tiny_features(), DEFAULT),
    "evaluate": lambda run: bmnas.evaluate("x", run.trace().best.genotype, tiny_features(), DEFAULT, ONE_SEED),
    "score_by_epoch": lambda run: bmnas.score_by_epoch(run.trace().best.genotype, tiny_features(), DEFAULT, ONE_SEED),
    "train_and_save": lambda run: bmnas.train_and_save(
        run, run.trace().best.genotype, tiny_features(), DEFAULT, ONE_SEED
    ),
    "late fusion": lambda run: bmnas.baselines(logits_features(), DEFAULT, ONE_SEED),
    "a backbone": lambda run: train_unimodal(
        model(), np.ones((8, 8), np.float32), np.arange(8) % 2, {"fit": np.arange(8)}, epochs=1, device="cpu"
    ),
    "extract": lambda run: extract(model(), {"a": "1"}, [torch.randn(4, 8)], L=4, device="cpu"),
    "joint training": lambda run: train_joint_once(),
    "joint prediction": lambda run: predict_joint_once(),
}


@pytest.mark.parametrize("name", CALLS)
def test_all_that_computes_takes_one_thread_and_gives_the_others_back(name, run, numbers):
    CALLS[name](run)
    assert numbers == {1}
    assert torch.get_num_threads() == 2


def test_a_prediction_takes_one_thread(run, numbers):
    network = bmnas.train_and_save(run, run.trace().best.genotype, tiny_features(), DEFAULT, ONE_SEED)
    numbers.clear()
    network.predict(tiny_features(), device="cpu")
    assert numbers == {1} and torch.get_num_threads() == 2


def test_a_search_takes_as_many_as_its_settings_say_and_only_while_it_works(numbers):
    for _ in search(tiny_features(), DEFAULT.change(threads=3)):
        assert torch.get_num_threads() == 2
    assert numbers == {3}


def test_what_is_called_within_takes_the_number_around_it():
    before = torch.get_num_threads()
    with use_threads(3):
        with use_threads():
            assert torch.get_num_threads() == 3
        with use_threads(2):
            assert torch.get_num_threads() == 2
    with use_threads():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_no_number_of_threads_is_an_error():
    with pytest.raises(ConfigError, match="threads"):
        SearchConfig(threads=None)  # type: ignore[arg-type]


def test_a_run_folder_of_an_unset_number_still_opens(run: Run):
    path: Path = run.path("config.json")
    kept = json.loads(path.read_text(encoding="utf-8"))
    kept["search"]["threads"] = None
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert run.config() == DEFAULT
    assert len(list(search(tiny_features(), DEFAULT, run))) == DEFAULT.epochs
