"""What all benchmarks share: turns, medians, and one JSON file each."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from bmnas.machine import processor


def about_machine() -> dict[str, Any]:
    """What results were measured on."""
    name, instructions = processor().rsplit(", ", 1)
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "processor": name,
        "instructions": instructions,
        "threads": torch.get_num_threads(),
    }


def write(path: Path, results: Mapping[str, Any]) -> Path:
    """Writes results and what they were measured on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**about_machine(), **results}, indent=1) + "\n", encoding="utf-8")
    print(path, flush=True)
    return path


def in_turns(work: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Measures name -> seconds of CPU time, one a round; all take turns, so that a busy machine slows them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for round_ in range(-warm_up, rounds):
        for name, do in work.items():
            started = time.process_time()
            do()
            if round_ >= 0:
                seconds[name].append(time.process_time() - started)
    return seconds


def spread(values: list[float]) -> dict[str, float]:
    """Returns median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else 3 * values
    return {"median": middle, "low": low, "high": high}


def ratios(above: list[float], below: list[float]) -> dict[str, float]:
    """Returns median and quartiles of above / below, round by round."""
    return spread([a / b for a, b in zip(above, below, strict=True)])
