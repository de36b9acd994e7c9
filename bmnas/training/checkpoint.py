"""The state of a training between two epochs: a process that was killed resumes and ends in the same bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from bmnas.errors import RunError
from bmnas.storage.checkpoint import load_state, save_state


class HasState(Protocol):
    """A network, an optimizer, a scheduler of learning rates."""

    def state_dict(self) -> Any:
        """Returns all that its next step depends on."""
        ...

    def load_state_dict(self, state: Any, /) -> Any:
        """Continues where `state` was taken."""
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

    def save(self, **extra: Any) -> None:
        """Writes the state of all parts, and `extra`.

        Raises:
            RunError: the file cannot be written; what was there before is kept.
        """
        if self.path is not None:
            states = {name: part.state_dict() for name, part in self.parts.items()}
            save_state(self.path, {"about": dict(self.about), "parts": states, "more": extra})

    def restore(self) -> dict[str, Any]:
        """Restores all parts. Returns the extra values given to `save`, or an empty dict if there is no checkpoint.

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
