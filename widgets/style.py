"""What all figures share: colours that colour-blind readers can tell apart, fonts, titles, sizes."""

from collections.abc import Iterable
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

from widgets.colours import GREY, INK

# For methods and whatever else has no colour in `widgets.colours`, and none of those: Paul Tol's muted scheme and
# shades between, dark and light in turn.
PALETTE = (
    *("#332288", "#AA4499", "#117733", "#88CCEE", "#B8A04A", "#333333", "#66AA55"),
    *("#9988DD", "#C0A080", "#004D4D", "#FF9DA7"),
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
HEAT = "Viridis"
LESS, UNDECIDED, MORE = "#0072B2", "#F3F0E9", "#D55E00"  # the colours of a weight below, at and above undecided
MARKS = ("", "circle", "square", "diamond", "triangle-up")
GRID = "#E5E5E5"
FONT = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"
FONT_SIZE = 13
AXIS = {"gridcolor": GRID, "linecolor": GREY, "zerolinecolor": GRID, "automargin": True, "title": {"standoff": 8}}
NOTE_COLOUR = "#A23B00"
WIDTH = 860  # pixels of a picture; what JupyterLab leaves of a laptop screen beside its file list
NARROW = 444  # pixels that a page of 900 leaves there: titles and notes do not follow the width, and must fit
TITLE_SIZE, NOTE_SIZE = 17, 12
NOTE_CHARACTER, TITLE_CHARACTER = 6.2, 9.4  # pixels of a character of the note and of the title, on average
TITLE_LINE, NOTE_LINE = 23, 18  # pixels of a line
BELOW = {"orientation": "h", "x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom"}  # a legend
TOOLS = 30  # pixels above a title for plotly's tools, which stand in the upper right corner
AIR = 20  # pixels below a heading
MODEBAR = {
    "remove": ["zoom", "pan", "select", "lasso", "autoscale"],  # dragging does what the first two switch to
    "bgcolor": "rgba(255,255,255,0.8)", "color": GREY, "activecolor": INK,
}  # fmt: skip
CONFIG = {"displaylogo": False}  # of plotly, wherever a figure is shown
LIVE_CONFIG = CONFIG | {
    "responsive": True,
    "displayModeBar": False,
}  # where headings need their room; a double click ends a zoom


def colours(names: Iterable[str]) -> dict[str, str]:
    """Returns a colour a name, in order; the palette starts again when it is used up."""
    distinct = dict.fromkeys(names)
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(distinct)}


def weight_colours(undecided: float) -> dict[str, Any]:
    """Makes a colour axis for weights, always from 0 to 1: pale where they are undecided, blue below, orange above.

    So a difference of 0.001 between weights that are nearly undecided does not look like a decision.
    """
    bar = {
        "thickness": 12, "outlinewidth": 0, "xpad": 0, "ypad": 0, "tickfont": {"size": 11},
        "tickvals": [0, undecided, 1], "ticktext": ["0", f"{undecided:.2g} undecided", "1"],
    }  # fmt: skip
    scale = [[0, LESS], [undecided, UNDECIDED], [1, MORE]]
    return {"colorscale": scale, "cmin": 0, "cmax": 1, "colorbar": bar}


def finish(fig: go.Figure, title: str, note: str = "", aid: str = "", *, height: int, width: int = 0) -> go.Figure:
    """Returns a figure its title, the note under it, fonts, size and a white ground (readable on a dark page too).

    Args:
        fig: the figure, changed in place; its upper margin becomes that below the heading.
        title: what is shown, as plain text.
        note: a line or two under the title, such as what stands in for missing data; nothing of it is cut off.
        aid: how the figure is read, below the note.
        height: in pixels, of all below the heading.
        width: in pixels; 0 follows the width of the page.
    """
    heading = top(title, note, aid)
    fig.update_layout(base(title, note, aid, height=heading + height, width=width))
    fig.update_layout(margin_t=heading + (fig.layout.margin.t or 0))
    fig.update_xaxes(**AXIS)
    fig.update_yaxes(**AXIS)
    fig.update_annotations(font={"size": FONT_SIZE})
    return fig


def base(title: str, note: str = "", aid: str = "", *, height: int, width: int = 0) -> dict[str, Any]:
    """Makes what the layout of every figure says; the arguments are those of `finish`, but for the whole height."""
    lines = _title_lines(title)
    rise = TITLE_LINE * (len(lines) - 1) / 2  # plotly centres a title of several lines where it would place one
    heading: dict[str, object] = {
        "text": "<br>".join(map(escape, lines)), "font": {"size": TITLE_SIZE},
        "x": 0.01, "xanchor": "left", "y": 1, "yanchor": "top", "pad": {"t": TOOLS + rise},
    }  # fmt: skip
    if note or aid:
        heading["subtitle"] = _subtitle(note, aid)
    size = {"width": width} if width else {"autosize": True}
    return size | {
        "template": "none", "title": heading, "height": height, "paper_bgcolor": "white", "plot_bgcolor": "white",
        "font": {"family": FONT, "size": FONT_SIZE, "color": INK}, "hoverlabel": {"font": {"size": 13}},
        "modebar": MODEBAR,
    }  # fmt: skip


def epoch_ticks(epochs: int, most: int = 8) -> dict[str, Any]:
    """Returns the numbers on an axis of epochs: each of a few epochs, otherwise about `most` whole numbers."""
    return {"tickformat": "d", **({"dtick": 1} if epochs <= most else {"nticks": most})}


def top(title: str, note: str = "", aid: str = "") -> int:
    """Returns the height in pixels of a title with a note and an aid."""
    notes = _note_lines(note) + _note_lines(aid)
    return TOOLS + TITLE_LINE * len(_title_lines(title)) + NOTE_LINE * len(notes) + AIR


def _subtitle(note: str, aid: str) -> dict[str, Any]:
    """Writes the note in its colour, and the aid in that of all text."""
    lines = [f'<span style="color:{NOTE_COLOUR}">{escape(line)}</span>' for line in _note_lines(note)]
    text = "<br>".join([*lines, *map(escape, _note_lines(aid))])
    return {"text": text, "font": {"size": NOTE_SIZE, "color": INK}}


def _title_lines(title: str) -> list[str]:
    return wrap(title, int(NARROW / TITLE_CHARACTER))


def _note_lines(text: str) -> list[str]:
    return wrap(text, int(NARROW / NOTE_CHARACTER))
