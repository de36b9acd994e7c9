"""The pictures of the leaderboard: bars with intervals, and score against a cost with the Pareto front."""

from collections.abc import Sequence
from html import escape
from math import isfinite

from bmnas.space.graph import Modalities
from widgets import style
from widgets.colours import GREY, INK, LOUD, PALE, modality_colours
from widgets.results.leaderboard.info import Cost, LeaderboardInfo, Standing
from widgets.sheets.chart import Line, Point, Scale, chart, ticks
from widgets.sheets.pareto import pareto_front
from widgets.sheets.sheet import CHARACTER, Sheet, words

PITCH, TOP = 21.0, 30.0  # pixels: a bar to the next, above the first
MARK = 12  # pixels of a bar that have a modality's colour
LENGTH, SHORTEST = 380.0, 160.0  # pixels of the longest bar: where names are short, and at least
MOST = 930.0  # pixels of a picture that a page of 1100 still shows whole, beside JupyterLab's files
COLOURS = {"worse": LOUD, "undecided": "#C9C9C9", "better": PALE, "": PALE}
"""Verdict of the compared method against a row -> colour of its bar."""


def bar_sheet(
    standings: Sequence[Standing], info: LeaderboardInfo, chosen: str, modalities: Modalities | None = None
) -> Sheet:
    """Draws a bar a method with its 95 % interval; a click on one reports its name.

    A modality alone has a mark of the modality's colour.
    """
    ends = [end for one in info.standings for end in (one.low, one.high, one.score) if isfinite(end)]
    low = 0.0 if min(ends) < 50 else 5 * (min(ends) // 5)
    room = CHARACTER * max(len(one.name) + 3 for one in standings) + 14
    beside = CHARACTER * 24  # for the scores
    length = min(LENGTH, max(SHORTEST, MOST - room - beside))
    x = Scale(low, max(ends), room, room + length)
    bottom = TOP + PITCH * len(standings)
    marks = [f'<text x="4" y="16" font-weight="bold">{escape(info.metric)} on test [%], 95 % intervals</text>']
    for tick in ticks(low, max(ends)):
        marks.append(f'<path d="M{x(tick):.1f},{TOP - 4} V{bottom}" stroke="{style.GRID}"/>')
        marks.append(f'<text x="{x(tick):.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g}</text>')
    looks = modality_colours(modalities or ())
    for i, one in enumerate(standings):
        look = next((colour for name, colour in looks.items() if one.name.startswith(f"{name} alone")), "")
        marks.append(_bar(one, TOP + PITCH * i, x, one.name == chosen, look))
    return Sheet("".join(marks), room + length + beside, bottom + 20)


def _bar(one: Standing, top: float, x: Scale, chosen: bool, look: str) -> str:
    colour = style.PALETTE[0] if one.compared else COLOURS[one.verdict]
    weight = ' font-weight="bold"' if chosen or one.compared else ""
    edge = f' stroke="{INK}"' if chosen else ""
    middle = top + 7
    marks = (
        f'<text x="{x.start - 6:.1f}" y="{top + 12:.1f}" text-anchor="end"{weight}>{escape(one.name)} {one.rank}</text>'
    )
    marks += f'<rect x="{x.start:.1f}" y="{top:.1f}" width="{x(one.score) - x.start:.1f}" height="14" '
    marks += f'fill="{colour}"{edge}/>'
    if look:
        marks += f'<rect x="{x.start:.1f}" y="{top:.1f}" width="{MARK}" height="14" fill="{look}"/>'
    if isfinite(one.low):
        start, end = max(x(one.low), x.start), x(one.high)
        marks += f'<path d="M{start:.1f},{middle} H{end:.1f} M{start:.1f},{middle - 4} v8 M{end:.1f},{middle - 4} v8" '
        marks += f'stroke="{INK}" stroke-width="1.5"/>'
    marks += f'<text x="{x.end + 8:.1f}" y="{top + 12:.1f}"{weight}>{escape(one.text)}</text>'
    look = f'data-name="{escape(one.name)}" cursor="pointer" tabindex="0" role="button"'
    return f"<g {look}><title>{escape(chr(10).join(one.about))}</title>{marks}</g>"


def cost_sheet(info: LeaderboardInfo, cost: Cost, chosen: str) -> Sheet:
    """Draws the score against a cost, the Pareto front joined; numbers are ranks."""
    shown = [one for one in info.standings if cost.count(one) > 0]
    points = [(cost.count(one), one.score) for one in shown]
    if not points:
        return words(["no method has a size"])
    front = pareto_front(points)
    marks = []
    for i, (one, (x, y)) in enumerate(zip(shown, points, strict=True)):
        named = str(one.rank) if i in front or one.compared or one.name == chosen else ""
        colour = style.PALETTE[0] if one.compared else INK if i in front else GREY
        shape = "diamond" if one.name == chosen else "circle"
        marks.append(Point(x, y, colour, one.name, f"{one.rank} {one.name}: {one.text}", named, shape))
    line = Line("Pareto front", [points[i][0] for i in front], [points[i][1] for i in front], INK)
    return chart([line], marks, cost.title, cost.axis, f"{info.metric} on test [%]", (430, 340), log_x=True)
