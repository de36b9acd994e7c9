"""The done-log of a long extraction: one JSON line a batch, appended only after the batch's numbers are on the disk."""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bmnas.errors import FeatureError
from bmnas.storage.lock import lock


@dataclass
class Done:
    """What the log says.

    Attributes:
        rows: that need no second look: extracted, or unreadable.
        unreadable: row -> reason.
    """

    rows: set[int] = field(default_factory=set)
    unreadable: dict[int, str] = field(default_factory=dict)

    def add(self, rows: list[int], unreadable: dict[int, str]) -> None:
        """One batch; a row that was unreadable once may have been read now."""
        self.rows |= set(rows)
        self.unreadable = {row: why for row, why in self.unreadable.items() if row not in rows} | unreadable


class DoneLog:
    """The log, open for appending, and held by one process alone.

    Raises:
        FeatureError: another process holds it, or a line other than the last is damaged.
    """

    def __init__(self, path: Path, samples: int) -> None:
        self.path, self.samples = path, samples
        self._file = path.open("a+b")
        try:
            self._lock()
            self.done = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "DoneLog":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def append(self, rows: list[int], unreadable: dict[int, str]) -> None:
        """Says that these rows are done; on the disk when it returns."""
        line = json.dumps({"rows": rows, "unreadable": {str(row): why for row, why in unreadable.items()}})
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.done.add(rows, unreadable)

    def _lock(self) -> None:
        try:
            lock(self._file)
        except OSError as error:
            raise FeatureError(
                f"{self.path.parent} is being written by another process; wait for it, or stop it"
            ) from error

    def _read(self) -> Done:
        """What is there; a last line that was cut off by a kill is removed."""
        self._file.seek(0)
        text = self._file.read()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) != len(text):
            self._file.truncate(len(whole))
        done = Done()
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                done.add(*self._entry(json.loads(line)))
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise FeatureError(
                    f"{self.path}, line {number}: not an entry of an extraction's log: {error}; delete the folder "
                    f"{self.path.parent}, and the extraction begins anew"
                ) from error
        return done

    def _entry(self, entry: dict[str, Any]) -> tuple[list[int], dict[int, str]]:
        rows, unreadable = entry["rows"], {int(row): str(why) for row, why in entry["unreadable"].items()}
        if not all(isinstance(row, int) and 0 <= row < self.samples for row in rows) or set(unreadable) - set(rows):
            raise ValueError(f"its rows are not among the {self.samples} samples")
        return rows, unreadable
