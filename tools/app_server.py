"""`run.py app`: the notebook of the app, or one of the others by its number, served by Voila without its code."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.module import run_module

ROOT = Path(__file__).resolve().parents[1]
APP = ROOT / "tools" / "app"


def served_notebook(arguments: Sequence[str]) -> tuple[Path, list[str]]:
    """Returns the app, or the notebook whose number comes first, and the arguments that are left for Voila.

    Raises:
        SystemExit: no notebook has this number; names those that exist.
    """
    if not arguments or not arguments[0].isdigit():
        return APP / "app.ipynb", list(arguments)
    notebooks = {path.name[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    number = arguments[0].zfill(2)
    if number not in notebooks:
        sys.exit(f"there is no notebook {number}; expected one of {', '.join(notebooks)}, or none for the app")
    return notebooks[number], list(arguments[1:])


def voila_settings(notebook: Path = APP / "app.ipynb") -> tuple[list[str], dict[str, str]]:
    """Returns Voila's options and variables: BMNAS_LIVE means that somebody watches; our template loads no fonts.

    The kernel of a closed page ends with it; that of a lost page ends after ten idle minutes.
    """
    paths = [str(APP), *filter(None, [os.environ.get("JUPYTER_PATH")])]
    lost = ["--MappingKernelManager.cull_idle_timeout=600", "--MappingKernelManager.cull_interval=60"]
    variables = {"BMNAS_LIVE": "1", "JUPYTER_PATH": os.pathsep.join(paths)}
    return [str(notebook), "--template=bmnas", *lost], variables


def serve(notebook: Path, arguments: Sequence[str]) -> int:
    """Serves a notebook until Ctrl-C or SIGTERM -> Voila's exit status.

    Ctrl-C ends it as SIGTERM does: between two events of its loop. An exception in the middle of one may be lost.
    """
    options, variables = voila_settings(notebook)
    os.environ.update(variables)
    os.chdir(ROOT)
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    return run_module("voila", *options, *arguments)


if __name__ == "__main__":
    sys.exit(serve(*served_notebook(sys.argv[1:])))
