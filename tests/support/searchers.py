"""The searchers as parameters of tests; those whose package is not installed are skipped, and say so."""

import pytest

from bmnas.registry import SEARCHERS
from bmnas.searching.searchers.trials import lacks

OPTUNA = ("gp", "nsga_ii", "tpe")


def usable(name, *marks):
    """The searcher as a parameter, skipped where its package is missing."""
    missing = lacks(SEARCHERS[name])
    return pytest.param(name, marks=[pytest.mark.skipif(bool(missing), reason=f"{name} {missing}"), *marks])


EVERY = [usable(name) for name in sorted(SEARCHERS)]
