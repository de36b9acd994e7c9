"""Taps on a frozen backbone: its intermediate outputs, pooled at once to (C_in, L) (section 3.1, appendix B.1).

Features of different layers differ in extent; all are brought to one length L by a single adaptive max pool, as the
authors' release does. The rest of the reshape layer (1x1 convolution to C channels) is learnt, see
`bmnas.space.reshape`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_max_pool1d, adaptive_max_pool2d

from bmnas.errors import BmnasError, ConfigError, FeatureError
from bmnas.registry import unknown


@dataclass(frozen=True)
class Tap:
    """Where a feature is taken, and what becomes its length.

    Attributes:
        module: path of the module in the backbone, as in `named_modules()`, for example "blocks.2".
        axis: the dimension of the module's output that becomes L (2 is the first behind the channels); all others are
            pooled away. "auto" is 2; "grid" makes a sqrt(L) x sqrt(L) grid of an image.
        channel: the dimension that holds the channels; -1 for transformers, whose outputs are (B, T, C). It is moved
            to place 1 before `axis` counts.
    """

    module: str
    axis: str | int = "auto"
    channel: int = 1


def as_taps(taps: Mapping[str, str | Tap]) -> dict[str, Tap]:
    """Returns feature -> tap, where the path of the module alone may be given."""
    return {name: Tap(tap) if isinstance(tap, str) else tap for name, tap in taps.items()}


def pool(x: Tensor, L: int, axis: str | int = "auto") -> Tensor:
    """Pools (B, C_in, d1, d2, ...) by one adaptive max pool to (B, C_in, L), or (B, C_in, 1) without extent.

    An integer axis k keeps dimension k: it becomes L, everything else 1, in one max pool (release: AdaptiveMaxPool2d of
    (L, 1) on (d1, d2 * ...), "auto", k = 2). Where the axis is shorter than L, its windows overlap. "grid" pools
    (B, C_in, H, W) to sqrt(L) x sqrt(L), flattened row by row. A 2-D output, and one whose kept extent is 1, is a
    vector; the fusion network copies it to L positions.

    Raises:
        ConfigError: L is below 1, or not a square for "grid"; there is no such axis; x holds no floating-point numbers.
    """
    if L < 1:
        raise ConfigError(f"L is {L}; expected a length of at least 1")
    if not x.is_floating_point() or 0 in x.shape[1:]:
        raise ConfigError(f"x is {x.dtype} {tuple(x.shape)}; expected floating-point numbers (x.float()), and some")
    if axis == "grid":
        return _pool_grid(x, L)
    k = 2 if axis == "auto" else axis
    if x.ndim == 2:
        return x.unsqueeze(2)  # (B, C_in, 1)
    if not isinstance(k, int) or not 2 <= k < x.ndim:
        raise ConfigError(f"axis is {axis!r}; an output of shape {tuple(x.shape)} has the axes 2 to {x.ndim - 1}")
    line = x.movedim(k, 2)  # (B, C_in, d_k, ...)
    line = line.unsqueeze(3).flatten(3).amax(3)  # (B, C_in, d_k)
    return line if line.shape[2] == 1 else adaptive_max_pool1d(line, L)  # (B, C_in, 1) or (B, C_in, L)


def _pool_grid(x: Tensor, L: int) -> Tensor:
    side = isqrt(L)
    if side * side != L:
        raise ConfigError(f"L is {L}; a grid of sqrt(L) x sqrt(L) needs a square number: 1, 4, 9, 16, ...")
    if x.ndim == 2 or tuple(x.shape[2:]) == (1, 1):
        return x.flatten(1).unsqueeze(2)  # (B, C_in, 1)
    if x.ndim != 4:
        raise ConfigError(f"axis is 'grid'; it takes an image (B, C, H, W), not an output of shape {tuple(x.shape)}")
    return adaptive_max_pool2d(x, (side, side)).flatten(2)  # (B, C_in, L)


@contextmanager
def frozen(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Puts the model into eval mode on a device; afterwards every module's mode, and the device, are as before."""
    modes = [(module, module.training) for module in model.modules()]
    home = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), device)
    model.eval().to(device)
    try:
        yield
    finally:
        model.to(home)
        for module, training in modes:
            module.training = training


@contextmanager
def hooked(
    model: nn.Module, taps: Mapping[str, Tap], L: int, to: str | None = "cpu"
) -> Iterator[dict[str, list[Tensor]]]:
    """Collects pooled outputs while the context lasts: feature -> those since the list was last cleared.

    Pooling happens inside the hook: the map is not stored, and a later layer that works in place cannot change it.

    Args:
        to: the device that pooled outputs are moved to; None leaves them where they are.
    """
    modules = dict(model.named_modules())
    for tap in taps.values():
        if tap.module not in modules:
            raise unknown("module path", tap.module, [path for path in modules if path])
    seen: dict[str, list[Tensor]] = {name: [] for name in taps}
    handles = [
        modules[tap.module].register_forward_hook(_pooling_hook(name, tap, L, to, seen[name]))
        for name, tap in taps.items()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def pop_outputs(taps: Mapping[str, Tap], seen: Mapping[str, list[Tensor]]) -> dict[str, Tensor]:
    """Returns feature -> its pooled output in the last forward pass, (B, C_in, L or 1); clears what `hooked` collected.

    Raises:
        FeatureError: a module did not run exactly once.
    """
    outputs = {}
    for name, pooled in seen.items():
        if len(pooled) != 1:
            raise FeatureError(
                f"feature {name!r}: the module {taps[name].module!r} ran {len(pooled)} times in one forward pass; "
                "tap a module that runs exactly once"
            )
        outputs[name] = pooled.pop()
    return outputs


def _pooling_hook(
    name: str, tap: Tap, L: int, to: str | None, pooled: list[Tensor]
) -> Callable[[nn.Module, Any, Any], None]:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        x = first_tensor(f"feature {name!r}: the module {tap.module!r}", output).movedim(tap.channel, 1)
        out = pool(x.float(), L, tap.axis)  # (B, C_in, L or 1)
        pooled.append(out if to is None else out.to(to))

    return hook


def first_tensor(what: str, output: Any, error: type[BmnasError] = FeatureError) -> Tensor:
    """Returns a module's output, or the first of several; an error of this class names `what` gave none."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor):
        raise error(f"{what} returned {type(output).__name__}; expected a tensor, or a tuple that starts with one")
    return first
