"""The hypernet and the genotype as pictures: graph -> Drawing."""

from collections.abc import Sequence
from html import escape

import networkx as nx
import plotly.graph_objects as go

from bmnas.space.architecture import Architecture
from bmnas.space.genotype import Genotype
from bmnas.space.graph import Modalities, cell_names, genotype_graph, hypernet_graph, lower_level, upper_level
from widgets import style
from widgets.colours import CELL, GREY, node_colours, primitive_colours
from widgets.networks.drawing import LINE, MARGIN, BoxMark, Drawing, LineMark, TextMark, dag_figure
from widgets.networks.layout import Layout, arrange

CHARACTER = 7.4  # pixels, a generous mean of the font at 13 pixels
CAPTION = "a wide, dark line has a large weight; the genotype is in colour, grey and dashed where undecided"
DOTTED = "dotted: x is added"  # to the output of every Cell
ZERO = "discards the Step"
ROOM = style.NARROW - 2 * MARGIN  # of a figure, whose boxes do not shrink


def dag_drawing(graph: nx.DiGraph, width: float = style.WIDTH - MARGIN, caption: bool = True) -> Drawing:
    """Draws both levels of a genotype or hypernet: features and Cells above, the inside of every Cell below.

    Args:
        graph: from `bmnas.space.graph`.
        width: what the panels may use before they continue in a new row, in pixels.
        caption: whether a hypernet says what its lines mean, which may need more room than its boxes.
    """
    weighted = any(data["primitives"] for _, data in graph.nodes(data=True))  # a genotype has no weights to explain
    return _pack(dag_panels(graph, CAPTION if caption and weighted else ""), width)


def dag_panels(graph: nx.DiGraph, caption: str = "") -> list[Drawing]:
    """Draws the features and Cells, with a caption beside the heading, and then the inside of every Cell."""
    note = DOTTED if caption else ""
    panels = [_panel(lower_level(graph, cell), cell, note) for cell in cell_names(graph)]
    return [_panel(upper_level(graph), "Features and Cells", caption), *panels]


def genotype_figure(
    genotype: Genotype, title: str = "Genotype", note: str = "", modalities: Modalities | None = None
) -> go.Figure:
    """Draws the discrete network at both levels."""
    return dag_figure(dag_drawing(genotype_graph(genotype, modalities), ROOM), title, note)


def hypernet_figure(
    architecture: Architecture,
    genotype: Genotype | None = None,
    title: str = "Hypernet",
    note: str = "",
    modalities: Modalities | None = None,
    others: Sequence[Genotype] = (),
) -> go.Figure:
    """Draws the relaxed network: a line is as wide as its softmax weight, and coloured if the genotype has it.

    What is undecided is grey and dashed: by its entropy, or because most of `others`, answers of other seeds, differ.
    """
    graph = hypernet_graph(architecture, genotype, modalities, others)
    return dag_figure(
        dag_drawing(graph, ROOM, caption=False), title, note, f"{CAPTION[0].upper()}{CAPTION[1:]}; {DOTTED}."
    )


def _panel(graph: nx.DiGraph, heading: str, caption: str = "") -> Drawing:
    """Draws one level of the graph with its heading."""
    texts = {node: _lines(graph, node) for node in graph}
    sizes = {node: _size(graph.nodes[node]["kind"], lines) for node, lines in texts.items()}
    layout = arrange(graph, sizes)
    colours = _node_colours(graph)
    boxes = tuple(
        BoxMark(node, *layout.boxes[node], texts[node], colours[node], _node_hover(graph, node)) for node in graph
    )
    edges = sorted(graph.edges, key=lambda edge: graph.edges[edge]["chosen"])  # the chosen ones lie on top
    lines = tuple(_line_mark(graph, edge, layout, colours[edge[0]]) for edge in edges)
    drawing = Drawing(boxes, lines, (), layout.width, layout.height).shifted(0, 28)
    headings = (TextMark(0, 10, heading, True), TextMark(CHARACTER * len(heading) + 20, 10, caption, False))
    return drawing._replace(texts=(*headings, *_port_texts(graph, drawing)), height=layout.height + 28)


def _size(kind: str, lines: tuple[str, ...]) -> tuple[float, float]:
    """Returns width and height of a box; a Cell's has room for the marks x and y."""
    room, least = (46, 44) if kind == "cell" else (18, 0)
    return max(CHARACTER * max(map(len, lines)) + room, 44), max(LINE * len(lines) + 10, least)


def _port_texts(graph: nx.DiGraph, drawing: Drawing) -> tuple[TextMark, ...]:
    """Marks which input of a genotype's Cell is x and which is y."""
    marks = [(line.points[3], graph.edges[line.edge]["port"], line.edge[1]) for line in drawing.lines]
    crowded = {target for source, target in graph.edges if not graph.edges[source, target]["chosen"]}
    return tuple(
        TextMark(x + 6, y, port, False) for (x, y), port, cell in marks if port in ("x", "y") and cell not in crowded
    )


def _pack(panels: list[Drawing], width: float) -> Drawing:
    """Puts the first panel above, the others in rows below it."""
    placed = [panels[0]]
    x = 0.0
    y = panels[0].height + 26
    row = 0.0
    pitch = max(panel.width for panel in panels[1:]) + 20
    for panel in panels[1:]:
        if x and x + panel.width > width:
            x, y, row = 0.0, y + row + 26, 0.0
        placed.append(panel.shifted(x, y))
        x, row = x + pitch, max(row, panel.height)
    return Drawing(
        tuple(box for panel in placed for box in panel.boxes),
        tuple(line for panel in placed for line in panel.lines),
        tuple(text for panel in placed for text in panel.texts),
        max(_right(panel) for panel in placed),
        y + row,
    )


def _right(panel: Drawing) -> float:
    """Returns the right end of boxes and words."""
    words = [text.x + CHARACTER * len(text.text) for text in panel.texts]
    return max([box.x + box.width / 2 for box in panel.boxes] + words)


def _lines(graph: nx.DiGraph, node: str) -> tuple[str, ...]:
    """Returns what a box says: its name; for a Step its primitive too, and what it takes or how heavy it is."""
    data = graph.nodes[node]
    if data["kind"] != "step":
        return (data["label"],)
    why = (ZERO,) if data["primitive"] == "Zero" else ()
    if data["primitives"]:
        weight = f"γ = {data['primitives'].get(data['primitive'], 0.0):.2f}"
        return data["label"], data["primitive"], weight if data["decided"] else f"{weight}, undecided", *why
    inputs = sorted((graph.edges[a, b]["port"], graph.nodes[a]["label"]) for a, b in graph.in_edges(node))
    return data["label"], data["primitive"], "(" + ", ".join(label for _, label in inputs) + ")", *why


def _node_colours(graph: nx.DiGraph) -> dict[str, str]:
    """Gives features and Cells the colours that they have everywhere, and a Step that of its primitive."""
    primitives = primitive_colours()
    sources = [data["label"] for _, data in graph.nodes(data=True) if data["kind"] in ("feature", "cell")]
    names = node_colours(sources, graph.graph["listed"])
    by_kind = {"input": "#555555", "output": CELL, "classifier": "#555555"}
    return {
        node: names.get(data["label"])
        or by_kind.get(data["kind"])
        or (primitives.get(data["primitive"], GREY) if data["decided"] else GREY)
        for node, data in graph.nodes(data=True)
    }


def _node_hover(graph: nx.DiGraph, node: str) -> str:
    weights = graph.nodes[node]["primitives"]
    return "<br>".join([escape(node), *(f"{escape(name)}: {weight:.3f}" for name, weight in weights.items())])


def _line_mark(graph: nx.DiGraph, edge: tuple[str, str], layout: Layout, colour: str) -> LineMark:
    data = graph.edges[edge]
    names = [graph.nodes[node]["label"] for node in edge]
    if data["role"] != "choice":
        dash, verb = ("dot", "added to") if data["role"] == "residual" else ("solid", "concatenated into")
        hover = escape(f"{names[0]} is {verb} {names[1]}")
        return LineMark(edge, layout.lines[edge], 1.4, 0.8, style.GREY, dash, hover)
    port = f", as {data['port']}" if data["port"] else ""
    hover = escape(f"{names[1]} ← {names[0]}: {data['weight']:.3f}{port}")
    width, opacity = 0.5 + 4.0 * data["weight"], 0.10 + 0.35 * data["weight"]
    if data["chosen"] and not data["decided"]:
        return LineMark(edge, layout.lines[edge], width, 0.8, style.GREY, "dash", f"{hover}; undecided")
    if data["chosen"]:
        return LineMark(edge, layout.lines[edge], width, 0.95, colour, "solid", hover)
    return LineMark(edge, layout.lines[edge], width, opacity, style.GREY, "solid", hover)
