"""Training of one modality's backbone on its own labels, before it is frozen.

Small data sets are arrays in memory (`train_unimodal`); large ones come batch by batch from files
(`train_unimodal_from`).
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.errors import ConfigError
from bmnas.machine import resolve_device, use_threads
from bmnas.training import metrics
from bmnas.training.checkpoint import TrainingCheckpoint
from bmnas.training.loop import NetworkLearner, train_epochs
from bmnas.training.progress import Progress
from bmnas.training.random_streams import RunningStream
from bmnas.training.steps import Batch, batch_starts, predict_batches

Loader = Iterable[Any]  # batches (inputs, labels)
SCORED = 1000  # rows a forward pass without gradients


@dataclass(frozen=True)
class UnimodalReport:
    """How a backbone was trained and what it can do alone.

    Attributes:
        backbone: class name.
        fingerprint: sha256 of its trained weights.
        parameters: how many weights.
        rows: how many rows it was trained on.
        epochs, seconds: of the training.
        scores: accuracy, or weighted F1 of a multilabel task, by split; "fit" are the rows it was trained on.
    """

    backbone: str
    fingerprint: str
    parameters: int
    rows: int
    epochs: int
    seconds: float
    scores: dict[str, float]


def train_unimodal(
    model: nn.Module,
    inputs: np.ndarray,
    labels: np.ndarray,
    rows: Mapping[str, np.ndarray],
    *,
    epochs: int,
    batch_size: int = 128,
    max_lr: float = 1e-2,
    weight_decay: float = 1e-4,
    kind: str = "multiclass",
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> UnimodalReport:
    """Trains a classifier on arrays in memory; see `train_unimodal_from`, whose arguments it shares.

    Args:
        inputs: float32 (n, ...).
        labels: int64 (n,), or float32 (n, classes) of 0 and 1 for "multilabel": the modality's own.
        rows: "fit" -> the rows to train on; every other entry is only scored.
        batch_size: in training.

    Raises:
        ConfigError: no rows to train on.
    """
    if "fit" not in rows or len(rows["fit"]) == 0:
        raise ConfigError("rows['fit'] is empty; expected the rows to train the backbone on")
    place = resolve_device(device)
    x = torch.from_numpy(inputs).to(place)
    y = torch.from_numpy(labels).to(place)
    fit = _RowBatches(x, y, torch.from_numpy(rows["fit"]), batch_size, shuffled=True)
    scored = {
        name: _RowBatches(x, y, torch.from_numpy(chosen), SCORED, shuffled=False) for name, chosen in rows.items()
    }
    return train_unimodal_from(
        model,
        fit,
        scored,
        epochs=epochs,
        max_lr=max_lr,
        weight_decay=weight_decay,
        kind=kind,
        seed=seed,
        device=place,
        progress=progress,
        checkpoint=checkpoint,
    )


@use_threads()
def train_unimodal_from(
    model: nn.Module,
    fit: Loader,
    scored: Mapping[str, Loader],
    *,
    epochs: int,
    max_lr: float = 1e-2,
    weight_decay: float = 1e-4,
    kind: str = "multiclass",
    modality: str | None = None,
    seed: int = 0,
    device: str | torch.device = "auto",
    progress: Progress | None = None,
    checkpoint: Path | None = None,
) -> UnimodalReport:
    """Trains a classifier (Adam, one cycle of the learning rate) and scores its last epoch.

    Args:
        model: inputs (B, ...) -> logits (B, classes); trained in place and left in eval mode.
        fit: what it is trained on: batches (inputs, labels, ...), in an order of their own each time, for example a
            `torch.utils.data.DataLoader` with shuffle=True. It must have a length.
        scored: name -> batches that are only scored.
        epochs, max_lr, weight_decay: of the training.
        kind: "multiclass": cross-entropy and accuracy; "multilabel": binary cross-entropy and weighted F1.
        modality: which inputs to take of batches whose inputs are a dictionary, modality -> inputs.
        seed: order of the batches, and dropout if the model has any; a DataLoader without generator and workers
            follows it too.
        device: "auto" for CUDA if there is one; the model goes back to the CPU.
        progress: called after each epoch with ("train", epoch, epochs).
        checkpoint: written after each epoch. An existing one is resumed if it belongs to the same training; on a CPU
            the training ends in the same bits.

    Raises:
        ConfigError: nothing to train on, or no length.
        SearchDiverged: a loss is NaN or infinite; names the epoch.
        RunError: the checkpoint is damaged, of another training, or cannot be written.
    """
    if not hasattr(fit, "__len__") or len(fit) == 0:  # pyright: ignore[reportArgumentType]
        raise ConfigError("fit is empty, or has no length; expected batches to train the backbone on")
    started = time.perf_counter()
    place = resolve_device(device)
    steps: int = len(fit)  # pyright: ignore[reportArgumentType]
    about = {"backbone": type(model).__name__, "start": weights_fingerprint(model), "steps": steps, "epochs": epochs}
    about |= {"kind": kind, "modality": modality, "seed": seed, "rates": [max_lr, weight_decay]}
    optimizer = torch.optim.Adam(model.to(place).parameters(), lr=max_lr, weight_decay=weight_decay)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr, total_steps=steps * epochs + 1)
    learner = NetworkLearner(
        network=model,
        kind=kind,
        optimizer=optimizer,
        parameters=[parameter for parameter in model.parameters() if parameter.requires_grad],
        scheduler=scheduler,
    )
    parts = {"model": model, "optimizer": optimizer, "schedule": scheduler}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        history = train_epochs(
            learner,
            lambda _epoch: _on_device(fit, modality, place),
            epochs,
            name="backbone",
            schedule=None,  # the one cycle moves Adam's momentum too: the scheduler's own work
            random=RunningStream(place, getattr(fit, "generator", None)),  # a DataLoader's; without one it is torch's
            checkpoint=TrainingCheckpoint(checkpoint, about, parts),
            after_epoch=None if progress is None else lambda epoch: progress("train", epoch, epochs),
        )
    model.eval()
    scores = {name: _score(model, kind, _on_device(loader, modality, place)) for name, loader in scored.items()}
    model.cpu()
    return UnimodalReport(
        backbone=type(model).__name__,
        fingerprint=weights_fingerprint(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        rows=history.samples,
        epochs=epochs,
        seconds=round(time.perf_counter() - started, 2),
        scores=scores,
    )


def weights_fingerprint(model: nn.Module) -> str:
    """Computes the sha256 of all parameters and buffers, in order, with their names."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _on_device(loader: Loader, modality: str | None, device: torch.device) -> Iterator[Batch]:
    """Yields inputs and labels of each batch on the device."""
    for inputs, labels, *_ in loader:
        yield (inputs if modality is None else inputs[modality]).to(device), labels.to(device)


def _score(model: nn.Module, kind: str, batches: Iterator[Batch]) -> float:
    """Returns the score of a split; 0 where it has no rows."""
    first = next(batches, None)
    if first is None:
        return 0.0
    what = f"backbone {type(model).__name__}"
    return metrics.score(kind, *predict_batches(model, chain([first], batches), torch.device("cpu"), what=what))


class _RowBatches:
    """Batches of rows of tensors, see `batch_starts`; each pass over shuffled ones draws another order."""

    def __init__(self, x: Tensor, y: Tensor, rows: Tensor, batch_size: int, shuffled: bool) -> None:
        self.x = x
        self.y = y
        self.rows = rows
        self.batch_size = batch_size
        self.shuffled = shuffled

    def __len__(self) -> int:
        return len(batch_starts(len(self.rows), self.batch_size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows = self.rows[torch.randperm(len(self.rows))] if self.shuffled else self.rows
        starts = batch_starts(len(rows), self.batch_size)
        for start, stop in pairwise([*starts, len(rows)]):
            batch = rows[start:stop].to(self.x.device)
            yield self.x[batch], self.y[batch]


class InputBatches:
    """The rows of an array in order, in batches; iterable as often as needed."""

    def __init__(self, inputs: np.ndarray, batch_size: int = 1000) -> None:
        self.inputs = inputs
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(self.inputs) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        for start in range(0, len(self.inputs), self.batch_size):
            yield torch.from_numpy(self.inputs[start : start + self.batch_size])
