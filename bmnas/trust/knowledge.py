"""What each modality knows of the targets and what they know together, in bits, on validation rows.

    I(X_m) = H(Y) - CE(probe of modality m)          what modality m knows
    I(late) = H(Y) - CE(tuned late fusion)           what their opinions know
    I(joint) = H(Y) - CE(late fusion and joint probe)  what they know together
    headroom = CE(late) - CE(joint) = I(joint) - I(late)

CE is a mean negative log2-likelihood, so each I bounds a mutual information from below (`bmnas.trust.probes`). Tuned
late fusion is a weighted product of the modalities' probes, of the additive probe and of the base rates:

    log q(y|x) = sum_k w_k log p_k(y|x) + const,   w_k >= 0 of probes

with weights that a half of the validation rows chooses for the other half (Hinton, Neural Computation 14 (2002)). The
joint one has the joint probe as one more factor, so that it is hardly worse than late fusion where there is nothing to
gain. Modalities that are independent given the class leave no headroom: there the product of experts is exact.

Several probes of the same input know more than one, as any ensemble does. So that this does not pass for a gain of
fusion, each side of a comparison has as many: late fusion a second additive probe beside the joint one, and the best
modality a second probe of its own beside the additive one.

Intervals are of probes and validation rows both (`bmnas.evaluation.estimates`), of what is known cut at 0 and H(Y).
Rows that were recorded together count once: they are clustered in the intervals, and lie in the same half.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bmnas.errors import how_many
from bmnas.evaluation.estimates import estimate, group_scores, signed
from bmnas.machine import one_blas_thread
from bmnas.trust.probes import Blocks, ProbeData, ProbeResult, bits, run_probe

MARGIN = 0.02  # of H(Y): a headroom below this share is none that matters
SHRINKAGE = 1.0  # independent rows' worth of bits that a factor's weight of 1 costs, so that a few do not make it large
MOST_WEIGHT = 2.0
ENOUGH_ROWS = 20  # of the validation split, for a verdict
CAN, CANNOT, UNDECIDED = "can help", "cannot help", "undecided"


@dataclass(frozen=True)
class Bits:
    """A mean over validation rows and probes, with its 95 % interval; in bits, of several labels a label."""

    mean: float
    low: float
    high: float

    def within(self, most: float) -> "Bits":
        """Returns the same, cut at 0 and `most`: no less can be known than nothing, and no more than all there is."""
        return Bits(*(min(max(value, 0.0), most) for value in (self.mean, self.low, self.high)))

    def __str__(self) -> str:
        return f"{self.mean:.2f} bits (95 % interval {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Knowledge:
    """What probes know of the targets.

    Attributes:
        rows: of the validation split, of which each half chooses for the other.
        groups: of rows that were recorded together; None where each row stands alone.
        entropy: H(Y): the cross-entropy of the training split's base rates.
        own: modality -> I(X_m).
        late, joint: I(late) and I(joint).
        headroom: CE(late) - CE(joint), compared row by row.
        late_gain: CE(best modality, of two probes) - CE(late), compared row by row.
    """

    rows: int
    entropy: float
    own: dict[str, Bits]
    late: Bits
    joint: Bits
    headroom: Bits
    late_gain: Bits
    groups: int | None = None

    @property
    def best(self) -> str:
        """Returns the modality that knows most."""
        return max(self.own, key=lambda name: self.own[name].mean)

    @property
    def margin(self) -> float:
        """Returns the headroom in bits below which fusion does not matter."""
        return MARGIN * self.entropy

    @property
    def verdict(self) -> str:
        """Returns whether fusing features can help beyond tuned late fusion.

        CANNOT where all of the headroom's interval is below the margin, CAN where it is above 0. Fewer than 20 rows,
        or groups of rows, decide nothing.
        """
        if (self.rows if self.groups is None else self.groups) < ENOUGH_ROWS:
            return UNDECIDED
        if self.headroom.high < self.margin:
            return CANNOT
        return CAN if self.headroom.low > 0 else UNDECIDED

    def sentence(self) -> str:
        """Returns the verdict in one line, with the figures behind it."""
        if len(self.own) == 1:
            return f"There is one modality, {self.best}: nothing to fuse."
        h, start = self.headroom, "Beyond tuned late fusion,"
        amount = f"{round(h.mean, 2) + 0.0:+.2f} of {self.entropy:.2f} bits"
        span = f"they know {amount} more than late fusion (95 % interval {signed(h.low)} to {signed(h.high)})"
        if self.verdict == CAN:
            return f"{start} fusing features can help here: {span}."
        if self.verdict == UNDECIDED:
            return f"{start} whether fusing features can help here is undecided, by {self._rows_words()}: {span}."
        return f"{start} fusing features cannot help here: {span}; {self._late_words()}."

    def _rows_words(self) -> str:
        groups = "" if self.groups is None else f" in {how_many(self.groups, 'group')} recorded together"
        return f"{how_many(self.rows, 'validation row')}{groups}"

    def _late_words(self) -> str:
        if self.late_gain.high < self.margin:
            return f"{self.best} alone is enough"
        if self.late_gain.low > 0:
            return f"late fusion is enough, and knows {self.late_gain.mean:.2f} bits more than {self.best} alone"
        return f"whether late fusion knows more than {self.best} alone is undecided"


@dataclass(frozen=True)
class Opinions:
    """What the probes of a feature set say of the validation rows.

    Attributes:
        data: the rows.
        base: (classes,) logits of the base rates.
        alone: modality -> log-probabilities of its probe, (S, n, classes); of a label its logit.
        additive: the same of two additive probes; none of a single modality.
        joint: the joint probe.
    """

    data: ProbeData
    base: Tensor
    alone: dict[str, Tensor]
    additive: tuple[Tensor, ...]
    joint: ProbeResult

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

    def pooled_probe(self, modalities: Sequence[str]) -> Tensor:
        """Trains a joint probe of some modalities and pools it with theirs alone."""
        return self.pooled([*(self.alone[name] for name in modalities), _opinion(self.data, [modalities])])

    def bits(self, logits: Tensor) -> Bits:
        """Compares log-probabilities with the base rates: what they know, of 0 bits to H(Y)."""
        known = compare_losses(self.base_losses, bits(logits, self.targets), self.data)
        return known.within(float(self.base_losses.mean()))

    @property
    def base_losses(self) -> Tensor:
        """Returns the loss of the base rates of each row, (1, n) bits."""
        return bits(self.base.expand(1, len(self.targets), -1), self.targets)

    def twice(self, modality: str) -> Tensor:
        """Pools two probes of one modality, (S, n, classes)."""
        return self.pooled([self.alone[modality], _opinion(self.data, [[modality]], seed=1)])


def ask_probes(data: ProbeData, modalities: Sequence[str]) -> Opinions:
    """Trains a probe of each modality, two additive ones and a joint one."""
    alone = {name: _opinion(data, [[name]]) for name in modalities}
    seeds = (0, 1) if len(modalities) > 1 else ()
    return Opinions(
        data=data,
        base=base_rates(data),
        alone=alone,
        additive=tuple(_opinion(data, [[name] for name in modalities], seed) for seed in seeds),
        joint=run_probe(data, [modalities]),
    )


def measure(opinions: Opinions) -> Knowledge:
    """Compares what the probes of a feature set know."""
    alone = {name: opinions.pooled([expert]) for name, expert in opinions.alone.items()}
    losses = {name: bits(logits, opinions.targets) for name, logits in alone.items()}
    late, joint = bits(opinions.late, opinions.targets), bits(opinions.together, opinions.targets)
    best = min(losses, key=lambda name: float(losses[name].mean()))
    return Knowledge(
        rows=len(opinions.targets),
        entropy=float(opinions.base_losses.mean()),
        own={name: opinions.bits(logits) for name, logits in alone.items()},
        late=opinions.bits(opinions.late),
        joint=opinions.bits(opinions.together),
        headroom=compare_losses(late, joint, opinions.data),
        late_gain=compare_losses(bits(opinions.twice(best), opinions.targets), late, opinions.data),
        groups=None if opinions.data.groups is None else opinions.data.independent,
    )


def known_by(data: ProbeData, source: str) -> Bits:
    """Measures what the probe of one source knows."""
    base, targets = base_rates(data), data.targets[data.train :]
    logits = pool([_opinion(data, [[source]])], base, data)
    nothing = bits(base.expand(1, len(targets), -1), targets)
    return compare_losses(nothing, bits(logits, targets), data).within(float(nothing.mean()))


def compare_losses(worse: Tensor, better: Tensor, data: ProbeData) -> Bits:
    """Estimates how much less the better losses are, in bits, with a 95 % interval.

    Args:
        worse, better: (S, n) losses of the validation rows; base rates without a seed stand beside each seed.
        data: whose rows they are, and which of these were recorded together.
    """
    differences = (worse - better).numpy()
    if data.groups is not None:
        counts = np.stack([differences, np.ones_like(differences)], axis=-1)  # (S, n, 2)
        differences = group_scores(lambda sums: sums[..., 0] / sums[..., 1], counts, data.groups)  # (S, G)
    known = estimate(differences)
    return Bits(known.mean, *known.interval())


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
        (S, n, classes).
    """
    stacked = torch.stack([*experts, base.expand_as(experts[0])], dim=-1).double()  # (S, n, classes, k)
    targets = data.targets[data.train :]
    result = torch.empty(experts[0].shape, dtype=torch.float64)
    for seed in range(len(stacked)):
        for half in (0, 1):
            chosen = data.halves == half
            independent = int(chosen.sum()) if data.groups is None else len(np.unique(data.groups[chosen.numpy()]))
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
    start = np.append(np.full(k - 1, 1 / (k - 1)), 0.0)
    with one_blas_thread():
        best = minimize(value_and_slope, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return torch.from_numpy(best.x)


def _opinion(data: ProbeData, blocks: Blocks, seed: int = 0) -> Tensor:
    """Trains a probe and returns its log-probabilities, (S, n, classes)."""
    return _log_probabilities(run_probe(data, blocks, seed).logits, data)


def _log_probabilities(logits: Tensor, data: ProbeData) -> Tensor:
    """Of a label the logit itself, the difference of its two log-probabilities."""
    return logits if data.multilabel else logits.log_softmax(-1)
