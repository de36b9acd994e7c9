"""The whole pass, forwards and backwards: features, Cells, classifier.

It is one function of autograd, so that the gradients of what is read more than once are added up where they lie.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from bmnas.scale.fast.asking import Asked, graph_is_kept
from bmnas.scale.fast.cell import Cell
from bmnas.scale.fast.classifier import Classified
from bmnas.scale.fast.dropout import Masks
from bmnas.scale.fast.features import Mixtures
from bmnas.scale.fast.layers import parameters
from bmnas.scale.fast.mixture import add_gradients_, add_mixture_, scalars

if TYPE_CHECKING:
    from bmnas.space.hypernet import Hypernet


def forward(net: "Hypernet", batch: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, classes): `Hypernet.forward`."""
    features = [batch[name] for name in net.features]
    logits, choices = set(), []  # of each Cell its alpha, and of each of its Steps beta and gamma
    for cell in net.named_cells().values():
        logits.add(cell.alpha)
        choices.append(cell.alpha.softmax(-1)[:, 1])
        for step in cell.named_steps().values():
            logits |= {step.beta, step.gamma}
            choices += [step.beta.softmax(-1)[:, 1], step.gamma.softmax(-1)]
    others = [parameter for parameter in parameters(net) if parameter not in logits]
    return cast(Tensor, Network.apply(net, len(choices), *choices, *others, *features))


class Network(torch.autograd.Function):
    """`forward` of choices, parameters and features."""

    @staticmethod
    def forward(ctx: Any, net: "Hypernet", choices: int, *tensors: Tensor) -> Tensor:
        first, K = ctx.needs_input_grad[2 : 2 + choices], len(net.features)
        ctx.choices, ctx.parameters = choices, tensors[choices:-K]
        ctx.made = Pass(net, [choice.tolist() for choice in tensors[:choices]], any(first))
        ctx.save_for_backward(*tensors)  # nobody may change these before the way back
        return ctx.made.forward(tensors[-K:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        choices = ctx.saved_tensors[: ctx.choices]
        needed = ctx.needs_input_grad[2:]
        asked = Asked(any(needed[: ctx.choices]), any(needed[ctx.choices :]), graph_is_kept())
        found = ctx.made.backward(gradient, asked)
        of_choices = [
            None if one is None else torch.tensor(one, dtype=choice.dtype)
            for one, choice in zip(found, choices, strict=True)
        ]
        of_parameters = [asked.found.get(parameter) for parameter in ctx.parameters]
        of_features = [None] * (len(needed) - len(of_choices) - len(of_parameters))
        return None, None, *of_choices, *of_parameters, *of_features


class Pass:
    """One pass through a network, with what its way back needs.

    Args:
        choices: the values of those of `forward`.
        open_choices: whether the way back will be asked for their gradients.
    """

    def __init__(self, net: "Hypernet", choices: list[list[float]], open_choices: bool) -> None:
        self.net, self.masks, rest = net, Masks(), iter(choices)
        self.alphas, self.cells = [], []
        for cell in net.named_cells().values():
            self.alphas.append(next(rest))
            pairs = [(next(rest), next(rest)) for _ in cell.steps]  # (beta, gamma)
            self.cells.append(Cell(cell, pairs, open_choices))

    def forward(self, features: tuple[Tensor, ...]) -> Tensor:
        K = len(features)
        layers = [self.net.reshape[name] for name in self.net.features]
        self.mixtures = Mixtures(cast(Any, layers), features, [alpha[:K] for alpha in self.alphas])
        mixtures = self.mixtures.forward(self.masks)  # (N, B, L, C)
        self.inner, self.outputs = torch.empty_like(mixtures), torch.empty_like(mixtures)
        for n, (cell, alpha, s) in enumerate(zip(self.cells, self.alphas, mixtures.unbind(), strict=True)):
            add_mixture_(s, alpha[K:], self.outputs[:n])  # (B, L, C)
            cell.forward(s, self.masks, self.inner[n], self.outputs[n])
        self.classified = Classified(self.net.classifier)
        return self.classified.forward(self.outputs)  # (B, classes)

    def backward(self, gradient: Tensor, asked: Asked) -> list[list[float] | None]:
        """The gradients of the choices, from that of the logits; None for one that nothing depends on."""
        K, N = len(self.net.features), len(self.cells)
        outputs = self.outputs.clone() if asked.choices else asked.own(self.outputs)  # becomes its gradient
        self.classified.backward(gradient, outputs, asked)
        asked.leave(self.classified)
        parts = asked.own(self.inner)  # becomes the gradients of the mixtures s
        of_alphas, of_steps = [], []
        for n in reversed(range(N)):
            of_steps.append(self.cells[n].backward(outputs[n], parts[n], asked))
            asked.leave(self.cells[n])
            of_alphas.append(scalars(self.outputs[:n], parts[n]) if asked.choices else [])
            add_gradients_(outputs[:n], self.alphas[n][K:], parts[n])
        of_features = self.mixtures.backward(parts, asked)  # (N, K)
        found: list[list[float] | None] = []
        for row, alpha, steps in zip(of_features, reversed(of_alphas), reversed(of_steps), strict=True):
            found += [[*row, *alpha], *steps]
        return found
