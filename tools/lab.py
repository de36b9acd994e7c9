"""`run.py lab`: JupyterLab on copies of the notebooks, so that what is typed there changes no later command.

The copies lie in runs/_notebooks_in_lab/ and keep what was typed and computed. When a shipped notebook has changed, its
copy moves to earlier/<date>/ there and a new one is made.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from bmnas.machine import runs_root
from tools.module import run_module
from tools.record import set_aside

SHIPPED = Path(__file__).resolve().parents[1] / "notebooks"
FOLDER = "_notebooks_in_lab"
ORIGINS = ".origins.json"  # copy -> sha256 of the shipped notebook that it was made from


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


def main(arguments: list[str]) -> int:
    """Runs JupyterLab -> its exit status."""
    root = runs_root().absolute()
    for line in copy_notebooks(SHIPPED, root / FOLDER):
        print(line, flush=True)
    return run_module("jupyterlab", *lab_options(root), *arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
