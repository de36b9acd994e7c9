"""A data set whose samples take a little while, and an extraction from it that a test may kill."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from bmnas.errors import DataError
from bmnas.features.disk_extraction import bulk_extract
from bmnas.features.extraction import Backbone
from bmnas.features.extraction_settings import ExtractionSettings
from bmnas.features.samples import Samples
from bmnas.features.taps import Tap


class SlowSamples(Samples):
    """Random signals of two modalities; rows in `bad` cannot be read."""

    def __init__(self, n=60, bad=(), seconds=0.0, kind="multiclass"):
        ends = (0, n // 2, 3 * n // 4, n)
        splits = {part: np.arange(ends[i], ends[i + 1]) for i, part in enumerate(("train", "val", "test"))}
        super().__init__([f"sample {i}" for i in range(n)], ["a", "b", "c"], kind, splits, {"made": "up"})
        self.bad, self.seconds = bad, seconds

    def read(self, row, only=None):
        time.sleep(self.seconds)
        if row in self.bad:
            raise DataError(f"file {row} is damaged")
        rng = np.random.default_rng(row)
        inputs = {name: rng.standard_normal((3, 20), dtype=np.float32) for name in ("A", "B")}
        label = row % 3 if self.kind == "multiclass" else np.float32([row % 2, 1, 0])
        return inputs, label


def backbone(seed, log=None):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 3))
    if log is not None:
        model.register_forward_hook(lambda _module, _inputs, output: write(log, len(output)))
    return model


def write(log, count):
    with Path(log).open("a") as file:
        file.write(f"{count}\n")


def backbones(log=None):
    taps = {"A": {"A_1": Tap("1"), "A_2": Tap("3")}, "B": {"B_1": Tap("0")}}
    return {name: Backbone(backbone(i, log if i == 0 else None), taps[name]) for i, name in enumerate(taps)}


def slow_extraction(folder, log):
    """Extracts 95 of 96 samples in batches of 8, with one worker; `log` gets a line a batch."""
    torch.set_num_threads(1)
    data = SlowSamples(96, (7,), 0.004)
    settings = ExtractionSettings(L=4, batch_size=8, workers=1, device="cpu", max_unreadable=0.1)
    bulk_extract(folder, data, backbones(log), settings)
