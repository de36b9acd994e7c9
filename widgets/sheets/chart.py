"""Small charts as sheets: lines and points on two axes, and bars.

Not plotly: a slider draws these at every step and a saved notebook holds them as pictures. A plotly figure becomes a
picture only by a headless browser, which takes 0.3 s for each and is not there on every machine; these take 2 ms.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from widgets import style
from widgets.sheets.sheet import BOLD, CHARACTER, Sheet

LEFT, BOTTOM, TOP, RIGHT = 62.0, 50.0, 30.0, 16.0
BAR = 18.0  # pixels a bar


class Line(NamedTuple):
    """Points that are joined; NaN breaks nothing, such points are left out."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    colour: str
    dash: str = ""  # as in SVG: "6 4"


class Point(NamedTuple):
    """A mark. `name` is reported on a click; "" is not clickable."""

    x: float
    y: float
    colour: str
    name: str = ""
    hover: str = ""
    label: str = ""
    shape: str = "circle"  # circle, diamond or ring
    radius: float = 6.0  # of a circle, in pixels


class Band(NamedTuple):
    """The ground between two curves."""

    name: str
    x: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    colour: str


class Scale(NamedTuple):
    """From numbers to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Returns round numbers from low to high, about `count` of them."""
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Returns 1, 2 and 5 times powers of ten within the range; round numbers where that is hardly any."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if len(numbers) < 2:
        return ticks(low, high, 3)
    return numbers if len(numbers) <= 7 else [tick for tick in numbers if str(tick).lstrip("0.").startswith("1")]


def chart(
    lines: Sequence[Line],
    points: Sequence[Point],
    title: str,
    x_title: str,
    y_title: str,
    size: tuple[float, float] = (400, 280),
    log_x: bool = False,
    at: float | None = None,
    holds: Sequence[tuple[float, float]] = (),
    bands: Sequence[Band] = (),
) -> Sheet:
    """Draws lines and points on two axes.

    Args:
        lines: drawn below the points; their names stand in a legend under the title.
        points: every one with its mark.
        title, x_title, y_title: plain text.
        size: width and height in pixels.
        log_x: whether the x axis is logarithmic.
        at: an x that is marked by an upright line.
        holds: points (x, y) that the axes reach too, so that two charts can be compared.
        bands: drawn below everything.
    """
    legend = _legend([*lines, *(Line(band.name, (), (), band.colour) for band in bands)], size[0])
    top = TOP + (20.0 * (legend.count("<line")) if legend else 0)
    xs = [v for line in lines for v in line.x] + [p.x for p in points] + ([] if at is None else [at])
    xs += [place[0] for place in holds]
    xs += [v for band in bands for v in band.x]
    ys = [v for line in lines for v in line.y] + [p.y for p in points] + [place[1] for place in holds]
    ys += [v for band in bands for v in (*band.low, *band.high)]
    x = Scale(*_padded(xs, log_x), LEFT, size[0] - RIGHT, log_x)
    y = Scale(*_padded(ys, False), size[1] - BOTTOM, top + 8)
    marks = [_axes(x, y, x_title, y_title), f'<text x="4" y="16" font-weight="bold">{escape(title)}</text>', legend]
    if at is not None:
        marks.append(f'<path d="M{x(at):.1f},{y.start} V{y.end:.1f}" stroke="{style.INK}" stroke-dasharray="3 3"/>')
    marks += [_ground(band, x, y) for band in bands]
    marks += [_polyline(line, x, y) for line in lines]
    marks += [_mark(point, x(point.x), y(point.y)) for point in points]
    marks += _labels([(p, x(p.x), y(p.y)) for p in points], size[0])
    return Sheet("".join(marks), *size)


def bars(
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str],
    title: str,
    most: float = 1.0,
    form: str = "{:.2f}",
    strong: Sequence[bool] | None = None,
) -> Sheet:
    """Draws a bar a name with its value beside it; strong ones have a dark edge and a bold name."""
    room = BOLD * CHARACTER * max([len(name) for name in names] + [1]) + 12
    length = 96.0
    chosen = strong or [False] * len(names)
    marks = [f'<text x="4" y="16" font-weight="bold">{escape(title)}</text>']
    for i, (name, value, colour, bold) in enumerate(zip(names, values, colours, chosen, strict=True)):
        y = TOP + BAR * i
        width = length * min(max(value / most if most else 0.0, 0.0), 1.0)
        weight, edge = (' font-weight="bold"', f' stroke="{style.INK}"') if bold else ("", "")
        marks.append(f'<text x="{room - 6:.1f}" y="{y + 10:.1f}" text-anchor="end"{weight}>{escape(name)}</text>')
        marks.append(f'<rect x="{room:.1f}" y="{y:.1f}" width="{width:.1f}" height="12" fill="{colour}"{edge}/>')
        marks.append(f'<text x="{room + length + 6:.1f}" y="{y + 10:.1f}">{escape(form.format(value))}</text>')
    width = max(room + length + 50, BOLD * CHARACTER * len(title) + 8)
    return Sheet("".join(marks), width, TOP + BAR * len(names) + 4)


def _padded(values: Sequence[float], log: bool) -> tuple[float, float]:
    numbers = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    if not numbers:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(numbers), max(numbers)
    if log:
        factor = max((high / low) ** 0.08, 1.15)
        return low / factor, high * factor
    room = 0.08 * (high - low) or max(abs(high) * 0.05, 0.5)
    return low - room, high + room


def _axes(x: Scale, y: Scale, x_title: str, y_title: str) -> str:
    marks = []
    for tick in log_ticks(x.low, x.high) if x.log else ticks(x.low, x.high):
        marks.append(f'<path d="M{x(tick):.1f},{y.start} V{y.end:.1f}" stroke="{style.GRID}"/>')
        marks.append(f'<text x="{x(tick):.1f}" y="{y.start + 17}" text-anchor="middle">{_number(tick)}</text>')
    for tick in ticks(y.low, y.high):
        marks.append(f'<path d="M{x.start},{y(tick):.1f} H{x.end}" stroke="{style.GRID}"/>')
        marks.append(f'<text x="{x.start - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{_number(tick)}</text>')
    marks.append(f'<path d="M{x.start},{y.end:.1f} V{y.start} H{x.end}" fill="none" stroke="{style.GREY}"/>')
    middle = (x.start + x.end) / 2
    marks.append(f'<text x="{middle:.1f}" y="{y.start + 38}" text-anchor="middle">{escape(x_title)}</text>')
    marks.append(f'<text transform="translate(14,{(y.start + y.end) / 2:.1f}) rotate(-90)" text-anchor="middle">'
                 f"{escape(y_title)}</text>")  # fmt: skip
    return "".join(marks)


def _number(value: float) -> str:
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def _ground(band: Band, x: Scale, y: Scale) -> str:
    upper = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(band.x, band.high, strict=True)]
    lower = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(band.x, band.low, strict=True)]
    return f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{band.colour}" stroke="none"/>'


def _legend(lines: Sequence[Line], width: float) -> str:
    """Writes one line a name, under the title."""
    marks = ""
    for i, line in enumerate(line for line in lines if line.name):
        y = 32 + 20 * i
        marks += f'<line x1="8" x2="32" y1="{y - 4}" y2="{y - 4}" stroke="{line.colour}" stroke-width="2.5"'
        marks += f' stroke-dasharray="{line.dash}"/><text x="38" y="{y}">{escape(line.name)}</text>'
    return marks


def _polyline(line: Line, x: Scale, y: Scale) -> str:
    pairs = zip(line.x, line.y, strict=True)
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in pairs if math.isfinite(a) and math.isfinite(b))
    look = f'stroke="{line.colour}" stroke-width="2" stroke-dasharray="{line.dash}"'
    return f'<polyline points="{path}" fill="none" {look}/>'


def _mark(point: Point, x: float, y: float) -> str:
    look = f'fill="{point.colour}" stroke="{style.INK}"'
    if point.shape == "ring":
        look = f'fill="white" fill-opacity="0.6" stroke="{point.colour}" stroke-width="2.5"'
    if point.name:
        look += f' data-name="{escape(point.name)}" cursor="pointer" tabindex="0" role="button"'
    title = f"<title>{escape(point.hover)}</title>" if point.hover else ""
    if point.shape == "diamond":
        return f'<path d="M{x:.1f},{y - 8:.1f} l8,8 l-8,8 l-8,-8 z" {look}>{title}</path>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{point.radius:g}" {look}>{title}</circle>'


def _labels(placed: list[tuple[Point, float, float]], width: float) -> list[str]:
    """Puts a label beside its point, left or right of it, lower until it meets no other label and no point."""
    occupied = [(x - 8, x + 8, y + 4) for _, x, y in placed]
    marks = []
    for point, x, y in sorted((one for one in placed if one[0].label), key=lambda one: one[2]):
        length = CHARACTER * len(point.label)
        left = x + 10 if x + 10 + length < width else max(2.0, x - 10 - length)
        row = y + 4
        while any(left < b and a < left + length and abs(row - r) < 14 for a, b, r in occupied):
            row += 4
        occupied.append((left, left + length, row))
        halo = 'stroke="white" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'  # lines run behind it
        marks.append(f'<text x="{left:.1f}" y="{row:.1f}" {halo}>{escape(point.label)}</text>')
    return marks
