"""A DAG level by level: the upper one and one opened Cell, with facts on hover and differences marked."""

from collections.abc import Iterable, Mapping
from html import escape

import networkx as nx

from bmnas.space.genotype import Genotype, cell_name, step_name
from widgets import style
from widgets.colours import LOUD
from widgets.networks.dag import dag_drawing
from widgets.networks.drawing import MARGIN, Drawing, dag_svg
from widgets.sheets.sheet import Sheet, above, rows

UPPER = ""  # the key of the upper level
DIFFERENT = LOUD


def levels(
    graph: nx.DiGraph, facts: Mapping[str, tuple[str, ...]] | None = None, caption: bool = True
) -> dict[str, Drawing]:
    """Draws the upper level (key "") and the inside of every Cell (key: its name).

    Args:
        graph: from `bmnas.space.graph`.
        facts: node -> lines that are added to its hover text.
        caption: whether a hypernet says what its lines mean, which may need more room than its boxes.
    """
    whole = dag_drawing(graph, 0, caption)  # nothing fits beside anything: the panels stand below each other
    headings = [text for text in whole.texts if text.bold]
    tops = [text.y - 10 for text in headings]
    ends = [*tops[1:], whole.height + 26]
    parts = {}
    for i, (text, top, end) in enumerate(zip(headings, tops, ends, strict=True)):
        part = _band(whole, top, end - 26)
        parts[text.text if i else UPPER] = _with_facts(part, facts or {})
    return parts


def dag_sheet(
    graph: nx.DiGraph,
    opened: Iterable[str] = (),
    facts: Mapping[str, tuple[str, ...]] | None = None,
    different: Iterable[str] = (),
) -> Sheet:
    """Draws the upper level and the inside of the opened Cells; nodes in `different` get a thick frame and a ≠."""
    upper, *cells = dag_sheets(graph, opened, facts, different)
    return above(upper, rows(cells)) if cells else upper


def dag_sheets(
    graph: nx.DiGraph,
    opened: Iterable[str] = (),
    facts: Mapping[str, tuple[str, ...]] | None = None,
    different: Iterable[str] = (),
    caption: bool = True,
) -> list[Sheet]:
    """Returns the same one by one: the upper level, with or without its caption, then the opened Cells."""
    parts = levels(graph, facts, caption)
    marked = set(different)
    shown = set(opened)
    return [_marked(part, marked) for name, part in parts.items() if name == UPPER or name in shown]


def differences(one: Genotype, other: Genotype) -> set[str]:
    """Lists the Cells and Steps of `one` that `other` lacks or has otherwise, and the features that it does not use."""
    nodes: set[str] = set(one.features) - set(other.features)
    for n, cell in enumerate(one.cells, start=1):
        theirs = other.cells[n - 1] if n <= other.N else None
        if theirs is None or set(cell.inputs) != set(theirs.inputs):
            nodes.add(cell_name(n))
        for m, step in enumerate(cell.steps, start=1):
            if theirs is None or m > len(theirs.steps) or step != theirs.steps[m - 1]:
                nodes |= {f"{cell_name(n)}.{step_name(m)}", cell_name(n)}
    return nodes


def _band(drawing: Drawing, top: float, end: float) -> Drawing:
    """Cuts out what lies between two heights, moved up to the top."""
    boxes = tuple(box for box in drawing.boxes if top <= box.y < end)
    nodes = {box.node for box in boxes}
    lines = tuple(line for line in drawing.lines if nodes.issuperset(line.edge))
    texts = tuple(text for text in drawing.texts if top <= text.y < end)
    right = max([box.x + box.width / 2 for box in boxes] + [text.x + 7.4 * len(text.text) for text in texts])
    return Drawing(boxes, lines, texts, right, end - top).shifted(0, -top)


def _with_facts(drawing: Drawing, facts: Mapping[str, tuple[str, ...]]) -> Drawing:
    """Facts first, then the weights that a hypernet's hover text lists below the node's name."""
    boxes = []
    for box in drawing.boxes:
        name, *weights = box.hover.split("<br>")
        lines = [escape(line) for line in facts.get(box.node, ())]
        boxes.append(box._replace(hover="<br>".join([*(lines or [name]), *weights])))
    return drawing._replace(boxes=tuple(boxes))


def drawing_sheet(drawing: Drawing) -> Sheet:
    """Makes a sheet of a DAG. A click on a box names its node, and the pointer on it shows its hover text."""
    marks = dag_svg(drawing).partition(">")[2].removesuffix("</svg>")
    hits = "".join(
        f'<rect x="{box.x - box.width / 2:.1f}" y="{box.y - box.height / 2:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" fill="transparent" cursor="pointer" tabindex="0" role="button" '
        f'data-name="{escape(box.node)}"><title>{box.hover.replace("<br>", chr(10))}</title></rect>'
        for box in drawing.boxes
    )
    width, height = drawing.width + 2 * MARGIN, drawing.height + 2 * MARGIN
    return Sheet(f'<g transform="translate({MARGIN:g},{MARGIN:g})">{marks}{hits}</g>', width, height)


def _marked(drawing: Drawing, different: set[str]) -> Sheet:
    sheet = drawing_sheet(drawing)
    marks = "".join(
        f'<g pointer-events="none"><rect x="{box.x - box.width / 2 - 3:.1f}" y="{box.y - box.height / 2 - 3:.1f}" '
        f'width="{box.width + 6:.1f}" height="{box.height + 6:.1f}" rx="7" fill="none" stroke="{DIFFERENT}" '
        f'stroke-width="3" stroke-dasharray="7 4"/><circle cx="{box.x + box.width / 2:.1f}" '
        f'cy="{box.y - box.height / 2:.1f}" r="8" fill="{DIFFERENT}"/><text x="{box.x + box.width / 2:.1f}" '
        f'y="{box.y - box.height / 2 + 4.5:.1f}" text-anchor="middle" fill="white" font-weight="bold">≠</text></g>'
        for box in drawing.boxes
        if box.node in different
    )
    return sheet._replace(
        marks=f'{sheet.marks}<g transform="translate(18,18)" font-size="{style.FONT_SIZE}">{marks}</g>'
    )
