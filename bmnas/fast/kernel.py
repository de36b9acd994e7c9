"""Loops over numpy arrays as machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}  # a * b + c in one rounding


def kernel(function: F) -> F:
    """Compiles a function when it is first called, and keeps the code in __pycache__ for the next process.

    Sums keep the order in which they are written, so that a search repeats itself bit by bit on one machine.
    """
    try:
        return cast(F, numba.njit(cache=True, **OPTIONS)(function))
    except RuntimeError:  # there is no folder that may be written to
        return cast(F, numba.njit(**OPTIONS)(function))
