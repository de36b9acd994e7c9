"""Where things lie: the project, its runs, its raw data."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The folder that holds `pyproject.toml` (the parent of the package)."""
    return Path(__file__).resolve().parent.parent


def runs_root() -> Path:
    """The folder of all runs: `BMNAS_RUNS`, else `runs` in the project."""
    given = os.environ.get("BMNAS_RUNS")
    return Path(given).expanduser() if given else repo_root() / "runs"


def data_root() -> Path:
    """The folder of all raw data: `BMNAS_DATA`, else `data` in the project."""
    given = os.environ.get("BMNAS_DATA")
    return Path(given).expanduser() if given else repo_root() / "data"
