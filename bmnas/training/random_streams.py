"""The random numbers of a training: what each stream is for, and how a resumed training draws on."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from enum import IntEnum
from typing import Any, Protocol

import torch

from bmnas.training.steps import seeded


class Purpose(IntEnum):
    """What a random stream is for; a part of its seed, so that no two purposes share random numbers."""

    HYPERNET = 0
    """Initial weights of a hypernet."""
    WEIGHTS = 1
    """Weight steps of a search."""
    ARCHITECTURE = 2
    """Architecture steps of a search."""
    NETWORK = 10
    """Initial weights of a network that is trained from scratch."""
    BATCHES = 11
    """Order of its batches, and its dropout."""


class RandomStream(Protocol):
    """Where the random numbers of a training come from."""

    def of_epoch(self, epoch: int) -> AbstractContextManager[Any]:
        """Returns the context of an epoch, in which torch draws from this stream."""
        ...

    def state(self) -> dict[str, Any] | None:
        """Returns what the next epoch depends on, for a checkpoint; None if nothing."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continues where `state` was taken."""
        ...


class EpochStreams:
    """A stream of its own for each epoch, decided by seed and epoch alone: there is no state to save.

    Args:
        seed: of the training.
        device: where it computes.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self.seed = seed
        self.device = device

    def of_epoch(self, epoch: int) -> AbstractContextManager[None]:
        """Seeds torch for an epoch."""
        return seeded((self.seed, Purpose.BATCHES, epoch), self.device)

    def state(self) -> None:
        """Returns nothing."""
        return None

    def restore(self, state: dict[str, Any]) -> None:
        """Restores nothing."""


class RunningStream:
    """torch's own random numbers from the first epoch to the last, whose state belongs into a checkpoint.

    Args:
        device: where the training computes.
        generator: one more that it draws from, such as a DataLoader's.
    """

    def __init__(self, device: torch.device, generator: torch.Generator | None = None) -> None:
        self.device = device
        self.generator = generator

    def of_epoch(self, epoch: int) -> AbstractContextManager[None]:
        """Leaves torch as it is."""
        return nullcontext()

    def state(self) -> dict[str, Any]:
        """Returns the states of torch's generators on the CPU and the device, and of the generator."""
        cuda = torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None
        own = None if self.generator is None else self.generator.get_state()
        return {"cpu": torch.get_rng_state(), "cuda": cuda, "own": [own]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues where `state` was taken; a state of another kind of device is left out."""
        torch.set_rng_state(state["cpu"])
        if self.device.type == "cuda" and state["cuda"] is not None:
            torch.cuda.set_rng_state(state["cuda"], self.device)
        (own,) = state["own"]
        if self.generator is not None and own is not None:
            self.generator.set_state(own)
