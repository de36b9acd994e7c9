"""Times an epoch of S seeds at once beside S searches one after another, on the features and settings of `digits`.

    python benchmarks/seeds.py                       1, 2, 4 and 8 seeds, 12 epochs
    python benchmarks/seeds.py --device cuda         the same on a GPU, by wall time

All variants take turns in one process, an epoch each, so that a busy machine slows them alike; on the CPU one thread
and CPU time count. In float64 both compute the same (`tests/scale/test_seeds.py`); how far float32 takes them apart is
printed. Besides, the tensor operations of a weight step are counted, which no machine changes: on a GPU each is a
kernel or more.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

import bmnas  # noqa: E402
from benchmarks.shared import ratios, write  # noqa: E402
from bmnas.config import SearchConfig  # noqa: E402
from bmnas.features.feature_set import FeatureSet  # noqa: E402
from bmnas.scale.seeds.engine import StackedEngine  # noqa: E402
from bmnas.searching.algorithm1 import Algorithm1, Search  # noqa: E402
from bmnas.searching.seed_state import SeedState  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "seeds.json"
COUNTS = (2, 4, 8)  # seeds at once; one seed is the plain search


class Operations(TorchDispatchMode):
    """Counts tensor operations that compute; views and the making of empty tensors are none."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not (func.is_view or "empty" in func.__name__)
        return func(*args, **(kwargs or {}))


def searches(features: FeatureSet, config: SearchConfig, seeds: int) -> list[Search]:
    return [Search(features, config.change(seed=seed)) for seed in range(seeds)]


def at_once(features: FeatureSet, config: SearchConfig, seeds: int) -> Algorithm1:
    states = [SeedState(features, config.change(seed=seed)) for seed in range(seeds)]
    return Algorithm1(states, StackedEngine(features, states))


def operations(run: Callable[[], object]) -> int:
    with Operations() as counted:
        run()
    return counted.count


def operations_a_step(features: FeatureSet, config: SearchConfig) -> dict[int, int]:
    """Seeds -> operations of a weight step: the mean over an epoch, after Adam has made its state."""
    steps = -(-len(features.rows("train")) // config.batch_size)
    (search,) = searches(features, config, 1)
    alone = Algorithm1([search], search.engine)
    alone.update_weights(1)
    counts = {1: operations(lambda: alone.update_weights(2)) // steps}
    for count in COUNTS:
        group = at_once(features, config, count)
        group.update_weights(1)
        counts[count] = operations(partial(group.update_weights, 2)) // steps
    return counts


def timed(device: str, run: Callable[[], object]) -> float:
    """Seconds of CPU time, or of wall time on a GPU."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    started = clock()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def measure(features: FeatureSet, config: SearchConfig, device: str, epochs: int) -> tuple[dict, float]:
    """Seconds an epoch of each search alone (a list over seeds) and of S at once; the float32 difference at the end."""
    alone = searches(features, config, max(COUNTS))
    groups = {count: at_once(features, config, count) for count in COUNTS}
    times: dict[int, list[float]] = {count: [] for count in COUNTS}
    singles: list[list[float]] = []
    for epoch in range(epochs):
        one_by_one = [timed(device, search.run_epoch) for search in alone]
        together = {count: timed(device, group.run_epoch) for count, group in groups.items()}
        if epoch > 0:  # the first one warms up
            singles.append(one_by_one)
            for count, seconds in together.items():
                times[count].append(seconds)
    return {"alone": singles, "at once": times}, far_apart(alone, groups[max(COUNTS)].states)


def far_apart(alone: Sequence[SeedState], together: Sequence[SeedState]) -> float:
    """Returns the largest difference of a softmax weight of alpha, beta and gamma."""
    rows = [
        zip(one.hypernet.architecture().rows(), other.hypernet.architecture().rows(), strict=True)
        for one, other in zip(alone, together, strict=True)
    ]
    return max(abs(a["weight"] - b["weight"]) for pairs in rows for a, b in pairs)


def summary(times: dict, counted: dict[int, int]) -> dict[int, dict[str, Any]]:
    """Summarises by number of seeds: medians and quartiles over the epochs of the ratios."""
    rows: dict[int, dict[str, Any]] = {1: {"ms": median([row[0] for row in times["alone"]]), "operations": counted[1]}}
    for count, seconds in times["at once"].items():
        separate = [sum(row[:count], 0.0) for row in times["alone"]]
        one = [sum(row) / len(row) for row in times["alone"]]
        rows[count] = {
            "ms": median(seconds),
            "separate_ms": median(separate),
            "separate / at once": ratios(separate, seconds),
            "at once / one": ratios(seconds, one),
            "operations": counted[count],
        }
    return rows


def median(seconds: list[float]) -> float:
    """Returns the median in milliseconds."""
    return round(1e3 * statistics.median(seconds), 1)


def described(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f}x [{ratio['low']:.2f}, {ratio['high']:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    features = bmnas.prepare("digits", device=options.device)
    config = bmnas.TASKS["digits"].search_config.change(device=options.device, threads=1, epochs=options.epochs)
    counted = operations_a_step(features, config)
    times, apart = measure(features, config, options.device, options.epochs)
    rows = summary(times, counted)
    print(f"an epoch on digits, {options.device}; operations of a weight step")
    print(f"  seeds 1: {rows[1]['ms']:7.1f} ms, {rows[1]['operations']} operations")
    for count in COUNTS:
        row = rows[count]
        gain = row["separate / at once"]
        cost = row["at once / one"]
        print(
            f"  seeds {count}: {row['ms']:7.1f} ms at once, {row['separate_ms']:7.1f} ms one after another: "
            f"{described(gain)} faster, {described(cost)} of one; "
            f"{row['operations']} operations"
        )
    print(f"  float32: alpha, beta and gamma differ by {apart:.0e} after {options.epochs} epochs")
    write(options.out, {"device": options.device, "epochs": options.epochs, "float32_difference": apart, "seeds": rows})


if __name__ == "__main__":
    main()
