"""A dashboard of a search: a cell that stays responsive while it works, and a view of the epochs as they come.

The search is a plain loop that does not know that it is watched:

    with SearchDashboard("Search on digits", run=run) as view:
        def loop():
            for event in search(features, config, run):
                view.update(event)
                if view.stopped:
                    break
        await live(loop)

In JupyterLab this shows a figure, a graph and the buttons Pause, Resume and Stop; Kernel > Interrupt works. Under
papermill the same cell shows one line of progress. In both cases the saved notebook holds plain figures, no widgets.
Where the page is closed the search continues and fills its run folder; the same cell, run again, shows all of it.

A search that is finished already is replayed where somebody watches, as if it were live. A click on "Search again" asks
for the next seed, which the caller finds in `view.next_seed` afterwards.
"""

import threading
import time
from html import escape
from types import TracebackType
from typing import Any

import ipywidgets as ipw
from IPython.display import DisplayHandle

from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.graph import Modalities
from widgets.live.cell import TICK, in_live, is_live, stop_requested
from widgets.live.controls import Controls, close_all
from widgets.live.pace import Pace
from widgets.networks.dag import hypernet_figure
from widgets.networks.titles import network_title
from widgets.search.figure import search_figure
from widgets.search.replay import Replay, replay_of
from widgets.search.screen import Screen
from widgets.search.status import progress_text, summary_text
from widgets.static.display import IMAGES, HasFolder, say_what_is_missing, static

PAINT = 10.0  # seconds that a search waits at most for a browser to show the empty figure


class SearchDashboard:
    """Shows a search while it runs, and leaves static figures behind.

    Args:
        title: of the figures.
        note: one line under the title, such as what stands in for missing data.
        run: whose folder gets the pictures `figures/search.*` and `figures/hypernet.*`.
        modalities: modality -> features, for colours; by default a feature's name before its last "_".
        place: a box of widgets that the view goes into and stays in; by default it is displayed, live or not.
    """

    def __init__(
        self,
        title: str,
        note: str = "",
        run: HasFolder | None = None,
        modalities: Modalities | None = None,
        place: ipw.Box | None = None,
    ) -> None:
        start = time.monotonic()
        self.title = title
        self.note = note
        self.run = run
        self.modalities = modalities
        self.trace = Trace()
        self.pace = Pace()
        self.errors: list[Exception] = []
        self._place = place
        self._stop = threading.Event()
        self._finished = False
        self._replay: Replay | None = None
        self._controls: Controls | None = None
        self._screen: Screen | None = None
        self._top = DisplayHandle()
        self._below = DisplayHandle()
        IMAGES.start()
        if place is not None or is_live():
            self._show_widgets()
        else:
            self._top.display({"text/plain": "waiting for the first epoch"}, raw=True)
            self._below.display({"text/plain": ""}, raw=True)
        self.pace.opening = time.monotonic() - start

    def _show_widgets(self) -> None:
        self._replay = replay_of(self.run)
        self._controls = Controls(self._replay.controls if self._replay else (), stops=not self._replay)
        self._screen = Screen(self.title, self.note, self.modalities, self.errors.append, self.pace.add)
        if self._place is not None:
            self._place.children = [self._controls.box, self._screen.box]
            return
        self._head = ipw.VBox([self._controls.box, self._screen.box])
        self._top.display(self._head)
        self._below.display({"text/plain": ""}, raw=True)

    @property
    def stopped(self) -> bool:
        """Whether Stop was clicked or the cell interrupted."""
        if stop_requested() or (self._controls and self._controls.stopped.is_set()):
            self._stop.set()
        return self._stop.is_set()

    @property
    def next_seed(self) -> int | None:
        """The seed of the next search, if a click during a replay asked for one."""
        return self._replay.next_seed if self._replay else None

    def update(self, event: EpochEvent) -> None:
        """Takes note of an epoch, draws it if it is time to, and waits as long as Pause or a replay holds.

        Errors of drawing wait for `finish`.
        """
        if not self.trace.events:
            start = time.monotonic()
            if self._screen and in_live():
                self._screen.wait(PAINT, lambda: self.stopped)
            self.pace.start(time.monotonic() - start)
        with self.pace.working():
            self.trace.append(event)
            if self._screen:
                self._screen.append(event)
        if self.pace.due() or (self._replay and not self._replay.skipped):
            self._draw(event)
        if self._replay and self._controls:
            self._replay.wait(lambda: self.stopped or self._paused)
        if self._paused:
            self._hold(event)

    @property
    def _paused(self) -> bool:
        return self._controls is not None and self._controls.paused.is_set()

    def _hold(self, event: EpochEvent) -> None:
        """Shows where the search stands, and waits for Resume, Stop, an interrupt or the end of a replay."""
        start = time.monotonic()
        self._draw(event, "paused after ")
        while self._paused and not self.stopped and not (self._replay and self._replay.skipped):
            time.sleep(TICK / 4)
        self.pace.leave_out(time.monotonic() - start)

    def _draw(self, event: EpochEvent, prefix: str = "") -> None:
        if self.errors:
            return
        with self.pace.drawing():
            try:
                if self._screen and self._controls:
                    words = summary_text(event) if self._replay else progress_text(event)
                    self._controls.show(escape(prefix + words), event.epoch, event.epochs)
                    self._screen.draw()
                else:
                    self._top.update({"text/plain": progress_text(event)}, raw=True)
            except Exception as error:  # a drawing must not end a search, nor be lost
                self.errors.append(error)

    def finish(self) -> None:
        """Replaces what is live by static figures, and reports what drawing has cost.

        Raises:
            Exception: the first error of drawing, if there was one.
        """
        if self._finished:
            return
        self._finished = True
        self.pace.end()
        if self._place is not None:
            self._stay()
        else:
            self._leave()
        if self.errors:
            raise self.errors[0]

    def _words(self, start: float) -> str:
        """Says what the view has cost, the figures that stay since `start`."""
        if not self.trace.events:
            return "no epoch was finished"
        words = self.pace.text(len(self.trace), time.monotonic() - start)
        return f"A finished search was replayed; nothing was computed. {words}" if self._replay else words

    def _stay(self) -> None:
        """Shows the last epoch where the view has a place of its own; pictures go to the run folder alone."""
        start = time.monotonic()
        summary = ""
        if self.trace.events:
            self._draw(self.trace.events[-1])
            if not self._replay:
                self._figures()
            summary = f"{summary_text(self.trace.events[-1])}. "
        if self._controls:
            self._controls.end(escape(summary + self._words(start)))
        if self._replay:
            self._replay.end()

    def _leave(self) -> None:
        """Puts plain figures in the place of widgets."""
        start = time.monotonic()
        if self.trace.events:
            for handle, figure in zip((self._top, self._below), self._figures(), strict=True):
                handle.update(figure, raw=True)
            print(self._words(start))
        else:
            self._top.update({"text/plain": self._words(start)}, raw=True)
            self._below.update({"text/plain": ""}, raw=True)
        if self._screen and self._controls:
            close_all(self._head)
        say_what_is_missing()

    def _figures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        trace = self.trace
        best = self.trace.best
        last = trace.events[-1]
        figure = search_figure(trace, self.title, self.note, modalities=self.modalities)
        title = f"{network_title(best.epoch, best.epoch)} in its hypernet"
        graph = hypernet_figure(best.architecture, best.genotype, title, self.note, self.modalities)
        return (
            static(figure, "search", self.run, summary_text(last)),
            static(graph, "hypernet", self.run, best.genotype.describe()),
        )

    def __enter__(self) -> "SearchDashboard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
            return
        try:
            self.finish()
        except Exception as drawing:  # what ended the block goes first
            error.add_note(f"besides, drawing failed: {drawing!r}")
