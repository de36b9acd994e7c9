"""The reshaped features and the part that they have in every Cell's mixture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from bmnas.fast.batchnorm import array, back_of, line_of, moments, products_with_output
from bmnas.fast.dropout import Masks
from bmnas.fast.products import product, product_into
from bmnas.fast.rectified import Blocks

if TYPE_CHECKING:
    from bmnas.reshape import Reshape


def feature_mixtures(
    layers: Sequence["Reshape"], features: Sequence[Tensor], weights: Tensor, masks: Masks
) -> Sequence[Tensor]:
    """N mixtures (B, L, C) of K reshaped features.

    Args:
        layers: one a feature.
        features: (B, C_in, P), where P divides L: a position stands for L / P copies.
        weights: (N, K).
    """
    parameters = [p for x in layers for p in (x.conv.weight, x.conv.bias, x.norm.weight, x.norm.bias)]
    return cast(Tensor, FeatureMixtures.apply(layers, features, masks, weights, *parameters)).unbind()


class FeatureMixtures(torch.autograd.Function):
    """`feature_mixtures` as one tensor (N, B, L, C)."""

    @staticmethod
    def forward(
        ctx: Any,
        layers: Sequence["Reshape"],
        features: Sequence[Tensor],
        masks: Masks,
        weights: Tensor,
        *parameters: Tensor,
    ) -> Tensor:
        layer, B = layers[0], len(features[0])
        rows = [rows_of(layer, x) for layer, x in zip(layers, features, strict=True)]  # (B P, C_in) each
        positions = [layer.L if layer.learned else len(x) // B for layer, x in zip(layers, rows, strict=True)]
        tokens = rows[0].new_empty(B * sum(positions), layer.C)
        lines = []
        for layer, x, P, part in zip(layers, rows, positions, tokens.split([B * P for P in positions]), strict=True):
            reshape_into(part, layer, x)
            bias = None if layer.learned else layer.conv.bias
            lines.append(line_of(layer.norm, moments(part, [layer.norm]), B * P, bias, layer.L // P))
        blocks = Blocks(tokens, np.stack(lines), [layer.dropout for layer in layers], positions)
        sums = tokens.new_empty(len(weights), B, layer.L, layer.C)
        passed = blocks.into(sums, array(weights), masks)
        ctx.layers, ctx.blocks = layers, blocks
        ctx.save_for_backward(weights, passed, *rows, *parameters)
        return sums

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradients: Tensor) -> tuple[Tensor | None, ...]:
        weights, passed, *rows = ctx.saved_tensors[: 2 + len(ctx.layers)]
        gradients, blocks, values = gradients.contiguous(), ctx.blocks, weights.numpy()
        sums = blocks.sums_back(gradients, passed)  # (N, K, 2, C)
        scalars = None
        if ctx.needs_input_grad[3]:
            biases = np.stack([array(layer.norm.bias) for layer in ctx.layers])  # (K, C)
            scalars = torch.from_numpy(products_with_output(biases, blocks.lines, sums)).to(weights.dtype)  # (N, K)
        found: list[Tensor | None] = [None] * len(ctx.needs_input_grad[4:])
        if any(ctx.needs_input_grad[4:]):
            total = np.einsum("nk,nkic->kic", values, sums)
            found = parameters_back(ctx.layers, blocks, rows, gradients, values, passed, total)
        return None, None, None, scalars, *found


def parameters_back(
    layers: Sequence["Reshape"],
    blocks: Blocks,
    rows: Sequence[Tensor],
    gradients: Tensor,
    weights: np.ndarray,
    passed: Tensor,
    sums: np.ndarray,
) -> list[Tensor | None]:
    """Gradients of the parameters, from those of the mixtures."""
    B = gradients.shape[1]
    sizes = [B * P for P in blocks.positions]
    each = [back_of(layer.norm, blocks.lines[k], sums[k], sizes[k]) for k, layer in enumerate(layers)]
    tokens = gradients.new_empty(blocks.rows.shape)
    blocks.back(gradients, weights, passed, np.stack([back for _, back in each]), tokens)
    found: list[Tensor | None] = []
    for layer, inner, x, (others, _) in zip(layers, tokens.split(sizes), rows, each, strict=True):
        if layer.learned:
            inner = inner.view(B, layer.L, layer.C).transpose(1, 2).reshape(B, -1)  # (B, C L)
            others[0] = inner.sum(0)
        found += [product(inner.t(), x.t()).unsqueeze(2), *others]  # (C, C_in, 1)
    return found


def rows_of(layer: "Reshape", x: Tensor) -> Tensor:
    """(B, C_in, P) -> (B P, C_in); BatchNorm needs more than one row."""
    if x.shape[0] * x.shape[2] == 1 and not layer.learned:
        x = x.expand(-1, -1, layer.L)
    return x.transpose(1, 2).reshape(-1, x.shape[1])


def reshape_into(out: Tensor, layer: "Reshape", rows: Tensor) -> None:
    """The convolution of a feature (B P, C_in) into (B P, C), without a bias that BatchNorm takes away."""
    weight = layer.conv.weight.detach().squeeze(2)
    if layer.learned:  # a bias for each position: BatchNorm takes only their mean away
        tokens = product(rows, weight, layer.conv.bias).view(-1, layer.C, layer.L)
        out.view(-1, layer.L, layer.C).copy_(tokens.transpose(1, 2))
    else:
        product_into(out, rows, weight)
