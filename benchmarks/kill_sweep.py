"""kill -9 of a sweep at random moments, workers and all; the same command again must end in the same bytes.

    python benchmarks/kill_sweep.py --kills 30             joblib: driver and workers, together
    python benchmarks/kill_sweep.py --ray                  a Ray cluster of two nodes, one of which is killed

Twenty-four small searches are read out and evaluated. Files are compared with those of one process that nobody killed.
Prints a line a trial and, last, the tally as JSON. The exit status is 1 when any trial ended differently.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bmnas.machine import optional_package

ROOT = Path(__file__).resolve().parents[1]
SEARCH = {"epochs": 3, "samples": 120, "selection": "algorithm1"}
EVALUATION = {"seeds": 2, "epochs": 2}
SWEEP = ["planted", "--seeds", "0-5", "--vary", "C", "4", "8", "--vary", "N", "1", "2"]
SWEEP += [text for name, value in SEARCH.items() for text in ("-p", name, str(value))]
SWEEP += [text for name, value in EVALUATION.items() for text in ("-e", name, str(value))]
POINTS = 24
MAY_DIFFER = ("timing.jsonl", "environment.json", "extraction.json", "sweep.csv")


def start(runs: Path, *more: str) -> subprocess.Popen:
    """The command, in a process group of its own."""
    environment = {**os.environ, "BMNAS_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tools/sweep.py"), *SWEEP, *more]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True, **pipes)


def finish(process: subprocess.Popen) -> str:
    """Waits for its end -> what it printed.

    Raises:
        SystemExit: it failed.
    """
    printed, _ = process.communicate()
    if process.returncode:
        raise SystemExit(printed[-3000:])
    return printed


def content(runs: Path) -> dict[str, bytes]:
    """All files that must be the same."""
    files = {path.relative_to(runs): path for path in sorted(runs.rglob("*")) if path.is_file()}
    return {
        str(name): path.read_bytes()
        for name, path in files.items()
        if path.name not in MAY_DIFFER and "timing" not in name.parts and path.suffix not in (".partial", ".lock")
    }


def done(runs: Path) -> dict[Path, int]:
    """Finished points by their file -> its inode, which changes when it is written again."""
    return {path: path.stat().st_ino for path in runs.glob("_sweeps/results/*.json")}


def kill_trial(runs: Path, chance: random.Random, most: int) -> tuple[list[int], list[str]]:
    """Kills up to `most` times, then lets the command end -> how many points were finished at each kill, and finished
    points that were computed again.
    """
    kills: list[int] = []
    again: list[str] = []
    while len(done(runs)) < POINTS and len(kills) < most:
        process = start(runs, "--workers", "2", "--engine", "joblib")
        before = done(runs)
        time.sleep(chance.uniform(6, 30))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills.append(len(done(runs)))
        process.wait()
        again += [path.name for path, inode in before.items() if done(runs).get(path) != inode]
    before = done(runs)
    finish(start(runs, "--workers", "2", "--engine", "joblib"))
    return kills, again + [path.name for path, inode in before.items() if done(runs).get(path) != inode]


def ray_trial(runs: Path) -> str:
    """Runs the sweep on two nodes of two processes each, kills one node in the middle -> what the command printed."""
    cluster = optional_package("ray.cluster_utils", "ray", "--ray").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    node = cluster.add_node(num_cpus=2)
    process = start(runs, "--workers", "4", "--engine", f"ray:{cluster.address}")
    while len(done(runs)) < POINTS // 3:
        if process.poll() is not None:
            raise SystemExit(finish(process))
        time.sleep(0.1)
    at = len(done(runs))
    cluster.remove_node(node, allow_graceful=False)
    printed = finish(process)
    cluster.shutdown()
    return f"a node was killed after {at} points\n{printed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--ray", action="store_true", help="a killed node of a Ray cluster instead")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    different = 0
    trials = 0
    kills: list[int] = []
    with tempfile.TemporaryDirectory(prefix="bmnas-sweep-") as place:
        whole = Path(place) / "whole"
        finish(start(whole))
        expected = content(whole)
        print(f"{len(expected)} files of {POINTS} points", flush=True)
        while trials == 0 or (not options.ray and len(kills) < options.kills):
            runs = Path(place) / f"trial-{trials}"
            trials += 1
            again = []
            if options.ray:
                print(ray_trial(runs), flush=True)
            else:
                more, again = kill_trial(runs, chance, min(chance.randint(1, 5), options.kills - len(kills)))
                kills += more
            contents = content(runs)
            wrong = [f"{n} differs" for n in sorted({*contents, *expected}) if contents.get(n) != expected.get(n)]
            wrong += [f"{name} was computed again" for name in again]
            different += bool(wrong)
            print(f"trial {trials}: {len(kills)} kills, {wrong or 'the same'}", flush=True)
            shutil.rmtree(runs)
    print(
        json.dumps(
            {
                "kills": len(kills),
                "finished at each": kills,
                "trials": trials,
                "different": different,
                "files": len(expected),
            }
        )
    )
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
