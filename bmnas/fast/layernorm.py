"""LayerNorm([C, L]) of tensors with the channels last, forwards and backwards."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

Saved = Sequence[Tensor]  # the input, weight and bias (L, C), mean, 1 / deviation


def layer_normalised(x: Tensor, norm: nn.LayerNorm) -> tuple[Tensor, Saved]:
    """(B, L, C) -> (B, L, C), and what the way back needs."""
    weight, bias = norm.weight.t().contiguous(), norm.bias.t().contiguous()  # (L, C)
    out, mean, inverse = torch.native_layer_norm(x, weight.shape, weight, bias, norm.eps)
    return out, (x, weight, bias, mean, inverse)


def layer_normalised_back(
    gradient: Tensor, saved: Saved, factor: float = 1.0, weights: bool = True
) -> tuple[Tensor, list[Tensor | None]]:
    """Gradients of x, and of weight and bias (C, L), from `factor` times the gradient of the output."""
    x, weight, bias, mean, inverse = saved
    scaled = weight * factor if factor != 1 else weight
    dx, scales, offsets = torch.ops.aten.native_layer_norm_backward(
        gradient, x, weight.shape, mean, inverse, scaled, bias, [True, weights, weights]
    )
    if not weights:
        return dx, [None, None]
    return dx, [scales.mul_(factor).t(), offsets.mul_(factor).t()]
