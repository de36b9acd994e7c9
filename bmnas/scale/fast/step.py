"""A mixed Step: the mixture of earlier nodes, its primitives, and their mixture."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import moments
from bmnas.scale.fast.dropout import Masks
from bmnas.scale.fast.mixture import add_gradients_, add_mixture_, scalars
from bmnas.scale.fast.primitives import LINEAR, SHORTCUTS, Columns, Own, Scaled, Shortcut, fold
from bmnas.space.primitives import Zero

if TYPE_CHECKING:
    from bmnas.space.hypernet import MixedStep


LEAST = 1e-12  # a factor that may be divided by


class Step:
    """`MixedStep` of x (B, L, C), which is y as well, and of the outputs of earlier Steps.

    The first Step's s is a multiple of x, beta * x: nobody needs s itself, unless the gradient of beta is asked for.
    Zero is left out, and Sum is a constant times s.

    Args:
        beta: softmax weights of the edges from x, from y and from earlier Steps.
        gamma: of the primitives.
        open_choices: whether the way back will be asked for their gradients.
    """

    def __init__(self, step: "MixedStep", beta: list[float], gamma: list[float], open_choices: bool) -> None:
        self.beta, self.gamma = [beta[0] + beta[1], *beta[2:]], gamma
        self.folded = len(self.beta) == 1 and self.beta[0] > LEAST and not open_choices
        self.constant = 0.0  # of s in the sum over primitives
        parts: dict[int, Shortcut] = {}
        self.linear: dict[int, float] = {}  # what linear primitives multiply s with, by place in gamma
        for i, (name, part) in enumerate(step.primitives.items()):
            if type(part) in LINEAR:
                self.constant += gamma[i] * LINEAR[type(part)]
                self.linear[i] = LINEAR[type(part)]
            elif type(part) is not Zero:
                parts[i] = SHORTCUTS.get(type(part), Own)(name, part)
        self.parts = dict(sorted(parts.items(), key=lambda item: not item[1].begins))  # by place in gamma

    def forward(self, x: Tensor, earlier: Tensor, masks: Masks, out: Tensor) -> None:
        """Writes the output (B, L, C) to `out`; the earlier ones are (n, B, L, C)."""
        self.x, self.earlier = x, earlier
        self.s = Scaled(x, self.beta[0])
        if not self.folded:
            self.s = Scaled(x * self.beta[0], 1.0)
            add_mixture_(self.s.x, self.beta[1:], earlier)
        inputs = self.s.x.flatten(0, 1)  # (B L, C)
        self.weight = fold([part.weight for part in self.parts.values()], inputs)  # (width, C)
        self.rows = torch.mm(inputs, self.weight.t())  # (B L, width)
        rows, total, begin = self.rows.numpy(), out.numpy(), 0
        found = moments(rows, any(norm.training for part in self.parts.values() for norm in part.norms))
        if not any(part.begins for part in self.parts.values()):
            torch.mul(self.s.x, self.constant * self.s.factor, out=out)
        for i, part in self.parts.items():
            its = Columns(rows, found, begin, self.s.factor)
            part.forward(self.s, its, self.gamma[i], masks, total, self.constant)
            begin += part.width

    def backward(self, gradient: Tensor, of_x: Tensor, of_earlier: Tensor, asked: Asked) -> list[list[float] | None]:
        """Adds to the gradients of x and of the earlier outputs, from that of the output.

        Returns:
            the gradients of beta and gamma; None for beta where nothing depends on it.
        """
        s, of_choices = self.s, [0.0] * len(self.gamma)
        if self.folded:
            of_s = of_x.add_(gradient, alpha=self.constant * s.factor)
        else:
            of_s = gradient * (self.constant * s.factor)
        rows = asked.own(self.rows)
        given = gradient.numpy(), of_s, rows.numpy()
        for i, part in self.parts.items():
            of_choices[i] = part.backward(*given, asked)
        of_s.flatten(0, 1).addmm_(rows, self.weight)
        if asked.weights:
            self._weights_back(rows, asked)
        if self.folded:
            return [None, None]
        of_x.add_(of_s, alpha=self.beta[0])
        add_gradients_(of_earlier, self.beta[1:], of_s)
        if not asked.choices:
            return [None, None]
        for i, constant in self.linear.items():
            of_choices[i] = constant * scalars(s.x[None], gradient)[0]
        if not (self.parts or self.linear):
            return [None, of_choices]  # Zero alone
        (of_beta,) = scalars(self.x[None], of_s)
        return [[of_beta, of_beta, *scalars(self.earlier, of_s)], of_choices]

    def _weights_back(self, of_rows: Tensor, asked: Asked) -> None:
        """Gradients of the convolutions' weights: that of a folded one is that of either half."""
        C = self.s.x.shape[2]
        wide = of_rows.new_empty(self.weight.shape[0], 2 * C)
        torch.mm(of_rows.t(), self.s.x.flatten(0, 1), out=wide[:, :C])
        wide[:, C:].copy_(wide[:, :C])
        begin = 0
        for part in self.parts.values():
            if part.weight is not None:
                O, I, _ = part.weight.shape
                asked.found[part.weight] = wide[begin : begin + O, :I].unsqueeze(2)
            begin += part.width
