"""The done-log of a long extraction: one JSON line a batch, appended only after the batch's numbers are on the disk."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bmnas.errors import FeatureError
from bmnas.storage.lock import hold
from bmnas.storage.records import append_record, read_records


@dataclass
class Done:
    """What the log says.

    Attributes:
        rows: that need no second look: extracted, or unreadable.
        unreadable: row -> reason.
    """

    rows: set[int] = field(default_factory=set)
    unreadable: dict[int, str] = field(default_factory=dict)

    @property
    def extracted(self) -> set[int]:
        """The rows that could be read."""
        return self.rows - set(self.unreadable)

    def add(self, rows: list[int], unreadable: dict[int, str]) -> None:
        """Adds one batch; a row that was unreadable once may have been read now."""
        self.rows |= set(rows)
        self.unreadable = {row: why for row, why in self.unreadable.items() if row not in rows} | unreadable


class DoneLog:
    """The log, open for appending, and held by one process alone.

    Raises:
        FeatureError: another process holds it, or a line other than the last is damaged.
    """

    def __init__(self, path: Path, samples: int) -> None:
        self.path = path
        with ExitStack() as stack:
            stack.enter_context(hold(path.with_suffix(".lock"), error=FeatureError))
            self.done = read_done(path, samples)
            self._lock = stack.pop_all()

    def __enter__(self) -> "DoneLog":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.close()

    def append(self, rows: list[int], unreadable: dict[int, str]) -> None:
        """Records that these rows are done; on the disk when it returns."""
        record = {"rows": rows, "unreadable": {str(row): why for row, why in unreadable.items()}}
        append_record(self.path, record, FeatureError)
        self.done.add(rows, unreadable)


def read_done(path: Path, samples: int) -> Done:
    """Reads a log, which another process may hold; it says nothing where there is none.

    Raises:
        FeatureError: a line other than the last is damaged.
    """

    def entry(fields: dict[str, Any]) -> tuple[list[int], dict[int, str]]:
        rows = fields["rows"]
        unreadable = {int(row): str(why) for row, why in fields["unreadable"].items()}
        if not all(isinstance(row, int) and 0 <= row < samples for row in rows) or set(unreadable) - set(rows):
            raise ValueError(f"its rows are not among the {samples} samples")
        return rows, unreadable

    done = Done()
    remedy = f"delete the folder {path.parent}, and the extraction starts again"
    for rows, unreadable in read_records(path, entry, FeatureError, remedy):
        done.add(rows, unreadable)
    return done
