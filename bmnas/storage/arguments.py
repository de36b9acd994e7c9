"""Arguments compared with their annotations, where users call: one clear error instead of one from deep inside."""

import inspect
import numbers
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence, Sized
from functools import cache, partial, wraps
from types import FunctionType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from numpy.typing import ArrayLike
from pydantic.dataclasses import is_pydantic_dataclass
from torch import nn

from bmnas.errors import ConfigError

NUMBERS: dict[Any, type] = {int: numbers.Integral, float: numbers.Real, complex: numbers.Complex}
"""A number's annotation -> its abstract class, so that numpy's numbers are numbers, too."""


def check_public_calls(namespace: MutableMapping[str, Any], package: str, besides: Collection[str] = ()) -> None:
    """Makes the public functions and classes of a package compare their arguments with the annotations.

    Functions are replaced in the namespace. Of classes, the constructor and the public methods are replaced; of the
    torch modules that a training calls at each step, the constructor. Calls from within the package are not compared:
    a search makes millions of them, with arguments that were compared where the user called.

    Args:
        namespace: of the package, `globals()` at its end.
        package: its name.
        besides: constructors ("Class") and methods ("Class.method") that stay as they are: they say more of a wrong
            argument by themselves, or also take what is only like a class.
    """
    classes: set[type] = set()  # a base class of several is met more than once
    for name, value in list(namespace.items()):
        if name.startswith("_") or not getattr(value, "__module__", "").startswith(f"{package}."):
            continue
        if isinstance(value, FunctionType):
            namespace[name] = checked(value, name, package)
            namespace[name].__module__ = package  # where pickle looks for it
        elif isinstance(value, type) and not issubclass(value, Exception):
            classes.update(kind for kind in value.__mro__ if kind.__module__.startswith(f"{package}."))
    for kind in classes:
        _check_methods(kind, package, besides)


def checked(function: Callable[..., Any], name: str, package: str) -> Callable[..., Any]:
    """Returns the function, which first compares the arguments of a call from outside with their annotations.

    Args:
        function: whose annotations are true.
        name: what errors call it.
        package: whose own calls are not compared.
    """
    positions = tuple(inspect.signature(function).parameters)
    hints = cache(partial(get_type_hints, function))

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not _is_called_by(package):
            for parameter, value in (*zip(positions, args, strict=False), *kwargs.items()):
                if parameter in hints() and not matches(value, hints()[parameter]):
                    shown = f"{' '.join(reprlib.repr(value).split())} ({type(value).__name__})"
                    raise ConfigError(f"{name}: {parameter} is {shown}; expected {wording(hints()[parameter])}")
        return function(*args, **kwargs)

    return call


def _is_called_by(package: str) -> bool:
    """Returns whether the function that asks was called by a module of a package."""
    frame = inspect.currentframe()
    asking = frame and frame.f_back
    caller = asking and asking.f_back
    return caller is not None and caller.f_globals.get("__name__", "").partition(".")[0] == package


def _check_methods(kind: type, package: str, besides: Collection[str]) -> None:
    """Replaces the constructor of a class and the public methods that it defines, see `check_public_calls`."""
    is_stepped = issubclass(kind, nn.Module) and kind.__module__.startswith("bmnas.space.")
    for name, member in list(vars(kind).items()):
        method = member.__func__ if isinstance(member, classmethod) else member
        is_public = not name.startswith("_") and not is_stepped and name != "forward"
        is_constructor = name == "__init__" and not is_pydantic_dataclass(kind)  # pydantic's checks by itself
        label = kind.__name__ if is_constructor else f"{kind.__name__}.{name}"
        if isinstance(method, FunctionType) and (is_public or is_constructor) and label not in besides:
            call = checked(method, label, package)
            setattr(kind, name, classmethod(call) if isinstance(member, classmethod) else call)


def matches(value: object, hint: Any) -> bool:
    """Returns whether a value may be what an annotation says, with the members of containers.

    It is generous: any container is a sequence, whole numbers are real ones, and what cannot be seen from outside (the
    arguments of a function, what a generator will give) is taken for right. A text is no sequence of texts, and a
    dictionary none of its keys.
    """
    origin: Any = get_origin(hint) or hint
    if origin is Any or origin is Literal or isinstance(origin, TypeVar):
        return True
    if origin in (Union, UnionType):
        return any(matches(value, member) for member in get_args(hint))
    if origin is Callable:
        return callable(value)
    if origin is type:
        return isinstance(value, type)
    kinds = get_args(hint)
    if kinds and origin.__module__ in ("builtins", "collections.abc"):
        if issubclass(origin, Mapping):
            return _is_mapping_of(value, *kinds)
        return not (isinstance(value, Mapping) and issubclass(origin, Sequence)) and _is_container_of(value, kinds)
    if origin in NUMBERS and isinstance(value, bool):  # True is 1 to Python, and mostly a mistake to people
        return False
    kind: Any = NUMBERS.get(origin, origin)
    try:
        return isinstance(value, kind)
    except TypeError:  # a protocol that is not made for this
        return True


def wording(hint: Any) -> str:
    """Writes an annotation as a user of the package would: `bmnas.FeatureSet`, `Sequence[str]`, `str | Path`."""
    return _short(hint).replace(_short(ArrayLike), "ArrayLike")


def _short(hint: Any) -> str:
    text = re.sub(r"\b(bmnas|widgets)\.(\w+\.)*(\w+)", r"\1.\3", inspect.formatannotation(hint))
    return re.sub(r"\b(collections\.abc|typing|pathlib|torch\.nn\.modules\.module)\.", "", text)


def _is_mapping_of(value: object, key: Any, member: Any) -> bool:
    is_mapping = isinstance(value, Mapping | nn.ModuleDict)
    return is_mapping and all(matches(k, key) and matches(v, member) for k, v in value.items())


def _is_container_of(value: object, kinds: tuple[Any, ...]) -> bool:
    """Returns whether a value can be gone through; its members are looked at where that uses nothing up."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return False
    if not isinstance(value, Sized):
        return True
    members = list(value)
    if len(kinds) == 1 or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(members)
    return len(members) == len(kinds) and all(map(matches, members, kinds))
