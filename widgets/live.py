"""Watching a search: a cell that stays responsive while it works, and a view of the epochs as they come.

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
Where the page is closed the search goes on and fills its run folder; the same cell, run again, shows all of it.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from html import escape
from types import TracebackType
from typing import Any, TypeVar

import ipywidgets as ipw
from IPython.display import DisplayHandle

from bmnas.graph import Modalities
from bmnas.trace import EpochEvent, Trace
from widgets.controls import Controls, close_all
from widgets.dag import hypernet_figure
from widgets.dashboard import search_figure
from widgets.pace import Pace
from widgets.screen import Screen
from widgets.show import HasFolder, prepare_images, say_what_is_missing, static

T = TypeVar("T")
TICK = 0.2  # seconds; between ticks the kernel handles clicks, at a tick it sees an interrupt
PAINT = 10.0  # seconds that a search waits at most for a browser to show the empty figure
_STOP: ContextVar[threading.Event | None] = ContextVar("_STOP", default=None)


def is_live() -> bool:
    """Whether somebody watches: in JupyterLab, not under papermill or nbconvert; BMNAS_LIVE = 0 or 1 overrides."""
    chosen = os.environ.get("BMNAS_LIVE")
    return chosen == "1" if chosen else "JPY_SESSION_NAME" in os.environ


def stop_requested() -> bool:
    """Within a function run by `live`: whether the cell was interrupted and the function should end soon."""
    stop = _STOP.get()
    return stop is not None and stop.is_set()


async def live(fn: Callable[..., T], *args: Any) -> T:
    """Runs a plain function in a thread of its own, while the kernel goes on handling clicks and interrupts.

    On an interrupt, or any other exception here, `stop_requested()` (and so `SearchDashboard.stopped`) becomes true
    within `fn`, its end is awaited, and the exception goes on. Exceptions of `fn` come out of `live`.
    """
    stop = threading.Event()
    token = _STOP.set(stop)  # the thread gets a copy of this context
    try:
        task = asyncio.ensure_future(asyncio.to_thread(fn, *args))
    finally:
        _STOP.reset(token)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=TICK)
    except BaseException:
        stop.set()
        await asyncio.wait([task])
        raise
    return task.result()


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
        self.title, self.note, self.run, self.modalities, self._place = title, note, run, modalities, place
        self.trace, self.pace = Trace(), Pace()
        self.errors: list[Exception] = []
        self._stop, self._finished = threading.Event(), False
        self._controls: Controls | None = None
        self._screen: Screen | None = None
        self._top, self._below = DisplayHandle(), DisplayHandle()
        prepare_images()
        if place is not None or is_live():
            self._show_widgets()
        else:
            self._top.display(_plain("waiting for the first epoch"), raw=True)
            self._below.display(_plain(""), raw=True)

    def _show_widgets(self) -> None:
        self._controls = Controls()
        self._screen = Screen(self.title, self.note, self.modalities, self.errors.append, self.pace.add)
        if self._place is not None:
            self._place.children = [self._controls.box, self._screen.box, self._screen.graph]
            return
        self._head = ipw.VBox([self._controls.box, self._screen.box])
        self._top.display(self._head)
        self._below.display(self._screen.graph)

    @property
    def stopped(self) -> bool:
        """Whether Stop was clicked or the cell interrupted."""
        if stop_requested() or (self._controls and self._controls.stopped.is_set()):
            self._stop.set()
        return self._stop.is_set()

    def update(self, event: EpochEvent) -> None:
        """Takes note of an epoch, draws it if it is time to, and waits as long as Pause holds.

        Errors of drawing wait for `finish`.
        """
        if not self.trace.events:
            if self._screen and _STOP.get() is not None:
                self._screen.wait(PAINT, lambda: self.stopped)
            self.pace.start()
        self.trace.append(event)
        if self._screen:
            self._screen.append(event)
        if self.pace.due():
            self._draw(event)
        if self._controls and self._controls.paused.is_set():
            self._hold(self._controls, event)

    def _hold(self, controls: Controls, event: EpochEvent) -> None:
        """Shows where the search stands, and waits for Resume, Stop or an interrupt."""
        begun = time.monotonic()
        self._draw(event, "paused after ")
        while controls.paused.is_set() and not self.stopped:
            time.sleep(TICK / 4)
        self.pace.leave_out(time.monotonic() - begun)

    def _draw(self, event: EpochEvent, prefix: str = "") -> None:
        if self.errors:
            return
        with self.pace.drawing():
            try:
                if self._screen and self._controls:
                    self._controls.show(event, escape(prefix + progress_text(event)))
                    self._screen.draw()
                else:
                    self._top.update(_plain(progress_text(event)), raw=True)
            except Exception as error:  # a drawing must not end a search, nor be lost
                self.errors.append(error)

    def finish(self) -> None:
        """Replaces what is live by static figures, and tells what drawing has cost.

        Raises:
            Exception: the first error of drawing, if there was one.
        """
        if self._finished:
            return
        self._finished = True
        self.pace.end()
        words = self.pace.text(len(self.trace)) if self.trace.events else "no epoch was finished"
        if self._place is not None:
            self._stay(words)
        else:
            self._leave(words)
        if self.errors:
            raise self.errors[0]

    def _stay(self, words: str) -> None:
        """In a place of its own the view shows the last epoch, and the pictures go to the run folder alone."""
        if self.trace.events:
            self._draw(self.trace.events[-1])
            self._figures()
            words = f"{summary_text(self.trace.events[-1])}. {words}"
        if self._controls:
            self._controls.end(escape(words))

    def _leave(self, words: str) -> None:
        """Plain figures in the place of widgets."""
        if self.trace.events:
            for handle, figure in zip((self._top, self._below), self._figures(), strict=True):
                handle.update(figure, raw=True)
            print(words)
        else:
            self._top.update(_plain(words), raw=True)
            self._below.update(_plain(""), raw=True)
        if self._screen and self._controls:
            self._screen.close()
            close_all(self._head)
        say_what_is_missing()

    def _figures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        trace, best = self.trace, self.trace.best
        last = trace.events[-1]
        figure = search_figure(trace, self.title, self.note)
        title = f"Hypernet and genotype of the best epoch ({best.epoch} of {last.epoch})"
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


def summary_text(event: EpochEvent) -> str:
    """`epoch 3 of 12: val accuracy 83.2 % (best 84.1 % in epoch 2)`."""
    return (
        f"epoch {event.epoch} of {event.epochs}: val {event.metric} {100 * event.val_score:.1f} % "
        f"(best {100 * event.best_score:.1f} % in epoch {event.best_epoch})"
    )


def progress_text(event: EpochEvent) -> str:
    """The same, and the estimate of the time left."""
    left = event.seconds_left
    if left <= 0:
        return summary_text(event)
    return summary_text(event) + (f", about {left:.0f} s left" if left < 120 else f", about {left / 60:.0f} min left")


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}
