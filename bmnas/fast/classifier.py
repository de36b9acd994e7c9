"""The classifier, fed with the channels last."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.fast.layernorm import Normal, normalise, normalise_back
from bmnas.fast.products import product

if TYPE_CHECKING:
    from bmnas.parts import Classifier


def classified(classifier: "Classifier", cells: Sequence[Tensor]) -> Tensor:
    """`Classifier` of N outputs (B, L, C)."""
    return cast(Tensor, Classified.apply(classifier, *classifier.parameters(), *cells))


class Classified(torch.autograd.Function):
    """`classified`. The weight is turned to the order of the channels: it is smaller than what it meets."""

    @staticmethod
    def forward(ctx: Any, classifier: "Classifier", *others: Tensor) -> Tensor:
        parameters, cells = others[:4], others[4:]
        joined = torch.cat(cells, 2)  # (B, L, NC)
        fused = torch.empty_like(joined)
        normal = normalise(classifier.norm, joined, fused, relu=True)
        fused = fused.flatten(1)  # (B, L NC)
        weight = turned(classifier.linear.weight.detach(), cells)  # (classes, L NC)
        ctx.classifier, ctx.C = classifier, cells[0].shape[2]
        ctx.save_for_backward(normal.x, normal.found, normal.passed, fused, weight, *parameters)
        return product(fused, weight, classifier.linear.bias)  # (B, classes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        *normal, fused, weight = ctx.saved_tensors[:5]
        inner = product(gradient, weight.t()).view_as(normal[0])  # (B, L, NC)
        djoined, found, _ = normalise_back(ctx.classifier.norm, inner, Normal(*normal), relu=True)
        dW = None
        if ctx.needs_input_grad[3]:
            L, NC = inner.shape[1:]
            dW = product(gradient.t(), fused.t()).view(-1, L, NC).transpose(1, 2).reshape(len(weight), -1)
        return None, *found, dW, gradient.sum(0), *djoined.split(ctx.C, 2)


def turned(weight: Tensor, cells: Sequence[Tensor]) -> Tensor:
    """(classes, N C L) -> (classes, L N C)."""
    L = cells[0].shape[1]
    return weight.view(len(weight), -1, L).transpose(1, 2).reshape(len(weight), -1)
