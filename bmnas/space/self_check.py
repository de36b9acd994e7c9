"""A check of the algebra at its first use: both steps of a search by it and by the formula, in values and in time."""

import copy
import time
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.errors import warn
from bmnas.space.algebra import Algebra
from bmnas.space.gradients import held_still, others_than
from bmnas.space.hypernet import Hypernet
from bmnas.space.primitives import own_primitives

TOLERANCE = 1e-2  # of float32 logits, of the whole gradient and of BatchNorm's statistics, relative to their norms
NUDGES = (1e-6, 3e-6, 1e-5)  # shares by which weights grow, to see what rounding does to the formula itself
MULTIPLE = 10  # times that much is allowed, too
SLOWER, ROUNDS = 4.0, 3  # the formula is taken where the algebra takes so many times as long, in every round
# The bound is far from 1 on purpose: both round differently, and noise must never decide which bits a search has.
CHECKED: dict[Hashable, str] = {}
"""Device and shapes -> what is wrong with the algebra there, or "". A process checks each once."""


def checked_network(hypernet: Hypernet, batch: Mapping[str, Tensor]) -> nn.Module:
    """Returns the algebra of a hypernet, or the hypernet itself where its formula is right and the algebra is not, or
    is quicker; a warning says so.

    The hypernet and torch's random numbers are left as they are.

    Args:
        hypernet: on its device.
        batch: features of some samples, as a search takes them.
    """
    if hypernet.relaxation != "shared":
        return hypernet  # the algebra is that of one tensor for both inputs
    weights = [(name, weight.shape, weight.dtype) for name, weight in hypernet.named_parameters()]
    shapes = [(name, feature.shape, feature.device.type) for name, feature in batch.items()]
    steps = [step for cell in hypernet.named_cells().values() for step in cell.named_steps().values()]
    code = own_primitives(name for step in steps for name in step.primitives)
    key = (*weights, *shapes, hypernet.training, *code.items())
    if key not in CHECKED:
        CHECKED[key] = fault(hypernet, batch)
        if CHECKED[key]:
            warn(f"the search is computed by the plain formula: its algebra {CHECKED[key]}")
    return hypernet if CHECKED[key] else Algebra(hypernet)


def fault(hypernet: Hypernet, batch: Mapping[str, Tensor]) -> str:
    """Says what is wrong with the algebra of a hypernet on a batch; "" where nothing is."""
    formula, algebra = copy.deepcopy(hypernet), Algebra(copy.deepcopy(hypernet))
    with torch.random.fork_rng(devices={x.device for x in batch.values() if x.device.type == "cuda"}):
        exact, _ = _step(formula, batch)
        try:
            ours, _ = _step(algebra, batch)
        except RuntimeError as error:
            return f"fails ({' '.join(str(error).split())[:200]})"
        if not exact[0].isfinite().all():
            return ""  # nothing to compare; the search stops at its first loss
        differences = _differences(ours, exact)
        if not all(difference <= TOLERANCE for difference in differences):
            rounding = _rounding(hypernet, batch, exact)
            allowed = [max(TOLERANCE, MULTIPLE * each) for each in rounding]
            if all(difference <= most for difference, most in zip(differences, allowed, strict=True)):
                return ""  # such as where BatchNorm sees one vector alone, or ReLU zeros
            logits, gradient, statistics = (f"{difference:.0e}" for difference in differences)
            return f"differs by {logits} in its logits, {gradient} in its gradient and {statistics} in its statistics"
        slow = []
        for _ in range(ROUNDS):
            seconds = _step(formula, batch)[1]
            slow.append(_step(algebra, batch)[1] / seconds)
            if slow[-1] <= SLOWER:
                return ""
    return f"takes {min(slow):.1f} times as long as it on this machine"


def _rounding(formula: Hypernet, batch: Mapping[str, Tensor], exact: Sequence[Tensor]) -> list[float]:
    """Returns how far the formula's own results move at most, where its weights change by rounding."""
    moved = []
    for nudge in NUDGES:
        other = copy.deepcopy(formula)
        with torch.no_grad():
            for weight in other.parameters():
                weight.mul_(1 + nudge)
        moved.append(_differences(_step(other, batch)[0], exact))
    return [max(each) for each in zip(*moved, strict=True)]


def _differences(results: Sequence[Tensor], others: Sequence[Tensor]) -> list[float]:
    """Returns how far results are from others, relative to their norms."""
    pairs = zip(results, others, strict=True)
    return [float((result - other).norm() / other.norm()) for result, other in pairs]


def _step(network: Hypernet | Algebra, batch: Mapping[str, Tensor]) -> tuple[tuple[Tensor, Tensor, Tensor], float]:
    """Takes both steps of a search in train mode with fixed random numbers.

    Returns:
        The logits of both; the gradients of the weights, then those of the choices, in a row; what the steps add to the
        running statistics of BatchNorm, in a row. And the seconds that both took.
    """
    hypernet = network.hypernet if isinstance(network, Algebra) else network
    network.train()
    results, gradients = [], []
    before = _statistics(hypernet)
    started = time.perf_counter()
    for parameters in (hypernet.weight_parameters(), hypernet.architecture_parameters()):
        torch.manual_seed(0)
        with held_still(others_than(parameters, network.parameters())):
            logits = network(batch)
            waves = torch.cos(torch.arange(logits.numel(), device=logits.device)).view_as(logits)  # no two are alike
            gradients += torch.autograd.grad((logits * waves).mean(), parameters, materialize_grads=True)
        results.append(logits.detach())
    gradient = torch.cat([part.flatten() for part in gradients])
    gradient.sum().item()  # waits for the device
    seconds = time.perf_counter() - started
    return (torch.stack(results), gradient, _statistics(hypernet) - before), seconds


def _statistics(hypernet: Hypernet) -> Tensor:
    """Returns the running means and variances of a hypernet in a row, a copy."""
    return torch.cat([buffer.flatten() for buffer in hypernet.buffers() if buffer.is_floating_point()])
