"""A trial of primitives of one's own before they are used: what is wrong with one is reported by its name."""

from collections.abc import Iterable

import torch

from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES
from bmnas.space.primitives import own_primitives

ROWS = 3  # of the trial


def check_primitives(names: Iterable[str], C: int, L: int, dropout: float, mode: str) -> None:
    """Makes sure that those primitives that are not bmnas's map tensors (B, C, L) to one of the same shape.

    Torch's random numbers are left as they are. On the meta device, where shapes alone are computed, nothing is tried.

    Raises:
        ConfigError: a primitive lacks `arity`, cannot be built or called, or returns something else; names it.
    """
    if torch.get_default_device().type == "meta":
        return
    for name in own_primitives(names):
        _try_out(name, C, L, dropout, mode)


def _try_out(name: str, C: int, L: int, dropout: float, mode: str) -> None:
    kind = PRIMITIVES[name]
    shape = (ROWS, C, L)
    arity = getattr(kind, "arity", None)
    if type(arity) is not int or arity < 1:
        raise ConfigError(f"the primitive {name!r} has arity {arity!r}; expected how many inputs it takes, 1 or more")
    try:
        with torch.random.fork_rng(), torch.no_grad():
            inputs = torch.randn(arity, *shape)
            original = inputs.clone()
            output = kind(C, L, dropout, mode).eval()(*inputs)
    except Exception as error:  # anything that somebody else's code may raise
        raise ConfigError(
            f"the primitive {name!r} fails on {arity} inputs of the shape (B, C, L) = {shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not torch.equal(inputs, original):
        raise ConfigError(f"the primitive {name!r} changes its inputs, which others share; expected a new tensor")
    if not isinstance(output, torch.Tensor) or output.shape != shape:
        what = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise ConfigError(
            f"the primitive {name!r} returns {what} for {arity} inputs of the shape (B, C, L) = {shape}; expected one "
            "tensor of that shape"
        )
