"""A trial of primitives of one's own before they are used: what is wrong with one is reported by its name."""

from collections.abc import Iterable

import torch

from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES
from bmnas.space.primitives import own_primitives

ROWS = 3  # of the trial


def check_primitives(names: Iterable[str], C: int, L: int, dropout: float, mode: str) -> None:
    """Makes sure that those primitives that are not bmnas's map tensors (B, C, L) to one of the same shape and type.

    Torch's random numbers are left as they are. On the meta device, where shapes alone are computed, nothing is tried.

    Raises:
        ConfigError: a primitive lacks `arity`, cannot be built or called, or returns something else; or one
            without weights says that it is symmetric, and is not. Names it.
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
            primitive = kind(C, L, dropout, mode).eval()
            output = primitive(*inputs)
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
    if output.dtype != inputs.dtype or output.device != inputs.device:
        raise ConfigError(
            f"the primitive {name!r} returns {output.dtype} on {output.device} for inputs of {inputs.dtype} on "
            f"{inputs.device}; expected the same"
        )
    if getattr(kind, "symmetric", False) and not any(True for _ in primitive.parameters()):
        with torch.random.fork_rng(), torch.no_grad():
            one, other = (_seeded(primitive, rows) for rows in (original, original.flip(0)))
        if not torch.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True):
            raise ConfigError(
                f"the primitive {name!r} says symmetric = True, but gives something else for its inputs in another "
                "order; networks that differ would pass for one. Set symmetric = False"
            )


def _seeded(primitive: torch.nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    return primitive(*inputs.clone())
