"""An epoch of a search on features that stay on the disk beside one on the same features in memory.

    python benchmarks/on_disk.py                    NTU's shapes, 1,200 samples
    python benchmarks/on_disk.py --quick

Both take turns. Before a "cold" epoch the system is asked to forget the files (posix_fadvise), so that they are read
again; at a "warm" one it still has them in its cache.
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

import torch  # noqa: E402

import bmnas  # noqa: E402
from benchmarks.memory import random_features  # noqa: E402
from benchmarks.shared import ratios, spread, write  # noqa: E402
from bmnas.paper.published import NTU_CHANNELS  # noqa: E402
from bmnas.searching.algorithm1 import Search  # noqa: E402

RESULTS = Path(__file__).parent / "results" / "on_disk.json"


def forget(folder: Path) -> None:
    """Asks the system to drop a folder's files from its cache."""
    for path in folder.glob("*.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(samples: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Seconds of an epoch by where the features are."""
    config = bmnas.PAPER_CONFIGS["ntu-1"].change(device="cpu", threads=1)
    stored = random_features(samples, NTU_CHANNELS, config.L).save(folder / "features")
    searches = {}
    for place in ("memory", "disk"):
        features = bmnas.FeatureSet.open(stored, verify=False)
        features.tensors("cpu", on_disk=place == "disk")
        searches[place] = Search(features, config)
    seconds: dict[str, list[float]] = {"memory": [], "warm": [], "cold": []}
    for round_ in range(-1, rounds):
        for name, times in seconds.items():
            if name == "cold":
                forget(stored)
            started = time.perf_counter()
            searches["memory" if name == "memory" else "disk"].run_epoch()
            if round_ >= 0:
                times.append(time.perf_counter() - started)
    return {
        "samples": samples,
        "bytes": bmnas.FeatureSet.open(stored, verify=False).nbytes,
        "seconds": {name: spread(times) for name, times in seconds.items()},
        "disk / memory": {name: ratios(seconds[name], seconds["memory"]) for name in ("warm", "cold")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the JSON file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="bmnas-on-disk-") as folder:
        record = measure(192 if options.quick else 1200, 1 if options.quick else 5, Path(folder))
    for name, ratio in record["disk / memory"].items():
        print(f"{name}: {ratio['median']:.2f} of the time in memory [{ratio['low']:.2f}, {ratio['high']:.2f}]")
    write(options.out, record)


if __name__ == "__main__":
    main()
