"""Joint training (section 3.4): backbones and fusion network together on train + val, then the test split once.

Samples are raw and come from torch Datasets, so they may be larger than memory. On a CPU the outcome depends on the
seed alone. A training that was killed resumes after its last epoch and ends in the same bits.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from bmnas.config import EvalConfig
from bmnas.errors import DataError
from bmnas.evaluation.joint.network import RawNetwork
from bmnas.evaluation.outcomes import answers_of
from bmnas.machine import resolve_device, use_threads
from bmnas.storage.own_code import own_code
from bmnas.tasks.base import RawData
from bmnas.training import metrics
from bmnas.training.loader_processes import loader_processes
from bmnas.training.network_training import train_network
from bmnas.training.objective import Objective, plain_objective
from bmnas.training.progress import Progress
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import Batch, batches, combine, predict_batches


@dataclass(frozen=True)
class JointResult:
    """What a joint training gave.

    Attributes:
        metric: name of the score, between 0 and 1.
        score: on the test split.
        scores: every score of the kind on the test split, by name.
        per_class: a score a class.
        losses: mean training loss of each epoch.
        parameters: of the backbones, of the fusion network, and how many were trained.
        seconds: of this process.
        answers: packed, of every test sample; see `bmnas.evaluation.outcomes`.
    """

    metric: str
    score: float
    scores: dict[str, float]
    per_class: list[float]
    losses: list[float]
    parameters: dict[str, int]
    seconds: float
    answers: str


class RawSamples(Dataset[tuple[dict[str, Tensor], Tensor]]):
    """Raw data in memory as a Dataset: sample -> (modality -> tensor, target)."""

    def __init__(self, raw: RawData) -> None:
        self.inputs = {modality: torch.from_numpy(array) for modality, array in raw.inputs.items()}
        self.targets = torch.from_numpy(raw.labels)
        self.splits = raw.splits

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, row: int) -> tuple[dict[str, Tensor], Tensor]:
        return {modality: array[row] for modality, array in self.inputs.items()}, self.targets[row]


def of_splits(samples: Any, *names: str) -> Subset[Any]:
    """Returns the samples of some splits, one after the other: `of_splits(samples, "train", "val")`.

    Args:
        samples: a Dataset with `splits`, name -> rows.
    """
    return Subset(samples, np.concatenate([samples.splits[name] for name in names]).tolist())


@use_threads()
def train_and_test_joint(
    network: RawNetwork,
    train: Dataset[Any],
    test: Dataset[Any],
    *,
    kind: str | Objective,
    batch_size: int,
    device: str | torch.device = "auto",
    workers: int = 0,
    **training: Any,
) -> JointResult:
    """Trains on `train` (the paper: train + val), then scores the last epoch on `test`, which nothing else reads.

    Args:
        training: epochs, learning rates ..., see `train_joint`, which also says what may be raised.
    """
    objective = plain_objective(kind)
    started = time.perf_counter()
    losses = train_joint(network, train, kind=kind, batch_size=batch_size, device=device, workers=workers, **training)
    logits, targets = predict_joint(network, test, batch_size=batch_size, device=device, workers=workers)
    return JointResult(
        metric=objective.metric,
        score=metrics.score(objective, logits, targets),
        scores=metrics.scores(objective, logits, targets),
        per_class=metrics.per_class(objective.kind, logits, targets),
        losses=losses,
        parameters=network.sizes(),
        seconds=time.perf_counter() - started,
        answers=answers_of(objective.kind, logits),
    )


@use_threads()
def train_joint(
    network: RawNetwork,
    data: Dataset[Any],
    *,
    kind: str | Objective,
    epochs: int,
    batch_size: int,
    max_lr: float = 1e-3,
    min_lr: float = 1e-6,
    weight_decay: float = 1e-4,
    Ti: int | None = None,
    Tm: int = 2,
    seed: int = 0,
    device: str | torch.device = "auto",
    workers: int = 0,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> list[float]:
    """Trains all that is not frozen, with Adam and cosine warm restarts, for `epochs` epochs.

    Args:
        network: trained in place; left on the device.
        data: sample -> (modality -> tensor, target, ...).
        kind: "multiclass" or "multilabel", or an objective of one: its weights of classes, and its score.
        max_lr, min_lr, weight_decay: of all weights alike.
        Ti, Tm: first period of the restarts in epochs (all epochs when None), and its factor.
        seed: order of the samples, dropout, and whatever the samples draw from torch.
        workers: processes that read samples; 0 reads in this one. The order of the samples does not depend on it.
        checkpoint: written after each epoch. An existing one is resumed if it belongs to the same training.
        progress: called after each epoch with ("joint", epoch, epochs).

    Returns:
        The mean loss of each epoch.

    Raises:
        SearchDiverged: a loss is NaN or infinite; the weights are those of the step before.
        RunError: the checkpoint is damaged or of another training.
        DataError: no samples.
        ConfigError: a setting is out of range.
    """
    objective = plain_objective(kind)
    budget = EvalConfig(epochs=epochs, max_lr=max_lr, min_lr=min_lr, weight_decay=weight_decay, Ti=Ti, Tm=Tm, seeds=1)
    n = _length(data)
    place = resolve_device(device)
    about = {
        "samples": n,
        "kind": objective.kind,
        "epochs": epochs,
        "batch_size": batch_size,
        "rates": [max_lr, min_lr, Ti, Tm],
    }
    about |= {"weight_decay": weight_decay, "seed": seed, **network.identity()}
    about |= {} if objective.weights is None else {"class_weights": np.array(objective.weights).tolist()}
    code = own_code((network, getattr(data, "dataset", data)))
    about |= {"code": code} if code else {}

    def batches_of(epoch: int) -> Iterator[Batch]:
        stream = (seed, Purpose.BATCHES, epoch)
        order = batches(torch.arange(n), batch_size, stream)
        return _loaded(data, order, combine(stream), workers, place)

    history = train_network(
        network.to(place),
        objective,
        batches_of,
        n,
        batch_size,
        budget,
        seed,
        place,
        name="joint training",
        checkpoint=checkpoint,
        about=about,
        after_epoch=None if progress is None else lambda epoch: progress("joint", epoch, epochs),
    )
    return history.losses


@use_threads()
def predict_joint(
    network: RawNetwork,
    data: Dataset[Any],
    *,
    batch_size: int,
    device: str | torch.device = "auto",
    workers: int = 0,
) -> tuple[Tensor, Tensor]:
    """Returns logits and targets of all samples in order, on the CPU; the network is left in eval mode.

    Raises:
        DataError: no samples.
        PredictionError: outputs are NaN or infinite; names rows and layer.
    """
    place = resolve_device(device)
    order = torch.arange(_length(data)).split(batch_size)
    loaded = _loaded(data, order, combine((0,)), workers, place)
    return predict_batches(network.to(place), loaded, torch.device("cpu"))


def _length(data: Dataset[Any]) -> int:
    n = len(data)  # type: ignore[arg-type]
    if n == 0:
        raise DataError("the dataset has no samples; expected at least one")
    return n


def _loaded(
    data: Dataset[Any], order: Iterable[Tensor], seed: int, workers: int, device: torch.device
) -> Iterator[Batch]:
    """Yields the samples of each batch of rows on the device.

    Args:
        seed: of the worker processes.
    """
    rows = [batch.tolist() for batch in order]
    generator = torch.Generator().manual_seed(seed)
    for batch in DataLoader(data, batch_sampler=rows, generator=generator, **loader_processes(workers)):
        yield {modality: x.to(device) for modality, x in batch[0].items()}, batch[1].to(device)
