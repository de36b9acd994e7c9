"""What came out: the scores of methods, and of ablations, side by side."""

from collections.abc import Iterable, Mapping
from html import escape
from math import isfinite, isnan
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from bmnas.evaluation.ablation import SEARCHED, AblationRow
from bmnas.evaluation.comparison import Comparison
from bmnas.evaluation.results import Evaluation, compare_results
from widgets import style
from widgets.colours import PALE
from widgets.static.html_table import table

BAR = 34  # pixels a bar


class ScoreRow(NamedTuple):
    """The scores of one method, in per cent."""

    name: str
    scores: tuple[float, ...]
    mean: float
    low: float
    high: float
    highlight: bool
    aside: str  # what others report, in words; may be empty
    comparison: Comparison | None  # of the highlighted method with this one

    @property
    def interval(self) -> str:
        """`86.90 to 87.72`, the 95 % interval of the mean; "" where there is none."""
        return f"{self.low:.2f} to {self.high:.2f}" if isfinite(self.low) else ""

    @property
    def text(self) -> str:
        """`87.31 (86.90 to 87.72)`; a trained method with one seed has no interval."""
        return f"{self.mean:.2f} ({self.interval or '1 seed'})"

    @property
    def difference(self) -> str:
        """`+0.42 (-0.10 to +0.94)`, what the highlighted method has more, in points; "" for itself."""
        return "" if self.comparison is None else self.comparison.in_points()


class ScoresOfMethods(NamedTuple):
    """Methods side by side, on the same test samples."""

    rows: tuple[ScoreRow, ...]
    metric: str
    compared: str = ""  # the method that all others are compared with


def scores_of_methods(
    evaluations: Iterable[Evaluation], highlight: Iterable[str] = (), asides: Mapping[str, str] | None = None
) -> ScoresOfMethods:
    """Returns the methods in their order.

    Args:
        evaluations: of the same metric on the same test samples.
        highlight: names drawn in the strong colour; the first is compared with every other method.
        asides: name -> a remark under its score.

    Raises:
        ValueError: no evaluations, one without scores, or different metrics.
    """
    scored = list(evaluations)
    if not scored or not all(one.scores for one in scored):
        raise ValueError(f"expected at least one score a method; got {[(one.name, len(one.scores)) for one in scored]}")
    metrics = {one.metric for one in scored}
    if len(metrics) > 1:
        raise ValueError(f"the evaluations have different metrics: {', '.join(sorted(metrics))}; show them apart")
    strong, remarks = [name for name in highlight if name in {one.name for one in scored}], asides or {}
    against = {one.rival: one for name in strong[:1] for one in compare_results(scored, name)}
    rows = tuple(
        _score_row(one, one.name in strong, remarks.get(one.name, ""), against.get(one.name)) for one in scored
    )
    return ScoresOfMethods(rows, scored[0].metric, *strong[:1])


def ablation_scores(results: Iterable[tuple[AblationRow, Evaluation]]) -> ScoresOfMethods:
    """Returns the rows of Table 6 or 7, the searched one highlighted, with what the paper prints for NTU."""
    pairs = list(results)
    asides = {evaluation.name: f"paper, NTU: {row.paper}" for row, evaluation in pairs}
    return scores_of_methods((evaluation for _, evaluation in pairs), [SEARCHED], asides)


def score_bars(info: ScoresOfMethods, title: str = "Test scores", note: str = "") -> go.Figure:
    """Draws a bar a method: mean, its 95 % interval, and every seed as a dot."""
    spread = [(row.mean - row.low, row.high - row.mean) if isfinite(row.low) else (0.0, 0.0) for row in info.rows]
    names = [escape(row.name) for row in info.rows]
    fig = go.Figure(
        go.Bar(
            x=[row.mean for row in info.rows], y=names, orientation="h", width=0.62,
            error_x={
                "array": [above for _, above in spread], "arrayminus": [below for below, _ in spread],
                "color": style.INK, "thickness": 1.5, "width": 5,
            },
            marker_color=[style.PALETTE[0] if row.highlight else PALE for row in info.rows],
            hovertext=[f"{escape(row.name)}: {row.text}" for row in info.rows], hoverinfo="text",
        )
    )  # fmt: skip
    dots = [(score, name) for row, name in zip(info.rows, names, strict=True) if len(row.scores) > 1
            for score in row.scores]  # fmt: skip
    fig.add_scatter(
        x=[score for score, _ in dots], y=[name for _, name in dots], mode="markers", hoverinfo="skip",
        marker={"size": 5, "color": style.INK, "opacity": 0.55},
    )  # fmt: skip
    ends = [row.mean + end for row, (below, above) in zip(info.rows, spread, strict=True) for end in (-below, above)]
    low, high = _range([*ends, *(score for row in info.rows for score in row.scores)])
    for row, name in zip(info.rows, names, strict=True):
        aside = f"<br> <span style='font-size:12px;color:#666666'>{escape(row.aside)}</span>" if row.aside else ""
        words = f" {row.text}{aside}"
        fig.add_annotation(x=high, y=name, text=words, xanchor="left", align="left", showarrow=False)
    fig.update_layout(showlegend=False, margin={"l": 20, "r": 190, "t": 10, "b": 60})
    style.finish(fig, title, note, height=BAR * len(names) + 84)
    start = f" (the axis starts at {low:.0f} %)" if low else ""
    words = f"{escape(info.metric)} on test [%]{start}: mean and its 95 % interval, dots are seeds"
    fig.update_xaxes(title_text=words, range=[low, high])
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig


def score_table(info: ScoresOfMethods, caption: str = "") -> Styler:
    """Returns the same as a table, the best mean in bold."""
    return table(score_frame(info), caption, best=f"{info.metric} [%]")


def score_frame(info: ScoresOfMethods) -> pd.DataFrame:
    """Makes one line a method: mean, 95 % interval, and what the compared method has more, with its verdict."""
    columns: dict[str, list] = {
        "method": [row.name for row in info.rows],
        f"{info.metric} [%]": [row.mean for row in info.rows],
        "95 % interval": [row.interval or "-" for row in info.rows],
        "seeds": [len(row.scores) for row in info.rows],
    }
    if info.compared:
        columns[f"{info.compared} less this"] = [row.difference for row in info.rows]
        columns[f"{info.compared} is"] = [row.comparison.verdict if row.comparison else "" for row in info.rows]
    return pd.DataFrame(columns)


def _score_row(evaluation: Evaluation, highlight: bool, aside: str, comparison: Comparison | None) -> ScoreRow:
    percent = tuple(100 * score for score in evaluation.scores)
    low, high = evaluation.interval
    return ScoreRow(
        evaluation.name, percent, 100 * evaluation.mean, 100 * low, 100 * high, highlight, aside, comparison
    )


def _range(values: Iterable[float]) -> tuple[float, float]:
    """Starts from zero, unless everything lies so high that differences would vanish."""
    numbers = [value for value in values if not isnan(value)]
    low, high = min(numbers), max(numbers)
    room = max(0.08 * (high - low), 0.5)
    return (0.0 if low < 50 else max(0.0, low - max(4 * room, 0.35 * (high - low)))), high + room
