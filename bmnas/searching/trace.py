"""What a search did, epoch by epoch: the events that it yields, and all of them as data frames."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bmnas.config import SearchConfig
from bmnas.errors import RunError
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import Genotype

TIMING = ("seconds", "seconds_left", "peak_memory_mb")
"""The fields that may differ between equal runs; a run folder keeps them in a file of their own."""
TYPED = {
    int: lambda value: type(value) is int,
    float: lambda value: type(value) in (int, float) and abs(value) < math.inf,
    bool: lambda value: type(value) is bool,
    str: lambda value: type(value) is str,
}
"""What a field of each type holds once it was written and read as JSON."""


@dataclass(frozen=True)
class EpochEvent:
    """One epoch of Algorithm 1.

    Args:
        epoch: counted from 1.
        epochs: how many there will be.
        train_loss, train_score: mean over the training split, in train mode, before each step.
        val_loss, val_score: of the validation split, as the switch `score_mode` says.
        lr: the last learning rate of the weights in this epoch.
        architecture: alpha, beta and gamma after the epoch.
        genotype: derived from them.
        is_best: whether this epoch is the best so far; `best_epoch` and `best_score` tell which is.
        metric: what the scores are ("accuracy", "weighted F1"), between 0 and 1.
        seconds: wall time of the epoch.
        seconds_left: estimate for the epochs to come.
        peak_memory_mb: largest memory so far (resident set on the CPU, allocated on a GPU).
    """

    epoch: int
    epochs: int
    train_loss: float
    train_score: float
    val_loss: float
    val_score: float
    lr: float
    architecture: Architecture
    genotype: Genotype
    is_best: bool
    best_epoch: int
    best_score: float
    metric: str
    seconds: float = 0.0
    seconds_left: float = 0.0
    peak_memory_mb: float = 0.0

    def record(self) -> dict[str, Any]:
        """Returns what is the same in every equal run, for JSON."""
        data = {name: value for name, value in asdict(self).items() if name not in TIMING}
        return {**data, "genotype": self.genotype.to_dict()}

    def timing(self) -> dict[str, Any]:
        """Returns what may differ, for JSON."""
        return {"epoch": self.epoch, **{name: getattr(self, name) for name in TIMING}}

    @classmethod
    def from_record(cls, data: Any, timing: dict[str, Any] | None = None) -> "EpochEvent":
        """Inverts `record`.

        Raises:
            RunError: a field is missing, unknown or of the wrong type.
        """
        try:
            plain = {**data, **{name: value for name, value in (timing or {}).items() if name in TIMING}}
            architecture = Architecture.from_dict(plain.pop("architecture"))
            genotype = Genotype.from_dict(plain.pop("genotype"))
            event = cls(**plain, architecture=architecture, genotype=genotype)
        except (TypeError, KeyError, ValueError) as error:
            raise RunError(f"not the record of an epoch: {error}") from error
        for name, value in plain.items():
            if not TYPED[cls.__annotations__[name]](value):
                raise RunError(f"not the record of an epoch: {name} is {value!r}")
        if not 1 <= event.best_epoch <= event.epoch <= event.epochs:
            raise RunError(
                f"not the record of an epoch: best_epoch is {event.best_epoch}, epoch {event.epoch} of {event.epochs}"
            )
        return event


def is_last(epoch: int, best_epoch: int, config: SearchConfig) -> bool:
    """Returns whether a search ends with this epoch: none is left, or `patience` of them brought no better score."""
    return epoch >= config.epochs or (config.patience is not None and epoch - best_epoch >= config.patience)


class Trace:
    """The events of a search in order.

    Args:
        events: from `search`, or read back from a run folder by `Run.trace`.
    """

    def __init__(self, events: Iterable[EpochEvent] = ()) -> None:
        self.events = list(events)

    def __len__(self) -> int:
        return len(self.events)

    def __iter__(self) -> Iterator[EpochEvent]:
        return iter(self.events)

    def append(self, event: EpochEvent) -> None:
        """Adds the event of the next epoch."""
        self.events.append(event)

    def is_complete(self, config: SearchConfig) -> bool:
        """Returns whether the last epoch of the search is there."""
        return bool(self.events) and is_last(self.last.epoch, self.last.best_epoch, config)

    @property
    def best(self) -> EpochEvent:
        """The event of the best validation score: Algorithm 1's answer.

        Raises:
            RunError: no epoch is finished yet.
        """
        return self.at(self.last.best_epoch)

    @property
    def last(self) -> EpochEvent:
        """The event of the last epoch.

        Raises:
            RunError: no epoch is finished yet.
        """
        if not self.events:
            raise RunError(
                "there is no finished epoch of Algorithm 1 yet; run notebook 02 for it. A run of another searcher has "
                "none, so no alpha, beta and gamma: name a run of Algorithm 1, or use 04 and 05, which need none"
            )
        return self.events[-1]

    def at(self, epoch: int) -> EpochEvent:
        """Returns the event of an epoch, counted from 1.

        Raises:
            RunError: there is no such epoch, or none at all.
        """
        last = self.last.epoch
        for event in self.events:
            if event.epoch == epoch:
                return event
        raise RunError(f"epoch is {epoch!r}; expected one of the {len(self.events)} recorded epochs, 1 to {last}")

    def scores(self) -> pd.DataFrame:
        """Lists one row an epoch: losses, scores, learning rate, seconds."""
        names = ("epoch", "train_loss", "val_loss", "train_score", "val_score", "lr", "is_best", "seconds")
        return pd.DataFrame([{name: getattr(event, name) for name in names} for event in self.events])

    def weights(self) -> pd.DataFrame:
        """Lists one row a weight and epoch: epoch, kind (alpha, beta, gamma), cell, step, name, weight."""
        return pd.DataFrame([{"epoch": e.epoch, **row} for e in self.events for row in e.architecture.rows()])

    def movement(self) -> dict[str, float]:
        """Returns how far the furthest weight of each kind is from undecided, after the last epoch.

        Undecided is 1/2 for an edge (alpha, beta) and 1 / (number of primitives) for a Step (gamma). At the start the
        logits have a standard deviation of 1e-3, that is 0.0003 in these weights.
        """
        far = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}
        last = self.last.architecture
        for row in last.rows():
            options = len(last.gamma[row["cell"]][row["step"]]) if row["kind"] == "gamma" else 2
            far[row["kind"]] = max(far[row["kind"]], abs(row["weight"] - 1 / options))
        return far
