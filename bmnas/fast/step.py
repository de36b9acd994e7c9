"""A mixed Step: the mixture of earlier nodes, its primitives, and their mixture."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from bmnas.fast.dropout import Masks
from bmnas.fast.mixture import mix, scalar
from bmnas.fast.primitives import SHORTCUTS
from bmnas.primitives import Zero
from bmnas.registry import PRIMITIVES

if TYPE_CHECKING:
    from bmnas.hypernet import MixedStep


def mixed_step(step: "MixedStep", states: Sequence[Tensor], masks: Masks) -> Tensor:
    """`MixedStep` of states (B, L, C). They begin with x and y, which are one tensor: their weights add up."""
    beta, gamma = step.beta.softmax(-1)[:, 1], step.gamma.softmax(-1)
    s = mix(torch.cat([beta[:2].sum(0, keepdim=True), beta[2:]]), states[1:])  # (B, L, C)
    kinds = [type(part) for part in step.primitives.values()]
    known = [i for i, kind in enumerate(kinds) if kind in SHORTCUTS]
    others = [i for i, kind in enumerate(kinds) if kind not in SHORTCUTS and kind is not Zero]
    parts = list(step.primitives.items())
    out = primitives(s, gamma if len(known) == len(parts) else gamma[known], [parts[i][1] for i in known], masks)
    if others:
        out = out + mix(gamma[others], [plain(*parts[i], s) for i in others])
    return out  # (B, L, C)


def plain(name: str, primitive: nn.Module, s: Tensor) -> Tensor:
    """primitive(s, s, ...) as it is: channels first, and back."""
    turned = s.transpose(1, 2).contiguous()  # (B, C, L)
    return primitive(*[turned] * PRIMITIVES[name].arity).transpose(1, 2)  # (B, L, C)


def primitives(s: Tensor, weights: Tensor, used: Sequence[nn.Module], masks: Masks) -> Tensor:
    """sum_f weights_f * f(s, s) over primitives that have a shortcut."""
    if not used:
        return weights.sum() * torch.zeros_like(s)  # Zero alone
    parameters = [list(part.parameters()) for part in used]
    sizes = [len(one) for one in parameters]
    flat = [parameter for one in parameters for parameter in one]
    return cast(Tensor, Primitives.apply(used, sizes, masks, s, weights, *flat))


class Primitives(torch.autograd.Function):
    """`primitives`, one after the other forwards, and again backwards."""

    @staticmethod
    def forward(
        ctx: Any,
        used: Sequence[nn.Module],
        sizes: Sequence[int],
        masks: Masks,
        s: Tensor,
        weights: Tensor,
        *rest: Tensor,
    ) -> Tensor:
        out, saved, counts = None, [], []
        for weight, part in zip(weights.tolist(), used, strict=True):
            shortcut = SHORTCUTS[type(part)]
            one, kept = shortcut.forward(part, s, masks)
            factor = weight * shortcut.factor(part)
            out = one * factor if out is None else out.add_(one, alpha=factor)
            saved += [one if ctx.needs_input_grad[4] else None, *kept]
            counts.append(1 + len(kept))
        ctx.used, ctx.sizes, ctx.counts = used, sizes, counts
        ctx.save_for_backward(s, weights, *saved, *rest)  # the parameters too: nobody may have changed them since
        return cast(Tensor, out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        s, weights, *saved = ctx.saved_tensors
        gradient, wanted = gradient.contiguous(), list(ctx.needs_input_grad[5:])
        ds, scalars, found = torch.zeros_like(s), [], []
        for weight, part, size, count in zip(weights.tolist(), ctx.used, ctx.sizes, ctx.counts, strict=True):
            (out, *kept), saved = saved[:count], saved[count:]
            shortcut = SHORTCUTS[type(part)]
            factor = shortcut.factor(part)
            if out is not None:
                scalars.append(scalar(gradient, out).mul_(factor))
            found += shortcut.backward(part, gradient, weight * factor, s, tuple(kept), any(wanted[:size]), ds)
            wanted = wanted[size:]
        return None, None, None, ds, torch.stack(scalars) if scalars else None, *found
