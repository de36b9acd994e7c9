"""The reshaped features and the part that they have in every Cell's mixture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.fast.dropout import Masks, dropped, scale
from bmnas.fast.mixture import scalar
from bmnas.fast.products import product
from bmnas.fast.projection import normalised, normalised_back

if TYPE_CHECKING:
    from bmnas.reshape import Reshape


def feature_mixtures(
    layers: Sequence["Reshape"], features: Sequence[Tensor], weights: Tensor, masks: Masks
) -> tuple[Tensor, ...]:
    """N mixtures (B, L, C) of K reshaped features.

    Args:
        layers: one a feature.
        features: (B, C_in, P), where P divides L: a position stands for L / P copies.
        weights: (N, K).
    """
    parameters = [p for x in layers for p in (x.conv.weight, x.conv.bias, x.norm.weight, x.norm.bias)]
    return cast(tuple[Tensor, ...], FeatureMixtures.apply(layers, features, masks, weights, *parameters))


class FeatureMixtures(torch.autograd.Function):
    """`feature_mixtures`, a feature after the other, so that each stays in the cache while it is worked on."""

    @staticmethod
    def forward(
        ctx: Any,
        layers: Sequence["Reshape"],
        features: Sequence[Tensor],
        masks: Masks,
        weights: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        layer, B = layers[0], len(features[0])
        sums = [features[0].new_zeros(B, layer.L, layer.C) for _ in weights]
        saved = []
        for layer, x, column in zip(layers, features, weights.t().tolist(), strict=True):
            rows = rows_of(layer, x)
            out, *rest = reshaped(layer, rows, B, masks)  # (B, P, copies or 1, C)
            for total, weight in zip(sums, column, strict=True):
                by_copies(total, out).add_(out, alpha=weight * scale(layer.dropout))
            saved += [rows, out, *rest]
        ctx.layers = layers
        ctx.save_for_backward(weights, *saved, *parameters)
        return tuple(sums)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, *saved = ctx.saved_tensors
        gradients = tuple(g.contiguous() for g in gradients)
        wanted = any(ctx.needs_input_grad[4:])
        scalars, found = [], []
        for k, (layer, column) in enumerate(zip(ctx.layers, weights.t().tolist(), strict=True)):
            rows, out, *kept = saved[5 * k : 5 * k + 5]
            parts = [in_shape(g, out) for g in gradients]  # N times the shape of out
            if ctx.needs_input_grad[3]:
                scalars += [scalar(part, out) * scale(layer.dropout) for part in parts]
            found += reshaped_back(layer, *combined(parts, column), rows, out, kept) if wanted else [None] * 4
        return None, None, None, torch.stack(scalars).view(-1, len(weights)).t() if scalars else None, *found


def rows_of(layer: "Reshape", x: Tensor) -> Tensor:
    """(B, C_in, P) -> (B P, C_in); BatchNorm needs more than one row."""
    if x.shape[0] * x.shape[2] == 1 and not layer.learned:
        x = x.expand(-1, -1, layer.L)
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def reshaped(layer: "Reshape", rows: Tensor, B: int, masks: Masks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The reshaped feature (B, P, copies or 1, C), without the factor of dropout, and what the way back needs."""
    weight, bias = layer.conv.weight.squeeze(2), layer.conv.bias
    if layer.learned:  # a bias for each position: BatchNorm takes only their mean away
        tokens = product(rows, weight, bias).view(B, layer.C, layer.L).transpose(1, 2).reshape(-1, layer.C)  # (B L, C)
        bias = None
    else:
        tokens = product(rows, weight)
    copies = B * layer.L // len(tokens)
    out, mean, inverse = normalised(tokens, layer.norm, bias, copies)
    out = out.relu_().view(B, -1, 1, layer.C)
    if dropped(layer.dropout):
        out = out.expand(-1, -1, copies, -1).contiguous()  # each copy has its own mask
        masks.drop_(layer.dropout, out)
    return out, tokens, mean, inverse


def reshaped_back(
    layer: "Reshape", gradient: Tensor, factor: float, rows: Tensor, out: Tensor, kept: Sequence[Tensor]
) -> list[Tensor]:
    """Gradients of the parameters, from `factor` times the gradient of what is added to the mixtures.

    What is above 0 in `out` was kept by ReLU and dropout.
    """
    inner = torch.ops.aten.threshold_backward(gradient, out, 0)  # (B, P, copies or 1, C)
    inner = (inner.sum(2) if inner.shape[2] > 1 else inner).reshape(-1, layer.C)  # (B P, C)
    factor *= scale(layer.dropout)
    inner, scales, offsets = normalised_back(inner, layer.norm, kept, factor, True)
    bias = torch.zeros_like(offsets)
    if layer.learned:
        inner = inner.view(-1, layer.L, layer.C).transpose(1, 2).reshape(len(rows), -1)  # (B, C L)
    if layer.learned or not layer.norm.training:
        bias = inner.sum(0)
    weight = product(inner.t(), rows.t()).unsqueeze(2)  # (C, C_in, 1)
    return [weight, bias, scales.mul_(factor), offsets.mul_(factor)]


def by_copies(x: Tensor, out: Tensor) -> Tensor:
    """(B, L, C) seen as (B, P, copies, C), where `out` is (B, P, ..., C)."""
    return x.view(*out.shape[:2], -1, out.shape[3])


def in_shape(gradient: Tensor, out: Tensor) -> Tensor:
    """The gradient (B, L, C) in the shape of `out`: that of one position is the sum over its copies."""
    parts = by_copies(gradient, out)
    return parts if parts.shape == out.shape else parts.sum(2, keepdim=True)


def combined(parts: Sequence[Tensor], weights: Sequence[float]) -> tuple[Tensor, float]:
    """sum_n weights_n * parts_n, without its largest weight as a factor, and that factor: a pass less."""
    (largest, total), *others = sorted(zip(weights, parts, strict=True), key=lambda pair: -pair[0])
    for weight, part in others:
        total = torch.add(total, part, alpha=weight / (largest or 1.0))  # a softmax in float32 can be 0
    return total, largest
