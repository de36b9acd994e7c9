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

    def draw(self, layer: nn.Dropout, shape: Sequence[int]) -> Tensor | None:
        """True where an element is kept, and False with the probability of the layer; None where it does nothing.

        Four elements share a draw of 64 bits.
        """
        if not dropped(layer):
            return None
        size = math.prod(shape)
        bits = self.source.random_raw(-(-size // 4)).view(np.int16)[:size]
        return torch.from_numpy(bits >= dropped(layer) - LEVELS // 2).view(shape)

    def drop_(self, layer: nn.Dropout, x: Tensor) -> Tensor | None:
        """Sets elements of x to 0, and returns the mask; what is kept still wants `scale`."""
        mask = self.draw(layer, x.shape)
        if mask is not None:
            masked(x, mask, out=x)
        return mask


def masked(x: Tensor, mask: Tensor, out: Tensor | None = None) -> Tensor:
    """x, or 0 where the mask is False.

    By numpy, which multiplies numbers with bytes ten times as fast as torch, and without a pass to convert them.
    """
    out = torch.empty_like(x) if out is None else out
    np.multiply(x.numpy(), mask.numpy(), out=out.numpy())
    return out
