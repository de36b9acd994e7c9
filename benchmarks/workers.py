"""Times the same jobs by one worker and by several, as seeds of an evaluation are trained.

    python benchmarks/workers.py            1, 2, 4 ... workers, as many as there are cores
    python benchmarks/workers.py --quick    whether it works

Each job trains a network of `digits` with a seed of its own. All numbers of workers take turns; wall time counts, with
the start of the processes and their imports. In proportion, w workers take a w-th of the time.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import bmnas  # noqa: E402
from benchmarks.shared import ratios, spread, write  # noqa: E402
from bmnas.config import EvalConfig  # noqa: E402
from bmnas.storage.job_list import failures, run_jobs  # noqa: E402
from bmnas.storage.jobs import Job  # noqa: E402
from bmnas.trust.run_answers import train_on_train  # noqa: E402
from bmnas.trust.truth_table import find_truth  # noqa: E402

DATASET = "digits"
JOBS, EPOCHS, ROUNDS = 12, 60, 3


def train(seed: int, epochs: int) -> dict[str, Any]:
    """Trains a network; its seconds are left out, so that equal jobs have equal results."""
    task = bmnas.TASKS[DATASET]
    config = task.search_config.change(N=1, device="cpu", threads=1)
    table = find_truth(DATASET, config=config)
    best = max(table.networks, key=lambda genotype: sum(table.networks[genotype][1]))
    network, _ = train_on_train(best, bmnas.prepare(DATASET), config, EvalConfig(epochs=epochs), seed)
    return {"parameters": sum(parameter.numel() for parameter in network.network.parameters())}


def seconds(workers: int, jobs: int, epochs: int) -> float:
    """Runs the jobs in a new folder; returns the wall time."""
    with tempfile.TemporaryDirectory() as folder:
        listed = [
            Job(f"seed {seed}", {"seed": seed}, train, {"seed": seed, "epochs": epochs}, Path(folder))
            for seed in range(jobs)
        ]
        started = time.perf_counter()
        outcomes = run_jobs(listed, "in-process" if workers == 1 else "joblib", workers)
        taken = time.perf_counter() - started
    if wrong := failures(outcomes):
        raise SystemExit(wrong)
    return taken


def counts() -> list[int]:
    """Returns 1, 2, 4 ... up to the number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [2**power for power in range(cores.bit_length())]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few and short jobs, one round")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results", help="folder of the results")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    jobs, epochs, rounds = (2, 2, 1) if options.quick else (JOBS, EPOCHS, ROUNDS)
    bmnas.prepare(DATASET)  # before any clock runs
    taken: dict[int, list[float]] = {workers: [] for workers in counts()}
    for _ in range(rounds):
        for workers, each in taken.items():
            each.append(seconds(workers, jobs, epochs))
    rows = {
        workers: {"seconds": spread(each), "of one worker": ratios(each, taken[1])} for workers, each in taken.items()
    }
    for workers, row in rows.items():
        share, wall = row["of one worker"]["median"], row["seconds"]["median"]
        print(f"{workers} workers: {wall:.1f} s, {share:.2f} of one worker's, in proportion {1 / workers:.2f}")
    write(options.out / "workers.json", {"jobs": jobs, "workers": rows})


if __name__ == "__main__":
    main()
