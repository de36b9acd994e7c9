"""A mixed Step: the mixture of earlier nodes, its primitives, and their mixture."""

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bmnas.fast.batchnorm import Array, moments
from bmnas.fast.dropout import Masks
from bmnas.fast.mixture import mix, scalar
from bmnas.fast.primitives import LINEAR, SHORTCUTS, Columns, Gradients, folded, unfolded
from bmnas.fast.products import add_product_, product
from bmnas.primitives import Zero
from bmnas.registry import PRIMITIVES

if TYPE_CHECKING:
    from bmnas.hypernet import MixedStep


def mixed_step(step: "MixedStep", states: Sequence[Tensor], masks: Masks) -> Tensor:
    """`MixedStep` of states (B, L, C). They begin with x and y, which are one tensor: their weights add up."""
    beta, gamma = step.beta.softmax(-1)[:, 1], step.gamma.softmax(-1)
    s = mix(torch.cat([beta[:2].sum(0, keepdim=True), beta[2:]]), states[1:])  # (B, L, C)
    kinds = [type(part) for part in step.primitives.values()]
    known = [i for i, kind in enumerate(kinds) if kind in SHORTCUTS or kind in LINEAR]
    others = [i for i, kind in enumerate(kinds) if i not in known and kind is not Zero]
    parts = list(step.primitives.items())
    out = primitives(s, gamma if len(known) == len(parts) else gamma[known], [parts[i][1] for i in known], masks)
    if others:
        out = out + mix(gamma[others], [plain(*parts[i], s) for i in others])
    return out  # (B, L, C)


def plain(name: str, primitive: nn.Module, s: Tensor) -> Tensor:
    """primitive(s, s, ...) as it is: channels first, and back."""
    turned = s.transpose(1, 2).contiguous()  # (B, C, L)
    return primitive(*[turned] * PRIMITIVES[name].arity).transpose(1, 2).contiguous()  # (B, L, C)


def primitives(s: Tensor, weights: Tensor, used: Sequence[nn.Module], masks: Masks) -> Tensor:
    """sum_f weights_f * f(s, s) over primitives that have a shortcut."""
    if not used:
        return weights.sum() * torch.zeros_like(s)  # Zero alone
    parameters = [parameter for part in used for parameter in parameters_of(part)]
    return cast(Tensor, Primitives.apply(used, masks, s, weights, *parameters))


def constant(used: Sequence[nn.Module], weights: Sequence[float]) -> float:
    """What the linear primitives multiply s with, together."""
    return sum(weight * LINEAR.get(type(part), 0.0) for part, weight in zip(used, weights, strict=True))


class Primitives(torch.autograd.Function):
    """`primitives`, one after the other forwards, and again backwards, with one product for all their weights."""

    @staticmethod
    def forward(
        ctx: Any, used: Sequence[nn.Module], masks: Masks, s: Tensor, weights: Tensor, *parameters: Tensor
    ) -> Tensor:
        values, convolved = weights.tolist(), [cast(Any, part) for part in used if width_of(part)]
        empty = s.new_empty(0, s.shape[2])
        weight = torch.cat([empty, *(folded(part.conv.weight, s.shape[2]) for part in convolved)])  # (width, C)
        rows = product(s.flatten(0, 1), weight)  # (B L, width)
        found = moments(rows, [part.norm for part in convolved])
        total, kept = s * constant(used, values), []
        for part, value, columns in zip(used, values, columns_of(used, s, rows, found), strict=True):
            shortcut = SHORTCUTS.get(type(part))
            kept.append(shortcut.forward(part, s, columns, value, masks, total) if shortcut else ())
        ctx.used, ctx.found, ctx.counts = used, found, [len(one) for one in kept]
        saved = [tensor for one in kept for tensor in one]
        ctx.save_for_backward(s, weights, weight, rows, *saved, *parameters)  # nobody may have changed these since
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        s, weights, weight, rows, *saved = ctx.saved_tensors
        gradient, values = gradient.contiguous(), weights.tolist()
        choices, wanted = ctx.needs_input_grad[3], any(ctx.needs_input_grad[4:])
        into = Gradients(gradient * constant(ctx.used, values), torch.empty_like(rows))
        each = columns_of(ctx.used, s, rows, ctx.found)
        scalars, found = [], []
        for part, value, columns, count in zip(ctx.used, values, each, ctx.counts, strict=True):
            kept, saved = saved[:count], saved[count:]
            shortcut = SHORTCUTS.get(type(part))
            if shortcut:
                one, others = shortcut.backward(part, s, columns, value, kept, gradient, into)
            else:
                one, others = LINEAR[type(part)] * scalar(gradient, s) if choices else 0.0, []
            scalars.append(one)
            found.append(others)
        add_product_(into.of_s.flatten(0, 1), into.of_rows, weight.t())
        inner = product(into.of_rows.t(), s.flatten(0, 1).t()) if wanted else None  # (width, C)
        for part, columns, others in zip(ctx.used, each, found, strict=True):
            if width_of(part):
                others.insert(0, None if inner is None else unfolded(inner[columns.channels], part.conv.weight))
        of_weights = torch.tensor(scalars, dtype=s.dtype) if choices else None
        return None, None, into.of_s, of_weights, *(one for others in found for one in others)


def parameters_of(part: Any) -> list[nn.Parameter]:
    """Those of a primitive's convolution and norm, in the order of `part.parameters()`."""
    convolution = [part.conv.weight, part.conv.bias] if width_of(part) else []
    return convolution if type(part) in LINEAR else [*convolution, part.norm.weight, part.norm.bias]


def width_of(part: nn.Module) -> int:
    """How often C columns of the product a primitive reads."""
    return SHORTCUTS[type(part)].width if type(part) in SHORTCUTS else 0


def columns_of(used: Sequence[nn.Module], s: Tensor, rows: Tensor, found: Array) -> list[Columns]:
    """Each primitive's columns."""
    widths = [s.shape[2] * width_of(part) for part in used]
    begins = accumulate([0, *widths[:-1]])
    return [Columns(rows, found, slice(begin, begin + width)) for begin, width in zip(begins, widths, strict=True)]
