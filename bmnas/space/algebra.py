"""The hypernet's formula, with the work that its terms share done once.

What is (B, C, L) in hypernet.py is held as tokens (B, L, C) here: the channels of a position lie side by side in
memory. Products, BatchNorm and mixtures all run along them. On top of that

* both inputs of a Cell, and of a primitive, are one tensor, so the halves of a weight add up:
  [s; s] W = s (W_x + W_y), and the edges from x and from y are one edge;
* Zero is left out, and Identity and Sum are a factor of s;
* the weight of a primitive, and the scale of its dropout, multiply the slope and offset of its last norm instead of its
  output: gamma ReLU(u) = ReLU(gamma u) for gamma >= 0;
* positions of a feature that are copies of each other are computed once;
* the mixtures of all Cells over the features are one product (N, K) x (K, B L C).

Values, gradients, dropout masks and the statistics of BatchNorm are the formula's; only rounding differs. The backward
pass is autograd's, so `torch.compile`, CUDA graphs, autocast and `torch.func` work as with any network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import glu

from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES
from bmnas.space.hypernet import Hypernet, MixedCell, MixedStep
from bmnas.space.primitives import Attention, ConcatFC, LinearGLU, Sum, Zero
from bmnas.space.reshape import Reshape
from bmnas.space.tokens import (
    Term,
    batch_norm,
    cell_output,
    dropped_relu,
    layer_norm,
    logits,
    product,
    reshape,
    weighted_sum,
)


class Algebra(nn.Module):
    """A hypernet computed by shared work; parameters, modes and state are the hypernet's own.

    A hook on a layer within the hypernet is not called, as its layers are not.

    Raises:
        ConfigError: the relaxation is not "shared": with two slots the halves of a weight do not add up.
    """

    def __init__(self, hypernet: Hypernet) -> None:
        super().__init__()
        if hypernet.relaxation != "shared":
            raise ConfigError(
                f"relaxation is {hypernet.relaxation!r}, which has no algebra: only the plain formula computes it. "
                "Search one seed at a time, or set relaxation = 'shared'"
            )
        self.hypernet = hypernet

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of a batch, as `Hypernet.forward`."""
        net = self.hypernet
        cells = self.hypernet.named_cells().values()
        batch = net.filled(batch)
        K = len(net.features)
        features = torch.stack(
            [reshape(cast(Reshape, net.reshape[name]), batch[name]) for name in net.features]
        )  # (K, B, L, C)
        alphas = [cell.alpha.softmax(-1)[:, 1] for cell in cells]  # (K + n - 1,) of Cell n
        weights = torch.stack([alpha[:K] for alpha in alphas])  # (N, K)
        mixtures = (weights @ features.flatten(1)).unflatten(1, features.shape[1:])  # (N, B, L, C)
        outputs: list[Tensor] = []
        for cell, alpha, mixture in zip(cells, alphas, mixtures.unbind(), strict=True):
            earlier = list(zip(outputs, alpha[K:].unbind(), strict=True))
            outputs.append(mixed_cell(cell, weighted_sum([(mixture, None), *earlier])))  # (B, L, C)
        return logits(net.classifier, outputs)


def mixed_cell(cell: MixedCell, s: Tensor) -> Tensor:
    """Computes `MixedCell.fuse` of x = y = s, (B, L, C)."""
    states = [s, s]
    for step in cell.named_steps().values():
        states.append(mixed_step(step, states))
    return cell_output(cell.output, states)  # (B, L, C)


def mixed_step(step: MixedStep, states: Sequence[Tensor]) -> Tensor:
    """Computes `MixedStep.forward` of the states [x, y, Steps], of which the first two are one tensor (B, L, C)."""
    x_weight, y_weight, *weights = step.beta.softmax(-1)[:, 1].unbind()
    s = weighted_sum([(states[0], x_weight + y_weight), *zip(states[2:], weights, strict=True)])  # (B, L, C)
    gamma = step.gamma.softmax(-1)
    terms: list[Term] = []
    for (name, primitive), weight in zip(step.primitives.items(), gamma.unbind(), strict=True):
        if type(primitive) is Sum:
            terms.append((s, 2 * weight))
        elif type(primitive) in SHARED:
            terms.append(SHARED[type(primitive)](primitive, s, weight))
        elif type(primitive) is not Zero:
            inputs = [s.transpose(1, 2).contiguous()] * PRIMITIVES[name].arity
            terms.append((primitive(*inputs).transpose(1, 2), weight))
    return weighted_sum(terms or [(torch.zeros_like(s), gamma.sum())])  # (B, L, C)


def weighted_attention(attention: Attention, s: Tensor, weight: Tensor) -> Term:
    """Computes weight * Attention(s, s), (B, L, C). A positive scale of its input changes LayerNorm's epsilon alone."""
    mask = attention.dropout.mask(s.shape, s)
    scale = attention.dropout.scale
    scores = torch.bmm(s, s.transpose(1, 2)) / math.sqrt(s.shape[2])  # (B, L, L)
    attended = torch.bmm(scores.softmax(-1), s)  # (B, L, C)
    dropped = attended if mask is None else attended * mask
    return layer_norm(attention.norm, dropped, weight, attention.norm.eps / scale**2), None


def weighted_linear_glu(layer: LinearGLU, s: Tensor, weight: Tensor) -> Term:
    """Computes weight * LinearGLU(s, s), (B, L, C), and its mask."""
    C = s.shape[2]
    rows = product(layer.conv, s, shared_weight(layer.conv.weight, C))  # (B L, 2C)
    factors = torch.cat([(weight * layer.dropout.scale).expand(C), s.new_ones(C)])  # of the first half alone
    return glu(batch_norm(layer.norm, rows, factors)).view(s.shape), layer.dropout.mask(s.shape, s)


def weighted_concat_fc(layer: ConcatFC, s: Tensor, weight: Tensor) -> Term:
    """Computes weight * ConcatFC(s, s), (B, L, C)."""
    rows = product(layer.conv, s, shared_weight(layer.conv.weight, s.shape[2]))  # (B L, C)
    normed = batch_norm(layer.norm, rows, weight * layer.dropout.scale)
    return dropped_relu(normed, layer.dropout.mask(s.shape, s)).view(s.shape), None


def shared_weight(weight: Tensor, C: int) -> Tensor:
    """Returns (O, C) that stands for a convolution's weight (O, 1 or 2 times C, 1) where its inputs are one tensor."""
    first, *others = weight.view(weight.shape[0], -1, C).unbind(1)
    return sum(others, first)


SHARED: dict[type, Callable[..., Term]] = {
    Attention: weighted_attention,
    LinearGLU: weighted_linear_glu,
    ConcatFC: weighted_concat_fc,
}
"""Exactly these classes: one that inherits from them computes what it likes."""
