"""What computes the epochs of Algorithm 1: engines, which the algorithm drives without looking inside.

`SingleEngine` computes the hypernet of one seed by its algebra. Others are registered by name in `ENGINES`, or handed
to the algorithm: `bmnas.scale` has the compiled hypernet, and the stacked hypernets of several seeds.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from bmnas.config import SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import keep_pages, use_threads
from bmnas.registry import Registry
from bmnas.searching.seed_state import SeedState
from bmnas.space.hypernet import Hypernet
from bmnas.space.self_check import checked_network
from bmnas.training import metrics
from bmnas.training.finiteness import check_first_step
from bmnas.training.loop import Learner, NetworkLearner, Outcome
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import Batch, Samples, parts_of, predict, seeded


class Engine(Protocol):
    """The hypernets of S >= 1 seeds, and what moves them."""

    @property
    def seeds(self) -> Sequence[int]:
        """The seed of each of the S places."""
        ...

    @property
    def tensors(self) -> Samples:
        """The features."""
        ...

    @property
    def weight_learner(self) -> Learner:
        """What takes the steps of the upper half of Algorithm 1's loop."""
        ...

    @property
    def arch_learner(self) -> Learner:
        """What takes the steps of the lower half."""
        ...

    def drawing(self, purpose: Purpose, epoch: int) -> AbstractContextManager[None]:
        """Returns the context of half an epoch: train mode, and each seed's own random numbers.

        Args:
            purpose: WEIGHTS or ARCHITECTURE; nothing else moves inside.
        """
        ...

    def batch(self, rows: Tensor) -> Batch:
        """Returns the features and targets of the rows (S, B), as the learners take them."""
        ...

    def outcome(self, batch: Batch) -> Outcome:
        """Returns losses and logits of a batch without gradients, in whichever mode the networks are."""
        ...

    def predict(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits (S, n, classes), in eval mode, and targets (n, ...) of the rows (n,)."""
        ...

    def hand_back(self) -> None:
        """Brings the states that the engine was made of up to date."""
        ...


class SingleEngine:
    """The hypernet of one seed, by `bmnas.space.algebra`; by its formula where a self-check says so.

    Args:
        features: of the search.
        state: whose hypernet and optimizers are moved in place.
    """

    def __init__(self, features: FeatureSet, state: SeedState) -> None:
        self.config = state.config
        self.kind = state.kind
        self.device = state.device
        self.seeds = [state.config.seed]
        self.tensors = features.tensors(self.device)
        keep_pages()
        self.hypernet = state.hypernet
        with use_threads(self.config.threads):
            check_first_step(state.hypernet, self.first_batch)
        self.network = self.computed(state.hypernet)
        self.weight_learner = self._learner(state, state.weight_optimizer, state.weights)
        self.arch_learner = self._learner(state, state.arch_optimizer, state.choices)

    def _learner(
        self, state: SeedState, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter]
    ) -> NetworkLearner:
        return NetworkLearner(
            network=self.network,
            kind=state.kind,
            optimizer=optimizer,
            parameters=parameters,
            micro_batches=state.config.accumulate,
        )

    def computed(self, hypernet: Hypernet) -> nn.Module:
        """Returns the network that stands for the hypernet in all passes."""
        return checked_network(hypernet, self.first_batch)

    @property
    def first_batch(self) -> dict[str, Tensor]:
        """The features of as many training rows as a batch holds."""
        return self.tensors.batch(self.tensors.rows("train")[: self.config.batch_size])[0]

    @contextmanager
    def drawing(self, purpose: Purpose, epoch: int) -> Iterator[None]:
        """Seeds torch; see `Engine`."""
        self.network.train()
        with seeded((*self.seeds, purpose, epoch), self.device):
            yield

    def batch(self, rows: Tensor) -> Batch:
        """Returns the features and targets of the rows (1, B), without the dimension of seeds."""
        return self.tensors.weighted_batch(rows[0])

    @torch.no_grad()
    def outcome(self, batch: Batch) -> Outcome:
        """Returns loss and logits of a batch."""
        inputs, targets, weights = parts_of(batch)
        logits = self.network(inputs)  # (B, classes)
        return Outcome(metrics.loss(self.kind, logits, targets, weights)[None], logits[None], targets[None])

    def predict(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits (1, n, classes) and targets of the rows."""
        logits, targets = predict(self.network, self.tensors, rows)
        return logits[None], targets

    def hand_back(self) -> None:
        """Does nothing: the state was moved in place."""


ENGINES = Registry("engine")
ENGINES["algebra"] = SingleEngine


def single_engine(features: FeatureSet, state: SeedState) -> SingleEngine:
    """Returns the engine that a configuration asks for.

    Raises:
        ConfigError: a setting cannot work on this machine.
    """
    return ENGINES[engine_name(state.config)](features, state)


def engine_name(config: SearchConfig) -> str:
    """Returns the name of a configuration's engine in `ENGINES`."""
    return "accelerated" if config.bf16 or config.compile is not None else "algebra"
