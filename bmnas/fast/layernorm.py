"""LayerNorm([C, L]) of tensors (B, L, C), with the dropout before it and the ReLU behind it, forwards and backwards.

Sums run along L in the numbers' own precision, and along C in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.fast.batchnorm import Array, array
from bmnas.fast.dropout import ALL, Masks, draw, level, memory
from bmnas.fast.kernel import kernel, total_of


@dataclass(frozen=True)
class Normal:
    """What the way back needs."""

    x: Tensor  # (B, L, C), after dropout
    found: Tensor  # (B, 2): mean, 1 / deviation
    passed: Tensor  # bool, (B, L, C), or (0, 0, 0) where nothing was dropped


def normalise(
    norm: nn.LayerNorm,
    x: Tensor,
    total: Tensor,
    masks: Masks | None = None,
    dropout: nn.Dropout | None = None,
    factor: float | None = None,
    relu: bool = False,
) -> Normal:
    """Writes LayerNorm(dropout(x)) into the total (B, L, C), behind a ReLU or not; or adds `factor` times that to it.

    x itself loses what is dropped; what is kept still wants `dropout.scale`.
    """
    lowest = level(dropout) if dropout is not None else np.int16(ALL)
    dropping = masks is not None and lowest > ALL
    passed = torch.empty(x.shape if dropping else (0, 0, 0), dtype=torch.bool)
    stream = masks.stream(x.shape) if masks is not None and dropping else (np.uint64(0), np.uint64(0))
    found = torch.empty(len(x), 2, dtype=x.dtype)
    weight, bias = turned(norm.weight), turned(norm.bias)
    add, by = factor is not None, 1.0 if factor is None else factor
    arrays = (x.numpy(), passed.numpy(), found.numpy(), total.numpy())
    layer_normalise(weight, bias, norm.eps, lowest, stream, add, by, relu, *arrays)
    return Normal(x, found, passed)


def normalise_back(
    norm: nn.LayerNorm, gradient: Tensor, normal: Normal, factor: float = 1.0, relu: bool = False
) -> tuple[Tensor, list[Tensor], float]:
    """The way back of `normalise`.

    Returns:
        the gradient of x before dropout (without its scale) and those of the parameters (C, L), where `factor` times
        `gradient` is that of the output; and the scalar product of `gradient` with the output.
    """
    dx, sums = torch.empty_like(normal.x), np.zeros((2, *normal.x.shape[1:]), array(norm.weight).dtype)
    weight, bias = turned(norm.weight), turned(norm.bias)
    arrays = (gradient.numpy(), normal.x.numpy(), normal.passed.numpy(), normal.found.numpy(), dx.numpy(), sums)
    scalar = layer_normalise_back(weight, bias, factor, relu, *arrays)
    of_parameters = torch.from_numpy(np.ascontiguousarray(sums.swapaxes(1, 2))).mul_(factor)
    return dx, list(of_parameters.unbind()), scalar


def turned(x: Tensor) -> Array:
    """(C, L) -> (L, C)."""
    return np.ascontiguousarray(array(x).T)


@kernel
def layer_normalise(weight, bias, eps, lowest, stream, add, factor, relu, x, passed, found, total):
    """`normalise`, sample by sample."""
    B, L, C = x.shape
    part, factor, zero, bits = np.empty(C, x.dtype), x.dtype.type(factor), x.dtype.type(0), memory(L, C)
    for b in range(B):
        if lowest > ALL:
            draw(stream, b * L, bits)
            for l in range(L):
                for c in range(C):
                    kept, value = bits[l, c] >= lowest, x[b, l, c]
                    passed[b, l, c] = kept
                    x[b, l, c] = value if kept else zero
        part[:] = 0
        for l in range(L):
            for c in range(C):
                part[c] += x[b, l, c]
        mean = x.dtype.type(total_of(part) / (L * C))
        part[:] = 0
        for l in range(L):
            for c in range(C):
                part[c] += (x[b, l, c] - mean) * (x[b, l, c] - mean)
        inverse = x.dtype.type(1 / np.sqrt(total_of(part) / (L * C) + eps))
        found[b, 0], found[b, 1] = mean, inverse
        for l in range(L):
            if add:
                for c in range(C):
                    total[b, l, c] += factor * ((x[b, l, c] - mean) * inverse * weight[l, c] + bias[l, c])
            else:
                for c in range(C):
                    value = (x[b, l, c] - mean) * inverse * weight[l, c] + bias[l, c]
                    total[b, l, c] = zero if relu and value <= zero else value


@kernel
def layer_normalise_back(weight, bias, factor, relu, gradient, x, passed, found, dx, sums):
    """`normalise_back`; the sums are those of weight and bias without the factor."""
    B, L, C = x.shape
    plain, centred, factor, zero = np.empty(C, x.dtype), np.empty(C, x.dtype), x.dtype.type(factor), x.dtype.type(0)
    for b in range(B):
        mean, inverse = found[b, 0], found[b, 1]
        plain[:] = 0
        centred[:] = 0
        for l in range(L):
            for c in range(C):
                normal = (x[b, l, c] - mean) * inverse
                g = gradient[b, l, c]
                g = zero if relu and normal * weight[l, c] + bias[l, c] <= zero else g
                sums[0, l, c] += g * normal
                sums[1, l, c] += g
                dx[b, l, c] = g * weight[l, c]
                plain[c] += g * weight[l, c]
                centred[c] += g * weight[l, c] * normal
        constant, straight = x.dtype.type(total_of(plain) / (L * C)), x.dtype.type(total_of(centred) / (L * C))
        for l in range(L):
            for c in range(C):
                normal = (x[b, l, c] - mean) * inverse
                dx[b, l, c] = factor * inverse * (dx[b, l, c] - constant - straight * normal)
            if passed.size:
                for c in range(C):
                    g = dx[b, l, c]
                    dx[b, l, c] = g if passed[b, l, c] else zero
    scalar = 0.0
    for l in range(L):
        for c in range(C):
            scalar += weight[l, c] * sums[0, l, c] + bias[l, c] * sums[1, l, c]
    return scalar
