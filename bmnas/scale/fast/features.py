"""The reshaped features and the part that they have in every Cell's mixture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import Array, array, back_of, line_of, moments, products_with_output
from bmnas.scale.fast.dropout import Masks
from bmnas.scale.fast.rectified import Blocks

if TYPE_CHECKING:
    from bmnas.space.reshape import Reshape


class Mixtures:
    """N mixtures (B, L, C) of K reshaped features.

    Args:
        layers: one a feature.
        features: (B, C_in, P), where P divides L: a position stands for L / P copies.
        weights: (N, K).
    """

    def __init__(
        self, layers: Sequence["Reshape"], features: Sequence[Tensor], weights: Sequence[Sequence[float]]
    ) -> None:
        self.layers, self.weights = layers, np.array(weights)
        self.rows = [rows_of(layer, x) for layer, x in zip(layers, features, strict=True)]  # (B P, C_in) each
        self.B = features[0].shape[0]
        pairs = zip(layers, self.rows, strict=True)
        self.positions = [layer.L if layer.learned else x.shape[0] // self.B for layer, x in pairs]
        self.sizes = [self.B * P for P in self.positions]

    def forward(self, masks: Masks) -> Tensor:
        """(N, B, L, C)."""
        L, C = self.layers[0].L, self.layers[0].C
        tokens, lines, each = self.rows[0].new_empty(sum(self.sizes), C), [], zip(self.layers, self.rows, strict=True)
        for (layer, x), part in zip(each, tokens.split(self.sizes), strict=True):
            reshape_into(part, layer, x)
            norm, n, bias = layer.norm, part.shape[0], None if layer.learned else layer.conv.bias
            lines.append(line_of(norm, moments(part.numpy(), norm.training), n, bias, self.B * L // n))
        self.tokens = tokens
        self.blocks = Blocks(np.stack(lines), [layer.dropout for layer in self.layers], self.positions)
        sums = tokens.new_empty(len(self.weights), self.B, L, C)
        self.blocks.into(tokens.numpy(), sums.numpy(), self.weights, masks)
        return sums

    def backward(self, gradients: Tensor, asked: Asked) -> Array:
        """The gradients (N, K) of the weights, from those of the mixtures (N, B, L, C); (N, 0) where nobody asks."""
        tokens, known = self.tokens.numpy(), gradients.numpy()
        if not asked.choices:
            self._parameters_back(known, self.blocks.sums_back(tokens, known, self.weights), asked)
            return np.empty((len(self.weights), 0))
        ones = np.ones((1, len(self.layers)))
        each = np.stack([self.blocks.sums_back(tokens, one[None], ones) for one in known])  # (N, K, 2, C)
        if asked.weights:
            self._parameters_back(known, np.einsum("nk,nkic->kic", self.weights, each), asked)
        biases = np.stack([array(layer.norm.bias) for layer in self.layers])  # (K, C)
        return products_with_output(biases, self.blocks.lines, each)

    def _parameters_back(self, gradients: Array, sums: Array, asked: Asked) -> None:
        """From the sums (K, 2, C) of the features' own gradients."""
        blocks = self.blocks
        known = zip(self.layers, blocks.lines, sums, self.sizes, strict=True)
        each = [back_of(layer.norm, line, its, n) for layer, line, its, n in known]
        tokens = asked.own(self.tokens)
        blocks.back(tokens.numpy(), gradients, self.weights, np.stack([back for _, back in each]))
        for layer, inner, x, (found, _) in zip(self.layers, tokens.split(self.sizes), self.rows, each, strict=True):
            if layer.learned:
                inner = inner.view(self.B, layer.L, layer.C).transpose(1, 2).reshape(self.B, -1)  # (B, C L)
                found[0] = inner.sum(0)
            asked.found[layer.conv.weight] = torch.mm(inner.t(), x).unsqueeze(2)  # (C, C_in, 1)
            asked.give([layer.conv.bias, layer.norm.weight, layer.norm.bias], found)


def rows_of(layer: "Reshape", x: Tensor) -> Tensor:
    """(B, C_in, P) -> (B P, C_in); BatchNorm needs more than one row."""
    if x.shape[0] * x.shape[2] == 1 and not layer.learned:
        x = x.expand(-1, -1, layer.L)
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def reshape_into(out: Tensor, layer: "Reshape", rows: Tensor) -> None:
    """The convolution of a feature (B P, C_in) into (B P, C), without a bias that BatchNorm takes away."""
    weight = layer.conv.weight.detach().squeeze(2)
    if layer.learned:  # a bias for each position: BatchNorm takes only their mean away
        assert layer.conv.bias is not None
        tokens = torch.addmm(layer.conv.bias, rows, weight.t()).view(-1, layer.C, layer.L)
        out.view(-1, layer.L, layer.C).copy_(tokens.transpose(1, 2))
    else:
        torch.mm(rows, weight.t(), out=out)
