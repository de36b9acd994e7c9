"""The classifier, fed with the channels last."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.fast.layernorm import layer_normalised, layer_normalised_back
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
        fused, saved = layer_normalised(torch.cat(cells, 2), classifier.norm)  # (B, L, NC)
        fused = fused.relu_().flatten(1)  # (B, L NC)
        weight = turned(classifier.linear.weight.detach(), cells)  # (classes, L NC)
        ctx.C = cells[0].shape[2]
        ctx.save_for_backward(fused, weight, *saved, *parameters)
        return product(fused, weight, classifier.linear.bias)  # (B, classes)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        fused, weight, *saved = ctx.saved_tensors[:7]
        inner = torch.ops.aten.threshold_backward(product(gradient, weight.t()), fused, 0)
        L, NC = saved[1].shape
        dcat, found = layer_normalised_back(inner.view(-1, L, NC), saved, 1.0, ctx.needs_input_grad[1])
        if ctx.needs_input_grad[3]:
            dW = product(gradient.t(), fused.t()).view(-1, L, NC).transpose(1, 2).reshape(len(weight), -1)
            found += [dW, gradient.sum(0)]
        else:
            found += [None, None]
        return None, *found, *dcat.split(ctx.C, 2)


def turned(weight: Tensor, cells: Sequence[Tensor]) -> Tensor:
    """(classes, N C L) -> (classes, L N C)."""
    L = cells[0].shape[1]
    return weight.view(len(weight), -1, L).transpose(1, 2).reshape(len(weight), -1)
