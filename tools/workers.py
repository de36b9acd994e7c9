"""The options of commands that run many jobs: how many at once, and where."""

import argparse

from bmnas.storage.job_list import JOB_ENGINES


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Adds `--workers` and `--engine`."""
    parser.add_argument("--workers", type=int, default=1, help="jobs that are computed at once (default: 1)")
    parser.add_argument(
        "--engine",
        help=f"where: {', '.join(JOB_ENGINES)}, or a cluster's address as ray://head:10001; by default this process "
        "for one worker, and joblib for more",
    )


def engine_of(options: argparse.Namespace) -> str:
    """Returns the engine that the options name, or the one that so many workers need."""
    return options.engine or ("joblib" if options.workers > 1 else "in-process")
