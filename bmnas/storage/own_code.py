"""Digests of code of one's own: a primitive, a backbone or a rival that is edited under its name gives other results.

What counts is the compiled code that runs, not the file it came from, which may have been edited since it was imported.
Comments, docstrings and line numbers have no effect; another version of Python compiles otherwise, and counts as an
edit.
"""

import copyreg
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.storage.changed_names import ChangedNames
from bmnas.storage.imported_names import imported_modules

OURS = ("bmnas", "widgets")
PLAIN = (int, float, complex, str, bytes, bool, type(None), torch.dtype, torch.device)
STANDARD, INSTALLED = Path(sysconfig.get_path("stdlib")).resolve(), {"site-packages", "dist-packages"}
MOVING = ("weakref", "_weakref", "random", "numpy.random._generator", "numpy.random.mtrand")  # change as they are used


def own_code(thing: Any) -> str | None:
    """Returns sixteen hexadecimal digits of the code of a class, function or object; None if it is all bmnas's.

    What the code refers to belongs to it: base classes, helpers, constants, containers and objects of any depth, what a
    closure or a field holds, and the names of functions of installed packages. What the code changes by itself, such as
    a counter or a cache, does not.

    Args:
        thing: a class, a function, a module of torch, or a dataclass or tuple of such. The weights of a module are
            another matter.
    """
    first = _Walk(ChangedNames())
    for _ in first.parts(thing, counts=False, root=True):
        pass
    if not first.is_own:
        return None
    digest = hashlib.sha256()
    for part in _Walk(first.changed).parts(thing, counts=False, root=True):
        digest.update(part.encode(errors="backslashreplace") + b"\n")
    return digest.hexdigest()[:16]


class _Walk:
    """One walk over all that a thing refers to, each piece once.

    Args:
        changes: names whose values are left out.
    """

    def __init__(self, changes: ChangedNames) -> None:
        self.changes = changes
        self.changed = ChangedNames()  # by the code that the walk meets
        self.seen: set[int] = set()
        self.kept: list[Any] = []  # an object that is gone could leave its id to another
        self.is_own = False  # whether there was code of one's own

    def parts(self, thing: Any, counts: bool, root: bool = False) -> Iterator[str]:
        """Yields texts that change with the code.

        Args:
            counts: whether values count, or code alone.
            root: whether installed packages count, too: a primitive may come with one.
        """
        constant = _constant(thing)
        if constant is not None:
            yield from (constant,) if counts else ()
            return
        if id(thing) in self.seen:
            return
        self.seen.add(id(thing))
        self.kept.append(thing)
        if isinstance(thing, staticmethod | classmethod):
            yield from self.parts(thing.__func__, counts, root)
        elif isinstance(thing, MethodType):
            yield from self._all(counts, thing.__func__, thing.__self__)
        elif isinstance(thing, property):
            yield from self._all(counts, thing.fget, thing.fset)
        elif isinstance(thing, partial):
            yield from self._all(True, thing.func, thing.args, thing.keywords)
        elif isinstance(thing, type):
            yield from self._of_class(thing) if _is_own(thing.__module__, root) else _name(thing, counts)
        elif isinstance(thing, FunctionType):
            yield from self._of_function(thing, counts, root)
        elif isinstance(thing, ModuleType):
            yield from (thing.__name__,) if counts else ()
        elif isinstance(thing, Tensor | np.ndarray):
            yield from (_numbers(thing),) if counts else ()
        elif isinstance(thing, list | tuple):
            yield from self._all(counts, *thing) if counts or isinstance(thing, tuple) else ()
        elif isinstance(thing, set | frozenset):
            yield from sorted("\n".join(self.parts(member, counts)) for member in thing) if counts else ()
        elif isinstance(thing, Mapping):
            yield from self._all(counts, *thing.keys(), *thing.values())
        elif isinstance(thing, torch.jit.ScriptFunction):
            self.is_own = True
            yield str(thing.code)
        elif isinstance(thing, nn.Module):
            yield from self._of_torch(thing, counts)
        else:
            yield from self._of_object(thing, counts)

    def _all(self, counts: bool, *things: Any) -> Iterator[str]:
        for thing in things:
            yield from self.parts(thing, counts)

    def _of_class(self, cls: type) -> Iterator[str]:
        self.is_own = True
        yield f"class {cls.__qualname__}({', '.join(base.__qualname__ for base in cls.__bases__)})"
        yield from self._all(True, type(cls), *cls.__bases__)
        for name, value in sorted(vars(cls).items()):
            if (callable(value) or not name.startswith("__")) and name not in self.changes.attributes:
                yield from self._named(name, value)

    def _of_function(self, function: FunctionType, counts: bool, root: bool) -> Iterator[str]:
        is_own = _is_own(function.__globals__.get("__name__", ""), root)
        yield from self._of_code(function) if is_own else _name(function, counts)
        counts = is_own or counts and not _is_ours(function.__globals__.get("__name__", ""))
        for name, value in _values(function):  # bmnas's may hold one of one's own
            if name not in self.changes.variables:
                yield from self._named(name, value) if counts else self.parts(value, counts)

    def _of_code(self, function: FunctionType) -> Iterator[str]:
        self.is_own = True
        self.changed.add(function.__code__)
        yield from _compiled(function.__code__)
        names = set(_names(function.__code__))
        for name in sorted(names & set(function.__globals__) - self.changes.variables):
            yield from self._of_global(name, function.__globals__[name], names)
        for module in imported_modules(function):
            if _is_own(module.__name__, root=False):
                yield from self._of_global(module.__name__, module, names)

    def _of_global(self, name: str, value: Any, names: set[str]) -> Iterator[str]:
        """Yields a global; of a module of one's own what the code may use."""
        yield from self._named(name, value)
        if isinstance(value, ModuleType) and _is_own(value.__name__, root=False):
            for attribute in sorted(names & set(vars(value)) - self.changes.variables):
                if vars(value)[attribute] is not value:
                    yield from self._of_global(f"{name}.{attribute}", vars(value)[attribute], names - {attribute})

    def _of_torch(self, module: nn.Module, counts: bool) -> Iterator[str]:
        """Yields a network: its class, layers and plain fields, such as a factor; weights only where they count."""
        yield from self._all(counts, type(module), *module.children())
        if isinstance(module, torch.jit.ScriptModule):
            self.is_own = True
            yield str(module.code)
            return
        if _is_ours(type(module).__module__):
            return
        for name, value in sorted(vars(module).items()):
            if not name.startswith("_") and name != "training" and not isinstance(value, Tensor | np.ndarray):
                yield from self._field(name, value)
        weights = module.state_dict() if counts else {}
        yield from (f"{name} = {_numbers(value)}" for name, value in weights.items() if isinstance(value, Tensor))

    def _of_object(self, thing: Any, counts: bool) -> Iterator[str]:
        """Yields an object by its class and by what would be pickled of it; of bmnas's only code."""
        kind = type(thing)
        if is_dataclass(thing) and not counts or _is_ours(kind.__module__):
            held = (getattr(thing, field.name) for field in fields(thing)) if is_dataclass(thing) else ()
            yield from self._all(False, kind, *held)
            return
        is_moving = kind.__module__ in MOVING or isinstance(thing, Iterator)
        wrapped = getattr(thing, "__wrapped__", None)  # as of functools.cache
        if wrapped is not None:
            yield from self._all(counts, wrapped)
        elif callable(thing) and hasattr(thing, "__qualname__"):  # built into the interpreter, or of compiled code
            yield from _name(thing, counts)
        else:
            yield from self.parts(kind, counts)
            if not is_moving and (counts or _is_own(kind.__module__, root=False)):
                yield from self._of_state(thing)

    def _of_state(self, thing: Any) -> Iterator[str]:
        try:
            special = copyreg.dispatch_table.get(type(thing))
            reduced = special(thing) if special else thing.__reduce_ex__(4)
        except Exception:  # whatever a class raises that cannot be pickled: an open file, a lock
            return
        if isinstance(reduced, str):
            yield reduced
            return
        maker, arguments, *state = reduced
        yield from self._all(True, maker, arguments)
        for part in (state[0] if state and isinstance(state[0], tuple) else state[:1]) or ():
            if not isinstance(part, dict):
                yield from self.parts(part, counts=True)
                continue
            for name, value in part.items():
                yield from self._field(str(name), value)
        yield from self._all(True, *(member for members in state[1:3] if members is not None for member in members))

    def _field(self, name: str, value: Any) -> Iterator[str]:
        if name not in self.changes.fields | self.changes.attributes:
            yield from self._named(name, value)

    def _named(self, name: str, value: Any) -> Iterator[str]:
        yield f"{name} ="
        yield from self.parts(value, counts=True)


def _values(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yields what a function holds: defaults, and the variables around it that it uses."""
    yield from (("default", value) for value in function.__defaults__ or ())
    yield from (function.__kwdefaults__ or {}).items()
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # nothing was assigned to it yet
            continue


def _name(thing: Any, counts: bool) -> Iterator[str]:
    """Yields the name of what is not one's own, where it counts which it is."""
    if counts:
        yield f"{getattr(thing, '__module__', '')}.{thing.__qualname__}"


def _constant(value: Any) -> str | None:
    """Returns the text of a value that cannot change and refers to nothing; else None."""
    if type(value) in PLAIN:
        return repr(value)
    if isinstance(value, tuple | frozenset):
        parts = [_constant(part) for part in value]
        if None not in parts:
            texts = [str(part) for part in parts]
            return repr(texts if isinstance(value, tuple) else sorted(texts))
    return None


def _numbers(values: Tensor | np.ndarray) -> str:
    """Returns the type, the shape and a digest of the numbers of an array."""
    if isinstance(values, Tensor):
        if values.layout is not torch.strided or values.is_meta or values.is_quantized or values.is_nested:
            return f"{values.dtype} {values.layout}"
        plain = values.detach().cpu().resolve_conj().resolve_neg().contiguous()
        label, array = str(values.dtype), plain.reshape(-1).view(torch.uint8).numpy()
    else:
        if values.dtype.hasobject:
            return f"{values.dtype} {values.shape} {values.tolist()!r}"
        label, array = str(values.dtype), np.ascontiguousarray(values).reshape(-1)
    return f"{label} {tuple(values.shape)} {hashlib.sha256(array.view(np.uint8).data).hexdigest()}"


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


def _is_ours(module: str) -> bool:
    return module.split(".")[0] in OURS


def _is_own(module: str, root: bool) -> bool:
    """Returns whether a module's code is neither bmnas's nor, but for the thing itself, an installed package's."""
    if _is_ours(module) or module == "builtins":
        return False
    if root or module == "__main__":  # a notebook or a script, whatever started it
        return True
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None)
    if loaded is not None and file is None:
        return False  # built into the interpreter
    if file is None:
        return True
    path = Path(file).resolve()
    return not path.is_relative_to(STANDARD) and not INSTALLED & set(path.parts)
