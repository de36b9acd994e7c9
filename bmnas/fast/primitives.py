"""Attention, LinearGLU and ConcatFC of one tensor s with itself, forwards and backwards by hand.

A primitive of the search gets s twice, so the halves of its weight add up: [s; s] W = s (W_x + W_y). s has the channels
last, (B, L, C). The folded weights of all primitives of a Step are multiplied with s at once, and each finds its
`Columns` of the product. Sum has no code: it is a constant times s (`LINEAR`); Zero is left out.
"""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from bmnas.fast.batchnorm import Array, array, back_of, line_of, products_with_output
from bmnas.fast.dropout import Masks, level, scale
from bmnas.fast.gated import add_gated, gated_back, gated_sums_back
from bmnas.fast.layernorm import Normal, normalise, normalise_back
from bmnas.fast.rectified import ONE, Blocks
from bmnas.primitives import Attention, ConcatFC, LinearGLU, Sum

LINEAR: dict[type, float] = {Sum: 2.0}
"""f(s, s) = constant * s."""


@dataclass(frozen=True)
class Columns:
    """A primitive's part of s (B, L, C) times all folded weights of a Step."""

    rows: Tensor  # (B L, width)
    found: Array  # (2, width), `batchnorm.moments`
    channels: slice

    @property
    def first(self) -> int:
        return self.channels.start

    def line(self, primitive: LinearGLU | ConcatFC) -> Array:
        """The line of the primitive's BatchNorm."""
        return line_of(primitive.norm, self.found[:, self.channels], len(self.rows), primitive.conv.bias)


@dataclass(frozen=True)
class Gradients:
    """Where a primitive leaves its gradients."""

    of_s: Tensor  # (B, L, C), added to
    of_rows: Tensor  # (B L, width), its columns are written


class Shortcut(Protocol):
    """A primitive with a shortcut.

    `width` is the number of its columns, in C. `forward` adds weight * f(s, s) to `total`, and returns what the way
    back needs. `backward` takes the gradient of `total`, and returns the gradient of `weight`, and those of the
    parameters behind the convolution's weight.
    """

    width: int

    @staticmethod
    def forward(
        primitive: Any, s: Tensor, columns: Columns, weight: float, masks: Masks, total: Tensor
    ) -> tuple[Tensor, ...]: ...
    @staticmethod
    def backward(
        primitive: Any, s: Tensor, columns: Columns, weight: float, saved: Any, gradient: Tensor, into: Gradients
    ) -> tuple[float, list[Tensor | None]]: ...


class Attended:
    """`Attention`: the matrix P of scores is (B, L, L), far smaller than s, so it takes all factors."""

    width = 0

    @staticmethod
    def forward(
        primitive: Attention, s: Tensor, columns: Columns, weight: float, masks: Masks, total: Tensor
    ) -> tuple[Tensor, ...]:
        scores = torch.bmm(s, s.transpose(1, 2)).mul_(1 / math.sqrt(s.shape[2]))  # (B, L, L), symmetric
        P = scores.softmax(1)  # transposed: the library is faster along the middle
        inner = torch.bmm((P * scale(primitive.dropout)).transpose(1, 2), s)  # (B, L, C)
        normal = normalise(primitive.norm, inner, total, masks, primitive.dropout, weight)
        return P, normal.x, normal.found, normal.passed

    @staticmethod
    def backward(
        primitive: Attention, s: Tensor, columns: Columns, weight: float, saved: Any, gradient: Tensor, into: Gradients
    ) -> tuple[float, list[Tensor | None]]:
        P, *normal = saved
        d, found, scalar = normalise_back(primitive.norm, gradient, Normal(*normal), weight)
        kept = scale(primitive.dropout)
        dP = torch.bmm(s, d.transpose(1, 2)).mul_(kept / math.sqrt(s.shape[2]))  # (B, L, L), transposed
        dscores = torch.ops.aten._softmax_backward_data(dP, P, 1, P.dtype)
        into.of_s.baddbmm_(P * kept, d).baddbmm_(dscores + dscores.transpose(1, 2), s)  # value; query and key
        return scalar, list(found)


class Gated:
    """`LinearGLU`; in mode "paper" its weight is (2C, C) from the start."""

    width = 2

    @staticmethod
    def forward(
        primitive: LinearGLU, s: Tensor, columns: Columns, weight: float, masks: Masks, total: Tensor
    ) -> tuple[Tensor, ...]:
        line, dropout, stream = columns.line(primitive), primitive.dropout, masks.stream(s.shape)
        by = weight * scale(dropout)
        gates, passed = add_gated(columns.rows, columns.first, line, level(dropout), stream, by, total)
        return torch.from_numpy(line), gates, passed

    @staticmethod
    def backward(
        primitive: LinearGLU, s: Tensor, columns: Columns, weight: float, saved: Any, gradient: Tensor, into: Gradients
    ) -> tuple[float, list[Tensor | None]]:
        line, gates, passed = saved[0].numpy(), *saved[1:]
        norm, C, by = primitive.norm, s.shape[2], scale(primitive.dropout)
        sums = gated_sums_back(columns.rows, columns.first, line, gates, passed, gradient)
        found, back = back_of(norm, line, sums, len(columns.rows), weight * by)
        gated_back(columns.rows, columns.first, line, gates, passed, gradient, back, into.of_rows)
        open_half = products_with_output(array(norm.bias)[:C], line[:, :C], sums[:, :C])
        return by * float(open_half), list(found)


class Connected:
    """`ConcatFC`."""

    width = 1

    @staticmethod
    def forward(
        primitive: ConcatFC, s: Tensor, columns: Columns, weight: float, masks: Masks, total: Tensor
    ) -> tuple[Tensor, ...]:
        lines = columns.line(primitive)[None]
        block, total = Connected.block(primitive, s, columns, lines), total[None]
        return torch.from_numpy(lines), block.into(total, weight * ONE, masks, total)

    @staticmethod
    def backward(
        primitive: ConcatFC, s: Tensor, columns: Columns, weight: float, saved: Any, gradient: Tensor, into: Gradients
    ) -> tuple[float, list[Tensor | None]]:
        lines, passed, norm = saved[0].numpy(), saved[1], primitive.norm
        block = Connected.block(primitive, s, columns, lines)
        (sums,) = block.sums_back(gradient[None], passed)[0]  # (2, C)
        found, back = back_of(norm, lines[0], sums, len(columns.rows), weight)
        block.back(gradient[None], ONE, passed, back[None], into.of_rows)
        return float(products_with_output(array(norm.bias), lines[0], sums)), list(found)

    @staticmethod
    def block(primitive: ConcatFC, s: Tensor, columns: Columns, lines: Array) -> Blocks:
        return Blocks(columns.rows, lines, [primitive.dropout], [s.shape[1]], columns.first)


def folded(weight: Tensor, C: int) -> Tensor:
    """The sum of the one or two halves (O, C) of a convolution's weight."""
    plain = weight.detach().squeeze(2)
    return plain if plain.shape[1] == C else plain[:, :C] + plain[:, C:]


def unfolded(gradient: Tensor, weight: Tensor) -> Tensor:
    """The gradient of a folded weight (O, C) is that of either half."""
    return torch.cat([gradient] * (weight.shape[1] // gradient.shape[1]), 1).unsqueeze(2)


SHORTCUTS: dict[type, type[Shortcut]] = {Attention: Attended, LinearGLU: Gated, ConcatFC: Connected}
"""Exactly these classes: one that inherits from them computes what it likes."""
