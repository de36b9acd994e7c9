"""How alpha, beta and gamma move over the epochs: trace -> WeightsInfo -> heat map or lines."""

from collections.abc import Iterable
from html import escape
from math import nan
from typing import Any, NamedTuple, Protocol

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.registry import PRIMITIVES
from widgets import style

SYMBOLS = {"alpha": "α", "beta": "β", "gamma": "γ"}
MEANINGS = {
    "alpha": "softmax weight of Identity on the edge node → Cell",
    "beta": "softmax weight of Identity on the edge node → Step",
    "gamma": "softmax weight of the Step's primitive",
}
COLUMNS = ("epoch", "cell", "step", "name", "weight")
ROW = 19  # pixels a row of a heat map
CHARACTER = 6.8  # pixels, a generous mean of the labels' font
REACH = 0.05  # an axis of weights reaches at least as far to both sides of undecided
PLOT = 640  # pixels that the panels of a heat map share
LINE, UNDER = 2, 5  # widths of a line, and of one that another lies upon


class HasWeights(Protocol):
    """A trace: its weights are a data frame with the columns epoch, kind, cell, step, name, weight."""

    def weights(self) -> pd.DataFrame:
        """One row a weight and epoch."""
        ...


class WeightRow(NamedTuple):
    """One softmax weight over the epochs, for instance of `Cell_1 ← Image_3` or `Cell_1.Step_2: Sum`."""

    label: str
    cell: str
    step: str
    name: str
    values: tuple[float, ...]

    @property
    def place(self) -> str:
        """Where the choice is made: `Cell_1` or `Cell_1.Step_2`."""
        return f"{self.cell}.{self.step}" if self.step else self.cell


class WeightsInfo(NamedTuple):
    """All weights of one kind over the epochs."""

    kind: str
    epochs: tuple[int, ...]
    rows: tuple[WeightRow, ...]
    best_epoch: int | None

    @property
    def cells(self) -> list[str]:
        """The Cells in order."""
        return list(dict.fromkeys(row.cell for row in self.rows))

    @property
    def places(self) -> list[str]:
        """The places of choice, Cell by Cell and Step by Step."""
        return list(dict.fromkeys(row.place for row in self.rows))

    @property
    def steps(self) -> list[str]:
        """The Steps in order; one without a name where Cells choose."""
        return list(dict.fromkeys(row.step for row in self.rows))

    @property
    def undecided(self) -> float:
        """The weight of a choice that has learnt nothing: 1/2 of an edge, one part of the pool of a primitive."""
        return 1 / len(self.names) if self.kind == "gamma" else 0.5

    @property
    def reach(self) -> list[float]:
        """What an axis of weights shows at least, so that a difference of 0.001 does not look like a decision."""
        return [self.undecided - REACH, self.undecided + REACH]

    @property
    def names(self) -> list[str]:
        """What is weighed: nodes, or primitives."""
        return list(dict.fromkeys(row.name for row in self.rows))


def weight_label(kind: str, cell: str, step: str, name: str) -> str:
    """A weight's name for readers: `Cell_1 ← Image_3`, `Cell_1.Step_2 ← x`, `Cell_1.Step_2: Sum`."""
    place = f"{cell}.{step}" if step else cell
    return f"{place}: {name}" if kind == "gamma" else f"{place} ← {name}"


def weights_info(trace: HasWeights, kind: str, best_epoch: int | None = None) -> WeightsInfo:
    """The weights of one kind, from a trace.

    Args:
        trace: what has `weights()`.
        kind: "alpha", "beta" or "gamma".
        best_epoch: the epoch to mark, if any.

    Raises:
        ValueError: the trace has no weights of this kind.
    """
    frame = trace.weights()
    frame = frame[frame["kind"] == kind]
    if frame.empty:
        raise ValueError(f"the trace has no weights of kind {kind!r}; expected one of {', '.join(SYMBOLS)}")
    epochs = tuple(sorted({int(epoch) for epoch in frame["epoch"]}))
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for epoch, cell, step, name, weight in zip(*(frame[column] for column in COLUMNS), strict=True):
        found.setdefault((cell, step, name), {})[int(epoch)] = float(weight)
    rows = [
        WeightRow(weight_label(kind, *key), *key, tuple(values.get(epoch, nan) for epoch in epochs))
        for key, values in found.items()
    ]
    return WeightsInfo(kind, epochs, tuple(rows), best_epoch)


def weight_heatmap(info: WeightsInfo, title: str = "", note: str = "") -> go.Figure:
    """A row a weight, a column an epoch, a panel a Cell, one colour scale from 0 to 1 for all."""
    cells, columns = info.cells, 1 if len(info.cells) == 1 else 2
    lines = -(-len(cells) // columns)
    most = max(sum(row.cell == cell for row in info.rows) for cell in cells)
    height = lines * (most * ROW + 76)
    labels = max(len(label) for label in _short_labels(list(info.rows)))
    fig = make_subplots(
        lines,
        columns,
        subplot_titles=cells,
        horizontal_spacing=min(0.5, (CHARACTER * labels + 30) / PLOT),
        vertical_spacing=70 / height if lines > 1 else 0,
    )
    for i, cell in enumerate(cells):
        rows = [row for row in info.rows if row.cell == cell]
        heat = go.Heatmap(
            z=[[round(value, 4) for value in row.values] for row in rows], x=info.epochs, y=_short_labels(rows),
            customdata=[[escape(row.label)] * len(info.epochs) for row in rows], coloraxis="coloraxis", ygap=1,
            hovertemplate="%{customdata}<br>epoch %{x}: %{z:.3f}<extra></extra>",
        )  # fmt: skip
        fig.add_trace(heat, i // columns + 1, i % columns + 1)
        _mark_best(fig, info, i // columns + 1, i % columns + 1)
    fig.update_layout(
        coloraxis=style.weight_colours(info.undecided),
        margin={"l": 20, "r": 20, "t": 96 if note else 76, "b": 50},
    )  # fmt: skip
    style.finish(fig, title or _title(info), note, height=height + 120)
    fig.update_xaxes(showgrid=False, tickformat="d", nticks=12)
    _name_epochs(fig, len(cells), columns)
    fig.update_yaxes(autorange="reversed", showgrid=False, dtick=1, tickfont={"size": 12})
    return fig


def weight_lines(info: WeightsInfo, title: str = "", note: str = "") -> go.Figure:
    """A line a weight, a panel a place of choice; a name has one colour everywhere and one entry in the legend."""
    places = info.places
    columns = min(len(places), 4 if len(places) % 4 == 0 or len(places) > 6 else 3)
    lines = -(-len(places) // columns)
    height = max(lines * 230, 22 * len(info.names))
    fig = make_subplots(
        lines, columns, subplot_titles=places, shared_yaxes="all",  # type: ignore[arg-type]
        horizontal_spacing=0.03,
        vertical_spacing=62 / height if lines > 1 else 0,
    )  # fmt: skip
    named: set[str] = set()
    for i, place in enumerate(places):
        for name, line in place_lines(info, place):
            line.update(showlegend=name not in named)
            named.add(name)
            fig.add_trace(line, i // columns + 1, i % columns + 1)
        _mark_best(fig, info, i // columns + 1, i % columns + 1)
        fig.update_yaxes(showticklabels=i % columns == 0, row=i // columns + 1, col=i % columns + 1)
    fig.update_layout(
        legend={"x": 1.01, "y": 1, "font": {"size": 12}, "tracegroupgap": 0},
        margin={"l": 70, "r": 150, "t": 100 if note else 80, "b": 50},
    )
    style.finish(fig, title or _title(info), note, height=height + 120)
    fig.update_xaxes(tickformat="d", nticks=7)
    _name_epochs(fig, len(places), columns)
    fig.update_yaxes(autorangeoptions={"include": info.reach})
    fig.update_yaxes(col=1, title_text="softmax weight")
    return fig


def place_lines(info: WeightsInfo, place: str) -> Iterable[tuple[str, go.Scatter]]:
    """Names and lines of one place of choice; many lines go without markers, which would weigh more than the lines."""
    looks, mode = line_looks(info), "lines+markers" if len(info.rows) <= 24 else "lines"
    for row in info.rows:
        if row.place == place:
            colour, dash = looks[row.name]
            line = go.Scatter(
                x=info.epochs, y=[round(value, 4) for value in row.values], name=escape(row.name), mode=mode,
                line=stroke(info.kind, row.name, colour, dash), marker={"size": 4}, legendgroup=row.name,
                hovertemplate=f"{escape(row.label)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
            )  # fmt: skip
            yield row.name, line


def line_looks(info: WeightsInfo) -> dict[str, tuple[str, str]]:
    """Colour and dash of every node or primitive."""
    if info.kind != "gamma":
        return style.strokes(info.names)
    found = style.primitive_colours([*PRIMITIVES, *info.names])
    return {name: (found[name], "solid") for name in info.names}


def stroke(kind: str, name: str, colour: str, dash: str) -> dict[str, Any]:
    """The line of a node or primitive; that of x is wide, because y lies upon it.

    A hypernet feeds a Cell's mixture to both, so that their beta differ by what they began with alone.
    """
    if (kind, name) == ("beta", "x"):
        return {"color": colour, "dash": style.FIXED.get(dash, dash), "width": UNDER}
    return {"color": colour, "dash": dash, "width": LINE}


def _name_epochs(fig: go.Figure, panels: int, columns: int) -> None:
    """The lowest panel of every column names the axis."""
    for i in range(max(0, panels - columns), panels):
        fig.update_xaxes(title_text="epoch", row=i // columns + 1, col=i % columns + 1)


def _short_labels(rows: list[WeightRow]) -> list[str]:
    """Labels without the Cell where the panel's title names it and a Step follows."""
    return [escape(row.label.removeprefix(f"{row.cell}.")) for row in rows]


def _mark_best(fig: go.Figure, info: WeightsInfo, row: int, column: int) -> None:
    if info.best_epoch is not None:
        fig.add_vline(info.best_epoch, line={"color": style.INK, "width": 1, "dash": "dot"}, row=row, col=column)  # type: ignore[arg-type]


def _title(info: WeightsInfo) -> str:
    best = f" (dotted: best epoch, {info.best_epoch})" if info.best_epoch is not None else ""
    return f"{SYMBOLS[info.kind]}: {MEANINGS[info.kind]}{best}"
