"""The state of a training between two epochs, so that a process that was killed goes on to the same end."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from bmnas.errors import RunError
from bmnas.storage.checkpoint import load_state, save_state


class HasState(Protocol):
    """A network, an optimizer, a schedule of learning rates."""

    def state_dict(self) -> Any:
        """All that makes its next step."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """The inverse."""
        ...


@dataclass(frozen=True)
class TrainingCheckpoint:
    """One file, written whole or not at all after an epoch.

    Args:
        path: of the file; its folder is made. None keeps nothing.
        about: what the training is, in JSON values; a file of another training is refused.
        parts: name -> what has a state.
    """

    path: Path | None
    about: Mapping[str, Any]
    parts: Mapping[str, HasState]

    def keep(self, **more: Any) -> None:
        """Writes the state of all parts, and `more`.

        Raises:
            RunError: the file cannot be written; what was there before is kept.
        """
        if self.path is not None:
            states = {name: part.state_dict() for name, part in self.parts.items()}
            save_state(self.path, {"about": dict(self.about), "parts": states, "more": more})

    def restore(self) -> dict[str, Any]:
        """Sets the state of all parts; what else was kept, empty where there is no file.

        Raises:
            RunError: the file is damaged, or of another training or network; nothing is trained from it.
        """
        if self.path is None or not self.path.exists():
            return {}
        state = load_state(self.path)
        if not isinstance(state, dict) or state.get("about") != dict(self.about):
            expected = dict(self.about)
            raise RunError(
                f"{self.path}: of another training; expected {expected}; name another checkpoint, or delete it"
            )
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            return dict(state["more"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"{self.path}: of another network ({error}); name another checkpoint, or delete it"
            ) from error


def random_states(device: torch.device, *generators: torch.Generator | None) -> dict[str, Any]:
    """The states of torch's random numbers on the CPU and the device, and of some generators."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    own = [None if generator is None else generator.get_state() for generator in generators]
    return {"cpu": torch.get_rng_state(), "cuda": cuda, "own": own}


def set_random_states(states: Mapping[str, Any], device: torch.device, *generators: torch.Generator | None) -> None:
    """The inverse of `random_states`; a state that was kept on another kind of device is left out."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and states["cuda"] is not None:
        torch.cuda.set_rng_state(states["cuda"], device)
    for generator, state in zip(generators, states["own"], strict=True):
        if generator is not None and state is not None:
            generator.set_state(state)
