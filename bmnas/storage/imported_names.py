"""Modules that a function imports when it is called, as `from .helpers import scale` within its body."""

import dis
import importlib
from collections.abc import Iterator
from importlib.util import resolve_name
from types import CodeType, FunctionType, ModuleType


def imported_modules(function: FunctionType) -> Iterator[ModuleType]:
    """Yields the modules that the function would import; it imports them, as a call does. Missing ones are left out."""
    package = function.__globals__.get("__package__") or function.__globals__.get("__name__", "").rpartition(".")[0]
    for level, name in _imports(function.__code__):
        try:
            yield importlib.import_module(resolve_name("." * level + name, package or None))
        except ImportError:
            continue


def _imports(code: CodeType) -> Iterator[tuple[int, str]]:
    """Yields (dots in front, name): two constants, the dots and the names wanted, lie before each import."""
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    for place, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            dots = steps[place - 2].argval
            yield (dots if isinstance(dots, int) else 0), step.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _imports(constant)
