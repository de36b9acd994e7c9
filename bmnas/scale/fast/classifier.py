"""The classifier, fed with the channels last."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.layernorm import Normalised

if TYPE_CHECKING:
    from bmnas.space.layers import Classifier


class Classified:
    """`Classifier` of N outputs (N, B, L, C). Its weight is turned to their order: it is smaller than what it meets."""

    def __init__(self, classifier: "Classifier") -> None:
        self.classifier = classifier

    def forward(self, outputs: Tensor) -> Tensor:
        linear, (N, _, L, _) = self.classifier.linear, outputs.shape
        fused = torch.empty_like(outputs)
        self.normal = Normalised(self.classifier.norm, outputs.numpy(), fused.numpy(), relu=True)
        self.fused = fused.flatten(2)  # (N, B, L C)
        plain = linear.weight.detach().view(linear.out_features, N, -1, L)  # (classes, N, C, L)
        self.weights = plain.permute(1, 0, 3, 2).flatten(2)  # (N, classes, L C)
        (first, weight), *others = zip(self.fused.unbind(), self.weights.unbind(), strict=True)
        logits = torch.addmm(linear.bias, first, weight.t())
        for part, weight in others:
            logits.addmm_(part, weight.t())
        return logits  # (B, classes)

    def backward(self, gradient: Tensor, outputs: Tensor, asked: Asked) -> None:
        """Writes the gradients of the N outputs over them."""
        linear, inner = self.classifier.linear, asked.own(self.fused)
        if asked.weights:
            found = torch.empty_like(self.weights)
            for part, fused in zip(found.unbind(), inner.unbind(), strict=True):
                torch.mm(gradient.t(), fused, out=part)
            turned = found.unflatten(2, outputs.shape[2:]).permute(1, 0, 3, 2)  # (classes, N, C, L)
            asked.give([linear.weight, linear.bias], [turned.reshape(linear.weight.shape), gradient.sum(0)])
        for part, weight in zip(inner.unbind(), self.weights.unbind(), strict=True):
            torch.mm(gradient, weight, out=part)
        self.normal.backward(inner.view(outputs.shape).numpy(), outputs.numpy(), asked)
