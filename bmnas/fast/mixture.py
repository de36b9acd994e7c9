"""Weighted sums of tensors, and of their gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor


def mix(weights: Sequence[float], tensors: Sequence[Tensor]) -> Tensor:
    """sum_i weights_i * tensors_i."""
    out = tensors[0] * weights[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        out.add_(tensor, alpha=weight)
    return out


def scalar(a: Tensor, b: Tensor) -> float:
    """The scalar product of two tensors of one shape."""
    return torch.dot(a.reshape(-1), b.reshape(-1)).item()


def add_gradient(gradients: list[Tensor | None], i: int, gradient: Tensor, weight: float) -> None:
    """Adds weight * gradient to the i-th of the gradients, which nobody else holds."""
    own = gradients[i]
    gradients[i] = gradient * weight if own is None else own.add_(gradient, alpha=weight)
