"""BatchNorm, GLU and dropout of a matrix product, added to a weighted sum in the pass that computes them.

The rows (T, width) hold 2C columns, those that are passed on and those of their gates: a * sigmoid(b). The sigmoids are
kept, 0 where dropout closed the gate: then neither a nor b has a gradient. The rest is computed anew on the way back.
"""

import numpy as np
import torch

from bmnas.scale.fast.batchnorm import Array
from bmnas.scale.fast.dropout import Stream
from bmnas.scale.fast.kernels import add_gated_sums_back, draw_gates, gate, gate_back


def add_gated(rows: Array, first: int, line: Array, lowest: int, stream: Stream, weight: float, total: Array) -> Array:
    """Adds weight * (what is kept of a * sigmoid(b)) to the total (B, L, C).

    Returns:
        the gates, like the total.
    """
    gates = np.empty_like(total)
    draw_gates(rows, first + total.shape[2], line, gates)
    torch.from_numpy(gates).sigmoid_()
    gate(rows, first, line, lowest, stream, line.dtype.type(weight), gates, total)
    return gates


def gated_sums_back(rows: Array, first: int, line: Array, gates: Array, gradient: Array) -> Array:
    """float64 (2, 2C): over all rows, the sums of g and of g * (x - mean), g the gradient of what BatchNorm gave."""
    found = np.zeros((2, line.shape[1]))
    add_gated_sums_back(rows, first, line, gates, gradient, found)
    return found


def gated_back(rows: Array, first: int, line: Array, gates: Array, gradient: Array, back: Array) -> None:
    """Writes the gradient of x over x, from (3, 2C) of `batchnorm.back_of`."""
    gate_back(rows, first, line, gates, gradient, back)
