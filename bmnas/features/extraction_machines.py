"""Which kinds of machines extracted the samples of a feature set: two kinds round differently.

Each kind has a line in `machines.jsonl` of the unfinished extraction, written before its first batch. The finished
feature set names them in its manifest where there are several.
"""

from pathlib import Path
from typing import Any

import torch

from bmnas.errors import FeatureError, warn
from bmnas.machine import processor, resolve_device
from bmnas.storage.records import append_record, read_records

MACHINES = "machines.jsonl"


def machine_kind(device: str | torch.device) -> str:
    """Returns what decides how a device rounds: the name of the GPU, or of the processor."""
    place = resolve_device(device)
    return torch.cuda.get_device_name(place) if place.type == "cuda" else processor()


def note_machines(work: Path, kinds: list[str]) -> None:
    """Adds to the folder of an unfinished extraction those of the kinds that it does not name yet."""
    for kind in kinds:
        if kind not in noted_machines(work):
            append_record(work / MACHINES, {"kind": kind}, FeatureError)


def noted_machines(work: Path) -> list[str]:
    """Returns the kinds that worked on an extraction, the first one first.

    Raises:
        FeatureError: a line of the file is damaged.
    """
    return read_records(work / MACHINES, _kind, FeatureError, "delete the file to forget which machines worked on it")


def mixed_machines(work: Path) -> dict[str, list[str]]:
    """Returns what the manifest says of the machines, and warns: nothing, where all are of one kind."""
    kinds = noted_machines(work)
    if len(kinds) < 2:
        return {}
    warn(
        f"the samples were extracted on machines of different kinds ({'; '.join(kinds)}), which round differently: the "
        "last bits of a feature depend on which of them made it. If that matters, delete the features and extract them "
        "on one kind"
    )
    return {"machines": kinds}


def _kind(line: dict[str, Any]) -> str:
    if not isinstance(line["kind"], str):
        raise ValueError(f"kind is {line['kind']!r}; expected a text")
    return line["kind"]
