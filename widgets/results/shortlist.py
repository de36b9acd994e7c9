"""The candidates of a search: how the hypernet ranked them, and what they scored once trained."""

from collections.abc import Sequence
from html import escape
from itertools import product
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
from pandas.io.formats.style import Styler

from bmnas.searching.selection import Selection
from bmnas.space.equivalence import network_key
from widgets import style
from widgets.static.html_table import table


class CandidateRow(NamedTuple):
    """One genotype of the shortlist: how the hypernet ranked it and what it scored once trained, in per cent.

    `trained_for` is how long ("20 epochs, mean of 3"), "" in older records; `brief` is less than the longest.
    """

    rank: int
    genotype: str
    inherited_score: float
    trained_score: float
    chosen: bool
    algorithm1: bool
    trained_for: str
    brief: bool


def candidate_rows(selection: Selection) -> tuple[CandidateRow, ...]:
    """Lists the shortlist of a selection, with the chosen genotype and Algorithm 1's marked.

    Both are recognised also where a symmetric primitive has its inputs in the other order.
    """
    derived = network_key(selection.algorithm1)
    longest = max((candidate.epochs for candidate in selection.candidates), default=0)
    return tuple(
        CandidateRow(
            candidate.rank,
            candidate.genotype.describe(),
            100 * candidate.inherited_score,
            100 * candidate.trained_score,
            candidate.genotype == selection.chosen,
            network_key(candidate.genotype) == derived,
            candidate.duration,
            candidate.epochs < longest,
        )
        for candidate in selection.candidates
    )


def candidate_table(rows: Sequence[CandidateRow], metric: str, caption: str = "Shortlist") -> Styler:
    """Makes the shortlist as a table, the chosen genotype in bold."""
    frame = pd.DataFrame(
        {
            "rank": [row.rank for row in rows],
            "genotype": [row.genotype for row in rows],
            f"hypernet's weights: {metric} on val [%]": [row.inherited_score for row in rows],
            f"trained: {metric} on val [%]": [row.trained_score for row in rows],
            "trained for": [row.trained_for for row in rows],
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
    """Draws the score with the hypernet's weights against score once trained: a dot a candidate, its rank to the right.

    Many share a score with the hypernet's weights, so that dots lie above each other. A dot is open where the training
    was brief, so that its score is not to be compared with that of a full one.

    Candidates with both scores equal share a dot, which has all their ranks.
    """
    edge = {"color": style.INK, "width": 1}
    kinds = (("chosen", "star", 5, 17), ("derived by Algorithm 1", "diamond", 1, 13), ("candidate", "circle", 0, 11))
    fig = go.Figure()
    dots = _dots(rows)
    for (kind, symbol, colour, size), brief in product(kinds, (False, True)):
        mine = {place: group for place, group in dots.items() if (_kind(group[0]), group[0].brief) == (kind, brief)}
        if not mine:
            continue
        genotypes = [
            "\n\n".join(f"{row.rank}: {row.trained_for}\n{row.genotype}" for row in group) for group in mine.values()
        ]
        fig.add_scatter(
            x=[x for x, _, _ in mine], y=[y for _, y, _ in mine], mode="markers+text",
            name=f"{kind}, trained briefly" if brief else kind,
            text=[", ".join(str(row.rank) for row in group) for group in mine.values()],
            textposition="middle right", showlegend=True,
            hovertext=[escape(text).replace("\n", "<br>") for text in genotypes], hoverinfo="text+x+y",
            marker={"size": size, "symbol": symbol + "-open" * brief, "color": style.PALETTE[colour], "line": edge},
        )  # fmt: skip
    fig.update_layout(legend=style.BELOW, margin={"l": 80, "r": 20, "t": 10, "b": 60})
    style.finish(fig, title, note, height=450)
    fig.update_xaxes(title_text=f"with the hypernet's weights: {escape(metric)} on val [%]")
    fig.update_yaxes(title_text=f"trained from scratch: {escape(metric)} on val [%]")
    return fig


def _dots(rows: Sequence[CandidateRow]) -> dict[tuple[float, float, bool], list[CandidateRow]]:
    """Groups the candidates by place and length of training; the one that decides the mark comes first."""
    dots: dict[tuple[float, float, bool], list[CandidateRow]] = {}
    for row in sorted(rows, key=lambda row: (not row.chosen, not row.algorithm1, row.rank)):
        dots.setdefault((row.inherited_score, row.trained_score, row.brief), []).append(row)
    return dots


def _kind(row: CandidateRow) -> str:
    if row.chosen:
        return "chosen"
    return "derived by Algorithm 1" if row.algorithm1 else "candidate"


def _mark(row: CandidateRow) -> str:
    marks = {"chosen": row.chosen, "Algorithm 1": row.algorithm1}
    return ", ".join(mark for mark, applies in marks.items() if applies)
