"""Searches, reads out and evaluates a grid of data sets, settings and seeds; each point in its own run folder.

    python3 run.py sweep mfeat digits --seeds 0-9
    python3 run.py sweep mfeat --seeds 0 1 2 --vary C 8 16 32 --vary N 1 2 -p epochs 20 --workers 8
    python3 run.py sweep ntu --seeds 0-99 --workers 64 --engine ray://head:10001

The folders are those that notebooks 02 and 04 make with the same parameters. The same command resumes; several of them,
on machines that share the folder of runs, divide the work.
"""

import argparse
import statistics
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import pandas as pd

import bmnas.tasks  # noqa: F401  (fills TASKS)
from bmnas.errors import BmnasError
from bmnas.scale.sweep import Point, grid, run_sweep, sweeps_folder
from bmnas.searching.run_folder import check_run_name
from bmnas.storage.job_list import failures
from bmnas.storage.jobs import Job
from bmnas.storage.whole_files import write_text
from tools.runner import parse
from tools.sweep_table import SweepTable
from tools.workers import add_workers, engine_of


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns its exit status."""
    options = parsed(arguments)
    table = SweepTable()
    jobs: list[Job] = []
    try:
        check_run_name(options.name)
        points = points_of(options)
        with table.watching():
            for jobs in run_sweep(points, engine_of(options), options.workers, table.report):
                table.show(jobs)
    except BmnasError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept, and the same command resumes")
        return 130
    finished = [job for job in jobs if job.path.exists()]
    frame = pd.DataFrame([line(job, options.vary) for job in finished])
    if not frame.empty:
        path = sweeps_folder() / f"{options.name}.csv"
        write_text(path, frame.to_csv(index=False))
        settings = [name for name in frame.columns if name in ("dataset", *(name for name, *_ in options.vary))]
        print(f"\ntest scores in %\n{summary(frame, settings)}")
        print(f"\n{path}: a line a run; every run is in {sweeps_folder().parent}")
    lost = len(points) - len(finished)
    if lost:
        print(f"{lost} of {len(points)} points have no result; the same command tries them again:", file=sys.stderr)
        print(textwrap.indent(failures(list(table.failed.values())), "  "), file=sys.stderr)
    return int(lost > 0)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="run.py sweep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    pair = {"nargs": 2, "action": "append", "default": [], "metavar": ("NAME", "VALUE")}
    parser.add_argument("datasets", nargs="+", help="names of data sets")
    parser.add_argument("--seeds", nargs="+", type=seed_range, default=[range(1)], help="as 0 1 2 or 0-999")
    parser.add_argument(
        "--vary", nargs="+", action="append", default=[], metavar="NAME", help="a parameter and its values: C 8 16"
    )
    parser.add_argument("-p", **pair, help="a parameter of the notebooks, for all points")
    parser.add_argument("-e", **pair, help="the same for the evaluation alone")
    parser.add_argument("--name", default="sweep", help="of the table of results (default: sweep)")
    add_workers(parser)
    return parser.parse_args(arguments)


def seed_range(text: str) -> range:
    """Reads "3" or "0-999".

    Raises:
        ValueError: neither of the two, or the first is above the last.
    """
    first, dash, last = text.partition("-")
    seeds = range(int(first), int(last if dash else first) + 1)
    if not seeds:
        raise ValueError(text)
    return seeds


seed_range.__name__ = "seed, or first-last"  # what argparse calls it


def points_of(options: argparse.Namespace) -> list[Point]:
    """Returns the points that the command line asks for."""
    return grid(
        options.datasets,
        [seed for seeds in options.seeds for seed in seeds],
        {name: [parse(value) for value in values] for name, *values in options.vary},
        {name: parse(value) for name, value in options.p},
        {name: parse(value) for name, value in options.e},
    )


def line(job: Job, varied: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Returns a finished point as a line of a table."""
    result = job.result()
    identity = job.identity
    settings = {**identity["budget"], **identity["search"]}
    return {
        "dataset": identity["dataset"],
        **{name: settings.get(name) for name, *_ in varied},
        "seed": identity["search"]["seed"],
        "test": statistics.fmean(result["scores"]),
        "metric": result["metric"],
        "genotype": result["genotype"],
        "run": result["run"],
        "seconds": job.seconds(),
    }


def summary(frame: pd.DataFrame, settings: list[str]) -> str:
    """Returns the mean and spread over the seeds of each setting, as text."""
    percent = frame.assign(test=100 * frame["test"])
    grouped = percent.groupby(settings, sort=False, dropna=False)["test"]
    columns = {"mean": grouped.mean(), "std": grouped.std(), "runs": grouped.count()}
    return pd.DataFrame(columns).round(2).to_string()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
