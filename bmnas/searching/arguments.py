"""The types of what searches, read-outs, evaluations and rivals are called with, checked before any work."""

import reprlib

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run

CLASSES = {"features": FeatureSet, "config": SearchConfig, "budget": EvalConfig, "run": Run}


def check_arguments(**values: object) -> None:
    """Makes sure that arguments are of their class in `CLASSES`; None stands for one that was left out.

    Raises:
        ConfigError: names the argument, what was given and the class.
    """
    for name, value in values.items():
        kind = CLASSES[name]
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"{name} is {reprlib.repr(value)}; expected a bmnas.{kind.__name__}")
