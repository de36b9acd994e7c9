"""A Cell's output: concatenate, reduce, add the residual, LayerNorm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.fast.dropout import Masks, scale
from bmnas.fast.layernorm import layer_normalised, layer_normalised_back
from bmnas.fast.products import add_product_, product
from bmnas.fast.projection import projected, projected_back, split

if TYPE_CHECKING:
    from bmnas.parts import CellOutput


def cell_output(output: "CellOutput", states: Sequence[Tensor], masks: Masks) -> Tensor:
    """`CellOutput` of states (B, L, C)."""
    if output.r == 1:
        return cast(Tensor, Normalised.apply(output, states[0] + states[-1], *output.norm.parameters()))
    return cast(Tensor, Reduced.apply(output, masks, states[0], *output.parameters(), *states[-output.r :]))


class Normalised(torch.autograd.Function):
    """LayerNorm(sum)."""

    @staticmethod
    def forward(ctx: Any, output: "CellOutput", total: Tensor, *parameters: Tensor) -> Tensor:
        out, saved = layer_normalised(total, output.norm)
        ctx.save_for_backward(*saved, *parameters)
        return out  # (B, L, C)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weights = ctx.needs_input_grad[2]
        dx, found = layer_normalised_back(gradient.contiguous(), ctx.saved_tensors[:5], 1.0, weights)
        return None, dx, *found


class Reduced(torch.autograd.Function):
    """LayerNorm(x + dropout(ReLU(BatchNorm(W [states]))))."""

    @staticmethod
    def forward(ctx: Any, output: "CellOutput", masks: Masks, x: Tensor, *others: Tensor) -> Tensor:
        parameters, states = others[:6], others[6:]
        rows = [state.flatten(0, 1) for state in states]  # (T, C) each
        weight = output.conv.weight.detach().squeeze(2)
        reduced, saved = projected(rows, weight, output.conv.bias, output.batch_norm)  # (T, C)
        masks.drop_(output.dropout, reduced.relu_())  # what is left above 0 was kept
        ctx.output, ctx.factor, ctx.begins = output, scale(output.dropout), states[0] is x
        out, normal = layer_normalised(torch.add(x, reduced.view_as(x), alpha=ctx.factor), output.norm)
        ctx.save_for_backward(*rows, reduced, *saved, *normal, *parameters)
        return out  # (B, L, C)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        r, wanted = ctx.output.r, ctx.needs_input_grad[3]
        rows, (reduced, *saved) = ctx.saved_tensors[:r], ctx.saved_tensors[r : r + 9]
        weights = split(ctx.output.conv.weight.detach().squeeze(2), rows)
        dx, dnorm = layer_normalised_back(gradient.contiguous(), saved[3:], 1.0, wanted)
        inner = torch.ops.aten.threshold_backward(dx.flatten(0, 1), reduced, 0)  # (T, C)
        norm, factor = ctx.output.batch_norm, ctx.factor
        inner, (dW, *found) = projected_back(inner, rows, norm, saved[:3], factor, wanted)
        states = [
            None if ctx.begins and i == 0 else product(inner, one.t()).view_as(dx) for i, one in enumerate(weights)
        ]
        if ctx.begins:  # x is the first of the states too
            add_product_(dx.flatten(0, 1), inner, weights[0].t())
        return None, None, dx, None if dW is None else dW.unsqueeze(2), *found, *dnorm, *states
