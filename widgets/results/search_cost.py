"""Searchers on the truth: a table of their answers, and regret against cost with random search as a band."""

import math
from html import escape
from itertools import cycle

import pandas as pd
import plotly.graph_objects as go

from bmnas.trust.expected_regret import random_regret
from widgets import style
from widgets.colours import INK
from widgets.sheets.chart import log_ticks

BAND = "#DDE6EC"
POINTS = 40  # of the curve of random search


def searchers_table(standings: pd.DataFrame) -> pd.DataFrame:
    """Makes the rows of `standings_frame` and `bench_standing` readable: scores in per cent, regret in points."""
    ranks = ["-" if rank is None or rank != rank else f"{rank:,g}" for rank in standings["rank"]]
    return pd.DataFrame(
        {
            "searcher": standings["searcher"],
            "searches": standings["searches"],
            "trainings": standings["trainings"],
            "on test [%]": 100 * standings["test"],
            "rank, or median rank": ranks,
            "regret [points]": 100 * standings["regret"],
            "95 % interval": _intervals(standings),
            "random search of this cost: regret": 100 * standings["random"],
            "tau of its ranking": standings["tau"],
        }
    )


def regret_figure(
    truth: pd.DataFrame,
    standings: pd.DataFrame,
    title: str = "Regret against cost",
    note: str = "",
    curves: pd.DataFrame | None = None,
) -> go.Figure:
    """Draws the regret of each searcher at its cost; random search as its mean and the range of 8 in 10 draws.

    A searcher that has a curve is a line, the mean of its searches; another answer is a diamond.

    Args:
        truth: as `bmnas.truth` gives it.
        standings: from `bmnas.trust.search_paths.standings_frame`.
        curves: from `bmnas.trust.search_paths.regret_curves`.
    """
    counts = sorted({round(len(truth) ** (i / (POINTS - 1))) for i in range(POINTS)})
    drawn = [random_regret(truth, count) for count in counts]
    fig = go.Figure()
    edge = [*(one.high for one in drawn), *(one.low for one in drawn[::-1])]
    fig.add_scatter(
        x=[*counts, *counts[::-1]], y=[100 * regret for regret in edge], fill="toself", fillcolor=BAND,
        line={"width": 0}, hoverinfo="skip", name="random search: 8 in 10", mode="lines",
    )  # fmt: skip
    fig.add_scatter(
        x=counts, y=[100 * one.mean for one in drawn], line={"color": INK, "width": 2}, mode="lines",
        name="random search: mean", hovertemplate="%{x} trainings: %{y:.2f} points<extra>random search</extra>",
    )  # fmt: skip
    lines = pd.DataFrame() if curves is None else curves
    for (name, regrets), colour, dash in zip(
        lines.items(), cycle(style.PALETTE[4:]), cycle(style.DASHES), strict=False
    ):
        fig.add_scatter(
            x=list(lines.index), y=list(100 * regrets), mode="lines", name=escape(str(name)),
            line={"color": colour, "width": 2, "dash": dash, "shape": "hv"},
            hovertemplate=f"{escape(str(name))}: %{{y:.2f}} points at %{{x}} trainings<extra></extra>",
        )  # fmt: skip
    rows = [row for row in standings.to_dict("records") if row["searcher"] not in lines]
    rows = [row for row in rows if not math.isnan(row["regret"])]
    for row, colour in zip(rows, cycle([*style.PALETTE[:2], *style.PALETTE[3:]]), strict=False):
        fig.add_scatter(
            x=[row["trainings"]], y=[100 * row["regret"]], mode="markers", name=str(row["searcher"]), cliponaxis=False,
            marker={"size": 13, "symbol": "diamond", "color": colour, "line": {"color": INK, "width": 1}},
            hovertemplate=f"{escape(str(row['searcher']))}: %{{y:.2f}} points at %{{x:.1f}} trainings<extra></extra>",
        )  # fmt: skip
    aid = "regret: test score of the best network of the table less that of the answer"
    fig.update_layout(
        margin={"l": 70, "r": 20, "t": 0, "b": 60},
        legend=style.BELOW,
    )
    style.finish(fig, title, note, aid, height=450)
    costs = [*counts, *(row["trainings"] for row in rows)]
    fig.update_xaxes(
        title_text="cost in trainings (logarithmic)", type="log", tickvals=log_ticks(min(costs), max(costs)),
        range=[math.log10(0.92 * min(costs)), math.log10(1.08 * max(costs))],
    )  # fmt: skip
    fig.update_yaxes(title_text="regret [points]", rangemode="tozero")
    return fig


def _intervals(standings: pd.DataFrame) -> list[str]:
    """Writes the intervals of regrets in points; none of a single search."""
    if "low" not in standings:
        return ["-"] * len(standings)
    ends = zip(standings["low"], standings["high"], strict=True)
    return [f"{100 * low:.2f} to {100 * high:.2f}" if math.isfinite(low) else "-" for low, high in ends]
