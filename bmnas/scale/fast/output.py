"""A Cell's output: concatenate, reduce, add the residual, LayerNorm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import back_of, line_of, moments
from bmnas.scale.fast.dropout import Masks
from bmnas.scale.fast.layernorm import Normalised
from bmnas.scale.fast.rectified import ONE, Blocks

if TYPE_CHECKING:
    from bmnas.space.layers import CellOutput


class Output(Protocol):
    """`CellOutput` of x (B, L, C), which is y as well, and of the Steps' outputs (M, B, L, C).

    `forward` writes what LayerNorm is given to `inner`, and what it gives to `out`. `backward` is given `inner` again,
    and writes the gradient of x over it, and those of the Steps' outputs to `of_steps`.
    """

    def forward(self, x: Tensor, steps: Tensor, masks: Masks, inner: Tensor, out: Tensor) -> None: ...
    def backward(self, gradient: Tensor, inner: Tensor, of_steps: Tensor, asked: Asked) -> None: ...


def output_of(output: "CellOutput") -> Output:
    """The one that an output is."""
    return Residual(output) if output.r == 1 else Reduced(output)


class Residual:
    """LayerNorm(x + Step_M)."""

    def __init__(self, output: "CellOutput") -> None:
        self.norm = output.norm

    def forward(self, x: Tensor, steps: Tensor, masks: Masks, inner: Tensor, out: Tensor) -> None:
        torch.add(x, steps[-1], out=inner)
        self.normal = Normalised(self.norm, inner.numpy()[None], out.numpy()[None])

    def backward(self, gradient: Tensor, inner: Tensor, of_steps: Tensor, asked: Asked) -> None:
        self.normal.backward(gradient.numpy()[None], inner.numpy()[None], asked)
        of_steps[:-1].zero_()
        of_steps[-1].copy_(inner)


class Reduced:
    """LayerNorm(x + dropout(ReLU(BatchNorm(W [the last r of x, y, Step_1 ..]))))."""

    def __init__(self, output: "CellOutput") -> None:
        self.output = output

    def forward(self, x: Tensor, steps: Tensor, masks: Masks, inner: Tensor, out: Tensor) -> None:
        output, each = self.output, [x, x, *steps.unbind()]
        self.first = len(each) - output.r
        self.rows = [state.flatten(0, 1) for state in each[self.first :]]  # (T, C) each
        self.weights = output.conv.weight.detach().squeeze(2).split(x.shape[2], 1)  # (C, C) each
        self.reduced, norm = joined_product(self.rows, self.weights), output.batch_norm  # (T, C)
        rows, total = self.reduced.numpy(), inner.numpy()[None]
        line = line_of(norm, moments(rows, norm.training), len(rows), output.conv.bias)
        self.block = Blocks(line[None], [output.dropout], [x.shape[1]])
        self.block.into(rows, total, ONE, masks, x.numpy()[None])
        self.normal = Normalised(output.norm, total, out.numpy()[None])

    def backward(self, gradient: Tensor, inner: Tensor, of_steps: Tensor, asked: Asked) -> None:
        output, block, reduced = self.output, self.block, asked.own(self.reduced)
        rows, of_sum = reduced.numpy(), inner.numpy()[None]
        self.normal.backward(gradient.numpy()[None], of_sum, asked)
        (sums,) = block.sums_back(rows, of_sum, ONE)
        found, back = back_of(output.batch_norm, block.lines[0], sums, len(rows))
        block.back(rows, of_sum, ONE, back[None])
        asked.give([output.conv.bias, output.batch_norm.weight, output.batch_norm.bias], found)
        if asked.weights:
            self._weights_back(reduced, asked)
        of_steps[: max(0, self.first - 2)].zero_()
        for i, weight in enumerate(self.weights, self.first):
            if i < 2:  # x or y
                inner.flatten(0, 1).addmm_(reduced, weight)
            else:
                torch.mm(reduced, weight, out=of_steps[i - 2].flatten(0, 1))

    def _weights_back(self, reduced: Tensor, asked: Asked) -> None:
        conv = self.output.conv
        found = torch.empty(conv.weight.shape[:2], dtype=reduced.dtype)
        for part, rows in zip(found.split(reduced.shape[1], 1), self.rows, strict=True):
            torch.mm(reduced.t(), rows, out=part)
        asked.found[conv.weight] = found.unsqueeze(2)


def joined_product(parts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """[part; part; ...] W^T, (T, I) -> (T, O), from the columns of W that meet each part. Nothing is put together."""
    rows = torch.mm(parts[0], weights[0].t())
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        rows.addmm_(part, weight.t())
    return rows
