"""Paths as users give them: checked where they come in, and absolute from then on."""

import errno
import os
from pathlib import Path

from bmnas.errors import ConfigError


def given_path(name: str, value: object) -> Path:
    """Returns the absolute path that an argument means; a `~` at its start is the home folder, as in a shell.

    It is made absolute once, as the working directory may change. An empty text is refused: as a path it would be the
    working directory, and mostly it is a variable that nobody set.

    Args:
        name: of the argument, for the message.
        value: of the argument.

    Raises:
        ConfigError: it is no text and no path, is empty or too long, or holds what no path of this machine can.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(text, str):
        raise ConfigError(f"{name} is {value!r}; expected a path, as a text or a pathlib.Path")
    if not text.strip():
        raise ConfigError(f"{name} is {value!r}, which names nothing; expected a path ('.' is the working directory)")
    try:
        path = Path(os.path.expanduser(text)).absolute()
        path.lstat()
    except ValueError as error:
        raise ConfigError(f"{name} is {text!r}; a path holds no NUL and no halves of characters") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError(f"{name} is {text[:400]!r}, longer than a path may be") from error
        if not os.path.isabs(text) and not _has_working_directory():
            raise ConfigError(f"{name} is {text!r}, but the working directory was deleted; change it first") from error
    return path


def _has_working_directory() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False
