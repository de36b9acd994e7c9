"""Trains all networks of a small space, or a random sample, and keeps their scores as a truth table.

    python3 run.py truth mfeat                             the preset's space
    python3 run.py truth mfeat --N 2 --M 1 --sample 200    a random sample of a larger one
    python3 run.py truth mfeat --option views mlp          other features of the same data set
    python3 run.py truth mfeat --workers 8 --engine joblib eight at once; see docs/many_runs.md

Each network is trained from scratch on train with the data set's own budget and scored on val and test. Tables lie in
`runs/_truth`; `--into` takes another folder. A command that was stopped resumes where it was, and several of them, on
machines that share the folder, divide the work.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bmnas.errors import BmnasError
from bmnas.registry import TASKS
from bmnas.tasks.preparation import prepare
from bmnas.trust.exhaustive_training import train_all
from bmnas.trust.truth_table import Truth, own_tables
from tools.workers import add_workers, engine_of


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit status."""
    options = parse(arguments)
    try:
        task = TASKS[options.dataset]
        config = task.search_config.change(N=options.N, M=options.M, threads=1)
        budget = task.eval_config.change(seeds=options.seeds)
        features = prepare(options.dataset, L=config.L, **{name: read_option(text) for name, text in options.option})
        sample = None if options.sample is None else {"networks": options.sample, "seed": 0}
        path = train_all(
            features, config, budget, options.into or own_tables(), sample, _print_progress, engine_of(options),
            options.workers,
        )  # fmt: skip
    except BmnasError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command resumes")
        return 130
    print(f"\n{path}")
    frame = Truth.open(path).frame()
    print(frame[["network", "val", "test", "test_std"]].head(10).to_string())
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Reads the arguments of the command."""
    parser = argparse.ArgumentParser(prog="run.py truth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--N", type=int, help="number of Cells; the preset's by default")
    parser.add_argument("--M", type=int, help="number of Steps in a Cell; the preset's by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sample", type=int, help="train a random sample of so many networks instead of all")
    parser.add_argument("--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--into", type=Path, help="folder of the table")
    add_workers(parser)
    return parser.parse_args(arguments)


def read_option(text: str) -> Any:
    """Reads an option: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _print_progress(done: int, total: int, seconds: float) -> None:
    if done % 10 == 0 or done == total:
        print(f"\r{done:,} of {total:,} networks, {seconds / 60:.0f} min left", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
