"""Dropout masks of 16 random bits an element."""

import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 2**16  # what a dropout probability is rounded to a multiple of: 1 / LEVELS


def dropped(layer: nn.Dropout) -> int:
    """The probability of the layer as a number of LEVELS; 0 where it does nothing."""
    return round(layer.p * LEVELS) if layer.training else 0


def scale(layer: nn.Dropout) -> float:
    """What dropout multiplies with what it keeps."""
    return LEVELS / (LEVELS - dropped(layer))


class Masks:
    """The masks of one forward pass, all from one number of torch's generator."""

    @cached_property
    def source(self) -> np.random.SFC64:
        """Half the time of torch's own generator for the same number of bits."""
        return np.random.SFC64(int(torch.randint(2**63 - 1, ())))

    def draw(self, layer: nn.Dropout, shape: Sequence[int], dtype: torch.dtype) -> Tensor | None:
        """1 where an element is kept, and 0 with the probability of the layer; None where the layer does nothing.

        Four elements share a draw of 64 bits.
        """
        if not dropped(layer):
            return None
        size = math.prod(shape)
        bits = torch.from_numpy(self.source.random_raw(-(-size // 4)).view(np.int16))[:size]
        mask = torch.empty(size, dtype=dtype)
        torch.ge(bits, dropped(layer) - LEVELS // 2, out=mask)  # numbers at once: a mask of bool is slow to convert
        return mask.view(shape)

    def drop_(self, layer: nn.Dropout, x: Tensor) -> Tensor | None:
        """Sets elements of x to 0, and returns the mask; what is kept still wants `scale`."""
        mask = self.draw(layer, x.shape, x.dtype)
        if mask is not None:
            x.mul_(mask)
        return mask
