"""One dictionary a kind of thing: primitives and data sets are found, listed and added by name."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

from bmnas.errors import UnknownNameError


def by_nearness(name: str, known: Iterable[str]) -> list[str]:
    """The known names, the one most like `name` first."""

    def likeness(other: str) -> float:
        return SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return sorted(known, key=lambda other: (-likeness(other), other))


def unknown(kind: str, name: object, known: Iterable[str]) -> UnknownNameError:
    """The error for a name nobody knows; the nearest known name comes first."""
    listed = ", ".join(by_nearness(str(name), known)) or "none"
    return UnknownNameError(f"unknown {kind} {name!r}; known (nearest first): {listed}")


class Registry(dict[str, Any]):
    """A dictionary of named things, whose look-up of an unknown name lists the known ones."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def __missing__(self, name: str) -> Any:
        raise unknown(self.kind, name, self)

    def register(self, thing: Any) -> Any:
        """Adds a class under its `__name__`, or an object under its `name`; usable as a decorator.

        Raises:
            ValueError: the name is taken by something else.
        """
        name = thing.__name__ if isinstance(thing, type) else thing.name
        if name in self and self[name] is not thing:
            raise ValueError(f"{self.kind} {name!r} is already registered as {self[name]!r}; choose another name")
        self[name] = thing
        return thing


PRIMITIVES = Registry("primitive")
TASKS = Registry("dataset")
