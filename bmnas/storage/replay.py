"""Scores that a process works out one after the other, kept as they come: after a kill they are given again.

The calls of a read-out come in the same order each time, so the n-th kept score answers the n-th call.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from bmnas.errors import RunError
from bmnas.storage.records import append_record, read_records
from bmnas.storage.whole_files import whole

T = TypeVar("T")

NO_SCORES = "not scores of a read-out; delete the file to read out anew"
SECONDS = 2.0  # between two writes; what a kill can cost


class Replay:
    """A file of scores, one line each time that some are written.

    Args:
        path: of the file; it is there only while the work lasts.
        epoch: of the checkpoint that is read out; scores of another one count nothing.

    Raises:
        RunError: the file is damaged; names the line.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        self.path, self.epoch = path, epoch
        self.kept: dict[str, list[float]] = {}
        mine = []
        for number, record in enumerate(read_records(path, NO_SCORES), start=1):
            if record["epoch"] != epoch:
                continue
            what, scores = record.get("what"), record.get("scores")
            if not isinstance(what, str) or not _all_scores(scores):
                raise RunError(f"{path}, line {number}: {NO_SCORES}")
            self.kept.setdefault(what, []).extend(scores)
            mine.append(record)
        if path.exists():  # without what another epoch, or a write that was cut short, has left
            with whole(path) as partial:
                partial.write_text("".join(json.dumps(record) + "\n" for record in mine), encoding="utf-8")

    def of(self, what: str, score: Callable[[T], float], seconds: float | None = None) -> Callable[[T], float]:
        """The function `score`, whose first results are those kept for `what`, and whose new ones are kept.

        Args:
            seconds: at least so long between two writes; SECONDS when None.
        """
        pause = SECONDS if seconds is None else seconds
        known, new, written = iter(self.kept.get(what, [])), [], time.monotonic()

        def scored(thing: T) -> float:
            nonlocal written
            before = next(known, None)
            if before is not None:
                return before
            found = score(thing)
            new.append(found)
            if time.monotonic() - written >= pause:
                append_record(self.path, {"epoch": self.epoch, "what": what, "scores": list(new)})
                new.clear()
                written = time.monotonic()
            return found

        return scored

    def close(self) -> None:
        """The work is done and its result kept elsewhere: the file goes."""
        self.path.unlink(missing_ok=True)


def _all_scores(scores: Any) -> TypeGuard[list[float]]:
    return isinstance(scores, list) and all(type(s) in (int, float) and math.isfinite(s) for s in scores)
