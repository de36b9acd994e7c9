"""One epoch of Algorithm 1 for several seeds at once."""

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from bmnas.errors import BmnasError, PredictionError
from bmnas.machine import use_threads
from bmnas.scale.seeds.stacked import StackedHypernet
from bmnas.searching.algorithm1 import ARCHITECTURE, WEIGHTS, Search, optimizers
from bmnas.searching.trace import EpochEvent
from bmnas.training import metrics
from bmnas.training.finiteness import check_finite
from bmnas.training.steps import SCORE_BATCH, batches, combine, finite, gradient_step


class Tally:
    """Losses (S,), logits (S, B, classes) and targets of the batches of a pass."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []

    def add(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Takes note of a batch; targets are (S, B) or (S, B, classes)."""
        for kept, new in ((self.losses, losses), (self.logits, logits), (self.targets, targets)):
            kept.append(new.detach())

    def result(self, kind: str) -> list[tuple[float, float]]:
        """Each seed's mean loss over the samples, and its score."""
        sizes = [part.shape[1] for part in self.targets]
        losses = torch.stack(self.losses, 1).tolist()  # (S, batches)
        means = [sum(a * b for a, b in zip(row, sizes, strict=True)) / sum(sizes) for row in losses]
        each = zip(torch.cat(self.logits, 1), torch.cat(self.targets, 1), strict=True)
        return [
            (mean, metrics.score(kind, *pair) if finite(mean) else math.nan)
            for mean, pair in zip(means, each, strict=True)
        ]


class SeedSearches:
    """Several searches of equal epoch and settings, moved on together.

    A single search takes two places: products of one matrix are rounded otherwise than those of a batch of them, and
    what becomes of a seed shall not depend on how many others are there.

    Args:
        searches: they differ in their seed alone. After each epoch they hold what they would after an epoch of theirs.
    """

    def __init__(self, searches: Sequence[Search]) -> None:
        first, self.searches = searches[0], list(searches)
        self.places = self.searches if len(searches) > 1 else [first, first]
        self.config, self.kind, self.tensors, self.schedule = first.config, first.kind, first.tensors, first.schedule
        self.stack = StackedHypernet([search.hypernet for search in self.places])
        self.weights = self.stack.of(first.weights, first.hypernet)
        self.choices = self.stack.of(first.choices, first.hypernet)
        self.weight_optimizer, self.arch_optimizer = optimizers(self.config, self.weights, self.choices)
        stack_adam(self.weight_optimizer, [search.weight_optimizer for search in self.places])
        stack_adam(self.arch_optimizer, [search.arch_optimizer for search in self.places])
        self.loss = vmap(lambda logits, targets: metrics.loss(self.kind, logits, targets))

    def run_epoch(self) -> list[EpochEvent | BmnasError]:
        """One epoch of Algorithm 1 for each seed: its event, or why it cannot go on."""
        started = time.perf_counter()
        epoch = self.searches[0].epoch + 1
        with use_threads(self.config.threads):
            trained = self.update_weights(epoch)
            moved = self.update_architecture(epoch) if epoch > self.config.warmup_epochs else None
            validated = self.validate() if moved is None else moved
        self.hand_back()
        seconds = time.perf_counter() - started
        results = zip(self.searches, trained, validated, strict=False)  # a second place of one search is left out
        return [_outcome(search, *train, *val, seconds) for search, train, val in results]

    def update_weights(self, epoch: int) -> list[tuple[float, float]]:
        """`Search.update_weights` of every seed."""
        tally = Tally()
        self.begin(WEIGHTS, epoch)
        for rows in self.order(self.tensors.rows("train"), WEIGHTS, epoch):
            logits, targets = self.forward(rows)
            losses = self.loss(logits, targets)  # (S,); their sum gives each seed its own gradients
            gradient_step(self.weight_optimizer, self.weights, losses.sum(), self.schedule.next())
            tally.add(losses, logits, targets)
        return tally.result(self.kind)

    def update_architecture(self, epoch: int) -> list[tuple[float, float]] | None:
        """`Search.update_architecture` of every seed."""
        release, tally = self.config.switch("score_mode") == "train", Tally()
        self.begin(ARCHITECTURE, epoch)
        for passed in range(self.config.arch_passes):
            for rows in self.order(self.tensors.rows("val"), ARCHITECTURE, epoch, passed):
                logits, targets = self.forward(rows)
                gradient_step(self.arch_optimizer, self.choices, self.loss(logits, targets).sum())
                if release and passed == self.config.arch_passes - 1:
                    with torch.no_grad():
                        logits, targets = self.forward(rows)
                        tally.add(self.loss(logits, targets), logits, targets)
        return tally.result(self.kind) if release else None

    @torch.no_grad()
    def validate(self) -> list[tuple[float, float]]:
        """`Search.validate` of every seed."""
        self.stack.train(False)
        parts = [self.tensors.batch(part) for part in self.tensors.rows("val").split(SCORE_BATCH)]
        logits = torch.cat([self.stack(batch, shared=True) for batch, _ in parts], 1)  # (S, n, classes)
        targets = torch.cat([target for _, target in parts])
        return [self._measured(x, targets) for x in logits]

    def _measured(self, logits: Tensor, targets: Tensor) -> tuple[float, float]:
        """Loss and score of one seed; NaN where its outputs are not finite."""
        try:
            check_finite(logits, "val", self.tensors.rows("val"))
        except PredictionError:
            return math.nan, math.nan
        return metrics.loss(self.kind, logits, targets).item(), metrics.score(self.kind, logits, targets)

    def begin(self, purpose: int, epoch: int) -> None:
        """Train mode, with the random numbers that each seed's own search would draw."""
        self.stack.train()
        seeds = [combine((search.config.seed, purpose, epoch)) for search in self.places]
        self.stack.generators = [torch.Generator(self.tensors.device).manual_seed(seed) for seed in seeds]

    def order(self, rows: Tensor, *purpose: int) -> Iterator[Tensor]:
        """The batches of a pass, (S, B), each seed's in its own order."""
        size = self.config.batch_size
        each = [batches(rows, size, (search.config.seed, *purpose)) for search in self.places]
        return (torch.stack(parts) for parts in zip(*each, strict=True))

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (S, B, classes) and targets of the rows (S, B)."""
        batch, targets = self.tensors.batch(rows.flatten())
        batch = {name: feature.unflatten(0, rows.shape) for name, feature in batch.items()}
        return self.stack(batch), targets.unflatten(0, rows.shape)

    def hand_back(self) -> None:
        """Gives every search its part of the stacked state."""
        for s, one in enumerate(self.searches):
            one.hypernet.load_state_dict(self.stack.state(s))
            one.weight_optimizer.load_state_dict(adam_part(self.weight_optimizer, s))
            one.arch_optimizer.load_state_dict(adam_part(self.arch_optimizer, s))
            one.schedule.load_state_dict(self.schedule.state_dict())


def _outcome(search: Search, *measured: float) -> EpochEvent | BmnasError:
    try:
        return search.end_epoch(*measured)
    except BmnasError as error:
        return type(error)(f"seed {search.config.seed}: {error}")


def stack_adam(optimizer: torch.optim.Adam, parts: Sequence[torch.optim.Adam]) -> None:
    """Adam over stacked parameters goes on where one Adam a seed stands; it works element by element."""
    states = [part.state_dict() for part in parts]
    kept = {
        number: {
            key: value.clone() if key == "step" else torch.stack([state["state"][number][key] for state in states])
            for key, value in moments.items()
        }
        for number, moments in states[0]["state"].items()
    }
    optimizer.load_state_dict({**states[0], "state": kept})


def adam_part(optimizer: torch.optim.Adam, s: int) -> dict[str, Any]:
    """The `state_dict` of seed number s's own Adam."""
    whole = optimizer.state_dict()
    kept = {
        number: {key: (value if key == "step" else value[s]).clone() for key, value in moments.items()}
        for number, moments in whole["state"].items()
    }
    return {**whole, "state": kept}
