"""Memory of a search beside what `bmnas.searching.footprint` says before it starts; a process for each setting.

    python benchmarks/memory.py                  all settings
    python benchmarks/memory.py --quick

What counts is the largest resident set during one epoch, less what the process had before (Linux; elsewhere nothing).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

from benchmarks.shared import write  # noqa: E402
from bmnas.config import PAPER_CONFIGS, SearchConfig  # noqa: E402
from bmnas.features.feature_set import FeatureSet  # noqa: E402
from bmnas.paper.published import NTU_CHANNELS  # noqa: E402
from bmnas.searching.algorithm1 import Search  # noqa: E402
from bmnas.searching.networks import sketched  # noqa: E402

NTU = PAPER_CONFIGS["ntu-1"].change(device="cpu", threads=1, epochs=1)
SETTINGS: dict[str, dict] = {
    "as it is": {},
    "bf16": {"bf16": True},
    "accumulate 2": {"accumulate": 2},
    "accumulate 4": {"accumulate": 4},
    "batch_size 48": {"batch_size": 48},
    "batch_size 192": {"batch_size": 192},
    "C 256": {"C": 256},
    "N 4": {"N": 4},
}
SAMPLES = 384
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def random_features(samples: int, channels: dict[str, int], L: int, classes: int = 60) -> FeatureSet:
    """Draws random numbers of the shapes of a task: half for training, a quarter each for validation and test."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((samples, C_in, L), np.float32) for name, C_in in channels.items()}
    cut = [0, samples // 2, 3 * samples // 4, samples]
    splits = {name: range(cut[i], cut[i + 1]) for i, name in enumerate(("train", "val", "test"))}
    targets = np.arange(samples) % classes
    return FeatureSet.from_arrays(arrays, targets, {k: np.array(v) for k, v in splits.items()}, L=L)


def resident(field: str) -> int:
    """Reads VmRSS or VmHWM (its largest value since it was set back), in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return 1024 * int(line.split()[1])


def one(settings: dict, samples: int) -> dict[str, float]:
    """Returns measured and foreseen megabytes of one epoch."""
    config: SearchConfig = NTU.change(**settings)
    features = random_features(samples, NTU_CHANNELS, config.L)
    foreseen = sketched(features, config)
    before = resident("VmRSS")
    CLEAR.write_text("5")
    Search(features, config).run_epoch()
    return {
        "measured_mb": (resident("VmHWM") - before) / 1e6,
        "foreseen_mb": foreseen.total / 1e6,
        **{f"{name}_mb": getattr(foreseen, name) / 1e6 for name in ("features", "weights", "step", "scoring")},
    }


def measure(quick: bool = False) -> dict[str, dict[str, float]]:
    """Measures the megabytes of each setting in a fresh process."""
    if not CLEAR.exists():
        print("memory: only Linux can set the peak of a process back; nothing was measured")
        return {}
    rows = {}
    for name, settings in list(SETTINGS.items())[: 1 if quick else None]:
        command = [sys.executable, __file__, "--one", json.dumps(settings), "--samples", str(96 if quick else SAMPLES)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"memory, {name}: {done.stderr.strip()}")
        rows[name] = json.loads(done.stdout)
        print(
            f"  {name:16s} {rows[name]['measured_mb']:7.0f} MB measured, {rows[name]['foreseen_mb']:7.0f} foreseen",
            flush=True,
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--one", type=json.loads, help="settings: measure these alone, here, and print JSON")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--quick", action="store_true", help="one setting, few samples")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(one(options.one, options.samples)))
        return
    write(options.out / "memory.json", {"samples": options.samples, "settings": measure(options.quick)})


if __name__ == "__main__":
    main()
