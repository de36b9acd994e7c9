"""Pictures put together from pictures: SVG for what is live, and for its twin in a saved notebook.

Colours are those of `widgets.style` on a white ground, so that a sheet reads the same on a light and on a dark page.
"""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from widgets import style

CHARACTER = 7.4  # pixels, a generous mean of the font at 13 pixels
BOLD = 1.15  # how much wider bold letters are
GAP = 18.0
AIR = 8.0  # around a page
LEAST = 0.65  # of its size that a page shrinks to


class Sheet(NamedTuple):
    """SVG elements and the room that they take, in pixels from the upper left corner."""

    marks: str
    width: float
    height: float


def words(lines: Sequence[str], bold: bool = False, size: float = style.FONT_SIZE, colour: str = style.INK) -> Sheet:
    """Writes lines of text."""
    pitch = size * 1.4
    weight = ' font-weight="bold"' if bold else ""
    marks = "".join(
        f'<text x="4" y="{pitch * (i + 0.75):.1f}" font-size="{size:g}" fill="{colour}"{weight}>{escape(line)}</text>'
        for i, line in enumerate(lines)
    )
    longest = max(map(len, lines), default=0) * (BOLD if bold else 1)
    return Sheet(marks, CHARACTER * size / style.FONT_SIZE * longest + 8, pitch * len(lines) + 4)


def beside(*sheets: Sheet, gap: float = GAP) -> Sheet:
    """Places sheets from left to right, their tops in line."""
    marks, x = "", 0.0
    for sheet in sheets:
        marks += f'<g transform="translate({x:.1f},0)">{sheet.marks}</g>'
        x += sheet.width + gap
    return Sheet(marks, x - gap, max(sheet.height for sheet in sheets))


def above(*sheets: Sheet, gap: float = 4.0) -> Sheet:
    """Places sheets from top to bottom, their left sides in line."""
    marks, y = "", 0.0
    for sheet in sheets:
        marks += f'<g transform="translate(0,{y:.1f})">{sheet.marks}</g>'
        y += sheet.height + gap
    return Sheet(marks, max(sheet.width for sheet in sheets), y - gap)


def rows(sheets: Sequence[Sheet], width: float = style.WIDTH) -> Sheet:
    """Places sheets from left to right, in a new row where the width is used up."""
    lines: list[list[Sheet]] = [[]]
    for sheet in sheets:
        if lines[-1] and sum(one.width + GAP for one in lines[-1]) + sheet.width > width:
            lines.append([])
        lines[-1].append(sheet)
    return above(*(beside(*line) for line in lines), gap=GAP)


def flow(head: Sequence[str], *rows: Sequence[Sheet], aid: str = "") -> str:
    """Makes HTML for a live view: lines that wrap, and rows of sheets that continue below where the page is narrow.

    Args:
        head: bold lines.
        rows: the sheets that stand beside each other where there is room.
        aid: how the sheets are read, below the head.
    """
    lines = [*(f"<b>{escape(line)}</b>" for line in head), *([escape(aid)] if aid else [])]
    row = '<div style="display:flex;flex-wrap:wrap;align-items:flex-start;gap:4px">{}</div>'
    parts = [f'<div style="padding:0 {AIR:g}px">{"<br/>".join(lines)}</div>'] if lines else []
    parts += [row.format("".join(map(page, sheets))) for sheets in rows]
    look = f"background:white;color:{style.INK};border-radius:4px;padding:{AIR:g}px 0"
    look += f";font:{style.FONT_SIZE}px/1.4 {escape(style.FONT)}"
    return f'<div style="{look}">{"".join(parts)}</div>'


def page(sheet: Sheet) -> str:
    """Makes the SVG file of a sheet; it shrinks with its container, to two thirds of its size."""
    width, height = max(sheet.width, 1) + 2 * AIR, max(sheet.height, 1) + 2 * AIR
    look = f"max-width:100%;min-width:{LEAST * width:.0f}px;height:auto;background:white;border-radius:4px"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="{-AIR:g} {-AIR:g} {width:.0f} {height:.0f}" style="{look}" '
        f'font-family="{escape(style.FONT)}" font-size="{style.FONT_SIZE}" fill="{style.INK}">'
        f'<rect x="{-AIR:g}" y="{-AIR:g}" width="100%" height="100%" fill="white"/>{sheet.marks}</svg>'
    )
