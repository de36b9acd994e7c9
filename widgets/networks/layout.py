"""Where the boxes and lines of a graph go: columns from left to right, one row for every node that edges could hit.

The columns are the topological generations. The first column spreads over the height; every later node has a row of
its own, so a line that runs along a row meets no other box. A line bends once: right after its source into its
target's row, or, on the way to the last column, right before its target. Lines that reach the same box do so at
ports of their own.
"""

from collections.abc import Mapping
from typing import NamedTuple

import networkx as nx

Point = tuple[float, float]
GAP = 40.0  # between columns, where lines bend
FIRST_GAP = 112.0  # after a first column of many features, whose lines fan out
ROW_GAP = 12.0
PORT = 6.0  # between lines that reach the same box


class Box(NamedTuple):
    """A node's rectangle: its centre and its size, in pixels from the upper left corner."""

    x: float
    y: float
    width: float
    height: float


class Layout(NamedTuple):
    """The rectangles and the lines of one graph; a line is start, bend starts, bend ends, end."""

    boxes: dict[str, Box]
    lines: dict[tuple[str, str], tuple[Point, Point, Point, Point]]
    width: float
    height: float


def arrange(graph: nx.DiGraph, sizes: Mapping[str, tuple[float, float]]) -> Layout:
    """Places the nodes of a directed acyclic graph, whose boxes have the given (width, height).

    A node of kind "input" gets a row of its own too, x above and y below everything, because x runs on to the output.

    Returns:
        the rectangles and lines; no two rectangles touch, and no line runs through a third rectangle.
    """
    columns = [sorted(column, key=list(graph).index) for column in nx.topological_generations(graph)]
    sizes = {node: (width, max(height, PORT * graph.in_degree(node) + 8)) for node, (width, height) in sizes.items()}
    lefts, widths = _columns(columns, sizes)
    rows, height = _rows(graph, columns, sizes)
    boxes = {
        node: Box(lefts[c] + widths[c] / 2, rows[node], widths[c], sizes[node][1])
        for c, column in enumerate(columns)
        for node in column
    }
    lines = {edge: _line(edge, boxes, columns, lefts, _port(graph, edge)) for edge in graph.edges}
    return Layout(boxes, lines, lefts[-1] + widths[-1], height)


def _columns(columns: list[list[str]], sizes: Mapping[str, tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Returns the left border and the width of every column."""
    widths = [max(sizes[node][0] for node in column) for column in columns]
    lefts = [0.0]
    for c, width in enumerate(widths[:-1]):
        lefts.append(lefts[-1] + width + (FIRST_GAP if c == 0 and len(columns[0]) > 2 else GAP))
    return lefts, widths


def _rows(
    graph: nx.DiGraph, columns: list[list[str]], sizes: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, float], float]:
    """Returns the middle of every node's row, and the height of all."""
    last = columns[-1][0]
    inner = [node for node in graph if node not in columns[0] and node != last]
    inputs = [node for node in columns[0] if graph.nodes[node]["kind"] == "input"]
    if inputs:
        stack = [inputs[0], *inner, *inputs[1:]]
        spread = []
    else:
        stack = inner
        spread = columns[0]
    height = max(_stacked(stack, sizes), _stacked(spread, sizes), sizes[last][1])
    return _place(stack, sizes, height) | _place(spread, sizes, height) | {last: height / 2}, height


def _stacked(nodes: list[str], sizes: Mapping[str, tuple[float, float]]) -> float:
    return sum(sizes[node][1] + ROW_GAP for node in nodes)


def _place(nodes: list[str], sizes: Mapping[str, tuple[float, float]], height: float) -> dict[str, float]:
    """Stacks nodes from the top, the spare height shared out between them."""
    spare = (height - _stacked(nodes, sizes)) / max(1, len(nodes))
    rows = {}
    top = 0.0
    for node in nodes:
        slot = sizes[node][1] + ROW_GAP + spare
        rows[node] = top + slot / 2
        top += slot
    return rows


def _port(graph: nx.DiGraph, edge: tuple[str, str]) -> float:
    """Returns how far above (-) or below (+) the middle of its target a line ends."""
    order = {node: i for i, node in enumerate(graph)}
    sources = sorted(graph.predecessors(edge[1]), key=order.__getitem__)
    pitch = max(PORT, min(16.0, 32.0 / max(1, len(sources))))
    return (sources.index(edge[0]) - (len(sources) - 1) / 2) * pitch


def _line(
    edge: tuple[str, str], boxes: Mapping[str, Box], columns: list[list[str]], lefts: list[float], port: float
) -> tuple[Point, Point, Point, Point]:
    source, target = (boxes[node] for node in edge)
    start, end = (source.x + source.width / 2, source.y), (target.x - target.width / 2, target.y + port)
    column = next(c for c, nodes in enumerate(columns) if edge[0] in nodes)
    if edge[1] in columns[-1]:  # along the source's row, then into the target
        return start, (end[0] - GAP, start[1]), end, end
    return start, start, (lefts[column + 1] - 4, end[1]), end
