"""A whole search in one figure: alpha, beta, gamma, entropy, score and loss; live and in the saved notebook."""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import count
from typing import Any

import plotly.graph_objects as go

from bmnas.trace import EpochEvent
from widgets import style
from widgets.history import History
from widgets.panels import ALL, HEADINGS, HEAT, PANELS, SYMBOLS, Choice, axis_number, heat_labels, panel_traces

HEIGHT = 960
NOTE = "font-size:13px;color:#A23B00"
TOP, BOTTOM = 104, 78  # margins, in pixels
TICKS = 10  # names on the axis of epochs at most
COLOURBAR = {"x": 0.925, "y": 1, "yanchor": "top", "len": 0.30, "thickness": 14, "title": {"text": "weight"}}


def search_figure(events: Iterable[EpochEvent], title: str, note: str = "", choice: Choice = ALL) -> go.Figure:
    """The figure of a search so far; without an event, its empty panels.

    Args:
        events: a trace.
        title: of the figure.
        note: one line under the title.
        choice: which Cell, and lines or heat maps; by default all Cells as lines.
    """
    history = History(events)
    return go.Figure(search_traces(history, choice), layout=search_layout(history, title, note, choice))


def search_traces(history: History, choice: Choice = ALL) -> list[dict[str, Any]]:
    """All lines and heat maps; architecture and choice decide their order, so that a figure can be moved on."""
    return [trace for panel in PANELS for trace in panel_traces(history, panel, choice)] if history.events else []


def move_on(figure: go.FigureWidget, history: History, choice: Choice = ALL) -> None:
    """Brings the traces of a figure, drawn for the same choice, to the last event."""
    drawn: Any = figure.data
    with figure.batch_update():
        for old, new in zip(drawn, search_traces(history, choice), strict=True):
            old.x = new["x"]
            if new["type"] == "heatmap":
                old.z = new["z"]
                continue
            old.y = new["y"]
            if (old.mode, old.name) != (new["mode"], new["name"]):
                old.mode, old.name = new["mode"], new["name"]


def search_layout(history: History, title: str, note: str = "", choice: Choice = ALL) -> go.Layout:
    """Six panels, each with its axes, heading and legend."""
    fig = go.Figure()
    metric = escape(history.events[-1].metric) if history.events else "score"
    for panel, (across, up) in PANELS.items():
        fig.update_layout(_panel_layout(panel, across, up, history))
        heading = HEADINGS[panel].format(metric=metric)
        fig.add_annotation(
            text=f"<b>{heading}</b>", x=across[0], y=up[1], xref="paper", yref="paper", xanchor="left",
            yanchor="bottom", showarrow=False,
        )  # fmt: skip
    fig.add_annotation(
        text=_reading_aid(history, choice), x=0, y=0, yshift=-46, xref="paper", yref="paper", xanchor="left",
        yanchor="top", showarrow=False,
    )  # fmt: skip
    fig.update_layout(margin={"l": 64, "r": 10, "t": TOP if note else TOP - 20, "b": BOTTOM})
    style.finish(fig, title, height=HEIGHT)
    if note:  # as a second line: a subtitle is misplaced where the figure is drawn before its page shows it
        fig.update_layout(title_text=f"{escape(title)}<br><span style='{NOTE}'>{escape(note)}</span>")
    fig.update_layout({f"xaxis{axis_number(panel)}": {"title": {"text": "epoch"}} for panel in ("score", "loss")})
    if choice.picture == HEAT and history.events:
        _name_rows(fig, history, choice)
    return go.Layout(fig.to_dict()["layout"])


def _panel_layout(panel: str, across: tuple[float, float], up: tuple[float, float], history: History) -> dict[str, Any]:
    """Axes from the first epoch to the last that is planned, so that nothing jumps while the lines grow."""
    shown = bool(history.events)
    epochs = history.events[-1].epochs if shown else 1
    step = next(step for step in _steps() if epochs <= TICKS * step)
    number = axis_number(panel)
    unit = {"entropy": "mean entropy", "score": "", "loss": ""}.get(panel, "softmax weight")
    xaxis = {"domain": across, "anchor": f"y{number}", "range": [0.5, epochs + 0.5],
             "tick0": 0 if step > 1 else 1, "dtick": step, "visible": shown}  # fmt: skip
    yaxis = {"domain": up, "anchor": f"x{number}", "title": {"text": unit}, "visible": shown}
    legend = {
        "x": across[1] + 0.005, "y": up[1], "yanchor": "top", "font": {"size": 12}, "tracegroupgap": 0,
        "bgcolor": "rgba(0,0,0,0)",
    }  # fmt: skip
    return {f"xaxis{number}": xaxis, f"yaxis{number}": yaxis, f"legend{number}": legend}


def _steps() -> Iterator[int]:
    """1, 2, 5, 10, 20, 50, ..."""
    return (step * 10**power for power in count() for step in (1, 2, 5))


def _name_rows(fig: go.Figure, history: History, choice: Choice) -> None:
    """Heat maps: one colour scale from 0 to 1; a name at every row, or at every place of choice where it is tight."""
    fig.update_layout(coloraxis={"colorscale": style.HEAT, "cmin": 0, "cmax": 1, "colorbar": COLOURBAR})
    room = HEIGHT - TOP - BOTTOM
    for kind in SYMBOLS:
        up = PANELS[kind][1]
        values, texts, pitch = heat_labels(history.weights(kind, choice.cell), room * (up[1] - up[0]))
        axis = {
            "type": "category", "autorange": "reversed", "showgrid": False, "tickmode": "array", "tickvals": values,
            "ticktext": texts, "tickfont": {"size": max(8, min(12, round(pitch) - 1))}, "title": {"text": ""},
        }  # fmt: skip
        fig.update_layout({f"yaxis{axis_number(kind)}": axis, f"xaxis{axis_number(kind)}": {"showgrid": False}})


def _reading_aid(history: History, choice: Choice) -> str:
    if not history.events:
        return "waiting for the first epoch"
    shown = f"{choice.cell} alone; " if choice.cell else ""
    if choice.picture == HEAT:
        return f"{shown}one row a weight; entropy: 1 is undecided, 0 is decided; star: best epoch"
    looks = [f"{cell} {style.DASHES[i % len(style.DASHES)]}" for i, cell in enumerate(history.cells)]
    lines = "" if choice.cell else "line style: " + ", ".join(looks) + "; "
    return f"{shown}{lines}entropy: 1 is undecided, 0 is decided; star: best epoch"
