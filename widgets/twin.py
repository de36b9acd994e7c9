"""What a widget leaves behind: live where somebody watches, its static twin of the same content elsewhere.

A live widget's output holds the twin too, for readers of the saved file that know no widgets.
"""

from typing import Any, Protocol

import ipywidgets as ipw
from IPython.display import display

from widgets.live import is_live
from widgets.sheet import Sheet, page
from widgets.show import HasFolder

VIEW = "application/vnd.jupyter.widget-view+json"


class HasTwin(Protocol):
    """A view: controls that are made when they are asked for, and a picture and a text of the same content."""

    def box(self) -> ipw.Widget:
        """The live controls."""
        ...

    def twin(self) -> Sheet:
        """The static picture."""
        ...

    def text(self) -> str:
        """The same in words."""
        ...


def view(widget: HasTwin, name: str, run: HasFolder | None = None) -> None:
    """Displays the widget where somebody watches, otherwise its twin; without a watcher no widget is made.

    Args:
        widget: what to show.
        name: file name in `figures/`, without ending.
        run: whose folder gets `figures/<name>.svg`; None writes nothing.
    """
    display(_live(widget, name, run) if is_live() else _twin(widget, name, run), raw=True)


def picture(sheet: Sheet, text: str, name: str, run: HasFolder | None = None) -> None:
    """Displays a sheet that has no live form."""
    display(_bundle(sheet, text, name, run), raw=True)


def _live(widget: HasTwin, name: str, run: HasFolder | None) -> dict[str, Any]:
    reference = {"version_major": 2, "version_minor": 0, "model_id": widget.box().model_id}
    return {VIEW: reference, **_twin(widget, name, run)}


def _twin(widget: HasTwin, name: str, run: HasFolder | None) -> dict[str, Any]:
    return _bundle(widget.twin(), widget.text(), name, run)


def _bundle(sheet: Sheet, text: str, name: str, run: HasFolder | None) -> dict[str, Any]:
    svg = page(sheet)
    if run is not None:
        folder = run.folder / "figures"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{name}.svg.partial"
        partial.write_text(svg, encoding="utf-8")
        partial.replace(folder / f"{name}.svg")
    return {"image/svg+xml": svg, "text/plain": text}
