"""Typed errors. Every message says what was given, what was expected and what to do.

A message is read, a traceback seldom: terminals and notebooks show the message alone, and say how to see the rest.
"""

import os
import sys
import traceback
import warnings
from itertools import takewhile
from types import TracebackType

VARIABLE = "BMNAS_TRACEBACK"
PACKAGE = os.path.dirname(__file__) + os.sep


class BmnasError(ValueError):
    """The base of every error that bmnas raises on purpose."""

    def _render_traceback_(self) -> list[str]:
        """Gives IPython what it shows: the message, and when asked again (by `%tb`) the whole traceback."""
        if os.environ.get(VARIABLE) or getattr(self, "was_shown", False):
            return traceback.format_exception(self)
        self.was_shown = True
        return [f"{type(self).__name__}: {self}", "(%tb shows where)"]


class UnknownNameError(BmnasError):
    """A name (data set, primitive, feature, parameter ...) that is not in its registry."""


class ConfigError(BmnasError):
    """A setting out of its range, or settings that contradict one another."""


class DataError(BmnasError):
    """Raw data that is missing, or whose content is not what its format promises."""


class FeatureError(BmnasError):
    """A feature set that is incomplete, inconsistent or damaged."""


class GenotypeError(BmnasError):
    """A genotype that breaks the rules of the search space, or does not fit the features."""


class RunError(BmnasError):
    """A run folder that is damaged, of another configuration, or in use."""


class SearchDiverged(BmnasError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""


class PredictionError(BmnasError):
    """Outputs of a network that are NaN or infinite, of which no score and no prediction is made."""


def how_many(number: int, noun: str) -> str:
    """Writes "1 sample" or "1,200 samples"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def warn(message: str) -> None:
    """Warns, at the line outside of this package whose call led here."""
    inside = takewhile(lambda call: call.filename.startswith(PACKAGE), reversed(traceback.extract_stack()))
    warnings.warn(message, stacklevel=1 + sum(1 for _ in inside))


def report_briefly() -> None:
    """Makes Python show uncaught errors of bmnas by their message; of others, and where somebody else decided, nothing
    changes.
    """
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not isinstance(error, BmnasError) or os.environ.get(VARIABLE):
        sys.__excepthook__(kind, error, trace)
        return
    how = "traceback.print_last()" if hasattr(sys, "ps1") else f"{VARIABLE}=1"
    print(f"{kind.__name__}: {error}\n({how} shows where)", file=sys.stderr)
