"""The Hypernet's forward pass by shortcuts that equal its formulas (hypernet.py, primitives.py, parts.py, reshape.py).

What is (B, C, L) there is held as (B, L, C) here, "tokens", with the channels of a position side by side: matrix
products, BatchNorm and mixtures all run along memory. On top of that

* a primitive of the search gets s twice, so the halves of its weights add up: [s; s] W = s (W_x + W_y);
* Zero is left out, and the feature parts of all Cells' mixtures are one matrix product;
* positions that are copies of each other are reshaped once and copied afterwards;
* a dropout mask compares 16 random bits an element (`dropout_mask`).

A primitive without a shortcut is called as it is. Gradients come from autograd but for `Mix`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, glu, layer_norm, linear

from bmnas.primitives import Attention, ConcatFC, LinearGLU, Sum, Zero
from bmnas.registry import PRIMITIVES

if TYPE_CHECKING:
    from bmnas.hypernet import Hypernet, MixedStep
    from bmnas.parts import CellOutput
    from bmnas.reshape import Reshape

LEVELS = 2**16  # what a dropout probability is rounded to a multiple of: 1 / LEVELS
LINES = (32, 24, 16, 8)  # rows that `product` hands to a convolution as one line, best first
FEW_ROWS = 256  # below, a matrix product is as fast


def applies(net: Hypernet, batch: Mapping[str, Tensor]) -> bool:
    """Whether the shortcuts stand for the layers: on the CPU, nobody listens to a layer by a hook, and every BatchNorm
    keeps running statistics.
    """
    inner = [part for name, part in net.named_modules() if name]
    hooked = any(part._forward_hooks or part._forward_pre_hooks for part in inner)
    kept = all(part.running_mean is not None for part in inner if isinstance(part, nn.BatchNorm1d))
    return kept and not hooked and all(batch[name].device.type == "cpu" for name in net.features)


def forward(net: Hypernet, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, classes): `Hypernet.forward`."""
    layers = [cast("Reshape", net.reshape[name]) for name in net.features]
    drawn = [reshaped(layer, batch[name]) for layer, name in zip(layers, net.features, strict=True)]
    features = torch.stack(drawn)  # (K, B, L, C)
    K, cells = len(layers), list(net.named_cells().values())
    alphas = [cell.alpha.softmax(-1)[:, 1] for cell in cells]  # (K + n - 1,) for Cell n
    sums = torch.stack([alpha[:K] for alpha in alphas]) @ features.flatten(1)  # (N, B L C)
    outputs: list[Tensor] = []
    for cell, alpha, part in zip(cells, alphas, sums.view(-1, *features.shape[1:]), strict=True):
        s = part + mix(alpha[K:], outputs) if outputs else part  # (B, L, C)
        states = [s, s]
        for step in cell.named_steps().values():
            states.append(mixed_step(step, states))
        outputs.append(cell_output(cell.output, states))
    return net.classifier([out.transpose(1, 2) for out in outputs])  # (B, classes)


# the parts


def reshaped(layer: Reshape, feature: Tensor) -> Tensor:
    """`Reshape`: (B, C_in, L or 1) -> (B, L, C)."""
    copies = 1
    if layer.learned:
        tokens = product(feature.flatten(1), layer.conv).view(-1, layer.C, layer.L).transpose(1, 2).contiguous()
    else:
        distinct = feature if feature.requires_grad else distinct_positions(feature)  # (B, C_in, P)
        if distinct.shape[0] * distinct.shape[2] == 1:  # BatchNorm needs more than one position
            distinct = feature.expand(-1, -1, layer.L)
        copies = layer.L // distinct.shape[2]
        if copies == 1:
            tokens = layer.conv(distinct).transpose(1, 2).contiguous()  # the C_in channels stay as they are stored
        else:
            tokens = product(distinct.transpose(1, 2), layer.conv)  # (B, P, C)
    out = normalised(tokens, layer.norm, copies).relu()  # (B, P, C)
    return dropout(out.repeat_interleave(copies, 1) if copies > 1 else out, layer.dropout)  # (B, L, C)


def mixed_step(step: MixedStep, states: Sequence[Tensor]) -> Tensor:
    """`MixedStep`. The states begin with x and y, which are one tensor: their weights add up."""
    beta, gamma = step.beta.softmax(-1)[:, 1], step.gamma.softmax(-1)
    beta = torch.cat([beta[:2].sum(0, keepdim=True), beta[2:]])
    s = mix(beta, states[1:])  # (B, L, C)
    used = [i for i, part in enumerate(step.primitives.values()) if type(part) is not Zero]
    if not used:
        return gamma.sum() * torch.zeros_like(s)  # (B, L, C)
    parts = list(step.primitives.items())
    return mix(gamma if len(used) == len(parts) else gamma[used], [applied(*parts[i], s) for i in used])  # (B, L, C)


def applied(name: str, primitive: nn.Module, s: Tensor) -> Tensor:
    """primitive(s, s, ...) on tokens."""
    shortcut = SHORTCUTS.get(type(primitive))
    if shortcut is not None:
        return shortcut(primitive, s)  # (B, L, C)
    plain = s.transpose(1, 2).contiguous()  # (B, C, L)
    return primitive(*[plain] * PRIMITIVES[name].arity).transpose(1, 2)  # (B, L, C)


def cell_output(output: CellOutput, states: Sequence[Tensor]) -> Tensor:
    """`CellOutput`."""
    out = torch.cat(tuple(states[-output.r :]), dim=2)  # (B, L, rC)
    if output.r != 1:
        out = dropout(normalised(product(out, output.conv), output.batch_norm).relu(), output.dropout)  # (B, L, C)
    return layer_normalised(out + states[0], output.norm)  # (B, L, C)


# the primitives, with both inputs s


def summed(primitive: Sum, s: Tensor) -> Tensor:
    """`Sum`."""
    return s + s  # (B, L, C)


def attended(primitive: Attention, s: Tensor) -> Tensor:
    """`Attention`; the matrix of scores is (B, L, L), far smaller than s, so it takes the 1 / sqrt(C)."""
    scores = torch.bmm(s, s.transpose(1, 2)) / math.sqrt(s.shape[2])  # (B, L, L)
    out = torch.bmm(scores.softmax(-1), s)  # (B, L, C)
    return layer_normalised(dropout(out, primitive.dropout), primitive.norm)


def gated(primitive: LinearGLU, s: Tensor) -> Tensor:
    """`LinearGLU`; in mode "paper" its weight is (2C, C) from the start."""
    halves = primitive.conv.weight.split(s.shape[2], dim=1)  # one or two times (2C, C, 1)
    both = normalised(product(s, primitive.conv, halves), primitive.norm)  # (B, L, 2C)
    return dropout(glu(both, dim=2), primitive.dropout)  # (B, L, C)


def connected(primitive: ConcatFC, s: Tensor) -> Tensor:
    """`ConcatFC`."""
    halves = primitive.conv.weight.split(s.shape[2], dim=1)  # two times (C, C, 1)
    mixed = normalised(product(s, primitive.conv, halves), primitive.norm)  # (B, L, C)
    return dropout(mixed.relu(), primitive.dropout)


SHORTCUTS: dict[type, Callable[[Any, Tensor], Tensor]] = {
    Sum: summed,
    Attention: attended,
    LinearGLU: gated,
    ConcatFC: connected,
}
"""Exactly these classes: one that inherits from them computes what it likes."""


# what they are made of


def product(x: Tensor, conv: nn.Conv1d, halves: Sequence[Tensor] = ()) -> Tensor:
    """x W^T + b over the last dimension, as the convolution of width 1; W is the sum of `halves` where given.

    oneDNN, which does the convolutions, is about twice as fast on some processors as the library of matrix products,
    if it is given lines of a few rows.
    """
    weight = conv.weight if len(halves) < 2 else halves[0] + halves[1]
    rows = x.reshape(-1, x.shape[-1])  # (T, C_in)
    line = next((n for n in LINES if len(rows) % n == 0), 0) if len(rows) >= FEW_ROWS else 0
    if not line or x.dtype != torch.float32:
        return linear(x, weight.squeeze(2), conv.bias)
    image = rows.view(-1, line, 1, rows.shape[1]).permute(0, 3, 1, 2)  # (T / line, C_in, line, 1), channels last
    out = conv2d(image, weight.unsqueeze(3), conv.bias)  # (T / line, C_out, line, 1)
    return out.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def normalised(tokens: Tensor, norm: nn.BatchNorm1d, copies: int = 1) -> Tensor:
    """BatchNorm over the channels, as if every position stood there `copies` times.

    Copies change neither mean nor variance of the batch, only the factor n / (n - 1) in the running variance.
    """
    rows = tokens.flatten(0, 1)  # (T, C)
    if copies == 1 or not norm.training:
        return norm(rows).view_as(tokens)
    mean, variance = rows.new_zeros(2, rows.shape[1])  # (C,), filled with this batch's
    out = batch_norm(rows, mean, variance, norm.weight, norm.bias, True, 1.0, norm.eps)  # (T, C)
    n, momentum = len(rows), cast(float, norm.momentum)
    with torch.no_grad():
        cast(Tensor, norm.num_batches_tracked).add_(1)
        cast(Tensor, norm.running_mean).lerp_(mean, momentum)
        cast(Tensor, norm.running_var).lerp_(variance * (copies * (n - 1) / (copies * n - 1)), momentum)
    return out.view_as(tokens)


def layer_normalised(tokens: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm([C, L]) of (B, L, C)."""
    return layer_norm(tokens, tokens.shape[1:], norm.weight.t(), norm.bias.t(), norm.eps)


def dropout(x: Tensor, layer: nn.Dropout) -> Tensor:
    """Dropout of the layer's probability."""
    if not layer.training or layer.p == 0:
        return x
    return x * dropout_mask(x.shape, layer.p, x.dtype)


def dropout_mask(shape: torch.Size, p: float, dtype: torch.dtype) -> Tensor:
    """0 with probability q, else 1 / (1 - q), where q is p rounded to a multiple of 1 / LEVELS.

    Four elements share a draw of 64 bits, which is several times faster than a draw for each.
    """
    dropped = round(p * LEVELS)
    size = math.prod(shape)
    bits = torch.empty(-(-size // 4), dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:size]
    mask = torch.empty(size, dtype=dtype)
    torch.ge(bits, dropped - LEVELS // 2, out=mask)  # written as numbers at once: a mask of bool is slow to convert
    return mask.mul_(LEVELS / (LEVELS - dropped)).view(shape)


def distinct_positions(feature: Tensor) -> Tensor:
    """(B, C_in, P) of a feature (B, C_in, L) whose positions are each there L / P times, next to each other.

    Pooling does that to a backbone's output of fewer than L positions; the values tell.
    """
    for copies in (2, 3):
        while feature.shape[2] % copies == 0:
            groups = feature.unflatten(2, (-1, copies))  # (B, C_in, L / copies, copies)
            first = groups[..., :1]  # (B, C_in, L / copies, 1)
            if not all(
                torch.equal(g[..., 1:], f.expand_as(g[..., 1:])) for g, f in ((groups[:1], first[:1]), (groups, first))
            ):
                break
            feature = first.squeeze(3)
    return feature


def mix(weights: Tensor, tensors: Sequence[Tensor]) -> Tensor:
    """sum_i weights_i * tensors_i."""
    return cast(Tensor, Mix.apply(weights, *tensors))


class Mix(torch.autograd.Function):
    """A weighted sum in one pass over each tensor, forwards and backwards.

    The gradient of a weight is a scalar product, without the tensor of products that autograd would sum.
    """

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
        flat = gradient.flatten()
        scalars = torch.stack([torch.dot(flat, tensor.flatten()) for tensor in tensors])  # (n,)
        parts = zip(weights.tolist(), ctx.needs_input_grad[1:], strict=True)
        return scalars, *[gradient * weight if needed else None for weight, needed in parts]
