"""Sum, Attention, LinearGLU and ConcatFC of one tensor s with itself, forwards and backwards by hand.

A primitive of the search gets s twice, so the halves of its weights add up: [s; s] W = s (W_x + W_y). s has the
channels last, (B, L, C). A shortcut has three functions:

    factor(primitive)
    forward(primitive, s, masks) -> out, saved       the primitive's output is factor * out
    backward(primitive, gradient, factor, s, saved, weights, total) -> gradients of the parameters if `weights`

`backward` adds the gradient of s to `total`, in the pass that computes it where that can be.
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import glu

from bmnas.fast.dropout import Masks, masked, scale
from bmnas.fast.layernorm import layer_normalised, layer_normalised_back
from bmnas.fast.products import add_product_
from bmnas.fast.projection import projected, projected_back
from bmnas.primitives import Attention, ConcatFC, LinearGLU, Sum

Found = list[Tensor | None]


class Shortcut(Protocol):
    """The three functions."""

    @staticmethod
    def factor(primitive: Any) -> float: ...
    @staticmethod
    def forward(primitive: Any, s: Tensor, masks: Masks) -> tuple[Tensor, tuple[Tensor | None, ...]]: ...
    @staticmethod
    def backward(
        primitive: Any, gradient: Tensor, factor: float, s: Tensor, saved: tuple[Any, ...], weights: bool, total: Tensor
    ) -> Found: ...


class Summed:
    """`Sum`: s + s."""

    @staticmethod
    def factor(primitive: Sum) -> float:
        return 2.0

    @staticmethod
    def forward(primitive: Sum, s: Tensor, masks: Masks) -> tuple[Tensor, tuple[()]]:
        return s, ()

    @staticmethod
    def backward(
        primitive: Sum, gradient: Tensor, factor: float, s: Tensor, saved: tuple[()], weights: bool, total: Tensor
    ) -> Found:
        total.add_(gradient, alpha=factor)
        return []


class Attended:
    """`Attention`: the matrix P of scores is (B, L, L), far smaller than s, so it takes all factors."""

    @staticmethod
    def factor(primitive: Attention) -> float:
        return 1.0

    @staticmethod
    def forward(primitive: Attention, s: Tensor, masks: Masks) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        scores = torch.bmm(s, s.transpose(1, 2)).mul_(1 / math.sqrt(s.shape[2]))  # (B, L, L), symmetric
        P = scores.softmax(1)  # transposed: the library is faster along the middle
        inner = torch.bmm((P * scale(primitive.dropout)).transpose(1, 2), s)  # (B, L, C)
        mask = masks.drop_(primitive.dropout, inner)
        out, saved = layer_normalised(inner, primitive.norm)
        return out, (P, mask, *saved)

    @staticmethod
    def backward(
        primitive: Attention,
        gradient: Tensor,
        factor: float,
        s: Tensor,
        saved: tuple[Any, ...],
        weights: bool,
        total: Tensor,
    ) -> Found:
        P, mask, *rest = saved
        d, found = layer_normalised_back(gradient, rest, factor, weights)
        if mask is not None:
            masked(d, mask, out=d)
        kept = scale(primitive.dropout)
        dP = torch.bmm(s, d.transpose(1, 2)).mul_(kept / math.sqrt(s.shape[2]))  # (B, L, L), transposed
        dscores = torch.ops.aten._softmax_backward_data(dP, P, 1, P.dtype)
        total.baddbmm_(P * kept, d).baddbmm_(dscores + dscores.transpose(1, 2), s)  # s as value; as query and as key
        return found


class Gated:
    """`LinearGLU`; in mode "paper" its weight is (2C, C) from the start."""

    @staticmethod
    def factor(primitive: LinearGLU) -> float:
        return scale(primitive.dropout)

    @staticmethod
    def forward(primitive: LinearGLU, s: Tensor, masks: Masks) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        weight = folded(primitive.conv.weight, s.shape[2])  # (2C, C)
        both, saved = projected([s.flatten(0, 1)], weight, primitive.conv.bias, primitive.norm)  # (T, 2C)
        out = glu(both, 1).view_as(s)
        mask = masks.drop_(primitive.dropout, out)
        return out, (weight, both, mask, *saved)

    @staticmethod
    def backward(
        primitive: LinearGLU,
        gradient: Tensor,
        factor: float,
        s: Tensor,
        saved: tuple[Any, ...],
        weights: bool,
        total: Tensor,
    ) -> Found:
        weight, both, mask, *rest = saved
        kept = (gradient if mask is None else masked(gradient, mask)).flatten(0, 1)  # (T, C)
        inner = torch.ops.aten.glu_backward(kept, both, 1)  # (T, 2C)
        inner, found = projected_back(inner, [s.flatten(0, 1)], primitive.norm, rest, factor, weights)
        add_product_(total.flatten(0, 1), inner, weight.t())
        return unfolded(found, primitive.conv.weight)


class Connected:
    """`ConcatFC`."""

    @staticmethod
    def factor(primitive: ConcatFC) -> float:
        return scale(primitive.dropout)

    @staticmethod
    def forward(primitive: ConcatFC, s: Tensor, masks: Masks) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        weight = folded(primitive.conv.weight, s.shape[2])  # (C, C)
        out, saved = projected([s.flatten(0, 1)], weight, primitive.conv.bias, primitive.norm)  # (T, C)
        masks.drop_(primitive.dropout, out.relu_())  # what is left above 0 was kept
        return out.view_as(s), (weight, out, *saved)

    @staticmethod
    def backward(
        primitive: ConcatFC,
        gradient: Tensor,
        factor: float,
        s: Tensor,
        saved: tuple[Any, ...],
        weights: bool,
        total: Tensor,
    ) -> Found:
        weight, out, *rest = saved
        inner = torch.ops.aten.threshold_backward(gradient.flatten(0, 1), out, 0)  # (T, C)
        inner, found = projected_back(inner, [s.flatten(0, 1)], primitive.norm, rest, factor, weights)
        add_product_(total.flatten(0, 1), inner, weight.t())
        return unfolded(found, primitive.conv.weight)


def folded(weight: Tensor, C: int) -> Tensor:
    """The sum of the one or two halves (O, C) of a convolution's weight."""
    plain = weight.detach().squeeze(2)
    return plain if plain.shape[1] == C else plain[:, :C] + plain[:, C:]


def unfolded(gradients: tuple[Tensor | None, ...], weight: Tensor) -> list[Tensor | None]:
    """The gradient of a folded weight is that of either half."""
    first, *others = gradients
    if first is None:
        return [None, *others]
    return [first.repeat(1, weight.shape[1] // first.shape[1]).unsqueeze(2), *others]


SHORTCUTS: dict[type, type[Shortcut]] = {Sum: Summed, Attention: Attended, LinearGLU: Gated, ConcatFC: Connected}
"""Exactly these classes: one that inherits from them computes what it likes."""
