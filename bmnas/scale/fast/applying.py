"""When the shortcuts may be taken."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bmnas.scale.fast.layers import layers

if TYPE_CHECKING:
    from bmnas.space.hypernet import Hypernet


def applies(net: "Hypernet", batch: Mapping[str, Tensor]) -> bool:
    """Whether the shortcuts stand for the layers: on the CPU, in single or double precision, features as they are
    stored that ask for no gradient, nobody listens to a layer by a hook, and every BatchNorm keeps running statistics
    by a fixed momentum.
    """
    known = all(map(plain, (batch[name] for name in net.features)))
    return known and all(map(untouched, layers(net)[1:]))  # without the network itself


def plain(feature: Tensor) -> bool:
    """Whether a feature is one that the shortcuts read."""
    known = feature.device.type == "cpu" and feature.dtype in (torch.float32, torch.float64)
    return known and feature.ndim == 3 and not feature.requires_grad


def untouched(part: nn.Module) -> bool:
    """Whether a layer computes its formula, unheard."""
    if part._forward_hooks or part._forward_pre_hooks:
        return False
    return not isinstance(part, nn.BatchNorm1d) or (part.running_mean is not None and part.momentum is not None)
