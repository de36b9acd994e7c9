"""What a widget leaves behind: live where somebody watches, its static twin of the same content elsewhere.

Where a widget is live, its twin is in the next outputs of the cell, out of sight: a picture, for some after a table. In
a notebook that is opened again without a kernel there is no widget, and the twin is what is seen.
"""

from typing import Any, Protocol, runtime_checkable

import ipywidgets as ipw
from IPython.display import display
from pandas.io.formats.style import Styler

from bmnas.errors import RunError
from bmnas.searching.run_folder import Run
from bmnas.storage.whole_files import write_text
from widgets.live.cell import is_live
from widgets.sheets.sheet import Sheet, above, page, words
from widgets.static.display import HasFolder
from widgets.style import NOTE_COLOUR

VIEW = "application/vnd.jupyter.widget-view+json"
LIVE, RECORD = "bmnas-live", "bmnas-record"  # classes: of a widget at work; of the output that it and its twin follow
CHILD = ".jp-OutputArea-child"
STAND_IN = "The run is on stand-in features, NOT real data"


@runtime_checkable
class HasTwin(Protocol):
    """A view: controls that are made when they are asked for, and a picture and a text of the same content."""

    def box(self) -> ipw.DOMWidget:
        """Makes the live controls."""
        ...

    def twin(self) -> Sheet:
        """Draws the static picture."""
        ...

    def text(self) -> str:
        """Returns the same in words."""
        ...


@runtime_checkable
class HasTable(Protocol):
    """A view whose twin has a table before its picture."""

    def table(self) -> Styler:
        """Makes the static table."""
        ...


def view(widget: HasTwin, name: str, run: HasFolder | None = None) -> None:
    """Displays the widget where somebody watches, otherwise its twin; without a watcher no widget is made.

    Args:
        widget: what to show.
        name: file name in `figures/`, without ending.
        run: whose folder gets `figures/<name>.svg`; None writes nothing.
    """
    tables = [widget.table()] if isinstance(widget, HasTable) else []
    if is_live():
        box = widget.box()
        box.add_class(LIVE)
        display({"text/html": either(len(tables) + 1), "text/plain": ""}, raw=True)
        display({VIEW: {"version_major": 2, "version_minor": 0, "model_id": box.model_id}, "text/plain": ""}, raw=True)
    for one in tables:
        display({"text/html": one.to_html(), "text/plain": widget.text()}, raw=True)
    picture(widget.twin(), widget.text(), name, run)


def either(twins: int) -> str:
    """Makes HTML for the output before a widget and the outputs of its twin: it shows one or the other.

    So no browser shows "Loading widget...".

    Args:
        twins: how many outputs the twin has.
    """
    name = f"{RECORD}-{twins}"
    output = f"{CHILD}:has(.{name})"
    hidden = [output, f"{output} + {CHILD}:not(:has(.{LIVE}))"]
    hidden += [f"{output} + {CHILD}:has(.{LIVE})" + f" + {CHILD}" * (place + 1) for place in range(twins)]
    return f'<style>{", ".join(hidden)} {{ display: none }}</style><span class="{RECORD} {name}"></span>'


def picture(sheet: Sheet, text: str, name: str, run: HasFolder | None = None) -> None:
    """Displays a sheet that has no live form."""
    display(_bundle(sheet, text, name, run), raw=True)


def _is_stand_in(run: HasFolder | None) -> bool:
    try:
        return isinstance(run, Run) and run.source() == "stand-in"
    except RunError:  # whoever reads it says so
        return False


def _bundle(sheet: Sheet, text: str, name: str, run: HasFolder | None) -> dict[str, Any]:
    if _is_stand_in(run):
        sheet = above(words([STAND_IN], bold=True, colour=NOTE_COLOUR), sheet)
    svg = page(sheet)
    if run is not None:
        write_text(run.folder / "figures" / f"{name}.svg", svg)
    return {"image/svg+xml": svg, "text/plain": text}
