"""Which parameters of a network have gradients: a step asks for those of some, and pays for no others."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def held_still(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Has what is computed inside leave out the gradients of these parameters, and keep nothing for them.

    To name the others in `torch.autograd.grad` is not enough: the backward pass of a norm computes those of its slope
    and offset all the same, and the forward pass keeps what they would need.
    """
    held = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def others_than(parameters: Iterable[nn.Parameter], everything: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """Returns those of all parameters that are none of these."""
    named = {id(parameter) for parameter in parameters}
    return [parameter for parameter in everything if id(parameter) not in named]
