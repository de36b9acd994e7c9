"""kill -9 at random moments of extraction, search, read-out, evaluation and ablation; the same command again must end
in the same bytes, without doing again what was finished.

    python benchmarks/kill.py --kills 100
    python benchmarks/kill.py --kills 5 --each-stage      each stage is killed once, at a random moment of it

Prints a line a trial and, last, the tally as JSON. The exit status is 1 when any trial ended differently.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sklearn.datasets  # noqa: F401  (imported here, once, and not by every forked process)
import torch._dynamo  # noqa: F401

import bmnas
import bmnas.storage.replay
from bmnas.evaluation.ablation import TABLES
from bmnas.rivals.late_fusion import baselines

STAGES = ("extraction", "search", "read-out", "evaluation", "ablation")
CONFIG = bmnas.SearchConfig(
    C=4, L=4, N=1, M=1, epochs=6, batch_size=32, max_lr=3e-3, arch_lr=1e-2, shortlist_size=2, shortlist_epochs=1,
    device="cpu", threads=1,
)  # fmt: skip
BUDGET = bmnas.EvalConfig(epochs=2, seeds=1, max_lr=3e-3)
bmnas.storage.replay.SECONDS = 0.02  # scores of the ranking are kept so often, as the whole read-out is so short
MAY_DIFFER = ("timing.jsonl", "environment.json")


def work(folder: Path) -> None:
    """Does all that the notebooks leave behind, in small; writes a line in `moments` whenever a stage ends."""
    run = bmnas.Run(folder / "it")
    start = time.perf_counter()
    moments = []
    features = bmnas.prepare("digits", samples=60, copies=0, cache=folder / "_features", device="cpu")
    moments.append(time.perf_counter() - start)
    for _ in bmnas.search(features, CONFIG, run):
        pass
    moments.append(time.perf_counter() - start)
    genotype = bmnas.read_out(run, features).chosen
    moments.append(time.perf_counter() - start)
    evaluations = [*baselines(features, CONFIG, BUDGET, run)]
    bmnas.train_and_save(run, genotype, features, CONFIG, BUDGET)
    evaluations.append(bmnas.evaluate(bmnas.SEARCHED, genotype, features, CONFIG, BUDGET, run))
    bmnas.save_evaluation(run, evaluations, features, BUDGET)
    moments.append(time.perf_counter() - start)
    tables = {name: bmnas.ablate(rows, genotype, features, CONFIG, BUDGET, run) for name, rows in TABLES.items()}
    bmnas.save_ablation(run, tables, features)
    moments.append(time.perf_counter() - start)
    (folder / "moments.json").write_text(json.dumps(moments))


def start(folder: Path) -> int:
    """Starts a process of its own that works there; forked, so that it need not import everything again."""
    child = os.fork()
    if child:
        return child
    try:
        work(folder)
        os._exit(0)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)


def stage(folder: Path) -> str:
    """Names what was being done when the process died."""
    run = folder / "it"
    if not any((folder / "_features").glob("[!.]*/manifest.json")):
        return "extraction"
    trace = run / "trace.jsonl"
    if not trace.exists() or trace.read_bytes().count(b"\n") < CONFIG.epochs:
        return "search"
    if not (run / "selection.json").exists():
        return "read-out"
    return "ablation" if (run / "evaluation.json").exists() else "evaluation"


def content(folder: Path) -> dict[str, bytes]:
    """Reads all files that must be the same."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        timed = path.name in MAY_DIFFER or "timing" in name.parts or name.parts == ("moments.json",)
        if path.is_file() and not timed and path.suffix not in (".partial", ".lock"):
            files[str(name)] = path.read_bytes()
    return files


def finished(folder: Path) -> dict[str, object]:
    """Returns what must not be done again: features, backbones and scores by inode, epochs by their seconds."""
    files = [*folder.glob("_features/[!.]*/*"), *folder.glob("it/scores/*.json")]
    done: dict[str, object] = {
        str(path): path.stat().st_ino for path in files if ".partial" not in (path.suffix, path.parent.suffix)
    }
    done |= {
        path.name: path.stat().st_ino for path in folder.glob("_features/*/backbone_*") if path.suffix != ".partial"
    }
    trace = folder / "it/trace.jsonl"
    timing = folder / "it/timing.jsonl"
    epochs = trace.read_bytes().count(b"\n") - 1 if trace.exists() else 0  # the last may lack its checkpoint
    lines = timing.read_text().splitlines() if timing.exists() else []
    return done | {f"epoch {i}": line for i, line in enumerate(lines[: max(0, epochs)], start=1)}


def ended(child: int) -> bool:
    """Returns whether a process has ended; it stays to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def random_stages(folder: Path, chance: random.Random) -> Iterator[int]:
    """Yields one to three stages, each of those that are not over."""
    for _ in range(chance.randint(1, 3)):
        yield chance.randrange(STAGES.index(stage(folder)), len(STAGES))


def trial(
    folder: Path, moments: list[float], stages: Iterable[int], chance: random.Random, tally: Counter
) -> list[str]:
    """Kills once in each of the stages, then lets it end; what went wrong."""
    wrong: list[str] = []
    for s in stages:
        child = start(folder)
        while STAGES.index(stage(folder)) < s and not ended(child):
            time.sleep(0.002)
        time.sleep(chance.uniform(0, moments[s] - (moments[s - 1] if s else 0)))
        if ended(child):  # it was faster
            os.waitpid(child, 0)
            break
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        tally[stage(folder)] += 1
    before = finished(folder)
    if os.waitstatus_to_exitcode(os.waitpid(start(folder), 0)[1]) != 0:
        wrong.append("failed")
    after = finished(folder)
    wrong += [f"{name} was done again" for name, mark in before.items() if after.get(name) != mark]
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each-stage", action="store_true", help="kills once in each stage, in order, not at random")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    tally = Counter()
    failures = 0
    trials = 0
    with tempfile.TemporaryDirectory(prefix="bmnas-kill-") as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        if os.waitpid(start(whole), 0)[1] != 0:
            return 1
        moments = json.loads((whole / "moments.json").read_text())
        expected = content(whole)
        print(f"{len(expected)} files; stages end after {', '.join(f'{m:.2f}' for m in moments)} s", flush=True)
        while tally.total() < options.kills:
            folder = Path(place) / f"trial-{trials}"
            folder.mkdir()
            stages = range(len(STAGES)) if options.each_stage else random_stages(folder, chance)
            wrong = trial(folder, moments, stages, chance, tally)
            files = content(folder)
            wrong += [f"{n} differs" for n in sorted({*files, *expected}) if files.get(n) != expected.get(n)]
            left = [path.name for path in folder.rglob("*") if path.suffix in (".partial", ".lock")]
            failures += bool(wrong)
            trials += 1
            print(f"trial {trials}: {tally.total()} kills, {wrong or 'the same'}, left: {left}", flush=True)
            shutil.rmtree(folder)
    result = {"kills": tally.total(), "trials": trials, "different": failures, "files": len(expected)}
    print(json.dumps({**result, "by stage": dict(tally)}))
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
