"""What an extraction to the disk is asked for: how it is made, and what its manifest says beside that."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class ExtractionSettings:
    """How an extraction is made.

    Attributes:
        L: length to pool to.
        dtype: "float16" or "float32", of the features; logits are float32.
        batch_size: samples that pass through the backbones together.
        workers: processes that decode; 0 decodes in this one.
        device: where the backbones run.
        max_unreadable: above this share of unreadable samples it stops.
    """

    L: int
    dtype: str = "float16"
    batch_size: int = 16
    workers: int = 2
    device: str | torch.device = "auto"
    max_unreadable: float = 0.01


@dataclass(frozen=True)
class Description:
    """What the manifest says of the features, beside how they were made.

    Attributes:
        task, notes: see `FeatureSet`.
        options: JSON values.
    """

    task: str = "custom"
    notes: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
