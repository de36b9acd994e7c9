"""Packages that only one engine needs."""

from importlib import import_module
from typing import Any

from bmnas.errors import ConfigError


def required(package: str, extra: str) -> Any:
    """Imports a package of an optional extra.

    Raises:
        ConfigError: it is not installed; gives the command.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"the engine {extra!r} needs the package {package.split('.')[0]!r}, which is not installed ({error}). "
            f"Install it with: pip install 'bmnas[{extra}]'. Without it, the engine 'joblib' uses this machine's cores"
        ) from error
