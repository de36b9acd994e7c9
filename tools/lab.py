"""`run.py lab`: JupyterLab on copies of the notebooks, so that what is typed there changes no later command.

The copies lie in runs/_notebooks_in_lab/ and keep what was typed and computed. When a shipped notebook has changed, its
copy moves to earlier/<date>/ there and a new one is made.
"""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from bmnas.machine import runs_root
from tools.module import run_module
from tools.record import set_aside

SHIPPED = Path(__file__).resolve().parents[1] / "notebooks"
SETTINGS = Path(__file__).resolve().parent / "lab_settings"  # defaults that a user's own settings override: code wraps
FOLDER = "_notebooks_in_lab"
ORIGINS = ".origins.json"  # copy -> sha256 of the shipped notebook that it was made from
AS_ROOT = "--allow-root"  # without it JupyterLab does not start for root
CONTAINER_MARKS = (Path("/.dockerenv"), Path("/run/.containerenv"))  # of Docker; of Podman


def copy_notebooks(shipped: Path, folder: Path) -> list[str]:
    """Copies the shipped notebooks that have no copy of their present state; an older copy is set aside.

    Returns:
        What was set aside, one line a notebook.
    """
    folder.mkdir(parents=True, exist_ok=True)
    origins = _origins(folder)
    news = []
    for source in sorted(shipped.glob("*.ipynb")):
        copy = folder / source.name
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        if copy.is_file() and origins.get(source.name) == digest:
            continue
        if place := set_aside(folder, copy):
            news.append(f"{source.name} is new; your copy of the previous one is in {place}")
        shutil.copyfile(source, copy)
        origins[source.name] = digest
        (folder / ORIGINS).write_text(json.dumps(origins), encoding="utf-8")
    return news


def _origins(folder: Path) -> dict[str, str]:
    """Reads what the copies were made from; without a readable record, every copy counts as an older notebook's."""
    try:
        origins = json.loads((folder / ORIGINS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return origins if isinstance(origins, dict) else {}


def lab_options(root: Path) -> list[str]:
    """Returns JupyterLab's options: it sees the runs and the copies, and figures are saved without their PNG twins."""
    return [
        f"--ServerApp.root_dir={root}",
        f"--LabApp.default_url=/lab/tree/{FOLDER}",
        "--ServerApp.jpserver_extensions=tools.saving=True",
    ]


def config_path() -> str:
    """Returns where Jupyter looks for settings: in ours, then where it is told to."""
    return os.pathsep.join([str(SETTINGS), *filter(None, [os.environ.get("JUPYTER_CONFIG_PATH")])])


def is_root() -> bool:
    """Returns whether this process may do everything on its machine; False on Windows, where Jupyter does not ask."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def root_options() -> list[str]:
    """Returns JupyterLab's option for root where it goes without saying: in a container everybody is root."""
    return [AS_ROOT] if is_root() and any(mark.exists() for mark in CONTAINER_MARKS) else []


def main(arguments: list[str]) -> int:
    """Runs JupyterLab -> its exit status."""
    root = runs_root().absolute()
    for line in copy_notebooks(SHIPPED, root / FOLDER):
        print(line, flush=True)
    os.environ["JUPYTER_CONFIG_PATH"] = config_path()
    options = [*lab_options(root), *root_options(), *arguments]
    status = run_module("jupyterlab", *options)
    if status and is_root() and AS_ROOT not in options:
        print(f"You are root. If JupyterLab is to start all the same: python3 run.py lab {AS_ROOT}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
