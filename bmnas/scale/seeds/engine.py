"""The engine of several seeds: their stacked hypernets move by one step."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.scale.seeds.stacked import StackedHypernet
from bmnas.searching.seed_state import SeedState, optimizers
from bmnas.space.algebra import Algebra
from bmnas.space.gradients import held_still, others_than
from bmnas.space.hypernet import Hypernet
from bmnas.space.self_check import checked_network
from bmnas.training import metrics
from bmnas.training.finiteness import check_first_step
from bmnas.training.loop import Gradients, Outcome
from bmnas.training.objective import Objective
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import SCORE_BATCH, Batch, apply_gradients, combine


class StackedLearner:
    """Stacked hypernets and the optimizer of some of their parameters.

    Args:
        stack: of S hypernets.
        kind: "multiclass" or "multilabel", or an objective of one.
        optimizer, parameters: of the stack, each (S, ...).
    """

    def __init__(
        self,
        stack: StackedHypernet,
        kind: str | Objective,
        optimizer: torch.optim.Adam,
        parameters: Sequence[nn.Parameter],
    ) -> None:
        self.stack = stack
        self.optimizer = optimizer
        self.parameters = parameters
        self.others = others_than(parameters, stack.parameters.values())
        self.losses = vmap(partial(metrics.loss, kind))

    def outcome(self, batch: Batch) -> Outcome:
        """Returns the losses (S,) and logits of a batch, feature -> (S, B, C_in, L or 1), targets (S, B)."""
        inputs, *targets_and_weights = batch
        logits = self.stack(inputs)  # (S, B, classes)
        return Outcome(self.losses(logits, *targets_and_weights), logits, batch[1])

    def gradients(self, batch: Batch) -> tuple[Outcome, Gradients]:
        """Computes the gradients of a batch: the sum of the losses gives each seed its own."""
        with held_still(self.others):
            outcome = self.outcome(batch)
            gradients = torch.autograd.grad(outcome.losses.sum(), self.parameters, allow_unused=True)
        return Outcome(outcome.losses.detach(), outcome.logits.detach(), outcome.targets), gradients

    def move(self, gradients: Gradients, rate: float | None) -> None:
        """Takes the step."""
        apply_gradients(self.optimizer, self.parameters, gradients, rate)


class StackedEngine:
    """The hypernets of several seeds as one, see `bmnas.searching.engine.Engine`.

    A single seed takes two places, because a product of one matrix is rounded otherwise than that of a batch of them.
    So the result of a seed does not depend on how many others there are.

    Args:
        features: of the search.
        states: of equal epoch and settings; they differ in their seed alone.
    """

    def __init__(self, features: FeatureSet, states: Sequence[SeedState]) -> None:
        first = states[0]
        self.states = list(states)
        places = self.states if len(states) > 1 else [first, first]
        self.seeds = [state.config.seed for state in places]
        self.tensors = features.tensors(first.device)
        batch, _ = self.tensors.batch(self.tensors.rows("train")[: first.config.batch_size])
        with use_threads(first.config.threads):
            check_first_step(first.hypernet, batch)
            check_algebra(first.hypernet, batch)
        self.stack = StackedHypernet([state.hypernet for state in places])
        weights = self.stack.of(first.weights, first.hypernet)
        choices = self.stack.of(first.choices, first.hypernet)
        self.weight_optimizer, self.arch_optimizer = optimizers(first.config, weights, choices)
        stack_adam(self.weight_optimizer, [state.weight_optimizer for state in places])
        stack_adam(self.arch_optimizer, [state.arch_optimizer for state in places])
        self.weight_learner = StackedLearner(self.stack, first.kind, self.weight_optimizer, weights)
        self.arch_learner = StackedLearner(self.stack, first.kind, self.arch_optimizer, choices)

    @contextmanager
    def drawing(self, purpose: Purpose, epoch: int) -> Iterator[None]:
        """Puts the stack into train mode, with the random numbers that each seed's own search would draw."""
        self.stack.train()
        device = self.tensors.device
        seeds = [combine((seed, purpose, epoch)) for seed in self.seeds]
        self.stack.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        yield

    def batch(self, rows: Tensor) -> Batch:
        """Returns the features (S, B, C_in, L or 1), targets and weights (S, B) of the rows (S, B)."""
        features, *others = self.tensors.weighted_batch(rows.flatten())
        stacked = {name: feature.unflatten(0, rows.shape) for name, feature in features.items()}
        return stacked, *(part.unflatten(0, rows.shape) for part in others)  # type: ignore[return-value]

    @torch.no_grad()
    def outcome(self, batch: Batch) -> Outcome:
        """Returns losses and logits of a batch."""
        return self.arch_learner.outcome(batch)

    @torch.no_grad()
    def predict(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits (S, n, classes), in eval mode, and targets of the rows, which all seeds share."""
        self.stack.train(False)
        parts = [self.tensors.batch(part) for part in rows.split(SCORE_BATCH)]
        logits = torch.cat([self.stack(batch, shared=True) for batch, _ in parts], 1)
        return logits, torch.cat([targets for _, targets in parts])

    def hand_back(self) -> None:
        """Gives every seed its part of the stacked state."""
        for s, state in enumerate(self.states):
            state.hypernet.load_state_dict(self.stack.state(s))
            state.weight_optimizer.load_state_dict(adam_part(self.weight_optimizer, s))
            state.arch_optimizer.load_state_dict(adam_part(self.arch_optimizer, s))


def check_algebra(hypernet: Hypernet, batch: Mapping[str, Tensor]) -> None:
    """Makes sure that the algebra, by which alone several seeds are computed at once, is right on this machine.

    Raises:
        ConfigError: it is wrong or slow; a warning says by how much.
    """
    if hypernet.relaxation == "shared" and not isinstance(checked_network(hypernet, batch), Algebra):
        raise ConfigError(
            "several seeds at once need the hypernet's algebra, which does not work on this machine (see the warning); "
            "search one seed at a time"
        )


def stack_adam(optimizer: torch.optim.Adam, parts: Sequence[torch.optim.Adam]) -> None:
    """Resumes, over stacked parameters, where one Adam a seed stands; Adam works element by element."""
    states = [part.state_dict() for part in parts]

    def stacked(number: int, moments: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            key: value.clone() if key == "step" else torch.stack([state["state"][number][key] for state in states])
            for key, value in moments.items()
        }

    moments = {number: stacked(number, values) for number, values in states[0]["state"].items()}
    optimizer.load_state_dict({**states[0], "state": moments, "param_groups": _groups(states[0], fused=False)})


def adam_part(optimizer: torch.optim.Adam, s: int) -> dict[str, Any]:
    """Returns the `state_dict` of seed number s's own Adam."""
    whole = optimizer.state_dict()
    moments = {
        number: {key: (value if key == "step" else value[s]).clone() for key, value in values.items()}
        for number, values in whole["state"].items()
    }
    return {**whole, "state": moments, "param_groups": _groups(whole, fused=True)}


def _groups(state: Mapping[str, Any], fused: bool) -> list[dict[str, Any]]:
    """Returns the groups of a `state_dict`. Stacked Adam is not fused: fused, it rounds the last elements of a tensor
    in another way, and which ones these are depends on the number of seeds."""
    return [{**group, "fused": fused} for group in state["param_groups"]]
