"""The primitives of one tensor s with itself, forwards and backwards by hand.

A primitive of the search gets s twice, so the halves of its weight add up: [s; s] W = s (W_x + W_y). s has the channels
last, (B, L, C). The folded weights of all primitives of a Step are multiplied with s at once, and each finds its
`Columns` of the product. Sum has no code: it is a constant times s (`LINEAR`); Zero is left out.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.registry import PRIMITIVES
from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import Array, array, back_of, line_of, products_with_output
from bmnas.scale.fast.dropout import Masks, level, scale
from bmnas.scale.fast.gated import add_gated, gated_back, gated_sums_back
from bmnas.scale.fast.layernorm import Normalised
from bmnas.scale.fast.mixture import scalars
from bmnas.scale.fast.rectified import ONE, Blocks
from bmnas.space.primitives import Attention, ConcatFC, LinearGLU, Sum

LINEAR: dict[type, float] = {Sum: 2.0}
"""f(s, s) = constant * s."""


@dataclass(frozen=True)
class Scaled:
    """s = factor * x."""

    x: Tensor  # (B, L, C)
    factor: float


@dataclass(frozen=True)
class Columns:
    """A primitive's part of x times all folded weights of a Step, where s = factor * x."""

    rows: Array  # (B L, width)
    found: Array  # (2, width), `batchnorm.moments`
    first: int
    factor: float

    def line(self, primitive: LinearGLU | ConcatFC) -> Array:
        """The line of the primitive's BatchNorm."""
        its = slice(self.first, self.first + primitive.norm.num_features)
        return line_of(primitive.norm, self.found[:, its], len(self.rows), primitive.conv.bias, factor=self.factor)


class Shortcut(ABC):
    """A primitive with what its way back needs.

    `weight` is its convolution's, the first `width` columns of the product are its own, and `norms` normalise them.
    `forward` adds weight * f(s, s) to `total`; where a class `begins`, it writes constant * s + weight * f(s, s) to it,
    in one pass. `backward` takes the gradient of `total`, adds to that of the x of s, writes that of its columns of the
    product over them, and returns the gradient of the weight in the sum, if it is asked for.
    """

    begins = False
    weight: nn.Parameter | None = None
    width = 0
    norms: Sequence[nn.BatchNorm1d] = ()

    def __init__(self, name: str, primitive: Any) -> None:
        self.primitive = primitive

    @abstractmethod
    def forward(
        self, s: Scaled, columns: Columns, weight: float, masks: Masks, total: Array, constant: float
    ) -> None: ...

    @abstractmethod
    def backward(self, gradient: Array, of_x: Tensor, rows: Array, asked: Asked) -> float: ...


class Convolved(Shortcut):
    """One with a convolution and BatchNorm."""

    def __init__(self, name: str, primitive: Any) -> None:
        super().__init__(name, primitive)
        self.weight, self.norms = primitive.conv.weight, (primitive.norm,)
        self.width = primitive.conv.out_channels

    def give(self, asked: Asked, found: Sequence[Tensor]) -> None:
        """The gradients of the convolution's bias and of BatchNorm's weight and bias."""
        asked.give([self.primitive.conv.bias, self.primitive.norm.weight, self.primitive.norm.bias], found)


class Attended(Shortcut):
    """`Attention`: the matrix P of scores is (B, L, L), far smaller than s, so it takes all factors."""

    def forward(self, s: Scaled, columns: Columns, weight: float, masks: Masks, total: Array, constant: float) -> None:
        primitive, self.x = self.primitive, s.x
        self.kept, self.sharpness = scale(primitive.dropout) * s.factor, s.factor**2 / math.sqrt(s.x.shape[2])
        scores = multiplied(self.sharpness, s.x, s.x.transpose(1, 2))  # (B, L, L), symmetric
        self.P = scores.softmax(1)  # transposed: the library is faster along the middle
        self.inner = multiplied(self.kept, self.P.transpose(1, 2), s.x)  # (B, L, C)
        self.normal = Normalised(
            primitive.norm, self.inner.numpy()[None], total[None], masks, primitive.dropout, weight
        )

    def backward(self, gradient: Array, of_x: Tensor, rows: Array, asked: Asked) -> float:
        d = asked.own(self.inner)
        found = self.normal.backward(gradient[None], d.numpy()[None], asked)
        dP = multiplied(self.kept * self.sharpness, self.x, d.transpose(1, 2))  # transposed
        dscores = torch.ops.aten._softmax_backward_data(dP, self.P, 1, dP.dtype)
        of_x.baddbmm_(self.P, d, alpha=self.kept)  # value
        of_x.baddbmm_(dscores + dscores.transpose(1, 2), self.x)  # query and key
        return found


def multiplied(factor: float, a: Tensor, b: Tensor) -> Tensor:
    """factor * a b, sample by sample."""
    return a.new_empty(len(a), a.shape[1], b.shape[2]).baddbmm_(a, b, beta=0, alpha=factor)


class Gated(Convolved):
    """`LinearGLU`; in mode "paper" its weight is (2C, C) from the start."""

    def forward(self, s: Scaled, columns: Columns, weight: float, masks: Masks, total: Array, constant: float) -> None:
        self.columns, self.line, dropout = columns, columns.line(self.primitive), self.primitive.dropout
        self.by, self.share = scale(dropout), weight
        stream = masks.stream(total.shape)
        given = (columns.rows, columns.first, self.line, level(dropout), stream)
        self.gates = add_gated(*given, weight * self.by, total)

    def backward(self, gradient: Array, of_x: Tensor, rows: Array, asked: Asked) -> float:
        norm, line, C = self.primitive.norm, self.line, gradient.shape[2]
        given = (rows, self.columns.first, line, self.gates, gradient)
        sums = gated_sums_back(*given)
        found, back = back_of(norm, line, sums, len(rows), self.by * self.share, self.columns.factor)
        gated_back(*given, back)
        self.give(asked, found)
        if not asked.choices:
            return 0.0
        return self.by * float(products_with_output(array(norm.bias)[:C], line[:, :C], sums[:, :C]))


class Connected(Convolved):
    """`ConcatFC`."""

    begins = True

    def forward(self, s: Scaled, columns: Columns, weight: float, masks: Masks, total: Array, constant: float) -> None:
        lines, self.columns, self.share = columns.line(self.primitive)[None], columns, weight
        self.block = Blocks(lines, [self.primitive.dropout], [total.shape[1]], columns.first)
        self.block.into(columns.rows, total[None], weight * ONE, masks, s.x.numpy()[None], constant * s.factor)

    def backward(self, gradient: Array, of_x: Tensor, rows: Array, asked: Asked) -> float:
        norm, (line,) = self.primitive.norm, self.block.lines
        (sums,) = self.block.sums_back(rows, gradient[None], ONE)  # (2, C)
        found, back = back_of(norm, line, sums, len(rows), self.share, self.columns.factor)
        self.block.back(rows, gradient[None], ONE, back[None])
        self.give(asked, found)
        return float(products_with_output(array(norm.bias), line, sums)) if asked.choices else 0.0


class Own(Shortcut):
    """A primitive without a shortcut, called as it is: f(s, s, ...), channels first."""

    def __init__(self, name: str, primitive: nn.Module) -> None:
        super().__init__(name, primitive)
        self.arity = PRIMITIVES[name].arity

    def forward(self, s: Scaled, columns: Columns, weight: float, masks: Masks, total: Array, constant: float) -> None:
        self.x, self.share = s.x.detach().requires_grad_(), weight
        with torch.enable_grad():
            turned = (self.x * s.factor).transpose(1, 2).contiguous()  # (B, C, L)
            self.out = self.primitive(*[turned] * self.arity).transpose(1, 2)  # (B, L, C)
        torch.from_numpy(total).add_(self.out.detach(), alpha=weight)

    def backward(self, gradient: Array, of_x: Tensor, rows: Array, asked: Asked) -> float:
        parameters, known = [p for p in self.primitive.parameters() if p.requires_grad], torch.from_numpy(gradient)
        if self.out.requires_grad:
            inputs = [self.x, *parameters]
            given = (self.out, inputs, known * self.share)
            dx, *found = torch.autograd.grad(*given, retain_graph=True, allow_unused=True)
            if dx is not None:
                of_x.add_(dx)
            asked.found.update((p, one) for p, one in zip(parameters, found, strict=True) if one is not None)
        return scalars(self.out.detach()[None], known)[0] if asked.choices else 0.0


SHORTCUTS: dict[type, type[Shortcut]] = {Attention: Attended, LinearGLU: Gated, ConcatFC: Connected}
"""Exactly these classes: one that inherits from them computes what it likes."""


def fold(weights: Sequence[nn.Parameter | None], x: Tensor) -> Tensor:
    """What x (B L, C) is multiplied with, (width, C): of each convolution the sum of its one or two halves."""
    C, plain = x.shape[1], [weight.detach().squeeze(2) for weight in weights if weight is not None]
    out = x.new_empty(sum(weight.shape[0] for weight in plain), C)
    begin = 0
    for weight in plain:
        part, begin = out[begin : begin + weight.shape[0]], begin + weight.shape[0]
        if weight.shape[1] == C:
            part.copy_(weight)
        else:
            torch.add(weight[:, :C], weight[:, C:], out=part)
    return out
