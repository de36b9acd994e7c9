"""Registries of primitives, data sets and searchers: named things that are looked up, listed and added."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from typing import Any

from bmnas.errors import UnknownNameError

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

    def __missing__(self, name: str) -> Any:
        raise unknown(self.kind, name, self)

    def register(self, thing: Any) -> Any:
        """Adds a class under its `__name__`, or an object under its `name`; usable as a decorator.

        A class that is defined again, as by a cell that is edited and run again, takes the place of its former self.

        Raises:
            ValueError: the name is taken by something else.
        """
        name = thing.__name__ if isinstance(thing, type) else thing.name
        if name in self and self[name] is not thing and _place(self[name]) != _place(thing):
            raise ValueError(f"{self.kind} {name!r} is already registered as {self[name]!r}; choose another name")
        self[name] = thing
        return thing


def _place(thing: Any) -> Any:
    """Where a class is defined; of an object the object itself."""
    return (thing.__module__, thing.__qualname__) if isinstance(thing, type) else thing


PRIMITIVES = Registry("primitive")
TASKS = Registry("dataset")
SEARCHERS = Registry("searcher")
