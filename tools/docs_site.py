"""`run.py docs`: the documentation as pages in site/, strict; `--serve` shows it and follows changes.

Further arguments go to mkdocs. Nothing is loaded from the internet, neither here nor by the pages.
"""

import os
import sys
from pathlib import Path

from tools.module import run_module

ROOT = Path(__file__).resolve().parents[1]


def mkdocs_arguments(arguments: list[str]) -> list[str]:
    """Returns mkdocs' own command line."""
    if "--serve" in arguments:
        return ["serve", *(argument for argument in arguments if argument != "--serve")]
    return ["build", "--strict", *arguments]


def main(arguments: list[str]) -> int:
    """Builds or shows the pages -> mkdocs' exit status."""
    os.chdir(ROOT)
    os.environ["NO_MKDOCS_2_WARNING"] = "1"  # the theme's advertisement, in every build
    status = run_module("mkdocs", *mkdocs_arguments(arguments))
    if not status and not arguments:
        print(f"{ROOT / 'site' / 'index.html'}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
