"""Registries of primitives, data sets and searchers: named things that are looked up, listed and added."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from types import FunctionType
from typing import Any

from bmnas.errors import ConfigError, UnknownNameError

LISTED, NEAREST = 20, 5  # names that a message lists at most, and how many of more than that


def nearest_names(name: str, names: Iterable[str]) -> str:
    """Lists names for a message, the nearest to `name` first; of very many only the first.

    Names are quoted where one of them holds a comma.
    """

    def likeness(other: str) -> float:
        return SequenceMatcher(None, name.lower(), other.lower()).ratio()

    listed = sorted(names, key=lambda other: (-likeness(other), other))
    if any("," in one for one in listed):
        listed = [f"'{one}'" for one in listed]
    if len(listed) > LISTED:
        listed = [*listed[:NEAREST], f"and {len(listed) - NEAREST} more"]
    return ", ".join(listed) or "none"


def unknown(kind: str, name: object, names: Iterable[str]) -> UnknownNameError:
    """Returns the error for an unknown name, which lists the names there are, the nearest first."""
    return UnknownNameError(f"unknown {kind} {name!r}; known (nearest first): {nearest_names(str(name), names)}")


def split_names(value: Any) -> Any:
    """Makes a tuple of names that are one text, '["Sum", "Zero"]' (as `papermill -p` gives it) or Sum,Zero, or a list.

    Anything else stays as it is.
    """
    if isinstance(value, str):
        value = [name.strip(" \"'") for name in value.strip("[]() ").split(",")]
    return tuple(value) if isinstance(value, list) else value


class Registry(dict[str, Any]):
    """A dictionary whose error for an unknown name lists the names there are."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.built_in: frozenset[str] = frozenset()

    def seal(self) -> None:
        """Notes the names that are there as bmnas's own, which nothing else may take."""
        self.built_in = frozenset(self)

    def __missing__(self, name: str) -> Any:
        raise unknown(self.kind, name, self)

    def register(self, thing: Any) -> Any:
        """Adds a class or a function under its `__name__`, or an object under its `name`; usable as a decorator.

        What is defined again, as by a cell that is edited and run again, takes the place of its former self.

        Raises:
            ConfigError: the name is one of bmnas's own, or taken by something that is defined elsewhere.
        """
        name = thing.__name__ if isinstance(thing, type | FunctionType) else getattr(thing, "name", None)
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{self.kind} {thing!r} has no name; expected a class, a function, or an object with one")
        former = self.get(name, thing)
        if former is not thing and (name in self.built_in or _place(former) != _place(thing)):
            raise ConfigError(f"{self.kind} {name!r} is already registered as {former!r}; choose another name")
        self[name] = thing
        return thing


def _place(thing: Any) -> Any:
    """Where a class or a function is defined; of an object its type."""
    return (thing.__module__, thing.__qualname__) if isinstance(thing, type | FunctionType) else type(thing)


PRIMITIVES = Registry("primitive")
TASKS = Registry("dataset")
SEARCHERS = Registry("searcher")
