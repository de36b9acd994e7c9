"""What each modality knows of the targets and what they know together, in bits, on validation rows.

    I(X_m) = H(Y) - CE(probe of modality m)          what modality m knows
    I(late) = H(Y) - CE(tuned late fusion)           what their opinions know
    I(joint) = H(Y) - CE(late fusion and joint probe)  what they know together
    headroom = CE(late) - CE(joint) = I(joint) - I(late)

CE is a mean negative log2-likelihood, so each I bounds a mutual information from below (`bmnas.trust.probes`). How
probes are pooled stands in `bmnas.trust.opinions`.

H(Y) is the cross-entropy of the base rates with the best weight, so that rows of other base rates than the training
split's add to no knowledge. A probe may miss what takes long to learn, as an exclusive or among many useless columns.
So before fusion is said not to help, a joint probe is trained `PATIENCE` times as long, and so are those that are
compared with it, unless late fusion leaves less than the margin to know. What these know counts where it is more than
the margin; and where no probe knows anything, nothing is said.

Intervals are of probes and validation rows both (`bmnas.evaluation.estimates`), of what is known cut at 0 and H(Y).
Rows that were recorded together count once: they are clustered in the intervals, and lie in the same half.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bmnas.errors import how_many
from bmnas.evaluation.estimates import estimate, signed
from bmnas.evaluation.group_values import group_values
from bmnas.trust.opinions import Opinions, base_rates, opinion, pool
from bmnas.trust.probes import ProbeData, bits, bits_of_labels

MARGIN = 0.02  # of H(Y): a headroom below this share is none that matters
ENOUGH_ROWS = 20  # of the validation split, for a verdict
CAN, CANNOT, UNDECIDED = "can help", "cannot help", "undecided"


@dataclass(frozen=True)
class Bits:
    """A mean over validation rows and probes, with its 95 % interval; in bits, of several labels a label."""

    mean: float
    low: float
    high: float

    def within(self, most: float, least: float = 0.0) -> "Bits":
        """Returns the same, cut at `least` and `most`: nobody knows less than nothing, nor more than all there is."""
        return Bits(*(min(max(value, least), most) for value in (self.mean, self.low, self.high)))

    def __str__(self) -> str:
        return f"{self.mean:.2f} bits (95 % interval {self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Knowledge:
    """What probes know of the targets.

    Attributes:
        rows: of the validation split, of which each half chooses for the other.
        groups: of rows that were recorded together; None where each row stands alone.
        entropy: H(Y): the cross-entropy of the training split's base rates, with the best weight.
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
        or groups of rows, decide nothing, nor do probes that know nothing.
        """
        if self.few or self.clueless:
            return UNDECIDED
        if self.headroom.high < self.margin:
            return CANNOT
        return CAN if self.headroom.low > 0 else UNDECIDED

    @property
    def few(self) -> bool:
        """Returns whether there are fewer rows, or groups of rows, than decide anything."""
        return (self.rows if self.groups is None else self.groups) < ENOUGH_ROWS

    @property
    def clueless(self) -> bool:
        """Returns whether no probe knows anything, the joint one included: there may be nothing, or they miss it."""
        return self.joint.mean < self.margin or self.joint.low <= 0

    def sentence(self) -> str:
        """Returns the verdict in one line, with the figures behind it."""
        if len(self.own) == 1:
            return f"There is one modality, {self.best}: nothing to fuse."
        h, start = self.headroom, "Beyond tuned late fusion,"
        if self.clueless and not self.few:
            return (
                f"{start} whether fusing features can help here is undecided: no probe knows anything of the targets "
                f"({self.joint.mean:.2f} of {self.entropy:.2f} bits on {self._rows_words()}). Either these features "
                "say nothing of them, or what they say takes a larger model to find."
            )
        amount = f"{round(h.mean, 2) + 0.0:+.2f} of {self.entropy:.2f} bits"
        span = f"they know {amount} more than late fusion (95 % interval {signed(h.low)} to {signed(h.high)})"
        if self.verdict == CAN:
            return f"{start} fusing features can help here: {span}."
        if self.verdict == UNDECIDED:
            return f"{start} whether fusing features can help here is undecided, by {self._rows_words()}: {span}."
        return f"{start} fusing features cannot help here, as far as probes see: {span}; {self._late_words()}."

    def _rows_words(self) -> str:
        groups = "" if self.groups is None else f" in {how_many(self.groups, 'group')} recorded together"
        return f"{how_many(self.rows, 'validation row')}{groups}"

    def _late_words(self) -> str:
        if self.late_gain.high < self.margin:
            return f"{self.best} alone is enough"
        if self.late_gain.low > 0:
            return f"late fusion is enough, and knows {self.late_gain.mean:.2f} bits more than {self.best} alone"
        return f"whether late fusion knows more than {self.best} alone is undecided"


def measure_with_patience(opinions: Opinions) -> tuple[Opinions, Knowledge]:
    """Compares what the probes of a feature set know, and looks longer where they would say that fusion cannot help.

    Returns:
        The opinions, of patient probes where only these find that fusion can help, or anything at all; and what they
        know.
    """
    knowledge = measure(opinions)
    something_left = knowledge.entropy - knowledge.late.mean >= knowledge.margin
    if len(opinions.alone) > 1 and something_left and (knowledge.clueless or knowledge.verdict == CANNOT):
        patient = opinions.patient()
        clue = known(patient, patient.together)
        if headroom(patient).low > knowledge.margin or (knowledge.clueless and clue.mean > knowledge.margin):
            return patient, measure(patient)
    return opinions, knowledge


def measure(opinions: Opinions) -> Knowledge:
    """Compares what the probes of a feature set know."""
    losses = {name: bits(logits, opinions.targets) for name, logits in opinions.own.items()}
    late = bits(opinions.late, opinions.targets)
    best = min(losses, key=lambda name: float(losses[name].mean()))
    return Knowledge(
        rows=len(opinions.targets),
        entropy=float(opinions.base_losses.mean()),
        own={name: known(opinions, logits) for name, logits in opinions.own.items()},
        late=known(opinions, opinions.late),
        joint=known(opinions, opinions.together),
        headroom=headroom(opinions),
        late_gain=difference(opinions, bits(opinions.as_often(best), opinions.targets), late),
        groups=None if opinions.data.groups is None else opinions.data.independent,
    )


def headroom(opinions: Opinions) -> Bits:
    """Compares the joint probe with late fusion, row by row."""
    late, joint = (bits(logits, opinions.targets) for logits in (opinions.late, opinions.together))
    return difference(opinions, late, joint)


def difference(opinions: Opinions, worse: Tensor, better: Tensor) -> Bits:
    """Compares the losses of two that each know between nothing and H(Y)."""
    most = float(opinions.base_losses.mean())
    return compare_losses(worse, better, opinions.data).within(most, -most)


def known(opinions: Opinions, logits: Tensor) -> Bits:
    """Compares log-probabilities with the base rates: what they know, of 0 bits to H(Y)."""
    losses = opinions.base_losses
    return compare_losses(losses, bits(logits, opinions.targets), opinions.data).within(float(losses.mean()))


def known_of_labels(opinions: Opinions, logits: Tensor) -> np.ndarray:
    """Returns what log-probabilities know of each label, (labels,) mean bits."""
    nothing = bits_of_labels(opinions.nothing, opinions.targets)
    return (nothing - bits_of_labels(logits, opinions.targets)).mean((0, 1)).numpy()


def known_by(data: ProbeData, source: str) -> Bits:
    """Measures what the probe of one source knows."""
    base, targets = base_rates(data), data.targets[data.train :]
    logits = pool([opinion(data, [[source]])], base, data)
    nothing = bits(pool([], base, data), targets)
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
        differences = group_values(lambda sums: sums[..., 0] / sums[..., 1], counts, data.groups)
    known = estimate(differences)
    return Bits(known.mean, *known.interval())
