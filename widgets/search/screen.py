"""What moves while somebody watches a search: the curves, and beside them the hypernet with its genotype."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from html import escape

import ipywidgets as ipw

from bmnas.searching.trace import EpochEvent
from bmnas.space.graph import Modalities, hypernet_graph
from widgets import style
from widgets.live.controls import ButtonRow, close_all
from widgets.live.plotly_view import PlotlyView
from widgets.live.svg_view import SvgView
from widgets.networks.changes import changes, changes_html, mark
from widgets.networks.dag import dag_panels
from widgets.networks.drawing import dag_flow
from widgets.networks.titles import network_title
from widgets.search.figure import HEIGHT, reading_aid, search_layout, search_traces
from widgets.search.panel import HEAT, LINES, Choice, SearchView

SMALLEST = 0.65  # of its size that a network shrinks to beside the curves; on a narrower page it stands below them
TICK = 0.05  # seconds between two looks at the browser
HEADER = '<div style="line-height:1.35; margin-right:16px"><b>{title}</b>{note}</div>'
NOTE = ' <span style="color:{colour}; background:#FFF1E6; padding:0 4px">{note}</span>'
SMALL = '<div style="line-height:1.3; font-size:12px">{text}</div>'


class Screen:
    """The widgets of a view in `box`: choosers above, curves and network side by side below.

    `append` and `draw` may come from another thread than the clicks on the choosers.

    Args:
        title: of the view.
        note: beside the title.
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
        self.view = SearchView((), Choice(), modalities)
        self._failed = failed
        self._spent = spent
        self._lock = threading.RLock()
        self._drawn: list[EpochEvent] = []  # the last two that were drawn
        self.figure = PlotlyView(search_traces(self.view), search_layout(self.view))
        self.cell = ButtonRow("Cell", {"all Cells": ""}, self._choose)
        self.picture = ButtonRow("Weights as", {LINES: LINES, HEAT: HEAT}, self._choose)
        self.aid = ipw.HTML()
        self.changed = ipw.HTML()
        self.drawing = SvgView()
        self.box = self._built(title, note)

    def _built(self, title: str, note: str) -> ipw.VBox:
        words = NOTE.format(colour=style.NOTE_COLOUR, note=escape(note)) if note else ""
        header = ipw.HTML(HEADER.format(title=escape(title), note=words))
        wrap = ipw.Layout(flex_flow="row wrap", align_items="center")
        head = ipw.HBox([header, self.cell.box, self.picture.box], layout=wrap)
        half = {"min_width": "0", "overflow": "hidden"}
        curves = ipw.VBox([self.figure, self.aid], layout=ipw.Layout(flex="3 1 360px", **half))
        self.graph = ipw.VBox([self.changed, self.drawing], layout=ipw.Layout(flex="2 1 0", **half))
        self.graph.layout.max_height = f"{HEIGHT + 70}px"
        self.graph.layout.overflow = "auto"
        self.figure.layout.min_height = f"{HEIGHT}px"
        look = ipw.Layout(width="100%", flex_flow="row wrap", align_items="flex-start")
        beside = ipw.HBox([curves, self.graph], layout=look)
        return ipw.VBox([head, beside], layout=ipw.Layout(width="100%"))

    def wait(self, seconds: float, given_up: Callable[[], bool]) -> None:
        """Lets the browser show the figure first, where the kernel's main thread is free to hear of it."""
        end = time.monotonic() + seconds
        while not self.figure.painted.is_set() and time.monotonic() < end and not given_up():
            time.sleep(TICK)

    def append(self, event: EpochEvent) -> None:
        """Takes note of an epoch without drawing it."""
        with self._lock:
            self.view = replace(self.view, events=(*self.view.events, event))

    def draw(self) -> None:
        """Moves everything to the last epoch."""
        with self._lock:
            event = self.view.last
            self._drawn = [*self._drawn[-1:], event] if self._drawn[-1:] != [event] else self._drawn
            if len(self.cell.buttons) == 1:
                self.cell.offer({"all Cells": ""} | {cell: cell for cell in self.view.cells})
            self._draw_figure()
            self._draw_graph(event)

    def close(self) -> None:
        """Ends the widgets, so that no state of theirs is left to save."""
        close_all(self.box)

    def _draw_figure(self) -> None:
        """Draws the choice as it stands; what is zoomed stays until another choice."""
        layout = search_layout(self.view) | {"uirevision": " ".join(self.view.choice)}
        self.figure.draw(search_traces(self.view), layout)
        self.aid.value = SMALL.format(text=escape(reading_aid(self.view)))

    def _draw_graph(self, event: EpochEvent) -> None:
        before = self._drawn[0] if len(self._drawn) == 2 else None
        change = changes(before.genotype if before else None, event.genotype)
        graph = hypernet_graph(event.architecture, event.genotype, self.view.modalities)
        panels = dag_panels(graph)
        self.graph.layout.flex = f"2 1 {SMALLEST * max(panel.width for panel in panels):.0f}px"
        self.drawing.content = dag_flow([mark(panel, change) for panel in panels], HEIGHT)
        since = before.epoch if before else None
        words = f"<b>{network_title(event.epoch, event.best_epoch)}</b>: {changes_html(change, since)}"
        self.changed.value = SMALL.format(text=words)

    def _choose(self) -> None:
        """Shows another Cell or kind of picture."""
        start = time.monotonic()
        try:
            with self._lock:
                self.view = replace(self.view, choice=Choice(self.cell.value, self.picture.value))
                self._draw_figure()
        except Exception as error:  # a drawing must not end a search, nor be lost
            if self._failed is None:
                raise
            self._failed(error)
        if self._spent:
            self._spent(time.monotonic() - start)
