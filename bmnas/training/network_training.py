"""The training of a network from scratch (section 3.4): Adam and cosine warm restarts, decided by budget and seed."""

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.config import EvalConfig
from bmnas.training import metrics
from bmnas.training.batch_queue import read_ahead
from bmnas.training.checkpoint import TrainingCheckpoint
from bmnas.training.learning_rates import schedule
from bmnas.training.loop import History, NetworkLearner, train_epochs
from bmnas.training.objective import Objective
from bmnas.training.random_streams import EpochStreams, Purpose
from bmnas.training.steps import Batch, Samples, batches, predict


def train_network(
    network: nn.Module,
    kind: str | Objective,
    batches_of: Callable[[int], Iterable[Batch]],
    samples: int,
    batch_size: int,
    budget: EvalConfig,
    seed: int,
    device: torch.device,
    *,
    name: str = "training",
    checkpoint: Path | None = None,
    about: Mapping[str, Any] | None = None,
    after_epoch: Callable[[int], Any] | None = None,
) -> History:
    """Trains all parameters that require gradients for `budget.epochs` epochs.

    Args:
        network: on the device; trained in place.
        batches_of: epoch, from 1 -> its batches, on the device.
        samples, batch_size: of an epoch; the learning rates depend on them.
        budget: epochs, learning rates, weight decay.
        seed: of dropout.
        name, after_epoch: see `train_epochs`.
        checkpoint, about: file and description of a `TrainingCheckpoint`; none when None.

    Raises:
        SearchDiverged, RunError: see `train_epochs`.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, budget.max_lr, weight_decay=budget.weight_decay, fused=True)
    period = budget.epochs if budget.Ti is None else budget.Ti
    return train_epochs(
        NetworkLearner(network=network, kind=kind, optimizer=optimizer, parameters=parameters),
        batches_of,
        budget.epochs,
        name=name,
        schedule=schedule("restarts", budget.max_lr, budget.min_lr, period, budget.Tm, samples, batch_size),
        random=EpochStreams(seed, device),
        checkpoint=TrainingCheckpoint(checkpoint, about or {}, {"network": network, "optimizer": optimizer}),
        after_epoch=after_epoch,
    )


def fit(
    network: nn.Module,
    tensors: Samples,
    kind: str | Objective,
    rows: Tensor,
    batch_size: int,
    budget: EvalConfig,
    seed: int,
    after_epoch: Callable[[int], Any] | None = None,
) -> None:
    """Trains a network on some rows of stored features, see `train_network`.

    Args:
        network: on the device of the features.
        rows: what it trains on.
        seed: of the order of the batches and of dropout.
        after_epoch: called with the epoch's number (from 1) after each.

    Raises:
        SearchDiverged: a loss is NaN or infinite; names the epoch.
    """

    def of_epoch(epoch: int) -> Iterable[Batch]:
        order = batches(rows, batch_size, (seed, Purpose.BATCHES, epoch))
        return read_ahead(map(tensors.weighted_batch, order), tensors.ahead)

    train_network(network, kind, of_epoch, len(rows), batch_size, budget, seed, tensors.device, after_epoch=after_epoch)


class BestOnValidation:
    """Keeps the weights of the best validation epoch; the earlier of equal ones.

    Args:
        network: its weights are copied when it is called after an epoch.
        patience: epochs without a better score after which the training ends; None trains all.
    """

    def __init__(
        self, network: nn.Module, tensors: Samples, kind: str | Objective, patience: int | None = None
    ) -> None:
        self.network = network
        self.tensors = tensors
        self.kind = kind
        self.patience = patience
        self.epoch = 0
        self.score = -math.inf
        self.state = network.state_dict()

    def __call__(self, epoch: int) -> bool:
        """Compares the network with the best so far. Returns whether the training ends here."""
        score = metrics.score(self.kind, *predict(self.network, self.tensors, self.tensors.rows("val")))
        if score > self.score:
            self.score = score
            self.state = copy.deepcopy(self.network.state_dict())
            self.epoch = epoch
        return self.patience is not None and epoch - self.epoch >= self.patience
