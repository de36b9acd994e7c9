"""BatchNorm, GLU and dropout of a matrix product, added to a weighted sum in the pass that computes them.

The rows (T, width) hold 2C columns, those that are passed on and those of their gates: a * sigmoid(b). The sigmoids are
kept, and as bytes what dropout let through; the rest is computed anew on the way back.
"""

import numpy as np
import torch
from torch import Tensor

from bmnas.fast.batchnorm import BLOCK, MEAN, OFFSET, SLOPE, Array, array
from bmnas.fast.dropout import ALL, Stream, draw, memory
from bmnas.fast.kernel import kernel


def add_gated(
    rows: Tensor, first: int, line: Array, lowest: np.int16, stream: Stream, weight: float, total: Tensor
) -> tuple[Tensor, Tensor]:
    """Adds weight * (what is kept of a * sigmoid(b)) to the total (B, L, C).

    Returns:
        the sigmoids, and bool: what dropout let through; both like the total.
    """
    gates, passed = torch.empty_like(total), torch.empty(total.shape, dtype=torch.bool)
    normalise(array(rows), first + total.shape[2], line, gates.numpy())
    gates.sigmoid_()
    factor = line.dtype.type(weight)
    gate(array(rows), first, line, lowest, stream, factor, gates.numpy(), passed.numpy(), total.numpy())
    return gates, passed


def gated_sums_back(rows: Tensor, first: int, line: Array, gates: Tensor, passed: Tensor, gradient: Tensor) -> Array:
    """float64 (2, 2C): over all rows, the sums of g and of g * (x - mean), g the gradient of what BatchNorm gave."""
    found = np.zeros((2, line.shape[1]))
    add_sums_back(array(rows), first, line, gates.numpy(), passed.numpy(), gradient.numpy(), found)
    return found


def gated_back(
    rows: Tensor, first: int, line: Array, gates: Tensor, passed: Tensor, gradient: Tensor, back: Array, out: Tensor
) -> None:
    """The gradient of x into `out`, a matrix like `rows`, from (3, 2C) of `batchnorm.back_of`."""
    gate_back(array(rows), first, line, gates.numpy(), passed.numpy(), gradient.numpy(), back, out.numpy())


@kernel
def normalise(x, begin, line, out):
    """The last half of a line's channels, of the columns from `begin`, to (B, L, C)."""
    B, L, C = out.shape
    slope, offset = line[SLOPE, C:], line[OFFSET, C:]
    for b in range(B):
        for l in range(L):
            row, target = x[b * L + l, begin : begin + C], out[b, l]
            for c in range(C):
                target[c] = row[c] * slope[c] + offset[c]


@kernel
def gate(x, first, line, lowest, stream, weight, gates, passed, total):
    """`add_gated`, after the sigmoids."""
    B, L, C = total.shape
    bits, zero = memory(L, C), x.dtype.type(0)
    bits[:] = ALL
    slope, offset = line[SLOPE], line[OFFSET]
    for b in range(B):
        if lowest > ALL:
            draw(stream, b * L, bits)
        for l in range(L):
            row, open_, through, number, target = x[b * L + l, first:], gates[b, l], passed[b, l], bits[l], total[b, l]
            for c in range(C):
                value = weight * (row[c] * slope[c] + offset[c]) * open_[c]
                through[c] = number[c] >= lowest
                target[c] += value if through[c] else zero


@kernel
def add_sums_back(x, first, line, gates, passed, gradient, found):
    """`gated_sums_back`."""
    B, L, C = gradient.shape
    part, zero, one = np.zeros((4, C), x.dtype), x.dtype.type(0), x.dtype.type(1)
    plain, centred, plain_gate, centred_gate = part[0], part[1], part[2], part[3]
    slope, offset, mean, mean_gate = line[SLOPE], line[OFFSET], line[MEAN], line[MEAN, C:]
    for b in range(B):
        for l in range(L):
            row, other = x[b * L + l, first : first + C], x[b * L + l, first + C : first + 2 * C]
            open_, through, g = gates[b, l], passed[b, l], gradient[b, l]
            for c in range(C):
                inner = g[c] * open_[c]
                inner = inner if through[c] else zero
                plain[c] += inner
                centred[c] += inner * (row[c] - mean[c])
                inner *= (row[c] * slope[c] + offset[c]) * (one - open_[c])
                plain_gate[c] += inner
                centred_gate[c] += inner * (other[c] - mean_gate[c])
        if (b + 1) % max(1, BLOCK // L) == 0 or b + 1 == B:
            found[0, :C] += plain
            found[1, :C] += centred
            found[0, C:] += plain_gate
            found[1, C:] += centred_gate
            part[:] = 0


@kernel
def gate_back(x, first, line, gates, passed, gradient, back, out):
    """`gated_back`."""
    B, L, C = gradient.shape
    zero, one = x.dtype.type(0), x.dtype.type(1)
    slope, offset, mean, mean_gate = line[SLOPE], line[OFFSET], line[MEAN], line[MEAN, C:]
    straight, constant, centred = back[0], back[1], back[2]
    straight_gate, constant_gate, centred_gate = back[0, C:], back[1, C:], back[2, C:]
    for b in range(B):
        for l in range(L):
            t = b * L + l
            row, other = x[t, first : first + C], x[t, first + C : first + 2 * C]
            target, target_gate = out[t, first : first + C], out[t, first + C : first + 2 * C]
            open_, through, g = gates[b, l], passed[b, l], gradient[b, l]
            for c in range(C):
                inner = g[c] * open_[c]
                inner = inner if through[c] else zero
                target[c] = straight[c] * inner + constant[c] + centred[c] * (row[c] - mean[c])
                inner *= (row[c] * slope[c] + offset[c]) * (one - open_[c])
                target_gate[c] = (
                    straight_gate[c] * inner + constant_gate[c] + centred_gate[c] * (other[c] - mean_gate[c])
                )
