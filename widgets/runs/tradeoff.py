"""Score against what it costs: size, and seconds of the search."""

import math

from widgets.colours import GREY, INK
from widgets.sheets.chart import Line, Point, chart
from widgets.runs.rows import SCORES, BrowserInfo, RunRow
from widgets.sheets.pareto import pareto_front
from widgets.sheets.sheet import Sheet


def score_chart(info: BrowserInfo, dataset: str, kind: str, cost: str, chosen: str = "") -> Sheet:
    """Draws the score of a kind ("test" or "val") against "parameters" or "seconds", the Pareto front joined."""
    rows = [row for row in info.of(dataset, kind) if math.isfinite(getattr(row, cost)) and getattr(row, cost) > 0]
    points = [(getattr(row, cost), row.score(kind)) for row in rows]
    front = pareto_front(points)
    best = [points[i] for i in front]
    line = Line("Pareto front", [cost for cost, _ in best], [score for _, score in best], INK)
    marks = [_point(row, points[i], i in front, row.name == chosen) for i, row in enumerate(rows)]
    title = "Score against size" if cost == "parameters" else "Score against search time"
    unit = "parameters (logarithmic)" if cost == "parameters" else "seconds of the search (logarithmic)"
    return chart([line] if front else [], marks, title, unit, f"{SCORES[kind]} [%]", (420, 320), log_x=True)


def _point(row: RunRow, at: tuple[float, float], on_front: bool, chosen: bool) -> Point:
    hover = f"{row.name}: {at[1]:.2f} %, {row.parameters:,.0f} parameters, {row.seconds:.1f} s of search"
    colour = INK if on_front else GREY
    return Point(*at, colour, row.name, hover, row.name if chosen else "", "diamond" if chosen else "circle")
