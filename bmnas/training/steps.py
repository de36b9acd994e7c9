"""The pieces of a training: the order of its batches, its random numbers, gradients, steps and predictions."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from bmnas.training import metrics
from bmnas.training.batch_queue import read_ahead
from bmnas.training.finiteness import check_predictions, check_statistics
from bmnas.training.objective import Objective

SCORE_BATCH = 1024  # rows of a forward pass without gradients; only memory depends on it

Batch = tuple[Any, Tensor] | tuple[Any, Tensor, Tensor]
"""What a network takes, targets (B,) or (B, classes), and the weights (B,) of samples that do not count alike."""


class Samples(Protocol):
    """Features and targets on one device, indexed by rows; `FeatureSet.tensors` returns them."""

    device: torch.device

    @property
    def ahead(self) -> int:
        """How many batches are worth making before they are needed; 0 where they are in memory."""
        ...

    def rows(self, split: str) -> Tensor:
        """Returns the rows of a split."""
        ...

    def split_of(self, rows: Tensor) -> str:
        """Returns the names of the splits that the rows belong to."""
        ...

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Returns the features, feature -> (B, C_in, L or 1), and the targets of some rows."""
        ...

    def weighted_batch(self, rows: Tensor) -> Batch:
        """Returns the same, and the weights (B,) behind it where the samples have some."""
        ...

    def weights_of(self, rows: Tensor) -> Tensor | None:
        """Returns the weights (B,) of some rows; None where all samples count alike."""
        ...


def batches(rows: Tensor, batch_size: int, seed: Sequence[int]) -> Iterator[Tensor]:
    """Yields the rows in a random order that only `seed` decides, in batches; the last may be smaller.

    An epoch's order depends on (seed, epoch, ...) alone, so a resumed run needs no generator state.
    """
    generator = torch.Generator().manual_seed(combine(seed))
    order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    starts = batch_starts(len(order), batch_size)
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:stop]


def batch_starts(samples: int, batch_size: int) -> list[int]:
    """Returns where the batches of an epoch start.

    A last batch of one row joins the batch before it: BatchNorm cannot normalise a single position.
    """
    starts = list(range(0, samples, batch_size))
    return starts[:-1] if len(starts) > 1 and samples - starts[-1] == 1 else starts


def combine(seed: Sequence[int]) -> int:
    """Mixes several numbers into one 63-bit seed, the same on every machine."""
    value = 0x9E3779B97F4A7C15
    for part in seed:
        value = (value ^ (part + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 % 2**64
        value ^= value >> 29
    return value % 2**63


@contextmanager
def seeded(seed: Sequence[int], device: torch.device) -> Iterator[None]:
    """Makes the random numbers inside (dropout, initial weights) depend on `seed` alone, and restores the outside's."""
    on_cuda = device.type == "cuda"
    # `torch.manual_seed` seeds every device; where CUDA is built in but not in use it writes down a traceback each time
    seed_torch = torch.manual_seed if on_cuda else torch.default_generator.manual_seed
    with torch.random.fork_rng(devices=[device] if on_cuda else []):
        seed_torch(combine(seed))
        yield


def apply_gradients(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor | None],
    lr: float | None = None,
) -> None:
    """Takes one optimizer step with these gradients; a parameter without one stays still."""
    if lr is not None:
        for group in optimizer.param_groups:
            group["lr"] = lr
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # fused Adam reads memory in order, whatever the strides: a transposed gradient would move the wrong elements
        parameter.grad = None if gradient is None else gradient.contiguous()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def batch_gradients(
    network: nn.Module, kind: str | Objective, batch: Batch, parameters: Sequence[nn.Parameter], parts: int = 1
) -> tuple[Tensor, Tensor, Sequence[Tensor | None]]:
    """Computes the gradients of a batch, which may be the sum over micro-batches, for less memory.

    A micro-batch of b of the B rows weighs b / B, so without BatchNorm the gradient is that of the whole batch.
    BatchNorm normalises each micro-batch by itself (2 rows at least) and moves its running statistics once for each.

    Args:
        network: its method `training_loss(kind, logits, targets, weights)`, if it has one, takes the place of the
            kind's loss.
        batch: inputs and targets; to be cut into parts, the inputs are one tensor or name -> tensor, each (B, ...).
        parts: number of micro-batches.

    Returns:
        The mean loss, the logits (B, classes), and a gradient a parameter (None where the loss does not reach it).
    """
    inputs, targets, weights = parts_of(batch)
    B = len(targets)
    parts = max(1, min(parts, B // 2))
    edges = [B * i // parts for i in range(parts + 1)]
    loss = getattr(network, "training_loss", metrics.loss)
    mean = torch.zeros((), device=targets.device)
    gradients = []
    logits = []
    for start, stop in pairwise(edges):
        out = network(inputs if parts == 1 else _slice(inputs, start, stop))  # (b, classes)
        its_weights = None if weights is None else weights[start:stop]
        part = loss(kind, out, targets[start:stop], its_weights) * ((stop - start) / B)
        new = torch.autograd.grad(part, parameters, allow_unused=True)
        gradients = new if parts == 1 else _add(gradients or [None] * len(new), new)
        mean = mean + part.detach()
        logits.append(out.detach())
    return mean, torch.cat(logits), gradients


def parts_of(batch: Batch) -> tuple[Any, Tensor, Tensor | None]:
    """Returns inputs, targets and weights of a batch; the weights are None where all samples count alike."""
    inputs, targets, *weights = batch
    return inputs, targets, weights[0] if weights else None


def _slice(inputs: Any, start: int, stop: int) -> Any:
    if isinstance(inputs, Tensor):
        return inputs[start:stop]
    return {name: tensor[start:stop] for name, tensor in inputs.items()}


def _add(before: Sequence[Tensor | None], new: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Adds gradient by gradient, in memory of their own; None is 0."""
    totals: list[Tensor | None] = []
    for total, gradient in zip(before, new, strict=True):
        if total is None:
            totals.append(None if gradient is None else gradient.clone())
        else:
            totals.append(total if gradient is None else total + gradient)
    return totals


def predict(network: nn.Module, samples: Samples, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Returns logits and targets of the rows; the network is left in eval mode.

    Raises:
        PredictionError: outputs are NaN or infinite; names split, rows, layer and feature.
    """
    parts = rows.split(SCORE_BATCH)
    made = read_ahead(map(samples.batch, parts), samples.ahead)
    return predict_batches(network, made, what=samples.split_of(rows), rows=rows)


@torch.no_grad()
def predict_batches(
    network: nn.Module,
    batches: Iterable[Batch],
    device: torch.device | None = None,
    *,
    what: str = "samples",
    rows: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns logits and targets of all batches; the network is left in eval mode.

    Args:
        batches: at least one.
        device: where the results are collected; where the network is when None.
        what, rows: of all samples, for the message of an error; the rows are 0, 1, ... when None.

    Raises:
        PredictionError: outputs are NaN or infinite; names rows, and layer and feature where inputs have names. Or the
            statistics of a BatchNorm are.
    """
    network.eval()
    check_statistics(network, what)
    results = []
    start = 0
    for batch in batches:
        inputs, targets, _ = parts_of(batch)
        logits = network(inputs)
        stop = start + len(targets)
        numbers = range(start, stop) if rows is None else rows[start:stop]
        check_predictions(logits, what, numbers, network, inputs if isinstance(inputs, Mapping) else None)
        results.append((logits.to(device), targets.to(device)))
        start = stop
    logits, targets = zip(*results, strict=True)
    return torch.cat(logits), torch.cat(targets)


def finite(*values: float) -> bool:
    """Returns whether all of them are finite."""
    return all(math.isfinite(value) for value in values)
