"""A mixed Cell: its Steps one after the other, and its output."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.dropout import Masks
from bmnas.scale.fast.output import output_of
from bmnas.scale.fast.step import Step

if TYPE_CHECKING:
    from bmnas.space.hypernet import MixedCell


class Cell:
    """`MixedCell` of s (B, L, C).

    Args:
        choices: (beta, gamma) of each Step.
        open_choices: whether the way back will be asked for their gradients.
    """

    def __init__(
        self, cell: "MixedCell", choices: Sequence[tuple[list[float], list[float]]], open_choices: bool
    ) -> None:
        pairs = zip(cell.named_steps().values(), choices, strict=True)
        self.steps = [Step(step, beta, gamma, open_choices) for step, (beta, gamma) in pairs]
        self.output = output_of(cell.output)

    def forward(self, s: Tensor, masks: Masks, inner: Tensor, out: Tensor) -> None:
        """Writes the output to `out`, and what the way back wants to `inner`."""
        self.outputs = s.new_empty(len(self.steps), *s.shape)  # of its Steps
        for i, step in enumerate(self.steps):
            step.forward(s, self.outputs[:i], masks, self.outputs[i])
        self.output.forward(s, self.outputs, masks, inner, out)

    def backward(self, gradient: Tensor, inner: Tensor, asked: Asked) -> list[list[float] | None]:
        """Writes the gradient of s over `inner`.

        Returns:
            those of beta and gamma, Step by Step; None for a beta that nothing depends on.
        """
        each, found = torch.empty_like(self.outputs), []
        self.output.backward(gradient, inner, each, asked)
        asked.leave(self.output)
        for i, step in reversed(list(enumerate(self.steps))):
            found = [*step.backward(each[i], inner, each[:i], asked), *found]
            asked.leave(step)
        return found
