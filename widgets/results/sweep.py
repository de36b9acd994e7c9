"""Figures 7 and 8: how the hypernets of several configurations did, and whether that told which answer is best."""

from collections.abc import Sequence
from math import isfinite

from bmnas.rivals.field.sweep import Swept, rank_correlation
from widgets import style
from widgets.sheets.chart import Line, Point, chart
from widgets.sheets.sheet import Sheet, beside

SIZE = (430, 330)
HYPERNETS = "Hypernets over the search"


def sweep_sheet(swept: Sequence[Swept]) -> Sheet:
    """Draws the validation score of each hypernet over the epochs, and search score against evaluation score."""
    return beside(hypernet_chart(swept), score_chart(swept))


def hypernet_chart(swept: Sequence[Swept]) -> Sheet:
    """Draws Fig. 8: the validation score of the hypernet of each configuration after every epoch.

    Of another searcher than Algorithm 1 it is the best so far after every short training.
    """
    lines = []
    for place, one in enumerate(swept):
        scores = [100 * score for score in one.curve.scores]
        lines.append(Line(_name(one), range(1, len(scores) + 1), scores, style.PALETTE[place % len(style.PALETTE)]))
    curve = swept[0].curve
    title, x_title = ("Best so far", "short trainings so far") if curve.of_trainings else (HYPERNETS, "epoch")
    return chart(lines, [], title, x_title, f"{curve.metric} on val [%]", SIZE)


def score_chart(swept: Sequence[Swept]) -> Sheet:
    """Draws Fig. 7: search score against evaluation score, with Kendall's tau of the two."""
    points = []
    for place, one in enumerate(swept):
        at = 100 * one.curve.search_score, 100 * one.result.mean
        colour = style.PALETTE[place % len(style.PALETTE)]
        points.append(Point(*at, colour, hover=f"{_name(one)}: {at[0]:.2f} %, {at[1]:.2f} %", label=_name(one)))
    title = f"Search and evaluation: {correlation_text(swept)}"
    metric = swept[0].curve.metric
    return chart([], points, title, f"search: {metric} on val [%]", f"evaluation: {metric} on test [%]", SIZE)


def correlation_text(swept: Sequence[Swept]) -> str:
    """Says Kendall's tau, or that there is none."""
    tau = rank_correlation(swept)
    return f"Kendall's tau {tau:+.2f} of {len(swept)}" if isfinite(tau) else "too few scores for a tau"


def _name(one: Swept) -> str:
    return f"N = {one.N}, M = {one.M}"
