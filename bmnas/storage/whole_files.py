"""Files that are whole or not there: written beside their place, flushed to the disk, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bmnas.errors import BmnasError, RunError


@contextmanager
def whole(path: Path, error: type[BmnasError] = RunError) -> Iterator[Path]:
    """Gives a temporary path to write to; what was written takes the place of `path` when the block ends.

    Its folder is made. Whatever goes wrong, `path` stays as it was. A killed process may leave the temporary file; the
    next replaces it, and a link in its place is not followed.

    Raises:
        error: the file cannot be written (disk full, read-only folder).
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, path)
    except OSError as failure:
        _remove(partial)
        raise error(
            f"{path} cannot be written: {failure}; what was there before is kept. Make room or make the folder "
            "writable, then run the same again"
        ) from failure
    except BaseException:
        _remove(partial)
        raise


def sync(path: Path) -> None:
    """Returns when the file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:  # a read-only folder; the failure that led here says so
        return
