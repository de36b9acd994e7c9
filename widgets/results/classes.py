"""What came out, class by class."""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from bmnas.evaluation.evaluation import Evaluation
from widgets import style

CLASS_ROW = 20  # pixels a class


class ClassScores(NamedTuple):
    """Scores in per cent: `values[method][class]`."""

    classes: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    metric: str


def class_scores(evaluations: Iterable[Evaluation], metric: str = "recall") -> ClassScores:
    """Collects the per-class scores of evaluations of the same classes.

    Raises:
        ValueError: the evaluations do not have the same classes.
    """
    scored = list(evaluations)
    classes = tuple(scored[0].per_class)
    for one in scored:
        if tuple(one.per_class) != classes:
            raise ValueError(f"{one.name!r} has the classes {list(one.per_class)}; the first has {list(classes)}")
    values = {one.name: tuple(100 * score for score in one.per_class.values()) for one in scored}
    return ClassScores(classes, values, metric)


def class_dots(info: ClassScores, title: str = "Scores of the classes", note: str = "") -> go.Figure:
    """Draws a row a class, a dot a method."""
    symbols = ("circle", "diamond", "square", "triangle-up", "cross", "x")
    fig = go.Figure()
    colours = style.colours(info.values)
    for i, (method, values) in enumerate(info.values.items()):
        fig.add_scatter(
            x=values, y=list(map(escape, info.classes)), name=escape(method), mode="markers",
            marker={"size": 10, "color": colours[method], "symbol": symbols[i % len(symbols)], "opacity": 0.85},
            hovertemplate="%{y}: %{x:.1f} %<extra>" + escape(method) + "</extra>",
        )  # fmt: skip
    fig.update_layout(showlegend=True, legend=style.BELOW, margin={"l": 20, "r": 20, "t": 10, "b": 60})
    style.finish(fig, title, note, height=CLASS_ROW * len(info.classes) + 120)
    fig.update_xaxes(title_text=f"{info.metric} [%]")
    fig.update_yaxes(autorange="reversed", type="category", dtick=1, tickfont={"size": 12})
    return fig
