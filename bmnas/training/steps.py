"""One weight step, one pass, one score: the loop pieces that the search and the evaluation share."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from bmnas.features.feature_set import FeatureTensors
from bmnas.training import metrics
from bmnas.training.finiteness import check_finite

SCORE_BATCH = 1024  # rows a forward pass without gradients; only memory depends on it


def batches(rows: Tensor, batch_size: int, seed: Sequence[int]) -> Iterator[Tensor]:
    """The rows in a random order that only `seed` decides, in batches; the last may be smaller.

    An epoch's order depends on (seed, epoch, ...) alone, so a resumed run needs no generator state.
    """
    generator = torch.Generator().manual_seed(combine(seed))
    order = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    starts = batch_starts(len(order), batch_size)
    for start, stop in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:stop]


def batch_starts(samples: int, batch_size: int) -> list[int]:
    """Where the batches of an epoch begin.

    A last batch of one row joins the batch before it: BatchNorm cannot normalise a single position.
    """
    starts = list(range(0, samples, batch_size))
    return starts[:-1] if len(starts) > 1 and samples - starts[-1] == 1 else starts


def combine(seed: Sequence[int]) -> int:
    """One 63-bit seed from several numbers, well mixed, the same on every machine."""
    value = 0x9E3779B97F4A7C15
    for part in seed:
        value = (value ^ (part + 0x7F4A7C15)) * 0xBF58476D1CE4E5B9 % 2**64
        value ^= value >> 29
    return value % 2**63


@contextmanager
def seeded(seed: Sequence[int], device: torch.device) -> Iterator[None]:
    """Random numbers inside (dropout, initial weights) depend on `seed` alone; the outside's are left as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(combine(seed))
        yield


def gradient_step(
    optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], loss: Tensor, lr: float | None = None
) -> None:
    """One optimizer step on these parameters alone; a parameter that the loss does not reach stays still."""
    apply_gradients(optimizer, parameters, torch.autograd.grad(loss, parameters, allow_unused=True), lr)


def apply_gradients(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    gradients: Sequence[Tensor | None],
    lr: float | None = None,
) -> None:
    """One optimizer step with these gradients."""
    if lr is not None:
        for group in optimizer.param_groups:
            group["lr"] = lr
    for parameter, gradient in zip(parameters, gradients, strict=True):
        # fused Adam reads memory in order, whatever the strides: a transposed gradient would move the wrong elements
        parameter.grad = None if gradient is None else gradient.contiguous()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def batch_step(
    network: nn.Module,
    kind: str,
    batch: dict[str, Tensor],
    target: Tensor,
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    lr: float | None = None,
    parts: int = 1,
) -> tuple[Tensor, Tensor]:
    """One optimizer step on a batch, whose gradient may be the sum over micro-batches, for less memory.

    A micro-batch of b of the B rows weighs b / B, so without BatchNorm the gradient is that of the whole batch.
    BatchNorm normalises each micro-batch by itself (2 rows at least) and moves its running statistics once for each.

    Returns:
        The mean loss, and the logits (B, classes) as they were before the step.
    """
    B, parts = len(target), max(1, min(parts, len(target) // 2))
    edges = [B * i // parts for i in range(parts + 1)]
    loss, gradients, logits = torch.zeros((), device=target.device), [], []
    for start, stop in pairwise(edges):
        out = network({name: feature[start:stop] for name, feature in batch.items()})  # (b, classes)
        part = metrics.loss(kind, out, target[start:stop]) * ((stop - start) / B)
        new = torch.autograd.grad(part, parameters, allow_unused=True)
        gradients = new if parts == 1 else _sum(gradients or [None] * len(new), new)
        loss = loss + part.detach()
        logits.append(out.detach())
    apply_gradients(optimizer, parameters, gradients, lr)
    return loss, torch.cat(logits)


def _sum(before: Sequence[Tensor | None], new: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Gradient by gradient, in memory of their own; None is 0."""
    return [a if b is None else b.clone() if a is None else a + b for a, b in zip(before, new, strict=True)]


def train_epoch(
    network: nn.Module,
    tensors: FeatureTensors,
    kind: str,
    order: Iterable[Tensor],
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    rates: Iterator[float],
    parts: int = 1,
) -> tuple[float, float]:
    """One pass of weight steps in train mode.

    Args:
        parts: micro-batches of a batch, see `batch_step`.

    Returns:
        The mean loss over the samples, and the score of the logits as they were before each step.
    """
    network.train()
    total, seen, logits, targets = 0.0, 0, [], []
    for rows in order:
        batch, target = tensors.batch(rows)
        loss, out = batch_step(network, kind, batch, target, optimizer, parameters, next(rates), parts)
        total, seen = total + loss.item() * len(rows), seen + len(rows)
        logits.append(out)
        targets.append(target)
    if not finite(total):  # whoever trains says where
        return total / seen, math.nan
    return total / seen, metrics.score(kind, torch.cat(logits), torch.cat(targets))


@torch.no_grad()
def predict(network: nn.Module, tensors: FeatureTensors, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of the rows, in eval mode; the network is left in eval mode.

    Raises:
        PredictionError: outputs are NaN or infinite; names split, rows, layer and feature.
    """
    network.eval()
    logits, targets = [], []
    for part in rows.split(SCORE_BATCH):
        batch, target = tensors.batch(part)
        logits.append(network(batch))
        targets.append(target)
        check_finite(logits[-1], tensors.split_of(part), part, network, batch)
    return torch.cat(logits), torch.cat(targets)


def finite(*values: float) -> bool:
    """Whether all of them are finite."""
    return all(math.isfinite(value) for value in values)
