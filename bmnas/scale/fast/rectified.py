"""BatchNorm, ReLU and dropout of matrix products, added to weighted sums in the pass that computes them.

Reshape, ConcatFC and the output of a Cell are this chain. K blocks lie in one matrix (R, width), one after the other,
a row a position of a sample; a block of P positions stands for L, each there L / P times. They are added to N sums
(B, L, C) with weights (N, K). What ReLU and dropout let through is kept as bytes; the rest is computed anew on the way
back.
"""

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from torch import nn

from bmnas.scale.fast.batchnorm import Array
from bmnas.scale.fast.dropout import Masks, level, scale
from bmnas.scale.fast.kernels import add_sums_back, rectify, rectify_back

ONE = np.ones((1, 1))  # weights of a block that is a sum of its own


class Blocks:
    """K blocks of C columns of a matrix, and what happens to them.

    Args:
        lines: (K, 4, C).
        dropouts: (K,).
        positions: (K,), the P of each.
        first: the first of the C columns.
    """

    def __init__(self, lines: Array, dropouts: Sequence[nn.Dropout], positions: Sequence[int], first: int = 0) -> None:
        self.lines, self.first = lines, first
        self.levels = np.array([level(layer) for layer in dropouts], np.int16)
        self.scales = np.array([scale(layer) for layer in dropouts])
        before = accumulate(positions[:-1], initial=0)
        self.at = np.array([*zip(positions, before, strict=True)])  # P, and the sum of those before

    def scaled(self, weights: Array) -> Array:
        """Weights (N, K) times the scale of dropout, in the precision of the rows."""
        return (weights * self.scales).astype(self.lines.dtype)

    def into(
        self, rows: Array, sums: Array, weights: Array, masks: Masks, begin: Array | None = None, by: float = 1.0
    ) -> None:
        """Writes by * begin + sum_k weights_nk * dropout(ReLU(BatchNorm(x_k))) to the sums (N, B, L, C).

        Args:
            begin: 0 when None.
        """
        self.passed = np.empty((len(self.lines), *sums.shape[1:]), np.bool_)  # what was let through
        given = (self.levels, masks.stream(self.passed.shape), self.scaled(weights))
        start = (sums, 0.0) if begin is None else (begin, by)
        rectify(rows, self.first, self.at, self.lines, *given, *start, self.passed, sums)

    def sums_back(self, rows: Array, gradients: Array, weights: Array) -> Array:
        """float64 (K, 2, C): over all rows, the sums of g and of g * (x - mean), where g comes from sum_n weights_nk
        times the gradient (N, B, L, C) of a sum."""
        found = np.zeros((len(self.lines), 2, gradients.shape[3]))
        given = (self.scaled(weights), self.passed, gradients)
        add_sums_back(rows, self.first, self.at, self.lines, *given, found)
        return found

    def back(self, rows: Array, gradients: Array, weights: Array, backs: Array) -> None:
        """Writes the gradient of x over the rows, from (K, 3, C) of `batchnorm.back_of`."""
        given = (self.scaled(weights), self.passed, gradients, backs)
        rectify_back(rows, self.first, self.at, self.lines, *given)
