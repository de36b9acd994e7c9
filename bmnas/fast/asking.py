"""Which gradients are asked for: a step of Algorithm 1 moves the weights or the architecture, never both."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from bmnas.fast.layers import parameters


@dataclass(frozen=True)
class Asked:
    """What a way back is for, and the gradients of parameters that it finds."""

    choices: bool  # alpha, beta, gamma
    weights: bool
    again: bool  # whether there may be another way back
    found: dict[nn.Parameter, Tensor] = field(default_factory=dict)

    def give(self, parameters: Iterable[nn.Parameter], gradients: Iterable[Tensor]) -> None:
        self.found.update(zip(parameters, gradients, strict=True))

    def leave(self, layer: Any) -> None:
        """Lets go of what a layer kept for its way back, so that the next one finds its memory in the cache."""
        if not self.again:
            vars(layer).clear()


@contextmanager
def only(network: nn.Module, asked: Iterable[nn.Parameter]) -> Iterator[None]:
    """Inside, these parameters of the network alone ask for a gradient, so that no other is computed."""
    wanted = {id(p) for p in asked}
    silent = [p for p in parameters(network) if p.requires_grad and id(p) not in wanted]
    try:
        for parameter in silent:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in silent:
            parameter.requires_grad_(True)
