"""LayerNorm([C, L]) of tensors (B, L, C), with the dropout before it and the ReLU behind it, forwards and backwards.

Sums run along L in the numbers' own precision, and along C in float64.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.fast.batchnorm import Array, array
from bmnas.fast.dropout import Masks, level
from bmnas.fast.kernels import ALL, layer_normalise, layer_normalise_back


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
