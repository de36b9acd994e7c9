"""Dropout masks of 16 random bits an element, drawn row by row where they are used.

The bits are those of SplitMix64 (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014): word i
of a stream is a function of its seed and of i, so that rows are drawn by operations on vectors, and no mask of numbers
lies in memory.
"""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import nn

from bmnas.scale.fast.kernels import ALL

LEVELS = 2**16  # what a dropout probability is rounded to a multiple of: 1 / LEVELS
Stream = tuple[np.uint64, np.uint64]  # seed, and the first word that nobody has taken


def dropped(layer: nn.Dropout) -> int:
    """The probability of the layer as a number of LEVELS; 0 where it does nothing."""
    return round(layer.p * LEVELS) if layer.training else 0


def scale(layer: nn.Dropout) -> float:
    """What dropout multiplies with what it keeps; 0 where it keeps nothing."""
    kept = LEVELS - dropped(layer)
    return LEVELS / kept if kept else 0.0


def level(layer: nn.Dropout) -> int:
    """The smallest number of 16 bits, with a sign, that keeps an element."""
    return min(dropped(layer) + ALL, -ALL - 1)


class Masks:
    """The masks of one forward pass, all from one number of torch's generator."""

    def __init__(self) -> None:
        self.taken = 0

    @cached_property
    def seed(self) -> np.uint64:
        return np.uint64(int(torch.randint(2**63 - 1, ())))

    def stream(self, shape: Sequence[int]) -> Stream:
        """Words for a mask of this shape; each row of the last dimension begins with a new one."""
        begin = self.taken
        self.taken += math.prod(shape[:-1]) * -(-shape[-1] // 4)
        return self.seed, np.uint64(begin)
