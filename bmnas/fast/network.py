"""The whole forward pass."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from bmnas.fast.classifier import classified
from bmnas.fast.dropout import Masks
from bmnas.fast.features import feature_mixtures
from bmnas.fast.mixture import mix
from bmnas.fast.output import cell_output
from bmnas.fast.step import mixed_step

if TYPE_CHECKING:
    from bmnas.hypernet import Hypernet
    from bmnas.reshape import Reshape


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
