"""BatchNorm(x W^T + b), forwards and backwards: what Reshape, LinearGLU, ConcatFC and CellOutput have in common."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bmnas.fast.products import product

Saved = Sequence[Tensor]  # the rows before BatchNorm (T, O), their mean and 1 / deviation (O,)
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]  # weight (O, I), bias, BatchNorm's two


def projected(x: Tensor, weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm1d) -> tuple[Tensor, Saved]:
    """(T, I) -> (T, O), and what the way back needs."""
    rows = product(x, weight, bias)
    out, mean, inverse = normalised(rows, norm)
    return out, (rows, mean, inverse)


def projected_back(
    gradient: Tensor, x: Tensor, norm: nn.BatchNorm1d, saved: Saved, factor: float = 1.0, weights: bool = True
) -> tuple[Tensor, Gradients]:
    """Gradients of x W^T, whose product with W is that of x, and of the parameters, from `factor` times the gradient of
    the output.

    The bias adds to the mean what BatchNorm takes away again, so in train mode its gradient is 0.
    """
    inner, scales, offsets = normalised_back(gradient, norm, saved, factor, weights)  # (T, O)
    if not weights:
        return inner, (None, None, None, None)
    bias = torch.zeros_like(offsets) if norm.training else inner.sum(0)
    return inner, (product(inner.t(), x.t()), bias, scales.mul_(factor), offsets.mul_(factor))


def normalised(rows: Tensor, norm: nn.BatchNorm1d, copies: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm over the rows, as if every row stood there `copies` times; the batch's mean and 1 / deviation.

    Copies change neither mean nor variance, only the factor n / (n - 1) in the running variance.

    Raises:
        ValueError: there is a single row to normalise in train mode, as torch says it.
    """
    if norm.training and len(rows) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {rows.shape}")
    n, track = len(rows), (cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var))
    momentum = cast(float, norm.momentum)
    if not norm.training:
        return torch.native_batch_norm(rows, norm.weight, norm.bias, *track, False, momentum, norm.eps)
    cast(Tensor, norm.num_batches_tracked).add_(1)
    if copies == 1:
        return torch.native_batch_norm(rows, norm.weight, norm.bias, *track, True, momentum, norm.eps)
    mean, variance = rows.new_zeros(2, rows.shape[1])  # (O,), filled with this batch's
    found = torch.native_batch_norm(rows, norm.weight, norm.bias, mean, variance, True, 1.0, norm.eps)
    track[0].lerp_(mean, momentum)
    track[1].lerp_(variance * (copies * (n - 1) / (copies * n - 1)), momentum)
    return found


def normalised_back(
    gradient: Tensor, norm: nn.BatchNorm1d, saved: Saved, factor: float, weights: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the rows (T, O), times `factor`, and of BatchNorm's weight and bias (O,), without it."""
    rows, mean, inverse = saved
    return torch.ops.aten.native_batch_norm_backward(
        gradient,
        rows,
        norm.weight * factor,
        norm.running_mean,
        norm.running_var,
        mean,
        inverse,
        norm.training,
        norm.eps,
        [True, weights, weights],
    )
