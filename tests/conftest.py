"""Where the tests find real data, and in which order they run."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if SHARED_DATA.is_dir():
    os.environ.setdefault("BMNAS_DATA", str(SHARED_DATA))

RUNS = tempfile.mkdtemp(prefix="bmnas-tests-")
os.environ["BMNAS_RUNS"] = RUNS  # no test may see, or leave, the user's runs
atexit.register(shutil.rmtree, RUNS, ignore_errors=True)
torch.set_num_threads(1)  # two are slower than one on a busy machine

LATER = ("slow", "notebooks", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, then slow ones, whole notebooks, and the browser."""
    items.sort(key=lambda item: max((i for i, mark in enumerate(LATER, 1) if item.get_closest_marker(mark)), default=0))
