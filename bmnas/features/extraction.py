"""One extraction engine: batches pass once through frozen backbones, their pooled taps go into a sink (section 3.1).

There are two sinks: lists in memory (`extract`, here) and arrays on the disk (`bmnas.features.disk_extraction`).
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.errors import DataError, FeatureError
from bmnas.features.taps import Tap, as_taps, first_tensor, frozen, hooked, pop_outputs
from bmnas.machine import resolve_device, use_threads
from bmnas.training.progress import Progress


@dataclass(frozen=True)
class Backbone:
    """A trained network and its taps.

    Attributes:
        model: any module.
        taps: feature -> where it is taken.
        about: what the manifest says of it: epochs, where its weights are from ...
    """

    model: nn.Module
    taps: Mapping[str, Tap]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Batch:
    """Inputs of one forward pass: modality -> (B, ...); none, and no forward pass is made."""

    inputs: Mapping[str, Tensor]


AnyBatch = TypeVar("AnyBatch", bound=Batch)


@dataclass(frozen=True)
class Extracted:
    """What the backbones make of one batch, on the CPU.

    Attributes:
        features: feature -> float32 (B, C_in, L or 1).
        logits: modality -> float32 (B, ...), the backbone's own outputs.
    """

    features: dict[str, np.ndarray]
    logits: dict[str, np.ndarray]


def run_backbones(
    backbones: Mapping[str, Backbone],
    batches: Iterable[AnyBatch],
    sink: Callable[[AnyBatch, Extracted], None],
    *,
    L: int,
    device: torch.device,
) -> None:
    """Runs frozen backbones over all batches and hands the sink what each batch gives.

    Args:
        backbones: modality -> network and taps; put into eval mode, run without gradients, and left as before.
        batches: one at a time, the next when the sink returns.
        sink: called with each batch and what it gives.
        L: length to pool to.
        device: where the backbones run.

    Raises:
        UnknownNameError: no such module; the nearest names come first.
        FeatureError: a module did not run exactly once in a forward pass, or returned no tensor.
    """
    with ExitStack() as stack, torch.no_grad():
        seen = {}
        for modality, backbone in backbones.items():
            stack.enter_context(frozen(backbone.model, device))
            seen[modality] = stack.enter_context(hooked(backbone.model, backbone.taps, L))
        for batch in batches:
            extracted = Extracted(features={}, logits={})
            for modality, backbone in backbones.items() if batch.inputs else ():
                outputs = first_tensor("the model", backbone.model(batch.inputs[modality].to(device)))
                pooled = pop_outputs(backbone.taps, seen[modality])
                extracted.features.update({name: x.numpy() for name, x in pooled.items()})
                extracted.logits[modality] = outputs.float().cpu().numpy()
            sink(batch, extracted)


@use_threads()
def extract(
    model: nn.Module,
    taps: Mapping[str, str | Tap],
    loader: Iterable[Any],
    *,
    L: int,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Runs a backbone once, frozen, and returns the pooled outputs of some of its modules.

    Args:
        model: any module; put into eval mode, run without gradients, and left as before.
        taps: feature -> module path or Tap. A module that returns a tuple or list counts with its first tensor.
        loader: batches; a tensor, or a tuple or list whose first entry is the input.
        L: length to pool to.
        device: where to run, "auto" for CUDA if there is one. On a CPU one thread computes, or as many as a
            `bmnas.machine.use_threads` around the call says.
        progress: called after each batch with ("extract", done, batches), batches 0 where the loader has no length.

    Returns:
        feature -> float32 (n, C_in, L or 1), and the model's outputs, float32 (n, ...).

    Raises:
        UnknownNameError: no such module; the nearest names come first.
        FeatureError: a module did not run exactly once in a forward pass, or returned no tensor, NaN or infinite
            values, or another shape than before.
        DataError: the loader is empty, or gives something else than tensors.
    """
    modality = ""  # the only one
    taps = as_taps(taps)
    batches = len(loader) if hasattr(loader, "__len__") else 0  # pyright: ignore[reportArgumentType]
    parts: list[Extracted] = []

    def sink(_batch: Batch, extracted: Extracted) -> None:
        _check_outputs(len(parts), extracted, parts[0] if parts else extracted)
        parts.append(extracted)
        if progress:
            progress("extract", len(parts), batches)

    inputs = (first_tensor("the loader", batch, DataError) for batch in loader)
    run_backbones(
        {modality: Backbone(model=model, taps=taps)},
        (Batch(inputs={modality: x}) for x in inputs),
        sink,
        L=L,
        device=resolve_device(device),
    )
    if not parts:
        raise DataError("the loader gave no batch; expected at least one sample to extract features from")
    arrays = {name: np.concatenate([part.features.pop(name) for part in parts]) for name in taps}
    return arrays, np.concatenate([part.logits[modality] for part in parts])


def _check_outputs(batch: int, extracted: Extracted, first: Extracted) -> None:
    """Checks what a batch gave: a row of NaN would be taken for a sample that lacks the feature.

    Args:
        batch: its number, from 0.
        first: what the first batch gave.
    """
    outputs = {**{f"feature {name!r}": x for name, x in extracted.features.items()}, "the model": extracted.logits[""]}
    before = [*first.features.values(), first.logits[""]]
    for (what, array), one in zip(outputs.items(), before, strict=True):
        if array.shape[1:] != one.shape[1:]:
            raise FeatureError(
                f"{what} has the shape {array.shape[1:]} in batch {batch}, and {one.shape[1:]} in batch 0; the "
                "backbone must give every sample one shape"
            )
        bad = ~np.isfinite(array.reshape(len(array), -1)).all(1)
        if bad.any():
            raise FeatureError(
                f"{what} holds NaN or infinite values, first in row {int(bad.argmax())} of batch {batch}; the "
                "weights or the inputs are damaged. Leave samples that lack the modality out here, and make their rows "
                "NaN afterwards"
            )
