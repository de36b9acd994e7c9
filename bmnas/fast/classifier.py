"""The classifier, fed with the channels last."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmnas.fast.asking import Asked
from bmnas.fast.layernorm import Normalised
from bmnas.fast.products import product

if TYPE_CHECKING:
    from bmnas.parts import Classifier


class Classified:
    """`Classifier` of N outputs (B, L, C). The weight is turned to the order of the channels: it is smaller than what
    it meets."""

    def __init__(self, classifier: "Classifier") -> None:
        self.classifier = classifier

    def forward(self, cells: Sequence[Tensor]) -> Tensor:
        linear, joined = self.classifier.linear, torch.cat(list(cells), 2)  # (B, L, NC)
        self.C, fused = cells[0].shape[2], torch.empty_like(joined)
        self.normal = Normalised(self.classifier.norm, joined, fused, relu=True)
        self.fused = fused.flatten(1)  # (B, L NC)
        plain = linear.weight.detach().view(linear.out_features, -1, joined.shape[1])  # (classes, NC, L)
        self.weight = plain.transpose(1, 2).reshape(len(plain), -1)  # (classes, L NC)
        return product(self.fused, self.weight, linear.bias)  # (B, classes)

    def backward(self, gradient: Tensor, asked: Asked) -> list[Tensor]:
        """The gradients of the N outputs."""
        linear, shape = self.classifier.linear, self.normal.x.shape  # (B, L, NC)
        inner, djoined = product(gradient, self.weight.t()).view(shape), torch.empty(shape, dtype=gradient.dtype)
        self.normal.backward(inner, djoined, asked)
        if asked.weights:
            found = product(gradient.t(), self.fused.t()).view(-1, *shape[1:])
            asked.found[linear.weight] = found.transpose(1, 2).reshape(len(found), -1)
            asked.found[linear.bias] = gradient.sum(0)
        return [part.contiguous() for part in djoined.split(self.C, 2)]
