"""The layers of the hypernet on tokens (B, L, C): the channels of a position lie side by side in memory."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bmnas.space.layers import BatchNorm, CellOutput, Classifier, Pointwise
from bmnas.space.reshape import Reshape

Term = tuple[Tensor, Tensor | None]
"""A tensor and its factor, a weight or a mask; None is 1."""


def weighted_sum(terms: Sequence[Term]) -> Tensor:
    """Computes sum_i factor_i * x_i of at least one term, in one pass over memory for each term but the first."""
    plain = [x for x, factor in terms if factor is None]
    scaled = [(x, factor) for x, factor in terms if factor is not None]
    if plain:
        total = sum(plain[1:], plain[0])
    else:
        (x, factor), *scaled = scaled
        total = x * factor
    for x, factor in scaled:
        total = torch.addcmul(total, x, factor)
    return total


def product(layer: Pointwise, tokens: Tensor, weight: Tensor | None = None) -> Tensor:
    """Computes x W + b of (B, P, C_in) -> rows (B P, C_out), as one product of matrices.

    Args:
        layer: its weight and bias.
        tokens: (B, P, C_in).
        weight: (C_out, C_in), in place of the layer's own.
    """
    return layer.of_rows(tokens.reshape(-1, tokens.shape[2]), layer.weight.flatten(1) if weight is None else weight)


def batch_norm(norm: BatchNorm, rows: Tensor, factor: Tensor | float = 1.0, copies: int = 1) -> Tensor:
    """Computes factor * BatchNorm(x) of rows (B P, C), with the step of the running statistics in train mode.

    Args:
        norm: of C channels.
        rows: (B P, C).
        factor: a number, or one for each channel.
        copies: how often each position stands in the formula. Copies leave the mean and the variance as they are, and
            change the factor n / (n - 1) of the running variance.
    """
    slopes, offsets = norm.weight * factor, norm.bias * factor
    if norm.training:
        norm.num_batches_tracked.add_(1)
    if not norm.training or copies == 1:
        return norm.of_rows(rows, norm.running_var, slopes, offsets)
    variance = norm.running_var.clone()
    out = norm.of_rows(rows, variance, slopes, offsets)
    n = rows.shape[0]
    share = (n - 1) * copies / (n * copies - 1)  # of what the batch added
    norm.running_var.mul_((1 - norm.momentum) * (1 - share)).add_(variance, alpha=share)
    return out


def dropped_relu(normed: Tensor, mask: Tensor | None) -> Tensor:
    """Computes ReLU(x) times a mask of 0 and 1, in the memory of x.

    What is dropped becomes 0 before the ReLU, where no gradient passes either: the backward pass needs no mask.

    Args:
        normed: x, that no backward pass needs, such as the output of a norm.
        mask: of as many elements; None where all stay.
    """
    if mask is not None:
        normed.detach().mul_(mask.view(normed.shape))
    return normed.relu_()


def layer_norm(norm: nn.LayerNorm, tokens: Tensor, factor: Tensor | float = 1.0, eps: float | None = None) -> Tensor:
    """Computes factor * LayerNorm(x) of (B, L, C), with the norm's own parameters of (C, L).

    Args:
        norm: over [C, L].
        tokens: (B, L, C).
        factor: a number.
        eps: the norm's own when None.
    """
    slopes, offsets = (factor * norm.weight).t().contiguous(), (factor * norm.bias).t().contiguous()  # (L, C)
    return F.layer_norm(tokens, slopes.shape, slopes, offsets, norm.eps if eps is None else eps)


def reshape(layer: Reshape, feature: Tensor) -> Tensor:
    """Computes `Reshape` of a feature (B, C_in, P) or (B, C_in) as (B, L, C).

    P positions are computed, and each copied L / P times under its own masks.
    """
    feature = layer.checked(feature)
    if feature.shape[0] * feature.shape[2] == 1 and not layer.learned:
        feature = feature.expand(-1, -1, layer.L)  # BatchNorm needs two rows
    B, P, C = feature.shape[0], feature.shape[2], layer.C
    rows = product(layer.conv, feature.transpose(1, 2))  # (B P, C), or (B, C L)
    if layer.learned:
        P = layer.L
        rows = rows.view(B, C, P).transpose(1, 2).flatten(0, 1)  # (B L, C)
    copies = layer.L // P
    normed = batch_norm(layer.norm, rows, layer.dropout.scale, copies)
    mask = layer.dropout.mask((B, layer.L, C), normed)
    if copies == 1:
        return dropped_relu(normed, mask).view(B, P, C)
    out = dropped_relu(normed, None).view(B, P, 1, C)
    spread = out.expand(-1, -1, copies, -1) if mask is None else out * mask.view(B, P, copies, C)
    return spread.reshape(B, layer.L, C)


def cell_output(output: CellOutput, states: Sequence[Tensor]) -> Tensor:
    """Computes `CellOutput` of states (B, L, C)."""
    fused = torch.cat(tuple(states[-output.r :]), dim=2)  # (B, L, r C)
    if output.r != 1:
        reduced = product(output.conv, fused)  # (B L, C)
        normed = batch_norm(output.batch_norm, reduced, output.dropout.scale)
        fused = dropped_relu(normed, output.dropout.mask(states[0].shape, reduced)).view(states[0].shape)
    return layer_norm(output.norm, states[0] + fused)  # (B, L, C)


def logits(classifier: Classifier, cells: Sequence[Tensor]) -> Tensor:
    """Computes `Classifier` of the Cells' outputs, each (B, L, C) -> (B, classes).

    Its parameters read channel by channel: they are turned here, as they are smaller than a batch.
    """
    N = len(cells)
    (_, L, C) = cells[0].shape

    def turned(parameter: Tensor) -> Tensor:
        return parameter.reshape(-1, N, C, L).transpose(2, 3)  # (..., N, L, C)

    slopes, offsets = turned(classifier.norm.weight)[0], turned(classifier.norm.bias)[0]
    stacked = torch.stack(tuple(cells), 1)  # (B, N, L, C)
    fused = F.layer_norm(stacked, (N, L, C), slopes.contiguous(), offsets.contiguous(), classifier.norm.eps).relu_()
    return F.linear(fused.flatten(1), turned(classifier.linear.weight).flatten(1), classifier.linear.bias)
