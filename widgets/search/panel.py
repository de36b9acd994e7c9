"""A panel of the dashboard: one object that knows what it draws, from which record, and its axes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from bmnas.searching.trace import EpochEvent
from bmnas.space.graph import Modalities
from widgets import style
from widgets.search.weights import SYMBOLS, WeightsInfo, weights_info

LINES, HEAT = "lines", "heat map"


class Choice(NamedTuple):
    """What a watcher wants to see: one Cell ("" is all of them), as "lines" or as "heat map"."""

    cell: str = ""
    picture: str = LINES


@dataclass(frozen=True)
class SearchView:
    """A search so far, and how it is looked at."""

    events: tuple[EpochEvent, ...]
    choice: Choice = Choice()
    modalities: Modalities | None = None

    @property
    def last(self) -> EpochEvent:
        """The last epoch so far."""
        return self.events[-1]

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs so far."""
        return tuple(event.epoch for event in self.events)

    @property
    def best(self) -> EpochEvent:
        """The epoch of the best validation score so far."""
        return next(event for event in self.events if event.epoch == self.last.best_epoch)

    @cached_property
    def weights(self) -> dict[str, WeightsInfo]:
        """The weights of the chosen Cell, or of all, by kind."""
        best = self.last.best_epoch
        cell = self.choice.cell
        return {kind: weights_info(self.events, kind, best, cell).joined for kind in SYMBOLS}

    @property
    def cells(self) -> list[str]:
        """The Cells in order; none before the first epoch."""
        return list(self.last.architecture.alpha) if self.events else []


class Panel(ABC):
    """A panel without content: what another one overrides.

    Traces and axes are plain dictionaries, because a plotly object costs a millisecond. Architecture and choice alone
    decide number and order of the traces, so that plotly.js sees what is new.

    Attributes:
        title: the heading of the panel's part of the legend; "" for a panel whose heading names its lines.
    """

    title = ""

    @abstractmethod
    def heading(self, view: SearchView) -> str:
        """Returns what stands above the panel, in plotly's HTML; called before the first epoch too."""

    @abstractmethod
    def traces(self, view: SearchView) -> list[dict[str, Any]]:
        """Returns what the panel draws, without its axes."""

    def xaxis(self, view: SearchView) -> dict[str, Any]:
        """Returns the epochs so far."""
        last = view.last.epoch
        return {"range": [0.5, last + 0.5], "tickangle": 0, **style.epoch_ticks(last, 4)}

    def yaxis(self, view: SearchView) -> dict[str, Any]:
        """Returns the axis of values; by default as wide as these are."""
        return {}

    def aid(self, view: SearchView) -> str:
        """Says how the panel is read, "" where that needs no words."""
        return ""
