"""What moves while somebody watches a search: one figure with six panels, and the hypernet with its genotype."""

import threading
import time
from collections.abc import Callable
from typing import Any

import ipywidgets as ipw

from bmnas.searching.trace import EpochEvent
from bmnas.space.graph import Modalities, hypernet_graph
from widgets.live.controls import ButtonRow, close_all
from widgets.live.figure import LiveFigure
from widgets.networks.changes import changes, changes_html, mark
from widgets.networks.dag import dag_drawing
from widgets.networks.drawing import dag_svg
from widgets.search.figure import search_layout, search_traces
from widgets.search.history import History
from widgets.search.panels import HEAT, LINES, Choice
from widgets.search.places import HEIGHT

CAPTION = 640.0  # pixels that the words above a graph take
TICK = 0.05  # seconds between two looks at the browser


class Screen:
    """The widgets of a view, and what they show; `box` and `graph` are displayed by the caller.

    `append` and `draw` may come from another thread than the clicks on the choosers.

    Args:
        title: of the figure.
        note: one line under the title.
        modalities: modality -> features, for colours.
        failed: takes the error of a drawing that a click on a chooser asked for.
        spent: takes the seconds of such a drawing.
    """

    def __init__(
        self,
        title: str,
        note: str = "",
        modalities: Modalities | None = None,
        failed: Callable[[Exception], None] | None = None,
        spent: Callable[[float], None] | None = None,
    ) -> None:
        self.title, self.note, self.modalities = title, note, modalities
        self.history, self.choice = History(), Choice()
        self._failed, self._spent, self._lock = failed, spent, threading.RLock()
        self._seen: list[EpochEvent] = []  # the last two that were drawn
        self._ended = False
        self.figure = LiveFigure(*self._pictured())
        self.cell = ButtonRow("Cell", {"all Cells": ""}, self._choose)
        self.picture = ButtonRow("Weights as", {LINES: LINES, HEAT: HEAT}, self._choose)
        self.frame = ipw.Box([self.figure], layout=ipw.Layout(min_height=f"{HEIGHT}px", overflow="visible"))
        choosers = ipw.HBox(
            [self.cell.box, self.picture.box], layout=ipw.Layout(flex_flow="row wrap", align_items="center")
        )
        self.box = ipw.VBox([choosers, self.frame])
        self.changed = ipw.HTML()
        self.drawing = ipw.HTML(layout=ipw.Layout(max_height="620px", overflow="auto"))
        self.graph = ipw.VBox([self.changed, self.drawing])

    def wait(self, seconds: float, given_up: Callable[[], bool]) -> None:
        """Lets the browser show the figure first, where the kernel's main thread is free to hear of it."""
        end = time.monotonic() + seconds
        while not self.figure.painted.is_set() and time.monotonic() < end and not given_up():
            time.sleep(TICK)

    def append(self, event: EpochEvent) -> None:
        """Takes note of an epoch without drawing it."""
        with self._lock:
            self.history.append(event)

    def draw(self) -> None:
        """Moves everything on to the last epoch."""
        with self._lock:
            event = self.history.events[-1]
            self._seen = [*self._seen[-1:], event] if self._seen[-1:] != [event] else self._seen
            if len(self.cell.buttons) == 1:
                self.cell.offer({"all Cells": ""} | {cell: cell for cell in self.history.cells})
            self.figure.draw(*self._pictured())
            self._draw_graph(event)

    def end(self) -> None:
        """No further epoch comes: the axes end with the last one."""
        with self._lock:
            self._ended = True
            self.figure.draw(*self._pictured())

    def _pictured(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The traces and the layout of the choice as it stands; what is zoomed stays until another choice."""
        layout = search_layout(self.history, self.title, self.note, self.choice, self._ended)
        return search_traces(self.history, self.choice), layout | {"uirevision": " ".join(self.choice)}

    def _draw_graph(self, event: EpochEvent) -> None:
        before = self._seen[0] if len(self._seen) == 2 else None
        found = changes(before.genotype if before else None, event.genotype)
        graph = hypernet_graph(event.architecture, event.genotype, self.modalities)
        drawing = mark(dag_drawing(graph), found)
        self.drawing.value = dag_svg(drawing._replace(width=max(drawing.width, CAPTION)))
        since = before.epoch if before else None
        self.changed.value = f"<b>Hypernet after epoch {event.epoch}</b>: {changes_html(found, since)}"

    def _choose(self) -> None:
        """Another Cell or kind of picture."""
        begun = time.monotonic()
        try:
            with self._lock:
                self.choice = Choice(self.cell.value, self.picture.value)
                self.figure.draw(*self._pictured())
        except Exception as error:  # a drawing must not end a search, nor be lost
            if self._failed is None:
                raise
            self._failed(error)
        if self._spent:
            self._spent(time.monotonic() - begun)

    def close(self) -> None:
        """Ends the widgets, so that no state of theirs is left to save."""
        close_all(self.box, self.graph)
