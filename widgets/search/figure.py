"""A whole search in one figure: alpha, beta, gamma, entropy, score and loss; live and in the saved notebook."""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import count
from typing import Any

import plotly.graph_objects as go

from bmnas.searching.trace import EpochEvent
from widgets import style
from widgets.search.history import History
from widgets.search.panels import ALL, HEADINGS, HEAT, SYMBOLS, Choice, heat_axis, heat_labels, looks_text, panel_traces
from widgets.search.places import BOTTOM, HEIGHT, PANELS, Places, axis_number, places, room, top

TICK = 28  # pixels between two numbers on the axis of epochs at least
ENTROPY = [0.9, 1.005]  # what the axis of entropy shows at least


def search_figure(
    events: Iterable[EpochEvent], title: str, note: str = "", choice: Choice = ALL, ended: bool = False
) -> go.Figure:
    """The figure of a search so far; without an event, its empty panels.

    Args:
        events: a trace.
        title: of the figure.
        note: one line under the title.
        choice: which Cell, and lines or heat maps; by default all Cells as lines.
        ended: whether no further epoch comes, so that the axes need no room for those that were planned.
    """
    history = History(events)
    return go.Figure(search_traces(history, choice), layout=search_layout(history, title, note, choice, ended))


def search_traces(history: History, choice: Choice = ALL) -> list[dict[str, Any]]:
    """All lines and heat maps; architecture and choice decide their order, so that plotly.js sees what is new."""
    return [trace for panel in PANELS for trace in panel_traces(history, panel, choice)] if history.events else []


def search_layout(
    history: History, title: str, note: str = "", choice: Choice = ALL, ended: bool = False
) -> dict[str, Any]:
    """Six panels, each with its axes, heading and legend; a plain dictionary, as are the traces."""
    where = _places(history, choice, bool(note))
    layout = style.base(title, height=HEIGHT)
    for panel in PANELS:
        layout |= _panel_layout(panel, where, history, ended)
    if choice.picture == HEAT and history.events:
        _name_rows(layout, history, choice, where, bool(note))
    margin = {"l": where.left, "r": where.right, "t": top(bool(note)), "b": BOTTOM}
    return layout | {"margin": margin, "annotations": _words(history, choice, where, note)}


def _words(history: History, choice: Choice, where: Places, note: str) -> list[dict[str, Any]]:
    """Headings of the panels, the note and a reading aid."""
    metric = escape(history.events[-1].metric) if history.events else "score"
    headings = [
        _word(f"<b>{HEADINGS[panel].format(metric=metric)}</b>", where.columns[column][0], up[1], yanchor="bottom")
        for panel, (column, up) in PANELS.items()
    ]
    edge = 6 - where.left
    aid = _word(_reading_aid(history, choice), 0, 0, xshift=edge, yshift=-46, yanchor="top")
    if not note:
        return [*headings, aid]
    # no subtitle: that is misplaced where the figure is drawn before its page shows it
    under = style.noted(note)
    return [*headings, aid, _word(x=0, y=1, xshift=edge, yshift=26, yanchor="bottom", **under)]


def _word(text: str, x: float, y: float, **where: Any) -> dict[str, Any]:
    place = {"x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "left", "align": "left"}
    return {"text": text, "showarrow": False, "font": {"size": style.FONT_SIZE}} | place | where


def _places(history: History, choice: Choice, noted: bool) -> Places:
    """The panels, with room for the names there are."""
    if not history.events:
        return places()
    weights = {kind: history.weights(kind, choice.cell) for kind in SYMBOLS}
    if choice.picture != HEAT:
        return places(keys=[name for info in weights.values() for name in info.names])
    names = {kind: heat_labels(info, room(kind, noted))[1] for kind, info in weights.items()}
    return places([*names["alpha"], *names["gamma"]], names["beta"])


def _panel_layout(panel: str, where: Places, history: History, ended: bool) -> dict[str, Any]:
    """Axes to the last epoch that is planned, so that nothing jumps while lines grow; once ended, to the last one."""
    column, up = PANELS[panel]
    across, number, shown = where.columns[column], axis_number(panel), bool(history.events)
    last = history.events[-1] if shown else None
    epochs = 1 if last is None else last.epoch if ended else last.epochs
    step = next(step for step in _steps() if epochs * TICK * where.share(1) <= step * (across[1] - across[0]))
    xaxis = style.AXIS | {
        "domain": across, "anchor": f"y{number}", "range": [0.5, epochs + 0.5], "tick0": 0 if step > 1 else 1,
        "dtick": step, "tickangle": 0, "visible": shown,
    }  # fmt: skip
    if panel in ("score", "loss"):
        xaxis["title"] = style.AXIS["title"] | {"text": "epoch"}
    yaxis = style.AXIS | {"domain": up, "anchor": f"x{number}", "visible": shown, "automargin": False}
    if shown and (reach := _reach(panel, history)):  # a difference of 0.001 is not to look like a decision
        yaxis["autorangeoptions"] = {"include": reach}
    legend = {
        "x": across[1] + where.share(4), "y": up[1], "yanchor": "top", "font": {"size": 12}, "tracegroupgap": 0,
        "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return {f"xaxis{number}": xaxis, f"yaxis{number}": yaxis, f"legend{number}": legend}


def _reach(panel: str, history: History) -> list[float]:
    """What a panel's axis always shows."""
    if panel == "entropy":
        return ENTROPY
    return history.weights(panel).reach if panel in SYMBOLS else []


def _steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    return (step * 10**power for power in count() for step in (1, 2, 5))


def _name_rows(layout: dict[str, Any], history: History, choice: Choice, where: Places, noted: bool) -> None:
    """Heat maps: colours always from 0 to 1; a name at every row, or at every place of choice where it is tight."""
    for kind in SYMBOLS:
        info = history.weights(kind, choice.cell)
        values, texts, pitch = heat_labels(info, room(kind, noted))
        axis = {
            "type": "category", "autorange": "reversed", "showgrid": False, "tickmode": "array", "tickvals": values,
            "ticktext": texts, "tickfont": {"size": max(8, min(12, round(pitch) - 1))},
        }  # fmt: skip
        layout[f"yaxis{axis_number(kind)}"] |= axis | {"autorangeoptions": {}}
        layout[f"xaxis{axis_number(kind)}"]["showgrid"] = False
        if kind != "beta":  # alpha's bar stands at beta, whose colours it shares
            panel = "beta" if kind == "alpha" else kind
            layout[heat_axis(kind)] = _colours(info.undecided, panel, where)


def _colours(undecided: float, panel: str, where: Places) -> dict[str, Any]:
    """The colours of weights, and their bar beside a panel."""
    column, (low, high) = PANELS[panel]
    colours = style.weight_colours(undecided)
    at = {"x": where.columns[column][1] + where.share(6), "xanchor": "left", "y": high - 0.01, "yanchor": "top"}
    return colours | {"colorbar": colours["colorbar"] | at | {"len": high - low - 0.01}}


def _reading_aid(history: History, choice: Choice) -> str:
    """What the marks mean, in two lines."""
    if not history.events:
        return "waiting for the first epoch"
    shown, marks = f"{choice.cell} alone; " if choice.cell else "", "star: best epoch"
    if choice.picture == HEAT:
        shown += "one row a weight; colours from 0 to 1 whatever the weights: pale is undecided, orange more, blue less"
    else:
        shown += looks_text(history.weights("beta"), choice.cell)
        marks += "; β: x is wide below y, as the search feeds both with the same"
    return f"{shown.removesuffix('; ')}<br>entropy: 1 is undecided, 0 is decided; {marks}"
