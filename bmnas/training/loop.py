"""The training loop of searches, evaluations, backbones and joint trainings.

An epoch is a step a batch; a `Learner` takes the steps, of one network or of the stacked hypernets of S seeds. What
else differs is passed in: the batches, their learning rates and random numbers, and the checkpoint.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import repeat
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from bmnas.errors import BmnasError, ConfigError, SearchDiverged
from bmnas.space.gradients import held_still, others_than
from bmnas.training import metrics
from bmnas.training.checkpoint import TrainingCheckpoint
from bmnas.training.finiteness import origin
from bmnas.training.learning_rates import Schedule
from bmnas.training.objective import Objective
from bmnas.training.random_streams import RandomStream
from bmnas.training.steps import Batch, apply_gradients, batch_gradients, finite

Gradients = Sequence[Tensor | None]
Check = Callable[[Tensor, Batch], None]


@dataclass(frozen=True)
class Outcome:
    """What S networks (one, or one a seed) make of a batch.

    Attributes:
        losses: (S,), means over the batch.
        logits: (S, B, classes), as they were before the step.
        targets: (S, B) or (S, B, classes).
    """

    losses: Tensor
    logits: Tensor
    targets: Tensor


class Learner(Protocol):
    """What is trained, and what moves it."""

    def gradients(self, batch: Batch) -> tuple[Outcome, Gradients]:
        """Computes the gradients of a batch, in whichever mode the network is."""
        ...

    def move(self, gradients: Gradients, rate: float | None) -> None:
        """Takes the step; without a rate, by the optimizer's own."""
        ...


@dataclass(frozen=True)
class NetworkLearner:
    """One network and the optimizer of some of its parameters.

    Args:
        network: inputs -> logits (B, classes).
        kind: "multiclass" or "multilabel", or an objective of one: its loss.
        optimizer: of the parameters.
        parameters: those that steps move.
        micro_batches: parts of a batch, see `batch_gradients`.
        scheduler: of torch, stepped after each step, where learning rates are no function of the step alone.
    """

    network: nn.Module
    kind: str | Objective
    optimizer: torch.optim.Optimizer
    parameters: Sequence[nn.Parameter]
    micro_batches: int = 1
    scheduler: LRScheduler | None = None

    @cached_property
    def others(self) -> list[nn.Parameter]:
        """The network's other parameters, which steps leave alone."""
        return others_than(self.parameters, self.network.parameters())

    def gradients(self, batch: Batch) -> tuple[Outcome, Gradients]:
        """Computes the gradients of a batch."""
        with held_still(self.others):
            loss, logits, gradients = batch_gradients(
                self.network, self.kind, batch, self.parameters, self.micro_batches
            )
        return Outcome(loss[None], logits[None], batch[1][None]), gradients

    def move(self, gradients: Gradients, rate: float | None) -> None:
        """Takes the step."""
        apply_gradients(self.optimizer, self.parameters, gradients, rate)
        if self.scheduler is not None:
            self.scheduler.step()


@dataclass
class Tally:
    """The outcomes of the batches of an epoch."""

    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many there were."""
        return sum(outcome.targets.shape[1] for outcome in self.outcomes)

    def losses(self) -> list[float]:
        """Returns the mean loss over the samples, one a network."""
        rows = torch.stack([outcome.losses for outcome in self.outcomes], 1).tolist()  # (S, batches)
        sizes = [outcome.targets.shape[1] for outcome in self.outcomes]
        means = []
        for row in rows:
            total = 0.0
            for loss, size in zip(row, sizes, strict=True):  # in order: `sum` rounds otherwise since Python 3.12
                total += loss * size
            means.append(total / self.samples)
        return means

    def scores(self, kind: str | Objective) -> list[float]:
        """Returns the score of all logits, one a network; NaN where its loss is not finite."""
        logits = torch.cat([outcome.logits for outcome in self.outcomes], 1)
        targets = torch.cat([outcome.targets for outcome in self.outcomes], 1)
        each = zip(self.losses(), logits, targets, strict=True)
        return [metrics.score(kind, x, y) if finite(loss) else math.nan for loss, x, y in each]


def take_step(learner: Learner, batch: Batch, rate: float | None = None, check: Check | None = None) -> Outcome:
    """Takes one step on a batch.

    Args:
        check: sees losses and batch before anything moves; may raise.
    """
    try:
        outcome, gradients = learner.gradients(batch)
    except ValueError as error:
        if len(batch[1]) != 1 or isinstance(error, BmnasError):
            raise
        raise ConfigError(
            f"a batch of one sample cannot be trained on ({error}); take a batch_size of 2 or more, and 2 or more rows"
        ) from error
    if check is not None:
        check(outcome.losses, batch)
    learner.move(gradients, rate)
    return outcome


def train_epoch(
    learner: Learner,
    batches: Iterable[Batch],
    rates: Iterable[float | None],
    check: Check | None = None,
) -> Tally:
    """Takes a step on each batch.

    Args:
        rates: of the steps; at least as many as batches.
        check: see `take_step`.
    """
    pairs = zip(batches, rates, strict=False)
    return Tally([take_step(learner, batch, rate, check) for batch, rate in pairs])


@dataclass(frozen=True)
class History:
    """What became of a training.

    Attributes:
        losses: mean loss of each epoch; a backbone's checkpoint of an older version knows none.
        samples: in an epoch.
    """

    losses: list[float]
    samples: int


def train_epochs(
    learner: NetworkLearner,
    batches_of: Callable[[int], Iterable[Batch]],
    epochs: int,
    *,
    name: str,
    schedule: Schedule | None,
    random: RandomStream,
    checkpoint: TrainingCheckpoint | None = None,
    after_epoch: Callable[[int], Any] | None = None,
) -> History:
    """Trains a network for some epochs, or for what a checkpoint leaves of them.

    Args:
        batches_of: epoch, from 1 -> its batches.
        name: of the training, for errors.
        schedule: of the learning rates; None leaves them to the learner.
        random: where dropout, and batches that are shuffled as they come, take their random numbers.
        checkpoint: written after each epoch. An existing one is resumed if it belongs to the same training.
        after_epoch: called with the epoch's number after each; True ends the training.

    Raises:
        SearchDiverged: a loss is NaN or infinite; names the epoch. The weights are those of the step before.
        RunError: the checkpoint is damaged, of another training, or cannot be written.
    """
    extra = {} if checkpoint is None else checkpoint.restore()
    if extra.get("random") is not None:
        random.restore(extra["random"])
    losses = list(extra.get("losses", []))
    samples = extra.get("rows", 0)
    for epoch in range(extra.get("epoch", len(losses)) + 1, epochs + 1):
        learner.network.train()
        rates = repeat(None) if schedule is None else schedule.of_epoch(epoch)
        with random.of_epoch(epoch):
            check = _check(f"{name}, epoch {epoch} of {epochs}", learner.network)
            tally = train_epoch(learner, batches_of(epoch), rates, check)
        losses += tally.losses()
        samples = tally.samples
        if checkpoint is not None:
            checkpoint.save(epoch=epoch, losses=losses, rows=samples, random=random.state())
        if after_epoch is not None and after_epoch(epoch) is True:
            break
    return History(losses, samples)


def _check(where: str, network: nn.Module) -> Check:
    """Returns what raises where a loss is not finite."""

    def check(losses: Tensor, batch: Batch) -> None:
        if not bool(losses.isfinite().all()):
            raise SearchDiverged(
                f"{where}: the loss is {losses.tolist()[0]}{origin(network, batch[0])}; lower max_lr, or look for NaN "
                "in the samples"
            )

    return check
