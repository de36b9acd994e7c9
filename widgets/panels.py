"""The six panels of a search: what each of them draws, as lines or as a heat map."""

from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

import plotly.graph_objects as go

from widgets import style
from widgets.history import EntropyInfo, History
from widgets.scores import VAL, loss_traces, score_traces
from widgets.weights import SYMBOLS, WeightsInfo, line_looks

LINES, HEAT = "lines", "heat map"
LEFT, RIGHT = (0.0, 0.35), (0.585, 0.90)  # the panels' shares of the width; the legends stand beside them
UPPER, MIDDLE, LOWER = (0.69, 1.0), (0.345, 0.61), (0.03, 0.265)
PANELS = {
    "alpha": (LEFT, UPPER),
    "beta": (RIGHT, UPPER),
    "gamma": (LEFT, MIDDLE),
    "entropy": (RIGHT, MIDDLE),
    "score": (LEFT, LOWER),
    "loss": (RIGHT, LOWER),
}
HEADINGS = {
    "alpha": "α: Identity on node → Cell",
    "beta": "β: Identity on node → Step",
    "gamma": "γ: primitive of each Step",
    "entropy": "entropy: how undecided",
    "score": "{metric} [%]",
    "loss": "loss",
}
MARKED = 24  # epochs with a mark of their own
APART = 24  # rows of a heat map with white lines between them
ROW = 10.0  # pixels that a row of a heat map needs to have a name of its own


class Choice(NamedTuple):
    """What a watcher wants to see: one Cell ("" is all of them), as "lines" or as "heat map"."""

    cell: str = ""
    picture: str = LINES


ALL = Choice()


def axis_number(panel: str) -> str:
    """The number of a panel's axes and legend, as plotly counts: "", "2", "3", ..."""
    place = list(PANELS).index(panel) + 1
    return "" if place == 1 else str(place)


def panel_traces(history: History, panel: str, choice: Choice) -> list[dict[str, Any]]:
    """What one panel draws, each trace as a plain dictionary (making it a plotly object costs a millisecond)."""
    if panel in SYMBOLS and choice.picture == HEAT:
        traces = [_heat(history.weights(panel, choice.cell), history.events[-1].epochs)]
    elif panel in SYMBOLS:
        traces = _weight_lines(history.weights(panel), choice.cell)
    elif panel == "entropy":
        traces = _entropy_lines(history.entropy())
    elif panel == "score":
        traces = _score_lines(history)
    else:
        traces = _loss_lines(history)
    number = axis_number(panel)
    axes = {"xaxis": f"x{number}", "yaxis": f"y{number}"}
    return [trace | axes | ({} if trace["type"] == "heatmap" else {"legend": f"legend{number}"}) for trace in traces]


def _weight_lines(info: WeightsInfo, cell: str) -> list[dict[str, Any]]:
    """Colour tells the node or primitive, dash the Cell; each name once in the legend. A name looks the same always."""
    looks, cells, shown, lines = line_looks(info), info.cells, set[str](), []
    for row in info.rows:
        if cell not in ("", row.cell):
            continue
        dash = style.DASHES[cells.index(row.cell) % len(style.DASHES)] if not cell else "solid"
        line = _line(info.epochs, row.values, row.name, looks[row.name][0], dash, row.label)
        lines.append(line | {"legendgroup": row.name, "showlegend": row.name not in shown})
        shown.add(row.name)
    return lines


def _line(x: tuple[int, ...], y: tuple[float, ...], name: str, colour: str, dash: str, label: str) -> dict[str, Any]:
    return {
        "type": "scatter", "x": x, "y": y, "name": escape(name), "mode": "lines+markers" if len(x) == 1 else "lines",
        "line": {"color": colour, "dash": dash, "width": 2}, "marker": {"size": 5},
        "hovertemplate": f"{escape(label)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
    }  # fmt: skip


def _heat(info: WeightsInfo, epochs: int) -> dict[str, Any]:
    """A row a weight; the labels for the pointer are there for all epochs to come."""
    labels = [escape(row.label) for row in info.rows]
    return {
        "type": "heatmap", "x": info.epochs, "y": labels, "z": [row.values for row in info.rows],
        "ygap": 1 if len(labels) <= APART else 0,
        "customdata": [[label] * epochs for label in labels], "coloraxis": "coloraxis",
        "hovertemplate": "%{customdata}<br>epoch %{x}: %{z:.3f}<extra></extra>",
    }  # fmt: skip


def heat_labels(info: WeightsInfo, room: float) -> tuple[list[str], list[str], float]:
    """Which rows have a name -> (their labels on the axis, what is written there, the least pixels between two).

    Every row has one where `room`, in pixels, allows; otherwise every place of choice (Cell or Step) has one, at its
    middle row.
    """
    rows = list(info.rows)
    if len(rows) * ROW <= room:
        named = {row.label: row.label if len(info.cells) > 1 else _within_cell(row.label, row.cell) for row in rows}
    else:
        groups = [[row for row in rows if row.place == place] for place in info.places]
        named = {group[(len(group) - 1) // 2].label: group[0].place for group in groups}
    places = [i for i, row in enumerate(rows) if row.label in named]
    pitch = min((b - a for a, b in pairwise(places)), default=1) * room / len(rows)
    return [escape(label) for label in named], [escape(text) for text in named.values()], pitch


def _within_cell(label: str, cell: str) -> str:
    """`Cell_1.Step_2: Sum` -> `Step_2: Sum`; `Cell_1 ← Image_3` -> `Image_3`."""
    return label.removeprefix(f"{cell}.").removeprefix(f"{cell} ← ")


def _entropy_lines(info: EntropyInfo) -> list[dict[str, Any]]:
    return [
        _line(info.epochs, values, SYMBOLS[kind], style.PALETTE[i], style.DASHES[i], f"entropy of {kind}")
        for i, (kind, values) in enumerate(info.values.items())
    ]


def _score_lines(history: History) -> list[dict[str, Any]]:
    """As in the curves of scores; the star's entry in the legend in two lines, because the panels stand close."""
    info = history.scores()
    *lines, star = score_traces(info)
    return [
        *(_curve(line) for line in lines),
        star.to_plotly_json() | {"name": f"best: epoch {info.best_epoch}<br>{100 * info.best_score:.1f} %"},
    ]


def _loss_lines(history: History) -> list[dict[str, Any]]:
    """Training and validation, and the same star as in the scores."""
    info = history.scores()
    loss = info.val_loss[info.epochs.index(info.best_epoch)]
    star = {
        "type": "scatter", "x": (info.best_epoch,), "y": (loss,), "mode": "markers", "name": "best epoch",
        "marker": {"symbol": "star", "size": 15, "color": VAL, "line": {"color": style.INK, "width": 1}},
        "hovertemplate": "best epoch %{x}: %{y:.4f}<extra></extra>",
    }  # fmt: skip
    return [*(_curve(line) for line in loss_traces(info)), star]


def _curve(line: go.Scatter) -> dict[str, Any]:
    """With a mark at every epoch only where there are few: hundreds of marks would weigh more than all lines."""
    found = line.to_plotly_json()
    mode = "lines+markers" if len(found["x"]) <= MARKED else "lines"
    return found | {"showlegend": True, "mode": mode, "y": [round(value, 4) for value in found["y"]]}
