"""LayerNorm([N C, L]) of tensors (N, B, L, C), with the dropout before and the ReLU behind it, forwards and backwards.

Sums run along a row of channels in the numbers' own precision, and over the rows in float64.
"""

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import Array, array
from bmnas.scale.fast.dropout import Masks, level
from bmnas.scale.fast.kernels import ALL, layer_normalise, layer_normalise_back


class Normalised:
    """Writes LayerNorm(dropout(x)) into the total, behind a ReLU or not; or adds `factor` times that to it.

    x and the total are (N, B, L, C): a sample has N parts, one after the other among the channels of the norm. x itself
    loses what is dropped; what is kept still wants `dropout.scale`.
    """

    def __init__(
        self,
        norm: nn.LayerNorm,
        x: Array,
        total: Array,
        masks: Masks | None = None,
        dropout: nn.Dropout | None = None,
        factor: float | None = None,
        relu: bool = False,
    ) -> None:
        lowest = level(dropout) if dropout is not None else ALL
        dropping = masks is not None and lowest > ALL
        stream = masks.stream(x.shape) if masks is not None and dropping else (np.uint64(0), np.uint64(0))
        add, self.factor = factor is not None, 1.0 if factor is None else factor
        self.norm, self.relu = norm, relu
        self.passed = np.empty(x.shape if dropping else (0, 0, 0, 0), np.bool_)
        self.weight, self.bias = turned(norm.weight, x.shape[0]), turned(norm.bias, x.shape[0])
        self.found = np.empty((x.shape[1], 2), self.weight.dtype)  # mean, 1 / deviation
        arrays = (x, self.passed, self.found, total)
        layer_normalise(self.weight, self.bias, norm.eps, lowest, stream, add, self.factor, relu, *arrays)

    def backward(self, gradient: Array, x: Array, asked: Asked) -> float:
        """Writes the gradient of x before dropout (without its scale) over x, from that of the total.

        Returns:
            that of the factor.
        """
        parameters = np.empty((2, *self.norm.weight.shape) if asked.weights else (2, 0, 0), self.weight.dtype)
        arrays = (gradient, self.passed, self.found, x, parameters)
        scalar = layer_normalise_back(self.weight, self.bias, self.factor, self.relu, *arrays)
        if asked.weights:
            asked.give([self.norm.weight, self.norm.bias], map(torch.from_numpy, parameters))
        return scalar


def turned(x: Tensor, N: int) -> Array:
    """(N C, L) -> (N, L, C)."""
    return np.ascontiguousarray(array(x).reshape(N, -1, x.shape[1]).swapaxes(1, 2))
