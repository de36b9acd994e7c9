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

from bmnas.fast.kernel import kernel

LEVELS = 2**16  # what a dropout probability is rounded to a multiple of: 1 / LEVELS
ALL = -(2**15)  # the level that keeps all
Stream = tuple[np.uint64, np.uint64]  # seed, and the first word that nobody has taken


def dropped(layer: nn.Dropout) -> int:
    """The probability of the layer as a number of LEVELS; 0 where it does nothing."""
    return round(layer.p * LEVELS) if layer.training else 0


def scale(layer: nn.Dropout) -> float:
    """What dropout multiplies with what it keeps; 0 where it keeps nothing."""
    kept = LEVELS - dropped(layer)
    return LEVELS / kept if kept else 0.0


def level(layer: nn.Dropout) -> np.int16:
    """The smallest number of 16 bits, with a sign, that keeps an element."""
    return np.int16(min(dropped(layer) + ALL, -ALL - 1))


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


@kernel
def memory(rows, size):
    """Memory for `draw`: int16, `rows` rows of at least `size` numbers."""
    return np.empty((rows, -(-size // 4) * 4), np.int16)


@kernel
def draw(stream, row, bits):
    """Fills `memory` with the numbers of some rows of a mask, four of each word; the first is `row`."""
    words = bits.view(np.uint64).reshape(-1)
    begin = stream[1] + np.uint64(row * (bits.shape[1] // 4) + 1)
    for i in range(words.size):
        word = stream[0] + (begin + np.uint64(i)) * np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        words[i] = word ^ (word >> np.uint64(31))
