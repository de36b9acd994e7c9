"""Whether another commit gives the same results, byte by byte, as this checkout.

    python benchmarks/same_results.py COMMIT                          digits, planted, avsum and ntu, three epochs
    python benchmarks/same_results.py COMMIT --datasets digits --epochs 15

Both trees run 02, 04 and 05 with seed 0 on the same machine, by the packages of this environment. What an equal run may
differ in (seconds, dates, versions, paths) stands in files of its own, which are left out.
"""

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATASETS = ("digits", "planted", "avsum", "ntu")
RESULTS = ("genotype.json", "trace.jsonl", "selection.json", "evaluation.json", "ablation.csv")
RUNNERS = ("tools/runner.py", "notebooks/runner.py")  # where it is, and where it was


def run(tree: Path, dataset: str, epochs: int, runs: Path) -> None:
    """Executes 02, 04 and 05 of a tree into a folder of runs.

    Raises:
        SystemExit: a notebook failed; what it printed is shown.
    """
    runner = next(tree / name for name in RUNNERS if (tree / name).exists())
    command = [sys.executable, str(runner), "02", "04", "05", "--at-once", "1"]
    command += ["-p", "dataset", dataset, "-p", "epochs", str(epochs)]
    surroundings = {"PYTHONPATH": str(tree), "BMNAS_RUNS": str(runs), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env={**os.environ, **surroundings}, cwd=tree, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{runner} on {dataset} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def results(runs: Path) -> dict[str, Path]:
    """Lists name -> file of every result in a folder of runs; a run folder's name is part of it."""
    return {
        str(path.relative_to(runs)): path
        for name in RESULTS
        for path in sorted(runs.glob(f"*/{name}"))
        if not path.parent.name.startswith("_")
    }


def compare(before: Path, now: Path) -> list[str]:
    """Returns a line for each result, "same" or what is wrong."""
    old, new = results(before), results(now)
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            lines.append(f"only {'before' if name in old else 'now'}   {name}")
        else:
            lines.append(f"{'same' if filecmp.cmp(old[name], new[name], shallow=False) else 'DIFFERENT'}   {name}")
    return lines or ["nothing to compare"]


def main() -> int:
    """Prints a line for each result -> 0 where all are the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", help="what this checkout is compared with")
    parser.add_argument("--datasets", nargs="+", default=list(DATASETS))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="a folder for the runs of the commit; those there are not run again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch) / "tree"
        old_folder = options.keep or Path(scratch) / "before"
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), options.commit], cwd=ROOT, check=True)
        try:
            lines = []
            for dataset in options.datasets:
                before = old_folder.absolute() / dataset
                now = Path(scratch) / "now" / dataset
                if not results(before):
                    run(tree, dataset, options.epochs, before)
                run(ROOT, dataset, options.epochs, now)
                for line in compare(before, now):
                    print(line, flush=True)
                    lines.append(line)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=True)
    return int(any(not line.startswith("same") for line in lines))


if __name__ == "__main__":
    sys.exit(main())
