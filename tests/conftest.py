"""Where the tests find real data, which files come first, and how long each group of them takes."""

import atexit
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # of what the tests start, too: two wait for each other on a busy machine
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all modules again
sys.dont_write_bytecode = False

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402

from bmnas.features.feature_set import FeatureSet  # noqa: E402
from bmnas.tasks.preparation import prepare  # noqa: E402

if TYPE_CHECKING:
    from tests.support.one_kernel import Execute

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if SHARED_DATA.is_dir():
    os.environ.setdefault("BMNAS_DATA", str(SHARED_DATA))

RUNS = tempfile.mkdtemp(prefix="bmnas-tests-")
os.environ["BMNAS_RUNS"] = RUNS  # no test may see, or leave, the user's runs
atexit.register(shutil.rmtree, RUNS, ignore_errors=True)
PREPARED = "BMNAS_TESTS_PREPARED"
if PREPARED not in os.environ:  # the processes of one call of pytest share it
    os.environ[PREPARED] = tempfile.mkdtemp(prefix="bmnas-prepared-")
    atexit.register(shutil.rmtree, os.environ[PREPARED], ignore_errors=True)
torch.set_num_threads(1)
multiprocessing.set_forkserver_preload(["bmnas", "torch._dynamo"])  # imported once, not by every process that is killed

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test is a matter of seconds
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(autouse=True)
def fixed_random_numbers() -> None:
    """Lets the weights and inputs that a test draws be the same in every run."""
    torch.default_generator.manual_seed(0)


@pytest.fixture(scope="session")
def notebook_kernel() -> "Iterator[Execute]":
    """A kernel for the notebooks of all files whose tests this process runs, without a browser for pictures."""
    from tests.support.one_kernel import NO_BROWSER, one_kernel  # here: most tests need no kernel

    with one_kernel(NO_BROWSER) as execute:
        yield execute


@pytest.fixture(scope="session")
def prepared() -> Callable[[str], FeatureSet]:
    """Prepares the features of a data set by its preset, once for all files of tests."""
    return lambda name: prepare(name, cache=os.environ[PREPARED], device="cpu")


LONG = ("browser", "notebooks", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process ends with one alone, and those of the browser, which mostly wait, apart."""
    marks = {mark: dict.fromkeys(item.path for item in items if item.get_closest_marker(mark)) for mark in LONG}
    waiting = list(marks["browser"])
    working = [path for path in marks["notebooks"] | marks["slow"] if path not in waiting]
    turns = zip_longest(waiting, working[::2], working[1::2])
    order = [path for turn in turns for path in turn if path]
    items.sort(key=lambda item: order.index(item.path) if item.path in order else len(order))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the seconds of each folder of tests, the slowest first; with several processes they add up to more."""
    seconds: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.split("/")[1]] += report.duration  # type: ignore[assignment]
    terminalreporter.section("seconds of each group")
    for group, total in seconds.most_common():
        terminalreporter.write_line(f"{total:8.1f}  tests/{group}")
