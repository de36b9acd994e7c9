"""Boxes, lines and words: Drawing -> plotly figure, or SVG for the live view."""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

import plotly.graph_objects as go

from widgets import style
from widgets.colours import tint
from widgets.live.svg_view import SCALE
from widgets.networks.layout import Point

LINE = 16.0  # pixels a line of text
MARGIN = 18.0
DASHES = {"dash": "6 4", "dot": "1.5 3"}  # in SVG


class BoxMark(NamedTuple):
    """A rectangle with lines of text; `x`, `y` is its centre."""

    node: str
    x: float
    y: float
    width: float
    height: float
    lines: tuple[str, ...]
    colour: str
    hover: str


class LineMark(NamedTuple):
    """A line between two rectangles: start, bend starts, bend ends, end."""

    edge: tuple[str, str]
    points: tuple[Point, Point, Point, Point]
    width: float
    opacity: float
    colour: str
    dash: str
    hover: str


class TextMark(NamedTuple):
    """A word beside the boxes; `x`, `y` is its left end and middle."""

    x: float
    y: float
    text: str
    bold: bool


class Drawing(NamedTuple):
    """Everything that is drawn, in pixels from the upper left corner."""

    boxes: tuple[BoxMark, ...]
    lines: tuple[LineMark, ...]
    texts: tuple[TextMark, ...]
    width: float
    height: float

    def shifted(self, dx: float, dy: float) -> "Drawing":
        """Returns the same, moved to the right and down."""
        return Drawing(
            tuple(box._replace(x=box.x + dx, y=box.y + dy) for box in self.boxes),
            tuple(line._replace(points=tuple((x + dx, y + dy) for x, y in line.points)) for line in self.lines),
            tuple(text._replace(x=text.x + dx, y=text.y + dy) for text in self.texts),
            self.width,
            self.height,
        )


def dag_figure(drawing: Drawing, title: str, note: str = "", aid: str = "") -> go.Figure:
    """Turns the drawing into a figure that can be zoomed, with the weights on hover.

    It is as wide as a narrow page, so that its title has room; wider where the drawing is.
    """
    width, height = max(drawing.width + 2 * MARGIN, style.NARROW), drawing.height + 2 * MARGIN
    fig = go.Figure([_node_texts(drawing), _edge_hovers(drawing)])
    fig.update_layout(
        shapes=[*map(_line_shape, drawing.lines), *map(_box_shape, drawing.boxes)],
        annotations=[_annotation(text) for text in drawing.texts],
        showlegend=False, margin={"l": 0, "r": 0, "t": 0, "b": 0}, dragmode="pan",
    )  # fmt: skip
    style.finish(fig, title, note, aid, height=round(height), width=round(width))
    fig.update_xaxes(visible=False, range=[-MARGIN, width - MARGIN])
    fig.update_yaxes(visible=False, range=[height - MARGIN, -MARGIN])
    return fig


def dag_svg(drawing: Drawing) -> str:
    """Turns the drawing into an SVG element that shrinks with its container."""
    return _svg(drawing, f"width:100%;max-width:{drawing.width + 2 * MARGIN:.0f}px;border-radius:4px")


def dag_flow(panels: Iterable[Drawing], height: float) -> str:
    """Turns drawings into HTML for a `SvgView`: side by side, or below each other where the page is narrow.

    All have one scale, the largest at which they fit the width of the page and a height in pixels.
    """
    width = f"width:calc(var(--{SCALE}, 1) * {{:.0f}}px);max-width:100%;flex:none"
    pictures = [_svg(panel, width.format(panel.width + 2 * MARGIN)) for panel in panels]
    look = "display:flex;flex-wrap:wrap;align-items:flex-start;background:white;border-radius:4px"
    return f'<div data-{SCALE}="{height:.0f}" style="{look}">{"".join(pictures)}</div>'


def _svg(drawing: Drawing, look: str) -> str:
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-MARGIN:g} {-MARGIN:g} {width:.0f} {height:.0f}" '
        f'style="display:block;{look};height:auto;background:white" font-family="{escape(style.FONT)}" '
        f'font-size="{style.FONT_SIZE}" fill="{style.INK}">'
        + "".join([*map(_svg_line, drawing.lines), *map(_svg_box, drawing.boxes), *map(_svg_text, drawing.texts)])
        + "</svg>"
    )


def _path(line: LineMark) -> str:
    """Writes a path: M start L bend starts C (an S) bend ends L end."""
    start, (x1, y1), (x2, y2), end = line.points
    middle = (x1 + x2) / 2
    points = [start, (x1, y1), (middle, y1), (middle, y2), (x2, y2), end]
    a, b, c, d, e, f = (f"{x:.0f},{y:.1f}" for x, y in points)
    return f"M{a} L{b} C{c} {d} {e} L{f}"


def _line_shape(line: LineMark) -> dict[str, object]:
    return {
        "type": "path", "path": _path(line), "opacity": round(line.opacity, 2), "layer": "below",
        "line": {"width": round(line.width, 2), "color": line.colour, "dash": line.dash},
    }  # fmt: skip


def _box_shape(box: BoxMark) -> dict[str, object]:
    return {
        "type": "rect", "x0": box.x - box.width / 2, "x1": box.x + box.width / 2, "y0": box.y - box.height / 2,
        "y1": box.y + box.height / 2, "fillcolor": tint(box.colour), "layer": "below",
        "line": {"width": 1.5, "color": box.colour},
    }  # fmt: skip


def _node_texts(drawing: Drawing) -> go.Scatter:
    return go.Scatter(
        x=[box.x for box in drawing.boxes], y=[box.y for box in drawing.boxes], mode="text",
        text=["<br>".join(map(escape, box.lines)) for box in drawing.boxes],
        hovertext=[box.hover for box in drawing.boxes], hoverinfo="text", cliponaxis=False,
    )  # fmt: skip


def _edge_hovers(drawing: Drawing) -> go.Scatter:
    """Draws invisible points, one a line, that say its weight."""
    ends = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for line in drawing.lines for a, b in [line.points[1:3]]]
    return go.Scatter(
        x=[x for x, _ in ends], y=[y for _, y in ends], mode="markers", marker={"size": 9, "opacity": 0},
        hovertext=[line.hover for line in drawing.lines], hoverinfo="text",
    )  # fmt: skip


def _annotation(text: TextMark) -> dict[str, object]:
    words = escape(text.text) or " "
    return {
        "x": text.x, "y": text.y, "text": f"<b>{words}</b>" if text.bold else words, "showarrow": False,
        "xanchor": "left", "yanchor": "middle", "borderpad": 0,
    }  # fmt: skip


def _svg_line(line: LineMark) -> str:
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if line.dash in DASHES else ""
    return (
        f'<path d="{_path(line)}" fill="none" stroke="{line.colour}" stroke-width="{line.width:.2f}" '
        f'stroke-opacity="{line.opacity:.2f}"{dash}><title>{line.hover}</title></path>'
    )


def _svg_box(box: BoxMark) -> str:
    top = box.y - (len(box.lines) - 1) * LINE / 2 + 4.5
    words = "".join(
        f'<text x="{box.x:.1f}" y="{top + i * LINE:.1f}" text-anchor="middle">{escape(line)}</text>'
        for i, line in enumerate(box.lines)
    )
    return (
        f'<g><title>{box.hover.replace("<br>", chr(10))}</title><rect x="{box.x - box.width / 2:.1f}" '
        f'y="{box.y - box.height / 2:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="5" '
        f'fill="{tint(box.colour)}" stroke="{box.colour}" stroke-width="1.5"/>{words}</g>'
    )


def _svg_text(text: TextMark) -> str:
    weight = ' font-weight="bold"' if text.bold else ""
    return f'<text x="{text.x:.1f}" y="{text.y + 4.5:.1f}"{weight}>{escape(text.text)}</text>'
