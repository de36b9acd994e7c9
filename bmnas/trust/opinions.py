"""What probes say of the validation rows, alone and pooled.

Tuned late fusion is a weighted product of the modalities' probes, of the additive probe and of the base rates:

    log q(y|x) = sum_k w_k log p_k(y|x) + const,   w_k >= 0 of probes

with weights that a half of the validation rows chooses for the other half (Hinton, Neural Computation 14 (2002)). The
joint one has the joint probe as one more factor, so that it is hardly worse than late fusion where there is nothing to
gain. Modalities that are independent given the class leave no headroom: there the product of experts is exact.

Several probes of the same input know more than one, as any ensemble does. So that this does not pass for a gain of
fusion, each side of a comparison has as many: late fusion a second additive probe beside the joint one, and the best
modality a probe of its own for each probe of late fusion, with as many heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bmnas.features.groups import count_independent
from bmnas.machine import one_blas_thread
from bmnas.trust.probes import STEPS, Blocks, ProbeData, ProbeResult, bits, run_probe

SHRINKAGE = 1.0  # independent rows' worth of bits that a factor's weight of 1 costs, so that a few do not make it large
MOST_WEIGHT = 2.0
PATIENCE = 4


@dataclass(frozen=True)
class Opinions:
    """What the probes of a feature set say of the validation rows.

    Attributes:
        data: the rows.
        base: (classes,) logits of the base rates.
        alone: modality -> log-probabilities of its probe, (S, n, classes); of a label its logit.
        additive: the same of two additive probes; none of a single modality.
        joint: the joint probe.
        steps: by which the joint probe was trained, and the last additive one.
    """

    data: ProbeData
    base: Tensor
    alone: dict[str, Tensor]
    additive: tuple[Tensor, ...]
    joint: ProbeResult
    steps: int = STEPS

    @property
    def targets(self) -> Tensor:
        """Returns the targets of the validation rows."""
        return self.data.targets[self.data.train :]

    @cached_property
    def late(self) -> Tensor:
        """Returns tuned late fusion, (S, n, classes)."""
        return self.pooled([*self.alone.values(), *self.additive])

    @cached_property
    def together(self) -> Tensor:
        """Returns late fusion with the joint probe, (S, n, classes)."""
        joint = _log_probabilities(self.joint.logits, self.data)
        return self.pooled([*self.alone.values(), *self.additive[:1], joint])

    def pooled(self, experts: Sequence[Tensor]) -> Tensor:
        """Pools experts with the base rates, see `pool`."""
        return pool(experts, self.base, self.data)

    def patient(self) -> "Opinions":
        """Trains the joint probe, and the last additive one, `PATIENCE` times as long."""
        steps = PATIENCE * STEPS
        blocks = [[name] for name in self.alone]
        additive = (*self.additive[:-1], opinion(self.data, blocks, len(self.additive) - 1, steps))
        return replace(
            self, additive=additive, joint=run_probe(self.data, [list(self.alone)], steps=steps), steps=steps
        )

    def pooled_probe(self, modalities: Sequence[str]) -> Tensor:
        """Trains a joint probe of some modalities and pools it with theirs alone."""
        return self.pooled([*(self.alone[name] for name in modalities), opinion(self.data, [modalities])])

    @cached_property
    def own(self) -> dict[str, Tensor]:
        """Returns modality -> its probe with the base rates, (S, n, classes)."""
        return {name: self.pooled([expert]) for name, expert in self.alone.items()}

    @cached_property
    def nothing(self) -> Tensor:
        """Returns the base rates with the best weight, (1, n, classes)."""
        return self.pooled([])

    @cached_property
    def base_losses(self) -> Tensor:
        """Returns the loss of the base rates of each row, (1, n) bits."""
        return bits(self.nothing, self.targets)

    def as_often(self, modality: str) -> Tensor:
        """Pools as many probes of one modality as late fusion has, with as many heads; (S, n, classes)."""
        others = [opinion(self.data, [[modality]], seed) for seed in range(1, len(self.alone))]
        heads = [[modality]] * len(self.alone)
        last = len(self.additive) - 1
        headed = [opinion(self.data, heads, seed, self.steps if seed == last else STEPS) for seed in range(last + 1)]
        return self.pooled([self.alone[modality], *others, *headed])


def ask_probes(data: ProbeData, modalities: Sequence[str]) -> Opinions:
    """Trains a probe of each modality, two additive ones and a joint one."""
    alone = {name: opinion(data, [[name]]) for name in modalities}
    seeds = (0, 1) if len(modalities) > 1 else ()
    return Opinions(
        data=data,
        base=base_rates(data),
        alone=alone,
        additive=tuple(opinion(data, [[name] for name in modalities], seed) for seed in seeds),
        joint=run_probe(data, [modalities]),
    )


def base_rates(data: ProbeData) -> Tensor:
    """Estimates the logits of the classes from the training rows, with one row more of each outcome; (classes,)."""
    targets = data.targets[: data.train]
    if data.multilabel:
        ones = targets.sum(0) + 1
        return (ones / (len(targets) + 2 - ones)).log()
    counts = torch.bincount(targets, minlength=data.classes) + 1.0
    return (counts / counts.sum()).log()


def pool(experts: Sequence[Tensor], base: Tensor, data: ProbeData) -> Tensor:
    """Pools experts in the logarithm, the weights of a half of the rows chosen by the other half.

    Args:
        experts: (S, n, classes) each: log-probabilities, or logits of several labels.
        base: (classes,) of the base rates, a factor with a weight of either sign.

    Returns:
        (S, n, classes); of the base rates alone S is 1.
    """
    targets = data.targets[data.train :]
    shape = experts[0].shape if experts else (1, len(targets), len(base))
    stacked = torch.stack([*experts, base.expand(shape)], dim=-1).double()  # (S, n, classes, k)
    result = torch.empty(shape, dtype=torch.float64)
    for seed in range(len(stacked)):
        for half in (0, 1):
            chosen = data.halves == half
            independent = int(chosen.sum()) if data.groups is None else count_independent(data.groups[chosen.numpy()])
            weights = _weights(stacked[seed, chosen], targets[chosen], independent)
            result[seed, ~chosen] = stacked[seed, ~chosen] @ weights
    return result


def _weights(stacked: Tensor, targets: Tensor, independent: int) -> Tensor:
    """The weights (k,) of least cross-entropy; a convex problem, those of probes at least 0."""
    from scipy.optimize import minimize  # here: time that a search does not need

    k = stacked.shape[-1]

    def value_and_slope(weights: np.ndarray) -> tuple[float, np.ndarray]:
        w = torch.from_numpy(weights).requires_grad_()
        loss = bits((stacked @ w)[None], targets).mean() + SHRINKAGE / independent * w.square().sum()
        return float(loss.detach()), torch.autograd.grad(loss, w)[0].numpy()

    bounds = [(0, MOST_WEIGHT)] * (k - 1) + [(-MOST_WEIGHT, MOST_WEIGHT)]
    start = np.append(np.full(k - 1, 1 / max(k - 1, 1)), float(k == 1))
    with one_blas_thread():
        best = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return torch.from_numpy(best.x)


def opinion(data: ProbeData, blocks: Blocks, seed: int = 0, steps: int = STEPS) -> Tensor:
    """Trains a probe and returns its log-probabilities, (S, n, classes)."""
    return _log_probabilities(run_probe(data, blocks, seed, steps).logits, data)


def _log_probabilities(logits: Tensor, data: ProbeData) -> Tensor:
    """Of a label the logit itself, the difference of its two log-probabilities."""
    return logits if data.multilabel else logits.log_softmax(-1)
