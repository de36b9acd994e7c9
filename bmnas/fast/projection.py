"""BatchNorm(x W^T + b), forwards and backwards: what Reshape, LinearGLU, ConcatFC and CellOutput have in common."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bmnas.fast.products import add_product_, product

Saved = Sequence[Tensor]  # the rows before BatchNorm (T, O), their mean and 1 / deviation (O,)
Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]  # weight (O, I), bias, BatchNorm's two


def projected(
    parts: Sequence[Tensor], weight: Tensor, bias: Tensor | None, norm: nn.BatchNorm1d
) -> tuple[Tensor, Saved]:
    """x = [part; part; ...], (T, I) -> (T, O), and what the way back needs. The parts are not put together."""
    (first, its), *others = zip(parts, split(weight, parts), strict=True)
    rows = product(first, its)
    for part, its in others:
        add_product_(rows, part, its)
    out, mean, inverse = normalised(rows, norm, bias)
    return out, (rows, mean, inverse)


def split(weight: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The columns of a weight (O, I) that meet each part of x."""
    return weight.split([part.shape[1] for part in parts], 1)


def projected_back(
    gradient: Tensor,
    parts: Sequence[Tensor],
    norm: nn.BatchNorm1d,
    saved: Saved,
    factor: float = 1.0,
    weights: bool = True,
) -> tuple[Tensor, Gradients]:
    """Gradients of x W^T, whose product with W is that of x, and of the parameters, from `factor` times the gradient of
    the output.

    The bias adds to the mean what BatchNorm takes away again, so in train mode its gradient is 0.
    """
    inner, scales, offsets = normalised_back(gradient, norm, saved, factor, weights)  # (T, O)
    if not weights:
        return inner, (None, None, None, None)
    bias = torch.zeros_like(offsets) if norm.training else inner.sum(0)
    columns = [product(inner.t(), part.t()) for part in parts]
    weight = torch.cat(columns, 1) if len(columns) > 1 else columns[0]  # (O, I)
    return inner, (weight, bias, scales.mul_(factor), offsets.mul_(factor))


def normalised(
    rows: Tensor, norm: nn.BatchNorm1d, bias: Tensor | None = None, copies: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """BatchNorm over the rows + bias, as if every row stood there `copies` times; the batch's mean and 1 / deviation.

    Copies change neither mean nor variance, only the factor n / (n - 1) in the running variance. In train mode the bias
    changes nothing but the running mean, so it is not added to the rows; in eval mode it is, in place.

    Raises:
        ValueError: there is a single row to normalise in train mode, as torch says it.
    """
    if norm.training and len(rows) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {rows.shape}")
    n, track = len(rows), (cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var))
    momentum = cast(float, norm.momentum)
    if not norm.training:
        rows = rows if bias is None else rows.add_(bias)
        return torch.native_batch_norm(rows, norm.weight, norm.bias, *track, False, momentum, norm.eps)
    cast(Tensor, norm.num_batches_tracked).add_(1)
    if copies == 1:
        found = torch.native_batch_norm(rows, norm.weight, norm.bias, *track, True, momentum, norm.eps)
    else:
        mean, variance = rows.new_zeros(2, rows.shape[1])  # (O,), filled with this batch's
        found = torch.native_batch_norm(rows, norm.weight, norm.bias, mean, variance, True, 1.0, norm.eps)
        track[0].lerp_(mean, momentum)
        track[1].lerp_(variance * (copies * (n - 1) / (copies * n - 1)), momentum)
    if bias is not None:
        track[0].add_(bias, alpha=momentum)
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
