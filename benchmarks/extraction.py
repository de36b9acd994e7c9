"""How much of a bare backbone's pace an extraction keeps: taps, pooling and, in bulk, decoding and writing.

    python benchmarks/extraction.py
    python benchmarks/extraction.py --quick

For each backbone, `bmnas.extract` and a plain loop of forward passes over the same batches take turns; the share is
the plain loop's CPU time over the extraction's, 1 where taps and pooling cost nothing. In bulk the samples come from
files and features go to the disk; the share is what `ExtractionReport.share` says.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.shared import in_turns, ratios, spread, write  # noqa: E402
from bmnas.features.backbones import hcn, vgg  # noqa: E402
from bmnas.features.backbones.lenet import LeNet  # noqa: E402
from bmnas.features.disk_extraction import bulk_extract  # noqa: E402
from bmnas.features.extraction import Backbone, extract  # noqa: E402
from bmnas.features.extraction_settings import ExtractionSettings  # noqa: E402
from bmnas.features.samples import Samples  # noqa: E402
from bmnas.features.taps import Tap  # noqa: E402

L = 16
LENET_TAPS = {f"Image_{i + 1}": Tap(f"blocks.{i}", "grid") for i in range(3)}
BACKBONES: dict[str, tuple[Callable[[], nn.Module], dict[str, Tap], tuple[int, ...], int, int]] = {
    # how it is made, its taps, the shape of a sample, samples in a batch, batches
    "LeNet, 28 x 28": (lambda: LeNet((16, 32, 64), 10), LENET_TAPS, (1, 28, 28), 64, 4),
    "HCN, 32 frames": (hcn.HCN, hcn.TAPS, (3, 32, 25, 2), 16, 2),
    "VGG-19, 64 x 64": (vgg.VGG19, vgg.TAPS, (3, 64, 64), 8, 1),
}


def both(name: str) -> dict[str, Callable[[], Any]]:
    """Returns the plain loop and the extraction of a backbone, over the same batches."""
    make, taps, shape, size, count = BACKBONES[name]
    torch.manual_seed(0)
    model = make().eval()
    batches = [torch.randn(size, *shape) for _ in range(count)]

    @torch.no_grad()
    def plain() -> list[Tensor]:
        return [model(batch) for batch in batches]

    return {"plain": plain, "extract": lambda: extract(model, taps, batches, L=L, device="cpu")}


class Files(Samples):
    """Random pictures, each in a file of its own."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        pictures = np.random.default_rng(0).standard_normal((count, 3, 64, 64), np.float32)
        for i, picture in enumerate(pictures):
            np.save(folder / f"{i}.npy", picture)
        cut = [0, count // 2, 3 * count // 4, count]
        splits = {name: np.arange(cut[i], cut[i + 1]) for i, name in enumerate(("train", "val", "test"))}
        super().__init__([str(i) for i in range(count)], ["a", "b"], "multiclass", splits, {})

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], int]:
        return {"Image": np.load(self.folder / f"{row}.npy")}, row % 2


def bulk(count: int) -> dict[str, float]:
    """Measures VGG-19 from files to the disk: share of the backbone's pace, and samples a second (wall clock)."""
    with tempfile.TemporaryDirectory(prefix="bmnas-bench-") as place:
        folder = Path(place) / "files"
        folder.mkdir()
        torch.manual_seed(0)
        backbone = {"Image": Backbone(vgg.VGG19(2), vgg.TAPS)}
        samples = Files(folder, count)
        settings = ExtractionSettings(L=L, batch_size=8, workers=1, device="cpu")
        report = bulk_extract(Path(place) / "features", samples, backbone, settings)
    return {"share": report.share, "samples a second": count / report.seconds, "seconds": report.seconds}


def measure(quick: bool = False, rounds: int = 7) -> dict[str, dict]:
    """Measures share and samples a second of each backbone."""
    torch.set_num_threads(1)
    rows: dict[str, dict] = {}
    for name in list(BACKBONES)[: 1 if quick else None]:
        seconds = in_turns(both(name), 1 if quick else rounds)
        *_, size, count = BACKBONES[name]
        pace = [size * count / t for t in seconds["extract"]]
        rows[name] = {"share": ratios(seconds["plain"], seconds["extract"]), "samples a second": spread(pace)}
        share = rows[name]["share"]
        print(
            f"  {name:18s} {share['median']:.3f} [{share['low']:.3f} {share['high']:.3f}] of the bare pace", flush=True
        )
    if not quick:
        rows["VGG-19, in bulk"] = bulk(192)
        print(f"  {'VGG-19, in bulk':18s} {rows['VGG-19, in bulk']['share']:.3f} of the bare pace", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="the smallest backbone, one round")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    options = parser.parse_args()
    rows = measure(options.quick, options.rounds)
    write(options.out / "extraction.json", {"rounds": options.rounds, "backbones": rows})


if __name__ == "__main__":
    main()
