"""A whole search in one figure: the panels of the dashboard, live and in the saved notebook."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.searching.trace import EpochEvent
from bmnas.space.graph import Modalities
from widgets import style
from widgets.search.curve_panels import EntropyPanel, LossPanel, ScorePanel
from widgets.search.panel import HEAT, Choice, Panel, SearchView
from widgets.search.weight_panel import WeightPanel

PANELS: tuple[Panel, ...] = (
    WeightPanel("alpha"),
    EntropyPanel(),
    WeightPanel("beta"),
    ScorePanel(),
    WeightPanel("gamma"),
    LossPanel(),
)
"""The panels, row by row. Another panel is another class and another line here."""
COLUMNS = 2
WIDTHS = (0.6, 0.4)  # shares of the columns
HEIGHT = 500  # pixels of the panels and what belongs to them, so that all is seen on a screen 800 pixels high
MARGIN = {"l": 8, "r": 8, "t": 26, "b": 8}  # pixels; the axes add the room for their numbers
KEY = {
    "font": {"size": 11}, "grouptitlefont": {"size": 12}, "tracegroupgap": 0, "itemsizing": "constant",
    "x": 1.01, "y": 1,
}  # fmt: skip
# The bars of heat maps stand below each other where the legend of lines does: their length, and one top to the next.
BAR, PITCH = 0.3, 0.36


def search_figure(
    events: Iterable[EpochEvent],
    title: str,
    note: str = "",
    choice: Choice = Choice(),  # noqa: B008  (a named tuple cannot change)
    modalities: Modalities | None = None,
) -> go.Figure:
    """Draws a search so far; without an event, its empty panels.

    Args:
        events: a trace.
        title: of the figure.
        note: one line under the title.
        choice: which Cell, and lines or heat maps; by default all Cells as lines.
        modalities: modality -> features, for colours; by default a feature's name before its last "_".
    """
    view = SearchView(tuple(events), choice, modalities)
    aid = reading_aid(view)
    above = style.top(title, note, aid)
    layout = search_layout(view) | style.base(title, note, aid, height=HEIGHT + above - MARGIN["t"])
    return go.Figure(search_traces(view), layout=layout | {"margin": MARGIN | {"t": above}})


def search_traces(view: SearchView) -> list[dict[str, Any]]:
    """Draws what all panels show."""
    if not view.events:
        return []
    return [trace for place, panel in enumerate(PANELS) for trace in _placed(panel, place, view)]


def search_layout(view: SearchView) -> dict[str, Any]:
    """Makes axes, headings and legend of all panels; a plain dictionary, as are the traces."""
    grid = _grid(len(PANELS))
    headings = [
        heading | {"text": panel.heading(view), "font": {"size": 12}, "x": _left_end(grid, place), "xanchor": "left"}
        for place, (heading, panel) in enumerate(zip(grid["annotations"], PANELS, strict=True))
    ]
    layout: dict[str, Any] = style.base("", height=HEIGHT) | {"margin": MARGIN, "legend": KEY, "annotations": headings}
    del layout["title"]
    for place, panel in enumerate(PANELS):
        for letter, axis in (("x", panel.xaxis), ("y", panel.yaxis)):
            name = f"{letter}axis{_number(place)}"
            layout[name] = style.AXIS | grid[name] | (axis(view) if view.events else {"visible": False})
    if view.choice.picture == HEAT and view.events:
        layout |= _colours(view)
    return layout


def reading_aid(view: SearchView) -> str:
    """Says what the marks of all panels mean."""
    if not view.events:
        return "waiting for the first epoch"
    parts = [f"{view.choice.cell} alone"] if view.choice.cell else []
    if view.choice.picture == HEAT:
        parts.append("one row a weight; colours always from 0 to 1: pale is undecided, orange more, blue less")
    return "; ".join([*parts, *(aid for panel in PANELS if (aid := panel.aid(view)))])


@cache
def _grid(panels: int) -> dict[str, Any]:
    """Lets plotly place the panels: the domains and anchors of their axes, and their headings."""
    rows = -(-panels // COLUMNS)
    titles = [" "] * panels
    fig = make_subplots(
        rows, COLUMNS, subplot_titles=titles, column_widths=list(WIDTHS), horizontal_spacing=0.15, vertical_spacing=0.13
    )
    return fig.to_dict()["layout"]


def _left_end(grid: dict[str, Any], place: int) -> float:
    """Returns where a panel begins; its heading does too, so that a long one never reaches into the panel before."""
    return float(grid[f"xaxis{_number(place)}"]["domain"][0])


def _number(place: int) -> str:
    """Numbers axes as plotly does: "", "2", "3", ..."""
    return str(place + 1) if place else ""


def _placed(panel: Panel, place: int, view: SearchView) -> list[dict[str, Any]]:
    """Puts the traces of a panel on its axes; those of a panel with a title go to the legend, under the title."""
    axes = {"xaxis": f"x{_number(place)}", "yaxis": f"y{_number(place)}"}
    traces = [{"showlegend": bool(panel.title)} | trace | axes for trace in panel.traces(view)]
    if traces and traces[0]["showlegend"]:
        traces[0]["legendgrouptitle"] = {"text": panel.title}
    return traces


def _colours(view: SearchView) -> dict[str, Any]:
    """Returns the colour scales of heat maps, always from 0 to 1, and their bars."""
    undecided = {panel.coloraxis: panel.undecided(view) for panel in PANELS if isinstance(panel, WeightPanel)}
    scales = {}
    for place, (axis, weight) in enumerate(undecided.items()):
        scale = style.weight_colours(weight)
        bar = scale["colorbar"] | {"yanchor": "top", "x": 1.02, "y": 1 - PITCH * place, "len": BAR}
        scales[axis] = scale | {"colorbar": bar}
    return scales
