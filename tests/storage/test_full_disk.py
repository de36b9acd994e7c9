"""Work that a disk without room, or a folder that cannot be made, stops: one clear error, and afterwards it goes on."""

import resource
import signal
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import bmnas
from bmnas.errors import BmnasError
from tests.support.tiny import BUDGET, CONFIG, tiny_features

RNG = np.random.default_rng(0)
X = {"a": RNG.normal(size=(80, 5)), "b": RNG.normal(size=(80, 6))}
Y = RNG.integers(0, 2, 80)
SHORT = {"search": {"epochs": 2}, "budget": {"epochs": 2, "seeds": 1}, "verbose": 0}


@contextmanager
def at_most(bytes_of_a_file):
    """No file may grow beyond so many bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def fit(folder: Path) -> None:
    bmnas.FusionClassifier(run=folder / "run", **SHORT).fit(X, Y)


def train(folder: Path) -> None:
    features, run = tiny_features(), bmnas.Run(folder / "run")
    list(bmnas.search(features, CONFIG, run))
    bmnas.train_and_save(run, bmnas.read_out(run, features).chosen, features, CONFIG, BUDGET)


def trials(folder: Path) -> None:
    list(bmnas.search_trials(tiny_features(), CONFIG.change(searcher="random"), bmnas.Run(folder / "run")))


def seeds(folder: Path) -> None:
    runs = {seed: bmnas.Run(folder / f"run{seed}") for seed in range(2)}
    list(bmnas.search_seeds(tiny_features(), CONFIG, runs))


def rivals(folder: Path) -> None:
    bmnas.evaluate_rivals(tiny_features(), CONFIG, BUDGET, bmnas.Run(folder / "run"), names=["GMU"])


def joined(folder: Path) -> None:
    bmnas.join_features([tiny_features()] * 2, folder / "joined")


def prepared(folder: Path) -> None:
    bmnas.prepare("digits", samples=60, copies=0, cache=folder / "features", device="cpu")


WORK = {work.__name__: work for work in (fit, train, trials, seeds, rivals, joined, prepared)}


def files(folder: Path) -> dict[str, bytes]:
    """What equal work leaves equal: not the seconds, nor the machine, nor when something was made."""
    found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "timing" not in name}


@pytest.mark.parametrize("name", WORK)
def test_a_full_disk_is_one_clear_error_and_the_work_goes_on_afterwards(name, tmp_path):
    for place in ("whole", "stopped"):
        (tmp_path / place).mkdir()
    WORK[name](tmp_path / "whole")
    largest = max(map(len, files(tmp_path / "whole").values()))
    for size in (100, largest // 2, largest - 1):
        with at_most(size), pytest.raises(BmnasError) as caught:
            WORK[name](tmp_path / "stopped")
        assert str(tmp_path) in str(caught.value) and "oom" in str(caught.value), caught.value
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.rglob("*.partial"))
    WORK[name](tmp_path / "stopped")
    assert files(tmp_path / "stopped").keys() == files(tmp_path / "whole").keys()
    stopped = files(tmp_path / "stopped")
    different = [name for name, content in files(tmp_path / "whole").items() if stopped[name] != content]
    assert all(name.endswith("features.json") for name in different), different  # they name folders


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("kind", ["below a file", "of the kernel"])
def test_a_folder_that_cannot_be_made_is_one_clear_error_before_any_work(name, kind, tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "file" if kind == "below a file" else Path("/proc")
    if not folder.exists():
        pytest.skip("no /proc")
    with pytest.raises(BmnasError, match=str(folder)):
        WORK[name](folder)
    assert files(tmp_path) == {"file": b"mine"}
