"""Weighted sums in one pass over each tensor, forwards and backwards."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor


def mix(weights: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """sum_i weights_i * tensors_i."""
    return cast(Tensor, Mix.apply(weights, *tensors))


def scalar(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of two tensors of one shape."""
    return torch.dot(a.reshape(-1), b.reshape(-1))


class Mix(torch.autograd.Function):
    """`mix`. The gradient of a weight is a scalar product, without the tensor of products that autograd would sum."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(weights, *tensors)
        first, *others = weights.tolist()
        out = tensors[0] * first
        for weight, tensor in zip(others, tensors[1:], strict=True):
            out.add_(tensor, alpha=weight)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights, *tensors = ctx.saved_tensors
        parts = list(zip(weights.tolist(), ctx.needs_input_grad[1:], strict=True))
        scalars = torch.stack([scalar(gradient, t) for t in tensors]) if ctx.needs_input_grad[0] else None  # (n,)
        return scalars, *[gradient * weight if needed else None for weight, needed in parts]
