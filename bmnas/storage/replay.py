"""Scores that a long read-out saves as they come, keyed by what was scored, so that a killed one resumes."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from bmnas.storage.records import append_record, epoch_record, read_records

SECONDS = 2.0  # between two writes; what a kill can cost


class Identified(Protocol):
    """A thing whose digest tells it from every other."""

    def digest(self) -> str:
        """Returns hexadecimal digits that differ between different things."""
        ...


Thing = TypeVar("Thing", bound=Identified)


class Replay:
    """A file of scores, one line for each time that some are written.

    A file of an older version has scores without keys. They are ignored and computed again.

    Args:
        path: of the file; it exists only while the work lasts.
        epoch: of the checkpoint that is read out; scores of another one are ignored.

    Raises:
        RunError: the file is damaged; names the line.
    """

    def __init__(self, path: Path, epoch: int) -> None:
        self.path = path
        self.epoch = epoch
        self.scores: dict[str, dict[str, float]] = {}
        """What the scores are of -> digest -> score."""
        for record in read_records(path, _scores_record, remedy="delete the file to start the read-out again"):
            if record["epoch"] == epoch and isinstance(record["scores"], dict):
                self.scores.setdefault(record["what"], {}).update(record["scores"])

    def of(self, what: str, score: Callable[[Thing], float], seconds: float | None = None) -> Callable[[Thing], float]:
        """Returns `score` with a memory, see `of_several`."""

        def scores_of(things: Sequence[Thing]) -> list[float]:
            return [score(thing) for thing in things]

        several = self.of_several(what, scores_of, seconds)
        return lambda thing: several([thing])[0]

    def of_several(
        self, what: str, scores_of: Callable[[Sequence[Thing]], Sequence[float]], seconds: float | None = None
    ) -> Callable[[Sequence[Thing]], list[float]]:
        """Returns a function of things with a memory: it computes and saves scores only where the file lacks some.

        Where it lacks one, all that are asked for together are computed again, as their last bits may depend on that;
        those that were known stay.

        Args:
            what: names the kind of score.
            scores_of: the function.
            seconds: the shortest time between two writes; SECONDS when None.
        """
        pause = SECONDS if seconds is None else seconds
        scores = self.scores.setdefault(what, {})
        unwritten: dict[str, float] = {}
        last_write = time.monotonic()

        def remembered(things: Sequence[Thing]) -> list[float]:
            nonlocal last_write
            digests = [thing.digest() for thing in things]
            if any(digest not in scores for digest in digests):
                for digest, score in zip(digests, scores_of(things), strict=True):
                    if digest not in scores:
                        scores[digest] = unwritten[digest] = score
                if time.monotonic() - last_write >= pause:
                    append_record(self.path, {"epoch": self.epoch, "what": what, "scores": dict(unwritten)})
                    unwritten.clear()
                    last_write = time.monotonic()
            return [scores[digest] for digest in digests]

        return remembered

    @property
    def state_path(self) -> Path:
        """The file beside it, for the state of work that no scores can tell."""
        return self.path.with_suffix(".safetensors")

    def close(self) -> None:
        """Removes the files, as the result is saved elsewhere."""
        self.path.unlink(missing_ok=True)
        self.state_path.unlink(missing_ok=True)


def _scores_record(fields: dict[str, Any]) -> dict[str, Any]:
    """Checks a line of the file; an older version wrote a list of scores."""
    what = epoch_record(fields).get("what")
    scores = fields.get("scores")
    if not isinstance(what, str) or not isinstance(scores, dict | list):
        raise ValueError("not scores of a read-out")
    numbers = scores.values() if isinstance(scores, dict) else scores
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers):
        raise ValueError("not scores of a read-out: one is not a number")
    return fields
