"""Where the tests find real data, in which order they run, and how long each group of them takes."""

import atexit
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
import torch

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
if SHARED_DATA.is_dir():
    os.environ.setdefault("BMNAS_DATA", str(SHARED_DATA))

RUNS = tempfile.mkdtemp(prefix="bmnas-tests-")
os.environ["BMNAS_RUNS"] = RUNS  # no test may see, or leave, the user's runs
atexit.register(shutil.rmtree, RUNS, ignore_errors=True)
torch.set_num_threads(1)  # two are slower than one on a busy machine

hypothesis.settings.register_profile("busy machine", deadline=None)  # no test is a matter of seconds
hypothesis.settings.load_profile("busy machine")

LATER = ("notebooks", "browser", "slow")


def stage(item: pytest.Item) -> int:
    """The place of an item's kind: fast, then the longest, so that short ones come last when processes wait."""
    return next((number for number, mark in enumerate(LATER, 1) if item.get_closest_marker(mark)), 0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, then whole notebooks, the browser, and slow ones; a file's tests of a kind share a process."""
    items.sort(key=stage)
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {stage(item)}"))


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
