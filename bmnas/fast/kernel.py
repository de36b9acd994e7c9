"""Loops over numpy arrays as machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def kernel(function: F) -> F:
    """Compiles a function when it is first called, and keeps the code in __pycache__ for the next process.

    a * b + c may be rounded once. Sums keep the order in which they are written, and machine code does not change, so
    that a search repeats itself bit by bit on one machine.
    """
    return compiled(function, {"contract"})


def compiled(function: F, freedom: set[str]) -> F:
    """`kernel` with what LLVM calls fast-math flags."""
    try:
        return cast(F, numba.njit(cache=True, fastmath=freedom, **OPTIONS)(function))
    except RuntimeError:  # there is no folder that may be written to
        return cast(F, numba.njit(fastmath=freedom, **OPTIONS)(function))


def _total(x):
    total = 0.0
    for c in range(len(x)):
        total += x[c]
    return total


total_of = compiled(_total, {"contract", "reassoc"})
"""The sum of numbers in float64, several side by side."""
