"""How a search step grows with each size, one size at a time: plain formula, algebra, and the release's style.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --quick

A search step is one weight step and one architecture step. Around a network of B = 32, K = 4, C = 64, L = 8, N = 2,
M = 2 one size is varied. All values of a size and all variants take turns in one process on one thread, and count
their CPU time. `samples` is different: whole epochs of `bmnas.Search` on a training split of that size.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.memory import random_features  # noqa: E402
from benchmarks.shared import in_turns, ratios, spread, write  # noqa: E402
from benchmarks.step import Case, hypernet, maps, our_steps, release_steps, stored, transcription  # noqa: E402
from bmnas.config import SearchConfig  # noqa: E402
from bmnas.searching.algorithm1 import Search  # noqa: E402
from bmnas.space.algebra import Algebra  # noqa: E402

CHANNELS, CLASSES = 128, 20
SWEEPS = {
    "B": (16, 32, 64, 128),
    "K": (2, 4, 8, 16),
    "C": (32, 64, 128, 256),
    "L": (4, 8, 16, 32),
    "N": (1, 2, 4, 8),
    "M": (1, 2, 4, 8),
    "samples": (128, 256, 512, 1024),
}
RELEASE, FORMULA, ALGEBRA = "release style", "formula", "algebra"


def case(**sizes: int) -> Case:
    """Makes the network in the middle, with other sizes."""
    K, L, M = sizes.pop("K", 4), sizes.get("L", 8), sizes.get("M", 2)
    channels = {f"Image_{i}": CHANNELS for i in range(1, K + 1)}
    middle = Case(channels, (L,) * K, CLASSES, B=32, C=64, L=L, N=2, M=M, r=M, dropout=0.1)
    return replace(middle, **sizes)


def step_variants(one: Case) -> dict[str, Callable[[], Any]]:
    """Returns variant -> a whole search step."""
    torch.manual_seed(0)
    outputs = maps(one, torch.float32)
    batch = stored(one, outputs)
    targets = torch.randint(one.classes, (one.B,))
    net = hypernet(one, "reference")
    steps = {
        RELEASE: release_steps(one, transcription(one, net), outputs, targets),
        FORMULA: our_steps(one, net, lambda net: net, batch, targets),
        ALGEBRA: our_steps(one, hypernet(one, "reference"), Algebra, batch, targets),
    }

    def both(kinds: dict[str, Callable]) -> None:
        for step in kinds.values():
            step()

    return {variant: lambda kinds=kinds: both(kinds) for variant, kinds in steps.items()}


def epoch_variants(samples: int) -> dict[str, Callable[[], Any]]:
    """Returns the algebra's whole epoch, with half as many samples for validation."""
    features = random_features(2 * samples, case().channels, 8, CLASSES)
    config = SearchConfig(C=64, L=8, N=2, M=2, batch_size=32, mode="reference", device="cpu", threads=1)
    return {ALGEBRA: Search(features, config).run_epoch}


def sweep(size: str, values: tuple[int, ...], rounds: int) -> dict[str, dict]:
    """Measures value -> variant -> milliseconds, times the smallest value's, and the release's style over it."""
    make = epoch_variants if size == "samples" else lambda value: step_variants(case(**{size: value}))
    work = {f"{value} {name}": do for value in values for name, do in make(value).items()}
    seconds = in_turns(work, rounds)
    rows: dict[str, dict] = {}
    for key, times in seconds.items():
        value, name = key.split(" ", 1)
        row = {
            "ms": spread([1e3 * t for t in times]),
            "times the smallest": ratios(times, seconds[f"{values[0]} {name}"]),
        }
        if f"{value} {RELEASE}" in seconds:
            row["release style / it"] = ratios(seconds[f"{value} {RELEASE}"], times)
        rows.setdefault(value, {})[name] = row
    return rows


def print_table(size: str, rows: dict[str, dict]) -> None:
    print(f"\n{size}: CPU ms, median [quartiles]; times the smallest {size}; release style / it")
    for value, variants in rows.items():
        cells = []
        for name, row in variants.items():
            ms = row["ms"]
            grown = row["times the smallest"]["median"]
            ratio = f" {row['release style / it']['median']:4.1f}x" if "release style / it" in row else ""
            cells.append(f"{name} {ms['median']:7.1f} [{ms['low']:6.1f} {ms['high']:6.1f}] {grown:5.1f}{ratio}")
        print(f"  {value:>5}  " + "   ".join(cells), flush=True)


def measure(sizes: list[str], rounds: int, quick: bool) -> dict[str, dict]:
    """Measures size -> `sweep`."""
    torch.set_num_threads(1)
    results = {}
    for size in sizes:
        results[size] = sweep(size, SWEEPS[size][: 1 if quick else None], rounds)
        print_table(size, results[size])
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one value of each size, one round")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    write(options.out / "scaling.json", {"rounds": rounds, "sizes": measure(options.sizes, rounds, options.quick)})


if __name__ == "__main__":
    main()
