"""Grids of numbers as sheets."""

from html import escape

import numpy as np
from plotly.colors import sample_colorscale

from widgets import style
from widgets.sheets.sheet import BOLD, CHARACTER, Sheet

TILE = (46.0, 24.0)  # pixels a number of a grid
SMALL = 11
DARK = -0.85  # the share of blue from which white letters stand out more than dark ones


def grid(
    values: np.ndarray, title: str, formula: str, down: str, across: str, limit: float | None = None, note: str = ""
) -> Sheet:
    """Draws a matrix as coloured tiles with its numbers: blue below 0, orange above, full colour at `limit`.

    Args:
        values: (rows, columns).
        title, formula, note: lines above; plain text.
        down, across: what the rows and columns are.
        limit: the absolute value of the full colour; the largest there is when None.
    """
    rows, columns = values.shape
    limit = (float(np.abs(values).max()) if limit is None else limit) or 1.0
    left, top = 22.0, 62.0 + (16 if note else 0)
    head = [(16, title, ' font-weight="bold"'), (33, formula, ""), (49, note, f' fill="{style.INK}"')]
    marks = [f'<text x="4" y="{y}"{look}>{escape(line)}</text>' for y, line, look in head if line]
    middle = left + TILE[0] * columns / 2
    marks.append(f'<text x="{middle:.1f}" y="{top - 6:.1f}" font-size="{SMALL}" text-anchor="middle">{across} →</text>')
    marks.append(f'<text transform="translate(14,{top + TILE[1] * rows / 2:.1f}) rotate(-90)" font-size="{SMALL}" '
                 f'text-anchor="middle">{down}</text>')  # fmt: skip
    for (r, c), value in np.ndenumerate(values):
        x, y = left + TILE[0] * c, top + TILE[1] * r
        fill, ink = _tile_colour(float(value) / limit)
        marks.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{TILE[0] - 1:g}" height="{TILE[1] - 1:g}" fill="{fill}"/>'
            f'<text x="{x + TILE[0] / 2:.0f}" y="{y + 16:.0f}" text-anchor="middle" font-size="12" fill="{ink}">'
            f"{value:z.2f}</text>"
        )
    longest = max(len(title) * BOLD, len(formula), len(note))
    return Sheet("".join(marks), max(left + TILE[0] * columns, CHARACTER * longest + 8), top + TILE[1] * rows + 4)


def _tile_colour(share: float) -> tuple[str, str]:
    """Returns fill and ink of a value from -1 to 1: blue, white, orange, which all readers can tell apart."""
    colour = sample_colorscale([[0, "#0072B2"], [0.5, "#FFFFFF"], [1, "#E69F00"]], [min(max((share + 1) / 2, 0), 1)])
    return str(colour[0]).replace(" ", ""), "#FFFFFF" if share < DARK else style.INK
