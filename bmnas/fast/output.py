"""A Cell's output: concatenate, reduce, add the residual, LayerNorm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.fast.batchnorm import back_of, line_of, moments
from bmnas.fast.dropout import Masks
from bmnas.fast.layernorm import Normal, normalise, normalise_back
from bmnas.fast.products import add_product_, product
from bmnas.fast.rectified import ONE, Blocks

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
        out = torch.empty_like(total)
        normal = normalise(output.norm, total, out)
        ctx.output = output
        ctx.save_for_backward(normal.x, normal.found, normal.passed, *parameters)
        return out  # (B, L, C)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        dx, found, _ = normalise_back(ctx.output.norm, gradient.contiguous(), Normal(*ctx.saved_tensors[:3]))
        return None, dx, *found


class Reduced(torch.autograd.Function):
    """LayerNorm(x + dropout(ReLU(BatchNorm(W [states]))))."""

    @staticmethod
    def forward(ctx: Any, output: "CellOutput", masks: Masks, x: Tensor, *others: Tensor) -> Tensor:
        parameters, states = others[:6], others[6:]
        rows = [state.flatten(0, 1) for state in states]  # (T, C) each
        reduced = joined_product(rows, output.conv.weight.detach().squeeze(2))  # (T, C)
        line = line_of(output.batch_norm, moments(reduced, [output.batch_norm]), len(reduced), output.conv.bias)
        block, total = Blocks(reduced, line[None], [output.dropout], [x.shape[1]]), torch.empty_like(x)
        passed = block.into(total[None], ONE, masks, x[None])
        out = torch.empty_like(x)
        normal = normalise(output.norm, total, out)
        ctx.output, ctx.block, ctx.begins = output, block, states[0] is x
        ctx.save_for_backward(normal.x, normal.found, normal.passed, passed, *rows, *parameters)
        return out  # (B, L, C)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        output, block, (*normal, passed) = ctx.output, ctx.block, ctx.saved_tensors[:4]
        rows, wanted = ctx.saved_tensors[4 : 4 + output.r], ctx.needs_input_grad[3]
        dx, dnorm, _ = normalise_back(output.norm, gradient.contiguous(), Normal(*normal))
        (sums,) = block.sums_back(dx[None], passed)[0]
        found, back = back_of(output.batch_norm, block.lines[0], sums, len(block.rows))
        inner = torch.empty_like(rows[0])
        block.back(dx[None], ONE, passed, back[None], inner)
        dW = torch.cat([product(inner.t(), part.t()) for part in rows], 1).unsqueeze(2) if wanted else None
        weights = split(output.conv.weight.detach().squeeze(2), rows)
        states = [
            None if ctx.begins and i == 0 else product(inner, one.t()).view_as(dx) for i, one in enumerate(weights)
        ]
        if ctx.begins:  # x is the first of the states too
            add_product_(dx.flatten(0, 1), inner, weights[0].t())
        return None, None, dx, dW, *found, *dnorm, *states


def joined_product(parts: Sequence[Tensor], weight: Tensor) -> Tensor:
    """[part; part; ...] W^T, (T, I) -> (T, O). The parts are not put together."""
    (first, its), *others = zip(parts, split(weight, parts), strict=True)
    rows = product(first, its)
    for part, its in others:
        add_product_(rows, part, its)
    return rows


def split(weight: Tensor, parts: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The columns of a weight (O, I) that meet each part of x."""
    return weight.split([part.shape[1] for part in parts], 1)
