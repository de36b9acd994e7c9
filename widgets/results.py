"""What came out: scores of methods, of classes, of ablations, and the candidates of a search."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from math import isnan
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from bmnas.ablation import SEARCHED, AblationRow
from bmnas.evaluation import Evaluation
from bmnas.selection import Selection
from widgets import style

BAR = 34  # pixels a bar
CLASS_ROW = 20  # pixels a class


class ScoreRow(NamedTuple):
    """The scores of one method, in per cent."""

    name: str
    scores: tuple[float, ...]
    mean: float
    std: float
    highlight: bool
    aside: str  # what others report, in words; may be empty

    @property
    def text(self) -> str:
        """`87.31 ± 0.42 (5 seeds)`; one seed has no deviation."""
        if len(self.scores) == 1:
            return f"{self.mean:.2f} (1 seed)"
        return f"{self.mean:.2f} ± {self.std:.2f} ({len(self.scores)} seeds)"


class ScoresOfMethods(NamedTuple):
    """Methods side by side, on the same test samples."""

    rows: tuple[ScoreRow, ...]
    metric: str


class ClassScores(NamedTuple):
    """Scores in per cent: `values[method][class]`."""

    classes: tuple[str, ...]
    values: dict[str, tuple[float, ...]]
    metric: str


class CandidateRow(NamedTuple):
    """One genotype of the shortlist: how the hypernet ranked it and what it scored once trained, in per cent."""

    rank: int
    genotype: str
    inherited_score: float
    trained_score: float
    chosen: bool
    algorithm1: bool


def scores_of_methods(
    evaluations: Iterable[Evaluation], highlight: Iterable[str] = (), asides: Mapping[str, str] | None = None
) -> ScoresOfMethods:
    """The methods in the order given.

    Args:
        evaluations: of the same metric on the same test samples.
        highlight: names drawn in the strong colour.
        asides: name -> a remark under its score.

    Raises:
        ValueError: no evaluations, one without scores, or different metrics.
    """
    found = list(evaluations)
    if not found or not all(one.scores for one in found):
        raise ValueError(f"expected at least one score a method; got {[(one.name, len(one.scores)) for one in found]}")
    metrics = {one.metric for one in found}
    if len(metrics) > 1:
        raise ValueError(f"the evaluations have different metrics: {', '.join(sorted(metrics))}; show them apart")
    strong, remarks = set(highlight), asides or {}
    rows = tuple(_score_row(one, one.name in strong, remarks.get(one.name, "")) for one in found)
    return ScoresOfMethods(rows, found[0].metric)


def ablation_scores(results: Iterable[tuple[AblationRow, Evaluation]]) -> ScoresOfMethods:
    """The rows of Table 6 or 7, the searched one highlighted, with what the paper prints for NTU."""
    pairs = list(results)
    asides = {evaluation.name: f"paper, NTU: {row.paper}" for row, evaluation in pairs}
    return scores_of_methods((evaluation for _, evaluation in pairs), {SEARCHED}, asides)


def score_bars(info: ScoresOfMethods, title: str = "Test scores", note: str = "") -> go.Figure:
    """A bar a method: mean, standard deviation over seeds, and every seed as a dot."""
    names = [escape(row.name) for row in info.rows]
    fig = go.Figure(
        go.Bar(
            x=[row.mean for row in info.rows], y=names, orientation="h", width=0.62,
            error_x={"array": [row.std for row in info.rows], "color": style.INK, "thickness": 1.5, "width": 5},
            marker_color=[style.PALETTE[0] if row.highlight else "#A9C4D6" for row in info.rows],
            hovertext=[f"{escape(row.name)}: {row.text}" for row in info.rows], hoverinfo="text",
        )
    )  # fmt: skip
    dots = [(score, name) for row, name in zip(info.rows, names, strict=True) if len(row.scores) > 1
            for score in row.scores]  # fmt: skip
    fig.add_scatter(
        x=[score for score, _ in dots], y=[name for _, name in dots], mode="markers", hoverinfo="skip",
        marker={"size": 5, "color": style.INK, "opacity": 0.55},
    )  # fmt: skip
    low, high = _range([score for row in info.rows for score in (*row.scores, row.mean - row.std, row.mean + row.std)])
    for row, name in zip(info.rows, names, strict=True):
        aside = f"<br> <span style='font-size:12px;color:#666666'>{escape(row.aside)}</span>" if row.aside else ""
        words = f" {row.text}{aside}"
        fig.add_annotation(x=high, y=name, text=words, xanchor="left", align="left", showarrow=False)
    fig.update_layout(showlegend=False, margin={"l": 20, "r": 190, "t": 96 if note else 72, "b": 60})
    style.finish(fig, title, note, height=BAR * len(names) + (170 if note else 146))
    start = f" (the axis starts at {low:.0f} %)" if low else ""
    words = f"{info.metric} on test [%]{start}: mean ± standard deviation, dots are seeds"
    fig.update_xaxes(title_text=words, range=[low, high])
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig


def score_table(info: ScoresOfMethods, caption: str = "") -> Styler:
    """The same as a table, the best mean in bold."""
    frame = pd.DataFrame(
        {
            "method": [row.name for row in info.rows],
            f"{info.metric} [%]": [row.mean for row in info.rows],
            "std": [row.std if len(row.scores) > 1 else None for row in info.rows],
            "seeds": [len(row.scores) for row in info.rows],
        }
    )
    return table(frame, caption, best=f"{info.metric} [%]")


def table(frame: pd.DataFrame, caption: str = "", best: str | None = None, digits: int = 2) -> Styler:
    """A data frame without its index, numbers rounded, the best value of a column in bold.

    Args:
        frame: what to show; text is escaped.
        caption: a line above.
        best: the column whose largest value is bold.
        digits: after the decimal point.
    """
    styler = frame.style.hide(axis="index")
    styler.format(precision=digits, na_rep="-", escape="html", thousands=",")
    styler = styler.set_table_styles([
        {"selector": "caption", "props": "caption-side: top; text-align: left; font-weight: bold"},
        {"selector": "th, td", "props": "text-align: left; padding: 3px 12px 3px 4px"},
    ])  # fmt: skip
    if caption:
        styler = styler.set_caption(escape(caption))
    if best is not None:
        styler = styler.highlight_max(subset=[best], props="font-weight: bold")
    return styler


def class_scores(evaluations: Iterable[Evaluation], metric: str = "recall") -> ClassScores:
    """The per-class scores of evaluations of the same classes.

    Raises:
        ValueError: the evaluations do not have the same classes.
    """
    found = list(evaluations)
    classes = tuple(found[0].per_class)
    for one in found:
        if tuple(one.per_class) != classes:
            raise ValueError(f"{one.name!r} has the classes {list(one.per_class)}; the first has {list(classes)}")
    values = {one.name: tuple(100 * score for score in one.per_class.values()) for one in found}
    return ClassScores(classes, values, metric)


def class_dots(info: ClassScores, title: str = "Scores of the classes", note: str = "") -> go.Figure:
    """A row a class, a dot a method."""
    symbols = ("circle", "diamond", "square", "triangle-up", "cross", "x")
    fig = go.Figure()
    colours = style.colours(info.values)
    for i, (method, values) in enumerate(info.values.items()):
        fig.add_scatter(
            x=values, y=list(map(escape, info.classes)), name=escape(method), mode="markers",
            marker={"size": 10, "color": colours[method], "symbol": symbols[i % len(symbols)], "opacity": 0.85},
            hovertemplate="%{y}: %{x:.1f} %<extra>" + escape(method) + "</extra>",
        )  # fmt: skip
    fig.update_layout(showlegend=True, margin={"l": 20, "r": 20, "t": 96 if note else 72, "b": 60})
    style.finish(fig, title, note, height=CLASS_ROW * len(info.classes) + (180 if note else 156))
    fig.update_xaxes(title_text=f"{info.metric} [%]")
    fig.update_yaxes(autorange="reversed", type="category", dtick=1, tickfont={"size": 12})
    return fig


def candidate_rows(selection: Selection) -> tuple[CandidateRow, ...]:
    """The shortlist of a selection, the chosen genotype and Algorithm 1's marked."""
    return tuple(
        CandidateRow(
            candidate.rank,
            candidate.genotype.describe(),
            100 * candidate.inherited_score,
            100 * candidate.trained_score,
            candidate.genotype == selection.chosen,
            candidate.genotype == selection.algorithm1,
        )
        for candidate in selection.candidates
    )


def candidate_table(rows: Sequence[CandidateRow], metric: str, caption: str = "Shortlist") -> Styler:
    """The shortlist as a table, the chosen genotype in bold."""
    frame = pd.DataFrame(
        {
            "rank": [row.rank for row in rows],
            "genotype": [row.genotype for row in rows],
            f"hypernet's weights: {metric} on val [%]": [row.inherited_score for row in rows],
            f"trained: {metric} on val [%]": [row.trained_score for row in rows],
            "": [_mark(row) for row in rows],
        }
    )
    bold = {i for i, row in enumerate(rows) if row.chosen}
    styler = table(frame, caption)
    styler = styler.apply(lambda line: ["font-weight: bold" if line.name in bold else ""] * len(line), axis=1)
    return styler.set_properties(
        subset=["genotype"], **{"white-space": "pre", "font-family": "monospace", "font-size": "12px"}
    )


def candidate_figure(
    rows: Sequence[CandidateRow], metric: str, title: str = "The shortlist, ranked and trained", note: str = ""
) -> go.Figure:
    """Score with the hypernet's weights against score once trained: a dot a candidate, its rank beside it."""
    edge = {"color": style.INK, "width": 1}
    kinds = (("chosen", "star", 5, 17), ("derived by Algorithm 1", "diamond", 1, 13), ("candidate", "circle", 0, 11))
    fig = go.Figure()
    for kind, symbol, colour, size in kinds:
        mine = [row for row in rows if _kind(row) == kind]
        fig.add_scatter(
            x=[row.inherited_score for row in mine], y=[row.trained_score for row in mine], mode="markers+text",
            name=kind, text=[str(row.rank) for row in mine], textposition="top center", showlegend=bool(mine),
            hovertext=[escape(row.genotype).replace("\n", "<br>") for row in mine], hoverinfo="text+x+y",
            marker={"size": size, "symbol": symbol, "color": style.PALETTE[colour], "line": edge},
        )  # fmt: skip
    fig.update_layout(margin={"l": 80, "r": 20, "t": 96 if note else 72, "b": 60})
    style.finish(fig, title, note, height=460, width=860)
    fig.update_xaxes(title_text=f"with the hypernet's weights: {metric} on val [%]")
    fig.update_yaxes(title_text=f"trained from scratch: {metric} on val [%]")
    return fig


def _kind(row: CandidateRow) -> str:
    return "chosen" if row.chosen else "derived by Algorithm 1" if row.algorithm1 else "candidate"


def _mark(row: CandidateRow) -> str:
    marks = (["chosen"] if row.chosen else []) + (["Algorithm 1"] if row.algorithm1 else [])
    return ", ".join(marks)


def _score_row(evaluation: Evaluation, highlight: bool, aside: str) -> ScoreRow:
    percent = tuple(100 * score for score in evaluation.scores)
    return ScoreRow(evaluation.name, percent, 100 * evaluation.mean, 100 * evaluation.std, highlight, aside)


def _range(values: Iterable[float]) -> tuple[float, float]:
    """From zero, unless everything lies so high that differences would vanish."""
    known = [value for value in values if not isnan(value)]
    low, high = min(known), max(known)
    room = max(0.08 * (high - low), 0.5)
    return (0.0 if low < 50 else max(0.0, low - max(4 * room, 0.35 * (high - low)))), high + room
