"""Which gradients are asked for: a step of Algorithm 1 moves the weights or the architecture, never both."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bmnas.scale.fast.layers import parameters


@dataclass(frozen=True)
class Asked:
    """What a way back is for, and the gradients of parameters that it finds."""

    choices: bool  # alpha, beta, gamma
    weights: bool
    again: bool  # whether there may be another way back
    found: dict[Any, Tensor] = field(default_factory=dict)

    def give(self, its: Iterable[Any], gradients: Iterable[Tensor]) -> None:
        """The gradients of parameters."""
        self.found.update(zip(its, gradients, strict=True))

    def own(self, kept: Tensor) -> Tensor:
        """What a layer kept, to be written over: a copy where there may be another way back."""
        return kept.clone() if self.again else kept

    def leave(self, layer: Any) -> None:
        """Lets go of what a layer kept for its way back, so that the next one finds its memory in the cache."""
        if not self.again:
            vars(layer).clear()


def graph_is_kept() -> bool:
    """Whether autograd was told to keep the graph it is going back through; True where this torch does not tell."""
    told = getattr(getattr(torch._C, "_autograd", None), "_get_current_graph_task_keep_graph", None)
    return told is None or told()


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
