"""A Cell's output: concatenate, reduce, add the residual, LayerNorm."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from bmnas.fast.asking import Asked
from bmnas.fast.batchnorm import back_of, line_of, moments
from bmnas.fast.dropout import Masks
from bmnas.fast.layernorm import Normalised
from bmnas.fast.products import add_product_, product, product_into
from bmnas.fast.rectified import ONE, Blocks

if TYPE_CHECKING:
    from bmnas.parts import CellOutput


class Output(Protocol):
    """`CellOutput` of states (B, L, C), the first of which stands for both x and y.

    `forward` writes to `out`. `backward` writes the gradient of the first to `of_x`, and sets those of the others.
    """

    def forward(self, states: Sequence[Tensor], masks: Masks, out: Tensor) -> None: ...
    def backward(self, gradient: Tensor, of_states: list[Tensor | None], of_x: Tensor, asked: Asked) -> None: ...


def output_of(output: "CellOutput") -> Output:
    """The one that an output is."""
    return Residual(output) if output.r == 1 else Reduced(output)


class Residual:
    """LayerNorm(x + last state)."""

    def __init__(self, output: "CellOutput") -> None:
        self.norm = output.norm

    def forward(self, states: Sequence[Tensor], masks: Masks, out: Tensor) -> None:
        self.normal = Normalised(self.norm, (states[0] + states[-1])[None], out[None])

    def backward(self, gradient: Tensor, of_states: list[Tensor | None], of_x: Tensor, asked: Asked) -> None:
        self.normal.backward(gradient[None], of_x[None], asked)
        of_states[-1] = of_x.clone()


class Reduced:
    """LayerNorm(x + dropout(ReLU(BatchNorm(W [states]))))."""

    def __init__(self, output: "CellOutput") -> None:
        self.output = output

    def forward(self, states: Sequence[Tensor], masks: Masks, out: Tensor) -> None:
        output, x = self.output, states[0]
        each = [x, *states]  # [x, y, Step_1 ..]
        self.first = len(each) - output.r
        self.rows = [state.flatten(0, 1) for state in each[self.first :]]  # (T, C) each
        self.weights = output.conv.weight.detach().squeeze(2).split(x.shape[2], 1)  # (C, C) each
        reduced = joined_product(self.rows, self.weights)  # (T, C)
        norm, rows, total = output.batch_norm, reduced.numpy(), torch.empty_like(x)[None]
        line = line_of(norm, moments(rows, norm.training), len(rows), output.conv.bias)
        self.block = Blocks(rows, line[None], [output.dropout], [x.shape[1]])
        self.block.into(total, ONE, masks, x[None])
        self.normal = Normalised(output.norm, total, out[None])

    def backward(self, gradient: Tensor, of_states: list[Tensor | None], of_x: Tensor, asked: Asked) -> None:
        output, block = self.output, self.block
        self.normal.backward(gradient[None], of_x[None], asked)
        (sums,) = block.sums_back(of_x[None], ONE)
        found, back = back_of(output.batch_norm, block.lines[0], sums, len(block.rows))
        inner = torch.empty_like(self.rows[0])
        block.back(of_x[None], ONE, back[None], inner)
        asked.give([output.conv.bias, output.batch_norm.weight, output.batch_norm.bias], found)
        if asked.weights:
            self._weights_back(inner, asked)
        for i, weight in enumerate(self.weights, self.first):
            if i < 2:  # x and y are one state
                add_product_(of_x.flatten(0, 1), inner, weight)
            else:
                of_states[i - 1] = product(inner, weight).view_as(gradient)

    def _weights_back(self, inner: Tensor, asked: Asked) -> None:
        conv = self.output.conv
        found = torch.empty(conv.weight.shape[:2], dtype=inner.dtype)
        for part, rows in zip(found.split(inner.shape[1], 1), self.rows, strict=True):
            product_into(part, inner.t(), rows)
        asked.found[conv.weight] = found.unsqueeze(2)


def joined_product(parts: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """[part; part; ...] W^T, (T, I) -> (T, O), from the columns of W that meet each part. Nothing is put together."""
    rows = product(parts[0], weights[0].t())
    for part, weight in zip(parts[1:], weights[1:], strict=True):
        add_product_(rows, part, weight.t())
    return rows
