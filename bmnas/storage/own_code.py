"""Digests of code of one's own: a primitive, a backbone or a rival that is edited under its name gives other results.

What counts is the compiled code that runs, not the file it came from, which may have been edited since it was imported.
Comments, docstrings and line numbers have no effect; another version of Python compiles otherwise, and counts as an
edit.
"""

import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, nn

OURS = ("bmnas", "widgets", "builtins")
PLAIN = (int, float, complex, str, bytes, bool, type(None))
STANDARD, INSTALLED = Path(sysconfig.get_path("stdlib")).resolve(), {"site-packages", "dist-packages"}


def own_code(thing: Any) -> str | None:
    """Returns sixteen hexadecimal digits of the code of a class, function or object; None if it is all bmnas's.

    What the code refers to belongs to it: base classes, helpers, constants, what a closure or a field holds. Installed
    packages do not, nor do values that may change, such as lists.

    Args:
        thing: a class, a function, a module of torch, or a dataclass or tuple of such.
    """
    digest = hashlib.sha256()
    walk = _Walk()
    for part in walk.parts(thing):
        digest.update(part.encode() + b"\n")
    return digest.hexdigest()[:16] if walk.is_own else None


class _Walk:
    """One walk over all code that a thing refers to, each piece once."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.kept: list[Any] = []  # an object that is gone could leave its id to another
        self.is_own = False  # whether there was code of one's own

    def parts(self, thing: Any, root: bool = True) -> Iterator[str]:
        """Yields texts that change with the code.

        Args:
            root: whether installed packages count, too: a primitive may come with one.
        """
        if id(thing) in self.seen:
            return
        self.seen.add(id(thing))
        self.kept.append(thing)
        if isinstance(thing, staticmethod | classmethod | MethodType):
            yield from self.parts(thing.__func__, root)
        elif isinstance(thing, property):
            yield from self._all(thing.fget, thing.fset)
        elif isinstance(thing, functools.partial):
            yield from self.parts(thing.func, root=False)
            for name, value in (*enumerate(thing.args), *thing.keywords.items()):
                yield from self._named(str(name), value)
        elif isinstance(thing, type):
            yield from self._of_class(thing) if _is_own(thing, root) else ()
        elif isinstance(thing, FunctionType):
            if _is_own(thing, root):
                yield from self._of_function(thing)
            yield from self._all(*(value for _, value in _values(thing)))  # bmnas's may hold one of one's own
        elif isinstance(thing, tuple):
            yield from self._all(*thing)
        elif isinstance(thing, nn.Module):
            yield from self._all(type(thing), *thing.children())
        elif is_dataclass(thing):
            yield from self._all(type(thing), *(getattr(thing, field.name) for field in fields(thing)))
        elif not isinstance(thing, ModuleType):
            yield from self._all(type(thing))

    def _all(self, *things: Any) -> Iterator[str]:
        for thing in things:
            yield from self.parts(thing, root=False)

    def _of_class(self, cls: type) -> Iterator[str]:
        self.is_own = True
        yield f"class {cls.__qualname__}({', '.join(base.__qualname__ for base in cls.__bases__)})"
        yield from self._all(*cls.__bases__)
        for name, value in sorted(vars(cls).items()):
            if callable(value) or not name.startswith("__"):
                yield from self._named(name, value)

    def _of_function(self, function: FunctionType) -> Iterator[str]:
        self.is_own = True
        yield from _compiled(function.__code__)
        for name, value in _values(function):
            yield f"{name} = {_constant(value)}"
        names = set(_names(function.__code__))
        for name in sorted(names & set(function.__globals__)):
            value = function.__globals__[name]
            if isinstance(value, ModuleType):
                used = sorted(names & set(vars(value))) if _is_own(value, root=False) else []
                for attribute in used:
                    yield from self._named(f"{name}.{attribute}", vars(value)[attribute])
            else:
                yield from self._named(name, value)

    def _named(self, name: str, value: Any) -> Iterator[str]:
        """Yields a constant by its value, code by its parts, and of anything else nothing."""
        constant = _constant(value)
        if constant is not None:
            yield f"{name} = {constant}"
        else:
            yield from self.parts(value, root=False)


def _values(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yields what a function holds: defaults, and the variables around it that it uses."""
    yield from (("default", value) for value in function.__defaults__ or ())
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing was assigned to it yet
            continue


def _constant(value: Any) -> str | None:
    """Returns the text of a value that cannot change, or the digest of a tensor or array; else None."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, Tensor):
        value = value.detach().float().cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return f"{value.dtype} {value.shape} {hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()}"
    if isinstance(value, tuple | frozenset):
        parts = [_constant(part) for part in value]
        if None not in parts:
            texts = [str(part) for part in parts]
            return repr(texts if isinstance(value, tuple) else sorted(texts))
    return None


def _compiled(code: CodeType) -> Iterator[str]:
    """Yields what the interpreter executes, nested functions included, but neither docstrings nor places in files."""
    yield f"{code.co_name} {code.co_argcount} {code.co_flags} {code.co_code.hex()} {code.co_names} {code.co_varnames}"
    for place, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from _compiled(constant)
        elif place or not isinstance(constant, str):  # a docstring comes first
            yield _constant(constant) or repr(type(constant))


def _names(code: CodeType) -> Iterator[str]:
    """Yields all names of globals and attributes that a code uses."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_own(thing: Any, root: bool) -> bool:
    """Returns whether code is neither bmnas's nor, but for the thing itself, an installed package's."""
    name = thing.__name__ if isinstance(thing, ModuleType) else str(thing.__module__)
    if name.split(".")[0] in OURS:
        return False
    if root:
        return True
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if module is not None and file is None:
        return name == "__main__"  # built into the interpreter otherwise
    if file is None:
        return True
    path = Path(file).resolve()
    return not path.is_relative_to(STANDARD) and not INSTALLED & set(path.parts)
