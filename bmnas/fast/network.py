"""The whole forward pass, and when it may be taken."""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from bmnas.fast.classifier import classified
from bmnas.fast.dropout import Masks
from bmnas.fast.features import feature_mixtures
from bmnas.fast.mixture import mix
from bmnas.fast.output import cell_output
from bmnas.fast.step import mixed_step

if TYPE_CHECKING:
    from bmnas.hypernet import Hypernet
    from bmnas.reshape import Reshape


def applies(net: "Hypernet", batch: Mapping[str, Tensor]) -> bool:
    """Whether the shortcuts stand for the layers: on the CPU, features as they are stored that ask for no gradient,
    nobody listens to a layer by a hook, and every BatchNorm keeps running statistics by a fixed momentum.
    """
    given = [batch[name] for name in net.features]
    plain = all(x.ndim == 3 and x.device.type == "cpu" and not x.requires_grad for x in given)
    return plain and all(map(untouched, islice(net.modules(), 1, None)))  # without the network itself


def untouched(part: nn.Module) -> bool:
    """Whether a layer computes its formula, unheard."""
    if part._forward_hooks or part._forward_pre_hooks:
        return False
    return not isinstance(part, nn.BatchNorm1d) or (part.running_mean is not None and part.momentum is not None)


def forward(net: "Hypernet", batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, classes): `Hypernet.forward`."""
    layers = [cast("Reshape", net.reshape[name]) for name in net.features]
    masks = Masks()
    K, cells = len(layers), list(net.named_cells().values())
    alphas = [cell.alpha.softmax(-1)[:, 1] for cell in cells]  # (K + n - 1,) for Cell n
    parts = feature_mixtures(
        layers, [batch[name] for name in net.features], torch.stack([a[:K] for a in alphas]), masks
    )
    outputs: list[Tensor] = []
    for cell, alpha, part in zip(cells, alphas, parts, strict=True):
        s = part + mix(alpha[K:], outputs) if outputs else part  # (B, L, C)
        states = [s, s]
        for step in cell.named_steps().values():
            states.append(mixed_step(step, states, masks))
        outputs.append(cell_output(cell.output, states, masks))
    return classified(net.classifier, outputs)  # (B, classes)
