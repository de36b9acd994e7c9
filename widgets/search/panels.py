"""The six panels of a search: what each of them draws, as lines or as a heat map."""

from html import escape
from itertools import pairwise
from typing import Any, NamedTuple

from widgets import style
from widgets.search.history import EntropyInfo, History
from widgets.search.places import axis_number, short
from widgets.search.scores import loss_traces, score_traces, star
from widgets.search.weights import SYMBOLS, WeightRow, WeightsInfo, line_looks, stroke

LINES, HEAT = "lines", "heat map"
HEADINGS = {
    "alpha": "α: weight of node → Cell",
    "beta": "β: weight of node → Step",
    "gamma": "γ: weight of primitive in Step",
    "entropy": "mean entropy: how undecided",
    "score": "{metric} [%]",
    "loss": "loss",
}
MARKED = 24  # epochs with a mark of their own
SPARSE = 5  # marks on a line that tell its Step
APART = 24  # rows of a heat map with white lines between them
ROW = 10.0  # pixels that a row of a heat map needs to have a name of its own


class Choice(NamedTuple):
    """What a watcher wants to see: one Cell ("" is all of them), as "lines" or as "heat map"."""

    cell: str = ""
    picture: str = LINES


ALL = Choice()


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
    """Colour tells the node or primitive, dash the Cell and marks the Step; of one Cell alone, dash tells the Step.

    Each name stands once in the legend, and looks the same always.
    """
    looks, shown, lines = line_looks(info), set[str](), []
    for row in info.rows:
        if cell not in ("", row.cell):
            continue
        dash, mark = place_look(info, row, cell)
        look = stroke(info.kind, row.name, looks[row.name][0], dash)
        line = _line(info.epochs, row.values, row.name, look, row.label)
        if mark:
            line |= {"mode": "lines+markers", "marker": {"size": 6, "symbol": mark, "maxdisplayed": SPARSE}}
        lines.append(line | {"legendgroup": row.name, "showlegend": row.name not in shown})
        shown.add(row.name)
    return lines


def place_look(info: WeightsInfo, row: WeightRow, cell: str) -> tuple[str, str]:
    """The dash and the mark of a row's line, "" for no mark."""
    step = info.steps.index(row.step)
    if cell or len(info.cells) == 1:
        return style.DASHES[step % len(style.DASHES)], ""
    return style.DASHES[info.cells.index(row.cell) % len(style.DASHES)], style.MARKS[step % len(style.MARKS)]


def looks_text(info: WeightsInfo, cell: str) -> str:
    """What dashes and marks mean, of weights of Steps: `line: Cell_1 solid, Cell_2 dash; mark: Step_2 circle`."""
    if cell or len(info.cells) == 1:
        named = [f"{step} {dash}" for step, dash in zip(info.steps, style.DASHES, strict=False)]
        return f"line: {', '.join(named)}; " if len(named) > 1 else ""
    named = [f"{one} {style.DASHES[i % len(style.DASHES)]}" for i, one in enumerate(info.cells)]
    marks = [f"{step} {style.MARKS[i % len(style.MARKS)] or 'none'}" for i, step in enumerate(info.steps)]
    return f"line: {', '.join(named)}; " + (f"mark: {', '.join(marks)}; " if len(marks) > 1 else "")


def _line(x: tuple[int, ...], y: tuple[float, ...], name: str, look: dict[str, Any], label: str) -> dict[str, Any]:
    return {
        "type": "scatter", "x": x, "y": y, "name": escape(short(name)),
        "mode": "lines+markers" if len(x) == 1 else "lines", "line": look, "marker": {"size": 5},
        "hovertemplate": f"{escape(label)}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
    }  # fmt: skip


def _heat(info: WeightsInfo, epochs: int) -> dict[str, Any]:
    """A row a weight; the labels for the pointer are there for all epochs to come."""
    labels = [escape(row.label) for row in info.rows]
    return {
        "type": "heatmap", "x": info.epochs, "y": labels, "z": [row.values for row in info.rows],
        "ygap": 1 if len(labels) <= APART else 0,
        "customdata": [[label] * epochs for label in labels], "coloraxis": heat_axis(info.kind),
        "hovertemplate": "%{customdata}<br>epoch %{x}: %{z:.3f}<extra></extra>",
    }  # fmt: skip


def heat_axis(kind: str) -> str:
    """Edges share a colour scale; that of primitives is undecided elsewhere."""
    return "coloraxis2" if kind == "gamma" else "coloraxis"


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
        _line(info.epochs, values, SYMBOLS[kind], stroke(kind, "", *look), f"entropy of {kind}")
        for (kind, values), *look in zip(info.values.items(), style.PALETTE, style.DASHES, strict=False)
    ]


def _score_lines(history: History) -> list[dict[str, Any]]:
    """As in the curves of scores; the star's entry in the legend in two lines, because the panels stand close."""
    info = history.scores()
    *lines, best = score_traces(info)
    name = f"best: epoch {info.best_epoch}<br>{100 * info.best_score:.1f} %"
    return [*map(_curve, lines), best | {"name": name}]


def _loss_lines(history: History) -> list[dict[str, Any]]:
    """Training and validation, and the same star as in the scores."""
    info = history.scores()
    loss = info.val_loss[info.epochs.index(info.best_epoch)]
    return [*map(_curve, loss_traces(info)), star(info.best_epoch, loss, "best epoch", "%{y:.4f}")]


def _curve(line: dict[str, Any]) -> dict[str, Any]:
    """With a mark at every epoch only where there are few: hundreds of marks would weigh more than all lines."""
    mode = "lines+markers" if len(line["x"]) <= MARKED else "lines"
    return line | {"showlegend": True, "mode": mode, "y": [round(value, 4) for value in line["y"]]}
