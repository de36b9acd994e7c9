"""What all figures share: colours that colour-blind readers can tell apart, fonts, titles, sizes."""

from collections.abc import Iterable, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import plotly.graph_objects as go

# Okabe and Ito's palette (Color Universal Design, 2008) without its yellow, which is too light for lines on white, then
# four of Paul Tol's muted colours: enough for 8 features and 3 Cells.
PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#333333"),
    *("#999933", "#882255", "#332288", "#44AA99"),
)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
# The same in pixels, as a line of width 2 has them: they do not grow with the width.
FIXED = {"dash": "9px,9px", "dot": "3px,3px", "dashdot": "9px,3px,3px,3px", "longdash": "15px,15px"}
HEAT = "Viridis"
LESS, UNDECIDED, MORE = "#0072B2", "#F3F0E9", "#D55E00"  # the colours of a weight below, at and above undecided
MARKS = ("", "circle", "square", "diamond", "triangle-up")
INK = "#222222"
GREY = "#8A8A8A"
GRID = "#E5E5E5"
CELL_COLOUR = "#009E73"
MODALITY_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#56B4E9", "#D55E00")
FONT = "Arial, Helvetica, 'Liberation Sans', 'DejaVu Sans', sans-serif"
FONT_SIZE = 13
AXIS = {"gridcolor": GRID, "linecolor": GREY, "zerolinecolor": GRID, "automargin": True, "title": {"standoff": 8}}
NOTE_COLOUR = "#A23B00"
WIDTH = 860  # what JupyterLab leaves of a laptop screen beside its file list
NOTE_CHARACTER, TITLE_CHARACTER = 6.2, 8.6  # pixels of a character of the note and of the title, on average
TITLE_SIZE, LEAST_TITLE = 17, 12
TOOLS = 120  # pixels in the upper right corner for plotly's tools, where no title may reach
MODEBAR = {
    "remove": ["zoom", "pan", "select", "lasso", "autoscale"],  # dragging does what the first two switch to
    "bgcolor": "rgba(255,255,255,0.8)", "color": GREY, "activecolor": INK,
}  # fmt: skip
CONFIG = {"displaylogo": False}  # of plotly, wherever a figure is shown


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour a name, in order; the palette starts again when it is used up."""
    distinct = dict.fromkeys(names)
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(distinct)}


def strokes(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a dash a name, so that more names than colours stay apart."""
    distinct = list(dict.fromkeys(names))
    return {
        name: (PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)]) for i, name in enumerate(distinct)
    }


def modality_colours(modalities: Sequence[str]) -> dict[str, str]:
    """A colour a modality, none of which is the Cells'."""
    distinct = list(dict.fromkeys(modalities))
    return {name: MODALITY_COLOURS[i % len(MODALITY_COLOURS)] for i, name in enumerate(distinct)}


def primitive_colours(primitives: Iterable[str]) -> dict[str, str]:
    """A colour a primitive; Zero, which passes nothing on, is grey."""
    return {"Zero": GREY} | colours(name for name in primitives if name != "Zero")


def weight_colours(undecided: float) -> dict[str, Any]:
    """A colour axis for weights, always from 0 to 1: pale where they are undecided, blue below, orange above.

    So a difference of 0.001 between weights that are nearly undecided does not look like a decision.
    """
    bar = {
        "thickness": 12, "outlinewidth": 0, "xpad": 0, "ypad": 0, "tickfont": {"size": 11},
        "tickvals": [0, undecided, 1], "ticktext": ["0", f"{undecided:.2g} undecided", "1"],
    }  # fmt: skip
    scale = [[0, LESS], [undecided, UNDECIDED], [1, MORE]]
    return {"colorscale": scale, "cmin": 0, "cmax": 1, "colorbar": bar}


def tint(colour: str, share: float = 0.16) -> str:
    """A light version of `#rrggbb`: `share` of it, the rest white."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(255 + share * (c - 255)):02X}" for c in channels)


def finish(fig: go.Figure, title: str, note: str = "", *, height: int, width: int = WIDTH) -> go.Figure:
    """Gives a figure its title, the note under it, fonts, size and a white ground (readable on a dark page too).

    Args:
        fig: the figure, changed in place.
        title: what is shown, as plain text.
        note: a line or two under the title, such as what stands in for missing data; nothing of it is cut off.
        height: in pixels.
        width: in pixels.
    """
    fig.update_layout(base(title, note, height=height, width=width))
    fig.update_xaxes(**AXIS)
    fig.update_yaxes(**AXIS)
    fig.update_annotations(font={"size": FONT_SIZE})
    return fig


def base(title: str, note: str = "", *, height: int, width: int = WIDTH) -> dict[str, Any]:
    """What the layout of every figure says; the arguments are those of `finish`."""
    heading: dict[str, object] = {
        "text": escape(title), "font": {"size": _title_size(title, width)}, "x": 0.01, "xanchor": "left", "y": 1,
        "yanchor": "top", "pad": {"t": 14},
    }  # fmt: skip
    if note:
        heading["subtitle"] = noted(note, width)
    return {
        "template": "none", "title": heading, "width": width, "height": height, "paper_bgcolor": "white",
        "plot_bgcolor": "white", "font": {"family": FONT, "size": FONT_SIZE, "color": INK},
        "hoverlabel": {"font": {"size": 13}}, "modebar": MODEBAR,
    }  # fmt: skip


def noted(note: str, width: int = WIDTH) -> dict[str, Any]:
    """Text and font of a note, in as many lines as it needs."""
    lines = wrap(note, int(width / NOTE_CHARACTER))
    font = {"size": 13 if len(lines) == 1 else 12, "color": NOTE_COLOUR}
    return {"text": "<br>".join(map(escape, lines)), "font": font}


def _title_size(title: str, width: int) -> int:
    """The size at which a title leaves room for plotly's tools."""
    fitting = TITLE_SIZE * (width - TOOLS) / (TITLE_CHARACTER * max(1, len(title)))
    return max(LEAST_TITLE, min(TITLE_SIZE, int(fitting)))
