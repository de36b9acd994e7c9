"""Buttons: Pause, Resume and Stop with the progress of a search, and a choice of one from a few.

Clicks come in the kernel's main thread. While a cell awaits, a browser sends each new *value* of a widget only once. It
then waits for an answer, which ipykernel 7 gives to the cell instead. Clicks on plain buttons always get through.
"""

import threading
from collections.abc import Callable, Mapping, Sequence

import ipywidgets as ipw


class Controls:
    """Pause, Resume and Stop, a bar and a line of text in `box`.

    Args:
        others: further widgets beside the buttons.
        stops: whether there is something to stop.
        step: what a search does one after the other.
    """

    def __init__(self, others: Sequence[ipw.Widget] = (), stops: bool = True, step: str = "epoch") -> None:
        self.stopped = threading.Event()
        self.paused = threading.Event()
        self.pause = ipw.Button(description="Pause", tooltip=f"Wait after this {step}", icon="pause")
        self.resume = ipw.Button(description="Resume", tooltip="Resume the search", icon="play", disabled=True)
        self.stop = ipw.Button(description="Stop", tooltip=f"End the search after this {step}", icon="stop")
        for button, act in ((self.pause, self._pause), (self.resume, self._resume), (self.stop, self._stop)):
            button.layout.width = "88px"
            button.on_click(act)
        self.bar = ipw.IntProgress(min=0, max=1, layout=ipw.Layout(width="64px"))
        self.label = ipw.HTML(f"waiting for the first {step}")
        buttons = [self.pause, self.resume, *([self.stop] if stops else [])]
        parts = [*buttons, *others, self.bar, self.label]
        self.box = ipw.HBox(parts, layout=ipw.Layout(flex_flow="row wrap", align_items="center"))

    def show(self, text: str, done: int = 0, of: int = 0) -> None:
        """Moves bar and line on; no bar where nobody knows how many steps there will be."""
        self.bar.layout.display = "" if of else "none"
        self.bar.max = max(of, 1)
        self.bar.value = done
        self.label.value = text

    def end(self, text: str) -> None:
        """Disables all buttons."""
        for button in (self.pause, self.resume, self.stop):
            button.disabled = True
        self.label.value = text

    def _pause(self, _: ipw.Button) -> None:
        self.paused.set()
        self.pause.disabled = True
        self.resume.disabled = False

    def _resume(self, _: ipw.Button) -> None:
        self.paused.clear()
        self.pause.disabled = False
        self.resume.disabled = True

    def _stop(self, _: ipw.Button) -> None:
        self.stopped.set()
        self.stop.description = "Stopping"
        for button in (self.pause, self.resume, self.stop):
            button.disabled = True


class ButtonRow:
    """One of a few values is chosen, and its button has a colour.

    Args:
        label: in front of the buttons.
        options: words -> value; the first one is chosen at first.
        chosen: called when another one is.
    """

    def __init__(self, label: str, options: Mapping[str, str], chosen: Callable[[], None]) -> None:
        self._label = ipw.Label(label)
        self._chosen = chosen
        self.box = ipw.HBox(layout=ipw.Layout(flex_flow="row wrap", align_items="center", margin="0 16px 0 0"))
        self.buttons: dict[str, ipw.Button] = {}
        self.value = ""
        self.offer(options)

    def offer(self, options: Mapping[str, str]) -> None:
        """Offers other values; the first one is chosen."""
        old = list(self.buttons.values())
        self.buttons = {value: ipw.Button(description=words) for words, value in options.items()}
        for value, button in self.buttons.items():
            button.layout.width = "auto"
            button.on_click(lambda _, value=value: self.choose(value))
        self._mark(next(iter(self.buttons)))
        self.box.children = [self._label, *self.buttons.values()]
        close_all(*old)

    def choose(self, value: str) -> None:
        """Chooses a value, as a click does."""
        if value != self.value:
            self._mark(value)
            self._chosen()

    def _mark(self, value: str) -> None:
        self.value = value
        for name, button in self.buttons.items():
            button.button_style = "info" if name == value else ""


def close_all(*widgets: ipw.Widget) -> None:
    """Ends widgets with their children, layouts and styles, so that no state of theirs is left to save."""
    for widget in widgets:
        close_all(*getattr(widget, "children", ()))
        for part in (getattr(widget, "style", None), getattr(widget, "layout", None), widget):
            if isinstance(part, ipw.Widget):
                part.close()
