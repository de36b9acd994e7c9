"""What changed between two genotypes, in words and as marks on a drawing of the hypernet."""

from html import escape
from typing import NamedTuple

from bmnas.space.genotype import Genotype
from bmnas.space.graph import genotype_graph
from widgets.colours import LOUD
from widgets.networks.drawing import BoxMark, Drawing, LineMark

HALO = "#F0E442"  # the yellow of Okabe and Ito: a ground that every colour of ours stands out from
LEFT = LOUD
MOST = 6  # changes named in words

Edge = tuple[str, str]


class Changes(NamedTuple):
    """Edges that the genotype took up or gave up, and Steps with another primitive: Step -> (before, now)."""

    entered: frozenset[Edge]
    left: frozenset[Edge]
    primitives: dict[str, tuple[str, str]]

    def __bool__(self) -> bool:
        return bool(self.entered or self.left or self.primitives)


def changes(before: Genotype | None, now: Genotype) -> Changes:
    """Compares one genotype with the next; nothing changed where there is none before."""
    if before is None or before == now:
        return Changes(frozenset(), frozenset(), {})
    old, new = genotype_graph(before), genotype_graph(now)
    edges = [{edge for edge in graph.edges if graph.edges[edge]["role"] == "choice"} for graph in (old, new)]
    primitives = {
        node: (old.nodes[node]["primitive"], new.nodes[node]["primitive"])
        for node in new
        if node in old and old.nodes[node]["primitive"] != new.nodes[node]["primitive"]
    }
    return Changes(frozenset(edges[1] - edges[0]), frozenset(edges[0] - edges[1]), primitives)


def mark(drawing: Drawing, change: Changes) -> Drawing:
    """Marks with yellow the lines that entered and the Steps with another primitive, and dashes lines that left."""
    if not change:
        return drawing
    halos = [line._replace(width=line.width + 8, opacity=1.0, colour=HALO, dash="solid")
             for line in drawing.lines if line.edge in change.entered]  # fmt: skip
    lines = [
        line._replace(width=max(2.0, line.width), opacity=0.9, colour=LEFT, dash="dash")
        if line.edge in change.left
        else line
        for line in drawing.lines
    ]
    grounds = [_ground(box) for box in drawing.boxes if box.node in change.primitives]
    return drawing._replace(lines=(*grounds, *halos, *lines))


def changes_html(change: Changes, since: int | None) -> str:
    """Names in one line what entered, what left and which primitives changed; nothing for a first genotype.

    Args:
        change: from the genotype before.
        since: the epoch before, None where there is none.
    """
    if since is None:
        return "genotype in colour"
    if not change:
        return f"genotype in colour; unchanged since epoch {since}"
    parts = [
        _listed("entered (yellow)", [_edge(edge) for edge in sorted(change.entered)]),
        _listed("left (dashed)", [_edge(edge) for edge in sorted(change.left)]),
        _listed("another primitive (yellow)", [f"{node}: {a} → {b}" for node, (a, b) in change.primitives.items()]),
    ]
    return f"since epoch {since}: " + "; ".join(part for part in parts if part)


def _ground(box: BoxMark) -> LineMark:
    """Draws a line as wide as the box is high, which shows around it."""
    left, right = (box.x - box.width / 2 - 6, box.y), (box.x + box.width / 2 + 6, box.y)
    return LineMark((box.node, box.node), (left, left, right, right), box.height + 12, 1.0, HALO, "solid", box.hover)


def _edge(edge: Edge) -> str:
    """Names an edge: `Image_2 → Cell_1`, `x → Cell_1.Step_2`."""
    cell = edge[1].partition(".")[0]
    return f"{edge[0].removeprefix(f'{cell}.')} → {edge[1]}"


def _listed(what: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return f"<b>{what}</b> " + escape(", ".join(names[:MOST])) + more
