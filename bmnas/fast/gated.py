"""BatchNorm, GLU and dropout of a matrix product, added to a weighted sum in the pass that computes them.

The rows (T, width) hold 2C columns, those that are passed on and those of their gates: a * sigmoid(b). The sigmoids are
kept, and as bytes what dropout let through; the rest is computed anew on the way back.
"""

import numpy as np
import torch
from torch import Tensor

from bmnas.fast.batchnorm import Array, array
from bmnas.fast.dropout import Stream
from bmnas.fast.kernels import add_gated_sums_back, draw_gates, gate, gate_back


def add_gated(
    rows: Tensor, first: int, line: Array, lowest: np.int16, stream: Stream, weight: float, total: Tensor
) -> tuple[Tensor, Tensor]:
    """Adds weight * (what is kept of a * sigmoid(b)) to the total (B, L, C).

    Returns:
        the sigmoids, and bool: what dropout let through; both like the total.
    """
    gates, passed = torch.empty_like(total), torch.empty(total.shape, dtype=torch.bool)
    draw_gates(array(rows), first + total.shape[2], line, gates.numpy())
    gates.sigmoid_()
    factor = line.dtype.type(weight)
    gate(array(rows), first, line, lowest, stream, factor, gates.numpy(), passed.numpy(), total.numpy())
    return gates, passed


def gated_sums_back(rows: Tensor, first: int, line: Array, gates: Tensor, passed: Tensor, gradient: Tensor) -> Array:
    """float64 (2, 2C): over all rows, the sums of g and of g * (x - mean), g the gradient of what BatchNorm gave."""
    found = np.zeros((2, line.shape[1]))
    add_gated_sums_back(array(rows), first, line, gates.numpy(), passed.numpy(), gradient.numpy(), found)
    return found


def gated_back(
    rows: Tensor, first: int, line: Array, gates: Tensor, passed: Tensor, gradient: Tensor, back: Array, out: Tensor
) -> None:
    """The gradient of x into `out`, a matrix like `rows`, from (3, 2C) of `batchnorm.back_of`."""
    gate_back(array(rows), first, line, gates.numpy(), passed.numpy(), gradient.numpy(), back, out.numpy())
