"""How the weights of one kind move over the epochs: WeightsInfo -> heat map or lines."""

from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.space.graph import Modalities
from widgets import colours, style
from widgets.search.weights import MEANINGS, SAME_INPUT, SYMBOLS, WeightRow, WeightsInfo

ROW = 19  # pixels a row of a heat map
CHARACTER = 6.8  # pixels, a generous mean of the labels' font
PLOT = 640  # pixels that the panels of a heat map share
MARKED = 24  # rows at most whose lines have a mark an epoch: many marks would weigh more than the lines


def weight_heatmap(info: WeightsInfo, title: str = "", note: str = "") -> go.Figure:
    """Draws a row a weight and a column an epoch, a panel a Cell, with one colour scale from 0 to 1 for all."""
    info = info.joined
    cells = info.cells
    columns = 1 if len(info.cells) == 1 else 2
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
        fig.add_trace(heat(rows, info.epochs, _short_labels(rows)), i // columns + 1, i % columns + 1)
        _mark_best(fig, info, i // columns + 1, i % columns + 1)
    fig.update_layout(
        coloraxis=style.weight_colours(info.undecided),
        margin={"l": 20, "r": 20, "t": 20, "b": 50},
    )
    style.finish(fig, title or _title(info), note, aid=_aid(info), height=height + 40)
    fig.update_xaxes(showgrid=False, **style.epoch_ticks(len(info.epochs), 12))
    _name_epochs(fig, len(cells), columns)
    fig.update_yaxes(autorange="reversed", showgrid=False, dtick=1, tickfont={"size": 12})
    return fig


def weight_lines(info: WeightsInfo, title: str = "", note: str = "", modalities: Modalities | None = None) -> go.Figure:
    """Draws a line a weight and a panel a place of choice; a name has one look and one entry in the legend.

    Args:
        info: from `weights_info`.
        title: of the figure; by default what the weights are.
        note: one line under the title.
        modalities: modality -> features, for colours; by default a feature's name before its last "_".
    """
    info = info.joined
    looks = line_colours(info, modalities)
    mode = "lines+markers" if len(info.rows) <= MARKED else "lines"
    columns = min(len(info.places), 4 if len(info.places) % 4 == 0 or len(info.places) > 6 else 3)
    lines = -(-len(info.places) // columns)
    height = max(lines * 230, 22 * len(info.names))
    fig = make_subplots(
        lines, columns, subplot_titles=info.places, shared_yaxes="all",  # type: ignore[arg-type]
        horizontal_spacing=0.03,
        vertical_spacing=62 / height if lines > 1 else 0,
    )  # fmt: skip
    named: set[str] = set()
    for i, place in enumerate(info.places):
        for row in (row for row in info.rows if row.place == place):
            look = {"mode": mode, "marker": {"size": 4}, "showlegend": row.name not in named}
            named.add(row.name)
            fig.add_trace(line(row, info.epochs, looks[row.name]) | look, i // columns + 1, i % columns + 1)
        _mark_best(fig, info, i // columns + 1, i % columns + 1)
        fig.update_yaxes(showticklabels=i % columns == 0, row=i // columns + 1, col=i % columns + 1)
    fig.update_layout(
        legend={"x": 1.01, "y": 1, "font": {"size": 12}, "tracegroupgap": 0},
        margin={"l": 70, "r": 150, "t": 20, "b": 50},
    )
    style.finish(fig, title or _title(info), note, aid=_aid(info), height=height + 40)
    fig.update_xaxes(**style.epoch_ticks(len(info.epochs), 7))
    _name_epochs(fig, len(info.places), columns)
    fig.update_yaxes(autorangeoptions={"include": info.reach})
    fig.update_yaxes(col=1, title_text="softmax weight")
    return fig


def line_colours(info: WeightsInfo, modalities: Modalities | None = None) -> dict[str, str]:
    """Returns the colour of every node or primitive."""
    if info.kind == "gamma":
        return colours.primitive_colours(info.names)
    return colours.node_colours(info.names, modalities)


def line(row: WeightRow, epochs: tuple[int, ...], colour: str, dash: str = "solid") -> dict[str, Any]:
    """Draws one weight as a plotly trace; a plain dictionary, because making it an object costs a millisecond."""
    return {
        "type": "scatter", "x": epochs, "y": [round(value, 4) for value in row.values], "name": escape(row.name),
        "mode": "lines+markers" if len(epochs) == 1 else "lines",
        "line": {"color": colour, "dash": dash, "width": 2}, "legendgroup": row.name,
        "hovertemplate": f"{escape(row.label)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
    }  # fmt: skip


def heat(rows: list[WeightRow], epochs: tuple[int, ...], labels: list[str]) -> dict[str, Any]:
    """Draws weights as one heat map, a row each."""
    return {
        "type": "heatmap", "x": epochs, "y": labels, "z": [[round(value, 4) for value in row.values] for row in rows],
        "customdata": [[escape(row.label)] * len(epochs) for row in rows], "coloraxis": "coloraxis", "ygap": 1,
        "hovertemplate": "%{customdata}<br>epoch %{x}: %{z:.3f}<extra></extra>",
    }  # fmt: skip


def _name_epochs(fig: go.Figure, panels: int, columns: int) -> None:
    """Names the axis at the lowest panel of every column."""
    for i in range(max(0, panels - columns), panels):
        fig.update_xaxes(title_text="epoch", row=i // columns + 1, col=i % columns + 1)


def _short_labels(rows: list[WeightRow]) -> list[str]:
    """Leaves the Cell out of labels where the panel's title names it and a Step follows."""
    return [escape(row.label.removeprefix(f"{row.cell}.")) for row in rows]


def _mark_best(fig: go.Figure, info: WeightsInfo, row: int, column: int) -> None:
    if info.best_epoch is not None:
        fig.add_vline(info.best_epoch, line={"color": style.INK, "width": 1, "dash": "dot"}, row=row, col=column)  # type: ignore[arg-type]


def _title(info: WeightsInfo) -> str:
    return f"{SYMBOLS[info.kind]}: {MEANINGS[info.kind]}"


def _aid(info: WeightsInfo) -> str:
    best = [f"dotted: best epoch ({info.best_epoch})"] if info.best_epoch is not None else []
    return "; ".join([*best, *([SAME_INPUT] if "x, y" in info.names else [])])
