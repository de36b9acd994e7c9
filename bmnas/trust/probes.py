"""Probes: small networks that measure what stored features say about the targets.

A probe reads blocks of modalities. An encoder of each modality gives h_m = relu(W_m x_m + b_m), and each block adds a
head on the encoders of its modalities:

    logits = sum over blocks B of  head_B([h_m for m in B]),   head_B(h) = V_B relu(U_B h + c_B) + d_B

With one block of all modalities a probe is a joint one. With a block a modality it is additive: late fusion that is
trained as a whole. Its negative log-likelihood bounds the conditional entropy from above, so that H(Y) - CE bounds the
mutual information from below (Xu et al., ICLR 2020, https://arxiv.org/abs/2002.10689).

Probes train on the training split. The validation split is halved: a half chooses the weight decay and the number of
steps for the rows of the other half, so that no row is scored by what it chose. Rows that were recorded together are of
one half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bmnas.features.feature_set import FeatureSet
from bmnas.features.groups import count_independent, kept_whole

WIDTH = 64  # of an encoder and of a head
STEPS = 240
CHECKS = 12  # how often a probe is scored on its way
LARGEST_BATCH, BATCHES_AN_EPOCH = 128, 4  # a small training split has small batches
MAX_LR = 5e-3
DROPOUT = 0.2
WEIGHT_DECAYS = (0.1, 1.0)
SEEDS = 3
MOST_TRAIN, MOST_VAL = 4000, 1000  # rows; more are left out, evenly, so that a diagnosis takes seconds
CONSTANT = 1e-6  # a column that deviates by less, beside its largest number, is rounding
MOST_COLUMNS = 512  # of a modality; more are projected to as many principal components

Blocks = Sequence[Sequence[str]]


@dataclass(frozen=True)
class ProbeData:
    """What probes read: rows of the training split, then rows of the validation split.

    Attributes:
        inputs: source -> (n, D) float32, standardised on the training rows; 0 where a sample lacks the source.
        targets: int64 (n,) or float32 (n, labels).
        train: how many of the n rows are of the training split.
        classes: number of logits.
        rows: of the feature set, (n,).
        groups: which validation rows were recorded together, (n - train,) or (n - train, k) as `FeatureSet.groups`;
            None where each row stands alone.
    """

    inputs: dict[str, Tensor]
    targets: Tensor
    train: int
    classes: int
    rows: np.ndarray
    groups: np.ndarray | None = None

    @cached_property
    def parts(self) -> np.ndarray:
        """Returns what no half of the validation rows tears, (n - train,): numbers from 0, in order of appearance."""
        val = self.rows[self.train :]
        return group_numbers(val if self.groups is None else kept_whole(self.groups))

    @property
    def independent(self) -> int:
        """Returns how many validation rows, or groups of them, are independent of each other at least."""
        return len(self.rows) - self.train if self.groups is None else count_independent(self.groups)

    @property
    def multilabel(self) -> bool:
        """Returns whether each class is a label of its own."""
        return self.targets.ndim == 2

    @property
    def halves(self) -> Tensor:
        """Returns 0 or 1 for each validation row, rows or groups by turns."""
        return torch.from_numpy(self.parts) % 2


@dataclass(frozen=True)
class ProbeResult:
    """What a probe says of the validation rows; each row by a probe that the other half chose.

    Attributes:
        logits: (S seeds, n, classes).
        losses: (S, n) negative log-likelihood in bits; of several labels, their mean.
        codes: modality -> (n, WIDTH), its encoder in the first seed, as chosen on all rows.
    """

    logits: Tensor
    losses: Tensor
    codes: dict[str, np.ndarray]


def probe_data(features: FeatureSet, sources: Mapping[str, Sequence[str]]) -> ProbeData:
    """Gathers the rows that probes read.

    Args:
        sources: name -> the features that it joins, such as `features.modalities`.
    """
    train, val = (_thinned(features.rows(split), most) for split, most in (("train", MOST_TRAIN), ("val", MOST_VAL)))
    rows = np.concatenate([train, val])
    inputs = {}
    for name, members in sources.items():
        parts = [np.asarray(features.arrays[one][rows], dtype=np.float32).reshape(len(rows), -1) for one in members]
        inputs[name] = _standardised(torch.from_numpy(np.concatenate(parts, axis=1)), len(train))
    targets = torch.from_numpy(np.array(features.targets[rows]))
    groups = None if features.groups is None else features.recorded_together(val)
    return ProbeData(inputs, targets, len(train), len(features.classes), rows, groups)


def group_numbers(names: np.ndarray) -> np.ndarray:
    """Numbers groups from 0, in the order in which they first appear."""
    _, firsts, codes = np.unique(names, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[codes]


def run_probe(data: ProbeData, blocks: Blocks, seed: int = 0, steps: int = STEPS) -> ProbeResult:
    """Trains a probe with each weight decay and seed at once, and scores the validation rows.

    Args:
        blocks: the sources of each block.
        seed: of initial weights, dropout and the order of the rows.
        steps: of the optimizer.
    """
    names = list(dict.fromkeys(name for block in blocks for name in block))
    inputs = {name: data.inputs[name] for name in names}
    train = {name: x[: data.train] for name, x in inputs.items()}
    val = {name: x[data.train :] for name, x in inputs.items()}
    targets, val_targets = data.targets[: data.train], data.targets[data.train :]
    batch_size = min(LARGEST_BATCH, max(1, data.train // BATCHES_AN_EPOCH))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = _Probe({name: x.shape[1] for name, x in inputs.items()}, blocks, data.classes)
        best = _Best(data)
        optimizer = torch.optim.Adam(probe.parameters(), MAX_LR, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for step in range(1, steps + 1):
            picked = torch.randint(data.train, (batch_size,))
            logits = probe({name: x[picked] for name, x in train.items()})  # (P, B, classes)
            optimizer.zero_grad(set_to_none=True)
            _losses(logits, targets[picked]).mean(1).sum().backward()
            probe.decay(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
            if step % (steps // CHECKS) == 0:
                probe.eval()
                with torch.no_grad():
                    codes = probe.codes(val)
                    best.note(probe.heads(codes), val_targets, codes)
                probe.train()
    return ProbeResult(best.logits, bits(best.logits, val_targets), best.codes)


def bits(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the negative log-likelihood of each row in bits, (S, n); of several labels, their mean."""
    return _losses(logits, targets) / float(np.log(2))


def bits_of_labels(logits: Tensor, targets: Tensor) -> Tensor:
    """Computes the same of each label, (S, n, labels)."""
    return _losses_of_labels(logits, targets) / float(np.log(2))


def _losses(logits: Tensor, targets: Tensor) -> Tensor:
    """(P, n) in nats, of logits (P, n, classes)."""
    if targets.ndim == 2:
        return _losses_of_labels(logits, targets).mean(-1)
    return cross_entropy(logits.movedim(-1, 1), targets.expand(logits.shape[:2]), reduction="none")


def _losses_of_labels(logits: Tensor, targets: Tensor) -> Tensor:
    return binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")


class _Probe(nn.Module):
    """P = seeds x weight decays probes at once; those of a seed start alike."""

    def __init__(self, widths: Mapping[str, int], blocks: Blocks, classes: int) -> None:
        super().__init__()
        self.blocks = [list(block) for block in blocks]
        self.encoders = nn.ModuleDict({name: _Linear(width, WIDTH) for name, width in widths.items()})
        self.hidden = nn.ModuleList(_Linear(WIDTH * len(block), WIDTH) for block in blocks)
        self.out = nn.ModuleList(_Linear(WIDTH, classes) for _ in blocks)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.heads(self.codes(inputs))

    def codes(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The encoders' outputs, (P, n, WIDTH) each."""
        return {name: self._dropped(self.encoders[name](x).relu()) for name, x in inputs.items()}

    def heads(self, codes: Mapping[str, Tensor]) -> Tensor:
        """The logits, (P, n, classes)."""
        votes = []
        for block, hidden, out in zip(self.blocks, self.hidden, self.out, strict=True):
            joined = torch.cat([codes[name] for name in block], dim=-1)
            votes.append(out(self._dropped(hidden(joined).relu())))
        return torch.stack(votes).sum(0)

    def _dropped(self, h: Tensor) -> Tensor:
        """Drops the same entries of all probes, which takes a P-th of the random numbers; h (P, n, WIDTH)."""
        return h * torch.empty(h.shape[1:]).bernoulli_(1 - DROPOUT) / (1 - DROPOUT) if self.training else h

    @torch.no_grad()
    def decay(self, lr: float) -> None:
        """Shrinks the weights as AdamW does, each probe by its own factor (Loshchilov and Hutter, 2019)."""
        factors = 1 - lr * torch.tensor(WEIGHT_DECAYS).repeat(SEEDS)[:, None, None]
        for layer in self.modules():
            if isinstance(layer, _Linear):
                layer.weight.mul_(factors)


class _Linear(nn.Module):
    """One linear layer a probe."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        start = torch.randn(SEEDS, width, out) * (2 / width) ** 0.5
        self.weight = nn.Parameter(start.repeat_interleave(len(WEIGHT_DECAYS), dim=0))
        self.bias = nn.Parameter(torch.zeros(SEEDS * len(WEIGHT_DECAYS), 1, out))

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:  # (P, n, width)
            return torch.baddbmm(self.bias, x, self.weight)
        P, width, out = self.weight.shape
        shared = x @ self.weight.transpose(0, 1).reshape(width, P * out)  # one product of (n, width) for all probes
        return shared.reshape(len(x), P, out).transpose(0, 1) + self.bias


class _Best:
    """The best of all weight decays and checks so far, for each seed and each half of the rows."""

    def __init__(self, data: ProbeData) -> None:
        rows = len(data.rows) - data.train
        self.halves = data.halves
        self.logits = torch.zeros(SEEDS, rows, data.classes)
        self.least = torch.full((SEEDS, 2), float("inf"))
        self.least_of_all = float("inf")
        self.codes: dict[str, np.ndarray] = {}

    def note(self, logits: Tensor, targets: Tensor, codes: Mapping[str, Tensor]) -> None:
        """Compares what the probes say now: logits (P, n, classes)."""
        losses = _losses(logits, targets)  # (P, n)
        for seed in range(SEEDS):
            mine = slice(seed * len(WEIGHT_DECAYS), (seed + 1) * len(WEIGHT_DECAYS))
            for half in (0, 1):
                choosing = losses[mine][:, self.halves == half].mean(1)
                winner = int(choosing.argmin())
                if choosing[winner] < self.least[seed, half]:
                    self.least[seed, half] = choosing[winner]
                    others = self.halves != half
                    self.logits[seed, others] = logits[mine][winner, others]
        means = losses[: len(WEIGHT_DECAYS)].mean(1)
        if means.min() < self.least_of_all:
            self.least_of_all = float(means.min())
            self.codes = {name: code[int(means.argmin())].numpy().copy() for name, code in codes.items()}


def _thinned(rows: np.ndarray, most: int) -> np.ndarray:
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(int)]


def _standardised(x: Tensor, train: int) -> Tensor:
    """Gives each column mean 0 and deviation 1 on the training rows; what is missing, or never changes, becomes 0."""
    largest = x[:train].abs().nan_to_num(0.0).amax(0)
    x = x / torch.where(largest > 0, largest, 1.0)  # squares of very small or large numbers would not be right
    x = (x - x[:train].nanmean(0)).nan_to_num(0.0)
    deviation = x[:train].square().mean(0).sqrt()
    x = torch.where(deviation > CONSTANT, x / deviation, 0.0)
    if x.shape[1] > MOST_COLUMNS:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, _, directions = torch.pca_lowrank(x[:train], min(MOST_COLUMNS, train), center=False)
        x = x @ directions
        x = x / x[:train].std().clamp_min(1e-6)
    return x.clamp(-10, 10)
