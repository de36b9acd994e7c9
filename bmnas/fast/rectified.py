"""BatchNorm, ReLU and dropout of matrix products, added to weighted sums in the pass that computes them.

Reshape, ConcatFC and the output of a Cell are this chain. K blocks lie in one matrix (R, width), one after the other,
a row a position of a sample; a block of P positions stands for L, each there L / P times. They are added to N sums
(B, L, C) with weights (N, K). What ReLU and dropout let through is kept as bytes; the rest is computed anew on the way
back.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.fast.batchnorm import BLOCK, MEAN, OFFSET, SLOPE, Array, array
from bmnas.fast.dropout import ALL, Masks, draw, level, memory, scale
from bmnas.fast.kernel import kernel

ONE = np.ones((1, 1))  # weights of a block that is a sum of its own


class Blocks:
    """K blocks of C columns of a matrix, and what happens to them.

    Args:
        rows: (R, width).
        lines: (K, 4, C).
        dropouts: (K,).
        positions: (K,), the P of each.
        first: the first of the C columns.
    """

    def __init__(
        self, rows: Tensor, lines: Array, dropouts: Sequence[nn.Dropout], positions: Sequence[int], first: int = 0
    ) -> None:
        self.rows, self.lines, self.positions, self.first = array(rows), lines, positions, first
        self.levels = np.array([level(layer) for layer in dropouts])
        self.scales = np.array([scale(layer) for layer in dropouts])
        sizes = np.array(positions)
        self.at = np.empty((len(positions), 2), np.int64)  # P, and the sum of those before
        self.at[:, 0], self.at[:, 1] = sizes, np.cumsum(sizes) - sizes

    def scaled(self, weights: Array) -> Array:
        """Weights (N, K) times the scale of dropout, in the precision of the rows."""
        return (weights * self.scales).astype(self.lines.dtype)

    def into(self, sums: Tensor, weights: Array, masks: Masks, begin: Tensor | None = None) -> Tensor:
        """Writes begin + sum_k weights_nk * dropout(ReLU(BatchNorm(x_k))) to the sums (N, B, L, C).

        Args:
            begin: may be the sums themselves; 0 when None.

        Returns:
            bool (K, B, L, C): what was let through.
        """
        passed = torch.empty(len(self.lines), *sums.shape[1:], dtype=torch.bool)
        given = (self.levels, masks.stream(passed.shape), self.scaled(weights))
        start = (sums if begin is None else begin).numpy()
        rectify(self.rows, self.first, self.at, self.lines, *given, start, begin is None, passed.numpy(), sums.numpy())
        return passed

    def sums_back(self, gradients: Tensor, passed: Tensor) -> Array:
        """float64 (N, K, 2, C): over all rows, the sums of g and of g * (x - mean), where weights_nk * g comes from
        the gradient (N, B, L, C) of a sum."""
        found = np.zeros((len(gradients), len(self.lines), 2, gradients.shape[3]))
        add_sums_back(self.rows, self.first, self.at, self.lines, passed.numpy(), gradients.numpy(), found)
        return found * self.scales[:, None, None]

    def back(self, gradients: Tensor, weights: Array, passed: Tensor, backs: Array, out: Tensor) -> None:
        """The gradient of x into `out`, a matrix like `rows`, from (K, 3, C) of `batchnorm.back_of`."""
        given = (self.scaled(weights), passed.numpy(), gradients.numpy(), backs)
        rectify_back(self.rows, self.first, self.at, self.lines, *given, out.numpy())


@kernel
def rectify(x, first, at, lines, levels, stream, weights, begin, fresh, passed, sums):
    """`Blocks.into`, sample by sample, so that its sums stay in the cache while all blocks are added."""
    N, B, L, C = sums.shape
    kept, bits, zero = np.empty(C, x.dtype), memory(L, C), x.dtype.type(0)
    for b in range(B):
        for k in range(len(lines)):
            positions, start, lowest = at[k, 0], at[k, 1] * B, levels[k]
            slope, offset = lines[k, SLOPE], lines[k, OFFSET]
            if lowest > ALL:
                draw(stream, (k * B + b) * L, bits)
            else:
                bits[:] = ALL
            for l in range(L):
                row = x[start + b * positions + l * positions // L, first : first + C]
                through, number = passed[k, b, l], bits[l]
                for c in range(C):
                    value = row[c] * slope[c] + offset[c]
                    through[c] = (not value <= zero) & (number[c] >= lowest)  # what is not a number goes through
                    kept[c] = value if through[c] else zero
                for n in range(N):
                    total, weight = sums[n, b, l], weights[n, k]
                    if k > 0:
                        for c in range(C):
                            total[c] += weight * kept[c]
                    elif fresh:
                        for c in range(C):
                            total[c] = weight * kept[c]
                    else:
                        before = begin[n, b, l]
                        for c in range(C):
                            total[c] = before[c] + weight * kept[c]


@kernel
def add_sums_back(x, first, at, lines, passed, gradients, found):
    """`Blocks.sums_back`, without the scale of dropout."""
    N, B, L, C = gradients.shape
    K = len(lines)
    part, zero = np.zeros((N, K, 2, C), x.dtype), x.dtype.type(0)
    for b in range(B):
        for k in range(K):
            positions, start, mean = at[k, 0], at[k, 1] * B, lines[k, MEAN]
            for l in range(L):
                row = x[start + b * positions + l * positions // L, first : first + C]
                through = passed[k, b, l]
                for n in range(N):
                    gradient, plain, centred = gradients[n, b, l], part[n, k, 0], part[n, k, 1]
                    for c in range(C):
                        g = gradient[c]  # read in any case: the loop is then one over vectors
                        g = g if through[c] else zero
                        plain[c] += g
                        centred[c] += g * (row[c] - mean[c])
        if (b + 1) % max(1, BLOCK // L) == 0 or b + 1 == B:
            found += part
            part[:] = 0


@kernel
def rectify_back(x, first, at, lines, weights, passed, gradients, backs, out):
    """`Blocks.back`."""
    N, B, L, C = gradients.shape
    inner, whole, zero = np.empty(C, x.dtype), np.empty(C, x.dtype), x.dtype.type(0)
    for b in range(B):
        for k in range(len(lines)):
            positions, start, mean = at[k, 0], at[k, 1] * B, lines[k, MEAN]
            straight, constant, centred = backs[k, 0], backs[k, 1], backs[k, 2]
            for p in range(positions):
                whole[:] = 0
                for l in range(p * L // positions, (p + 1) * L // positions):
                    through = passed[k, b, l]
                    inner[:] = 0
                    for n in range(N):
                        gradient, weight = gradients[n, b, l], weights[n, k]
                        for c in range(C):
                            inner[c] += weight * gradient[c]
                    for c in range(C):
                        g = inner[c]
                        whole[c] += g if through[c] else zero
                r = start + b * positions + p
                row, target = x[r, first : first + C], out[r, first : first + C]
                for c in range(C):
                    target[c] = straight[c] * whole[c] + constant[c] + centred[c] * (row[c] - mean[c])
