"""A search so far as Info records: events one by one -> weights, scores and entropy over the epochs.

The same records come from a finished trace and from a search that runs; there they grow by one event at a time, so
that a view of the hundredth epoch costs hardly more than that of the first.
"""

from collections.abc import Iterable
from typing import NamedTuple

from bmnas.searching.trace import EpochEvent
from widgets.search.scores import COLUMNS, ScoresInfo
from widgets.search.weights import WeightRow, WeightsInfo, weight_label

KINDS = ("alpha", "beta", "gamma")


class EntropyInfo(NamedTuple):
    """Kind -> mean entropy of its choices over the epochs, from 1 (undecided) to 0 (decided)."""

    epochs: tuple[int, ...]
    values: dict[str, tuple[float, ...]]


class History:
    """The events of a search in order.

    Args:
        events: those there are already, such as a trace.
    """

    def __init__(self, events: Iterable[EpochEvent] = ()) -> None:
        self.events: list[EpochEvent] = []
        self._weights: dict[str, dict[tuple[str, str, str], list[float]]] = {kind: {} for kind in KINDS}
        self._entropy: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for event in events:
            self.append(event)

    def append(self, event: EpochEvent) -> None:
        """Adds the event of the next epoch."""
        for row in event.architecture.rows():
            place = row["cell"], row["step"], row["name"]
            self._weights[row["kind"]].setdefault(place, []).append(round(row["weight"], 4))
        for kind, value in event.architecture.entropy().items():
            self._entropy[kind].append(round(value, 4))
        self.events.append(event)

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs so far."""
        return tuple(event.epoch for event in self.events)

    @property
    def cells(self) -> list[str]:
        """The Cells in order; none before the first event."""
        return list(self.events[-1].architecture.alpha) if self.events else []

    def weights(self, kind: str, cell: str = "") -> WeightsInfo:
        """The weights of one kind, of all Cells or of one."""
        rows = tuple(
            WeightRow(weight_label(kind, *place), *place, tuple(values))
            for place, values in self._weights[kind].items()
            if cell in ("", place[0])
        )
        return WeightsInfo(kind, self.epochs, rows, self.events[-1].best_epoch)

    def scores(self) -> ScoresInfo:
        """Losses and scores, and the best epoch."""
        last = self.events[-1]
        columns = {name: tuple(getattr(event, name) for event in self.events) for name in COLUMNS}
        return ScoresInfo(
            self.epochs, **columns, metric=last.metric, best_epoch=last.best_epoch, best_score=last.best_score
        )

    def entropy(self) -> EntropyInfo:
        """How undecided each kind of weights is."""
        return EntropyInfo(self.epochs, {kind: tuple(values) for kind, values in self._entropy.items()})
