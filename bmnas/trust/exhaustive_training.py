"""Trains all networks of a small space, or a random sample, and keeps their scores as a truth table.

    python3 run.py truth mfeat                             the preset's space
    python3 run.py truth mfeat --N 2 --M 1 --sample 200    a random sample of a larger one
    python3 run.py truth mfeat --option views mlp          other features of the same data set

Each network is trained from scratch on train with the data set's own budget and scored on val and test. Tables lie in
`runs/_truth`; `--into` takes another folder. A command that was stopped resumes where it was.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import BmnasError, DataError
from bmnas.evaluation.evaluation import build_network, fit
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.registry import TASKS
from bmnas.space.genotype import Genotype
from bmnas.tasks.preparation import prepare
from bmnas.training import metrics
from bmnas.training.steps import predict
from bmnas.trust.truth_table import Scores, Truth, belonging, own_tables

PAUSE = 10.0  # seconds between two writes; what a kill can cost
DIGITS = 5  # of a score

Report = Callable[[int, int, float], None]  # networks done, of how many, seconds left


def train_all(
    features: FeatureSet,
    config: SearchConfig,
    budget: EvalConfig,
    folder: Path,
    sample: dict[str, int] | None = None,
    report: Report | None = None,
) -> Path:
    """Trains what a truth table lacks; returns where it lies.

    Args:
        features: what the networks are trained on; their task must be in TASKS.
        config: gives the space (N, M, r, primitives, rules) and the networks (C, L, dropout, batch size, mode).
        budget: epochs, rates and seeds of each training.
        folder: of the table; a table that lies there is completed.
        sample: number ("networks") and "seed" of a random sample; all networks of the space when None.
        report: called after each network.

    Raises:
        DataError: the table that lies there cannot be read or written, or is of another sample or number of seeds.
    """
    about = belonging(TASKS[features.task], features, config, budget)
    name = f"{features.task}-N{config.N}M{config.M}-{about['features'][:8]}.json"
    path = folder / name
    table = Truth(about, sample, budget.seeds, {})
    if path.exists():
        before = Truth.open(path)
        if (before.about, before.seeds) != (about, budget.seeds) or not _begins(before.sample, sample):
            raise DataError(
                f"{path} holds another truth (sample {before.sample}, {before.seeds} seeds, or other settings); "
                "move it away, or name another folder with --into"
            )
        table.networks.update(before.networks)
    missing = [genotype for genotype in table.genotypes() if genotype not in table.networks]
    started = written = time.monotonic()
    for done, genotype in enumerate(missing, start=1):
        table.networks[genotype] = network_scores(genotype, features, config, budget)
        now = time.monotonic()
        if now - written >= PAUSE or done == len(missing):
            table.save(path)
            written = time.monotonic()
        if report is not None:
            total = len(table.networks) + len(missing) - done
            report(len(table.networks), total, (now - started) / done * (len(missing) - done))
    return path


def _begins(before: dict[str, int] | None, sample: dict[str, int] | None) -> bool:
    """Returns whether one sample is the start of the other, as draws of one seed are."""
    if before is None or sample is None:
        return before == sample
    return before["seed"] == sample["seed"] and before["networks"] <= sample["networks"]


def network_scores(genotype: Genotype, features: FeatureSet, config: SearchConfig, budget: EvalConfig) -> Scores:
    """Trains a genotype's network on train with each seed, and scores its last epoch on val and test."""
    tensors = features.tensors(config.device)
    on_val = []
    on_test = []
    for seed in range(budget.seeds):
        network = build_network(genotype, features, config, seed).to(tensors.device)
        fit(network, tensors, features.kind, tensors.rows("train"), config.batch_size, budget, seed)
        for split, scores in (("val", on_val), ("test", on_test)):
            logits, targets = predict(network, tensors, tensors.rows(split))
            scores.append(round(metrics.score(features.kind, logits, targets), DIGITS))
    return tuple(on_val), tuple(on_test)


def main(arguments: list[str]) -> int:
    """Runs the command; returns its exit status."""
    options = _parsed(arguments)
    try:
        task = TASKS[options.dataset]
        config = task.search_config.change(N=options.N, M=options.M, threads=1)
        budget = task.eval_config.change(seeds=options.seeds)
        use_threads(1)
        features = prepare(options.dataset, L=config.L, **{name: _value(text) for name, text in options.option})
        sample = None if options.sample is None else {"networks": options.sample, "seed": 0}
        path = train_all(features, config, budget, options.into or own_tables(), sample, _print_progress)
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


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py truth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--N", type=int, help="number of Cells; the preset's by default")
    parser.add_argument("--M", type=int, help="number of Steps in a Cell; the preset's by default")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sample", type=int, help="train a random sample of so many networks instead of all")
    parser.add_argument("--option", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    parser.add_argument("--into", type=Path, help="folder of the table")
    return parser.parse_args(arguments)


def _value(text: str) -> Any:
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
