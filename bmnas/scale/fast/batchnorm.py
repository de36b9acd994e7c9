"""BatchNorm as a line for each channel, slope * x + offset, forwards and backwards.

A line is (4, C): slope, offset, mean, 1 / deviation. Sums run over blocks of rows in the numbers' own precision, and
over the blocks in float64.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bmnas.scale.fast.kernels import SLOPE, add_moments, fit, turn

Array = NDArray[Any]


def array(x: Any) -> Array:
    """The numbers of a tensor, as numpy sees them."""
    return x.detach().numpy() if x.requires_grad else x.numpy()


def moments(x: Array, training: bool) -> Array:
    """(T, C) -> float64 (2, C): mean, and sum of squared distances from it; 0 where no norm is in train mode."""
    found = np.zeros((2, x.shape[1]))
    if training:
        add_moments(x, found)
    return found


def line_of(
    norm: nn.BatchNorm1d, found: Array, n: int, bias: Tensor | None = None, copies: int = 1, factor: float = 1.0
) -> Array:
    """The line (4, C) of factor * x + bias, and in train mode the step of the running statistics.

    Copies change neither mean nor variance, only the factor n / (n - 1) in the running variance. In train mode the bias
    changes nothing but the running mean. The mean in the line is that of x, the deviation that of x over the factor.

    Args:
        found: `moments` of the n rows of x; not looked at in eval mode.
        copies: how often each row is there.
        factor: not 0.

    Raises:
        ValueError: there is a single row to normalise in train mode, as torch says it.
    """
    C, training = norm.num_features, norm.training
    if training and n == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {(n, C)}")
    known = norm.num_batches_tracked, norm.running_mean, norm.running_var, norm.weight, norm.bias
    batches, mean, variance, weight, own_bias = map(array, known)
    line = np.empty((4, C), mean.dtype)
    shift = np.zeros(C, line.dtype) if bias is None else array(bias)
    given = (found, n if training else 0, copies, factor, norm.momentum, norm.eps, shift)
    fit(*given, batches, mean, variance, weight, own_bias, line)
    return line


def back_of(
    norm: nn.BatchNorm1d, line: Array, sums: Array, n: int, weight: float = 1.0, factor: float = 1.0
) -> tuple[list[Tensor], Array]:
    """The way back through BatchNorm of factor * x + bias, from sums over the n rows.

    Args:
        sums: (2, C), of g and of g * (x - mean), where weight * g is the gradient of the output.

    Returns:
        the gradients (C,) of the bias and of BatchNorm's weight and bias, and (3, C) for the gradient of x,
        back_0 * g + back_1 + back_2 * (x - mean).
    """
    C = line.shape[1]
    parameters, back = np.empty((3, C), line.dtype), np.empty((3, C), line.dtype)
    turn(line, sums, n if norm.training else 0, weight, factor, parameters, back)
    return [*map(torch.from_numpy, parameters)], back


def products_with_output(biases: Array, lines: Array, sums: Array) -> Array:
    """The scalar products of g with the output, (...,), from the sums (..., 2, C) of `back_of`, lines (..., 4, C) and
    BatchNorm's biases (..., C)."""
    return (sums[..., 1, :] * lines[..., SLOPE, :] + sums[..., 0, :] * biases).sum(-1)
