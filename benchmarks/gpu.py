"""What a search takes on one NVIDIA card: steps, seeds and one whole search of NTU's size, in under eight minutes.

    python3 run.py bench --gpu                   writes benchmarks/results/gpu.json
    python3 run.py bench --gpu --toy --out there the same at toy size, on the CPU where there is no card

Steps stand beside a release-style transcription of the equations, on the same features. Variants take turns, and the
card has finished before a clock is read. A part that would take too long is left out, and the file says so.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

import bmnas  # noqa: E402
from benchmarks.shared import ratios, spread, write  # noqa: E402
from benchmarks.step import CASES, Case, hypernet, maps, our_steps, release_steps, stored, transcription  # noqa: E402
from bmnas.config import SearchConfig  # noqa: E402
from bmnas.errors import ConfigError  # noqa: E402
from bmnas.features.feature_set import FeatureSet  # noqa: E402
from bmnas.features.token_store import TokenStore  # noqa: E402
from bmnas.scale.compiled import GRAPHS, Accelerated  # noqa: E402
from bmnas.scale.seeds.engine import StackedEngine  # noqa: E402
from bmnas.searching.algorithm1 import Algorithm1, Search  # noqa: E402
from bmnas.searching.seed_state import SeedState  # noqa: E402
from bmnas.space.algebra import Algebra  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "gpu.json"
LIMIT = 8 * 60  # seconds of all parts
RELEASE, FORMULA, ALGEBRA = "release style", "formula", "algebra"
EAGER: dict[str, tuple[str | None, bool]] = {ALGEBRA: (None, False), "algebra, bf16": (None, True)}
COMPILED = {"compiled": ("default", False), "CUDA graphs": (GRAPHS, False), "CUDA graphs, bf16": (GRAPHS, True)}
"""Variant -> `compile` and `bf16` of a configuration."""
NTU = bmnas.PAPER_CONFIGS["ntu-1"].change(threads=1)
COMPILING = 60  # seconds that a compilation may take


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        cases: of `benchmarks.step`.
        rounds, in_a_row: turns of each variant, and steps a turn.
        samples, epochs, config: of the whole search.
        seeds: at once.
        few: epochs of what is only compared.
    """

    cases: dict[str, Case]
    rounds: int
    in_a_row: int
    samples: int | str
    epochs: int
    config: SearchConfig = NTU
    seeds: int = 8
    few: int = 2


FULL = Size(cases=CASES, rounds=7, in_a_row=10, samples="full", epochs=30)
SMALL = replace(CASES["ntu-1"], channels=dict.fromkeys(CASES["ntu-1"].channels, 8), B=4, C=8)
TOY = Size(
    cases={"ntu-1, small": SMALL}, rounds=2, in_a_row=1, samples=120, epochs=1, seeds=2, few=1,
    config=NTU.change(C=8, batch_size=32),
)  # fmt: skip


class Clock:
    """Seconds of work that a device has finished; and what is left of the limit."""

    def __init__(self, device: torch.device, limit: float) -> None:
        self.device = device
        self.end = time.monotonic() + limit

    def seconds(self, work: Callable[[], Any]) -> float:
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def left(self) -> float:
        return self.end - time.monotonic()


def variants(case: Case, names: Sequence[str], device: torch.device) -> Iterator[tuple[str, dict[str, Callable]]]:
    """Variant -> both steps, made when it is its turn; the release's style is always the first."""
    outputs = maps(case, torch.float32)
    batch = {name: x.to(device) for name, x in stored(case, outputs).items()}
    outputs = [x.to(device) for x in outputs]
    rows = torch.arange(case.B, device=device)
    tokens = {name: TokenStore(feature).batch(rows) for name, feature in batch.items()}
    targets = torch.randint(case.classes, (case.B,), device=device)
    if case.grid:
        targets = (torch.rand(case.B, case.classes, device=device) < 0.1).float()
    yield RELEASE, release_steps(case, transcription(case, hypernet(case, "reference")).to(device), outputs, targets)
    for name in names:
        net = hypernet(case, "reference").to(device)
        if name == FORMULA:
            yield name, our_steps(case, net, lambda net: net, batch, targets)
        else:
            mode, bf16 = (EAGER | COMPILED)[name]
            network = Accelerated(Algebra(net), mode, bf16, device)
            yield name, our_steps(case, net, lambda net, network=network: network, tokens, targets)


def measure_steps(case: Case, names: Sequence[str], size: Size, clock: Clock) -> dict[str, dict[str, Any]]:
    """Variant -> step -> milliseconds, the release's over them, and the seconds of the first call."""
    made, first = {}, {}
    for name, steps in variants(case, names, clock.device):
        if name in COMPILED and clock.left() < 2 * COMPILING:
            print(f"  {name}: left out, as too little time is left", flush=True)
            continue
        try:
            first[name] = {kind: clock.seconds(step) for kind, step in steps.items()}
        except (ConfigError, RuntimeError) as error:
            print(f"  {name}: left out, {' '.join(str(error).split())[:300]}", flush=True)
            continue
        made[name] = steps
    times: dict[str, dict[str, list[float]]] = {name: {kind: [] for kind in steps} for name, steps in made.items()}
    for round_ in range(-1, size.rounds):
        for name, steps in made.items():
            for kind, step in steps.items():
                seconds = clock.seconds(lambda step=step: [step() for _ in range(size.in_a_row)]) / size.in_a_row
                if round_ >= 0:
                    times[name][kind].append(seconds)
    return {
        name: {
            kind: {
                "ms": spread([1e3 * t for t in seconds]),
                "release style / it": ratios(times[RELEASE][kind], seconds),
                "first_call_seconds": round(first[name][kind], 2),
            }
            for kind, seconds in kinds.items()
        }
        for name, kinds in times.items()
    }


def fastest(rows: dict[str, dict[str, Any]]) -> str:
    """The variant of our own whose weight step takes least."""
    ours = [name for name in rows if name in EAGER | COMPILED]
    return min(ours, key=lambda name: rows[name]["weight"]["ms"]["median"])


def measure_seeds(features: FeatureSet, config: SearchConfig, size: Size, clock: Clock) -> dict[str, Any]:
    """Seconds of an epoch of one seed, and of several at once."""
    one = Search(features, config)
    states = [SeedState(features, config.change(seed=seed)) for seed in range(size.seeds)]
    several = Algorithm1(states, StackedEngine(features, states))
    for work in (one.run_epoch, several.run_epoch):
        work()  # warms up
    alone, together = [], []
    for _ in range(size.few):
        alone.append(clock.seconds(one.run_epoch))
        together.append(clock.seconds(several.run_epoch))
    return {
        "seeds": size.seeds,
        "one_epoch_seconds": statistics.median(alone),
        "at_once_epoch_seconds": statistics.median(together),
        "at once / one": ratios(together, alone),
    }


def measure_search(features: FeatureSet, config: SearchConfig, clock: Clock) -> dict[str, Any]:
    """Seconds and memory of a whole search."""
    device = clock.device
    tensors = features.tensors(device)
    size = sum(store.tokens.nbytes for store in tensors.features.values())
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
    epochs: list[float] = []
    started = time.perf_counter()
    best = 0.0
    for event in bmnas.search(features, config):
        epochs.append(event.seconds)
        best = max(best, event.val_score)
        if clock.left() < 0:
            break
    peak = torch.cuda.max_memory_allocated(device) - before if device.type == "cuda" else None
    return {
        "epochs": len(epochs),
        "seconds": round(time.perf_counter() - started, 2),
        "first_epoch_seconds": round(epochs[0], 2),
        "median_epoch_seconds": round(statistics.median(epochs), 3),
        "features_bytes": size,
        "peak_beside_features_bytes": peak,
        "best_validation_score": best,
    }


def measure(size: Size, clock: Clock) -> dict[str, Any]:
    """All parts: steps, a search as everybody gets it, seeds at once, compiled steps, and the fastest search."""
    record: dict[str, Any] = {"steps": {}, "left out": []}
    for name, case in size.cases.items():
        record["steps"][name] = measure_steps(case, (FORMULA, *EAGER), size, clock)
        print_steps(name, record["steps"][name])
    config = size.config.change(device=str(clock.device), epochs=size.epochs)
    started = time.perf_counter()
    features = bmnas.TASKS["ntu"].make({"samples": size.samples, "seed": 0, "L": config.L}, ROOT, None)
    features.tensors(clock.device)
    record["features"] = {
        "samples": {split: len(rows) for split, rows in features.splits.items()},
        "seconds_to_make": round(time.perf_counter() - started, 1),
    }
    print(f"features: {record['features']}", flush=True)

    def part(name: str, work: Callable[[], dict[str, Any]]) -> None:
        if clock.left() < 0:
            record["left out"].append(name)
            return
        record[name] = work()
        print(f"{name}: {record[name]}", flush=True)

    part("search, default", lambda: measure_search(features, config, clock))
    part("seeds", lambda: measure_seeds(features, config, size, clock))
    if clock.device.type == "cuda":
        (name, case), *_ = size.cases.items()
        compiled = measure_steps(case, tuple(COMPILED), size, clock)
        print_steps(name, compiled)
        record["steps"][name] |= {variant: row for variant, row in compiled.items() if variant != RELEASE}
        variant = fastest(record["steps"][name])
        mode, bf16 = (EAGER | COMPILED)[variant]
        quick = config.change(compile=mode, bf16=bf16)
        part("search, fastest", lambda: {"variant": variant, **measure_search(features, quick, clock)})
    return record


def print_steps(name: str, rows: dict[str, dict[str, Any]]) -> None:
    print(f"\n{name}: ms, median; release style / it; seconds of the first call")
    for variant, kinds in rows.items():
        cells = [
            f"{kind} {row['ms']['median']:8.2f} {row['release style / it']['median']:6.1f}x "
            f"{row['first_call_seconds']:6.1f} s"
            for kind, row in kinds.items()
        ]
        print(f"  {variant:20s} " + "   ".join(cells), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="toy size, on the CPU where there is no card")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.toy:
        print("bench --gpu needs an NVIDIA card, and torch finds none here; --toy tries it at toy size on the CPU")
        return 1
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)
    started = time.monotonic()
    record = measure(TOY if options.toy else FULL, Clock(device, LIMIT))
    card = {"cuda": torch.version.cuda, "card": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    about = {"device": device.type, **card, "toy": options.toy, "seconds": round(time.monotonic() - started)}
    write(options.out, {**about, **record})
    return 0


if __name__ == "__main__":
    sys.exit(main())
