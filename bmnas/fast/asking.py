"""Which parameters ask for a gradient: a step of Algorithm 1 moves the weights or the architecture, never both."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def only(network: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Inside, these parameters of the network alone ask for a gradient, so that no other is computed."""
    wanted = {id(p) for p in parameters}
    silent = [p for p in network.parameters() if p.requires_grad and id(p) not in wanted]
    try:
        for parameter in silent:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in silent:
            parameter.requires_grad_(True)
