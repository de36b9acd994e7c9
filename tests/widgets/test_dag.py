"""Pictures of networks: nothing overlaps, names are safe, both forms show the same."""

import xml.etree.ElementTree as ElementTree
from itertools import combinations

import networkx as nx
import pytest

from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import genotype_graph, hypernet_graph, upper_level
from tests.support.synthetic import FEATURES, NTU, architecture
from widgets.networks.dag import dag_drawing, genotype_figure, hypernet_figure
from widgets.networks.drawing import Drawing, dag_figure, dag_svg
from widgets.networks.layout import arrange

SPACES = [(FEATURES, 2, 2), (NTU, 4, 4), (FEATURES, 1, 1), (NTU, 3, 1), (FEATURES, 1, 4), (("a_1", "b_1"), 1, 1)]


def drawings(features: tuple[str, ...], N: int, M: int) -> list[Drawing]:
    record = architecture(features, N, M)
    genotype = derive(record, M)
    return [dag_drawing(hypernet_graph(record, genotype)), dag_drawing(genotype_graph(genotype))]


def overlap(a, b, room: float = 0) -> bool:
    return abs(a.x - b.x) < (a.width + b.width) / 2 + room and abs(a.y - b.y) < (a.height + b.height) / 2 + room


@pytest.mark.parametrize(("features", "N", "M"), SPACES)
def test_no_boxes_touch_and_all_lie_within_the_drawing(features: tuple[str, ...], N: int, M: int) -> None:
    for drawing in drawings(features, N, M):
        assert [(a.node, b.node) for a, b in combinations(drawing.boxes, 2) if overlap(a, b, 3)] == []
        for box in drawing.boxes:
            assert box.x - box.width / 2 >= 0 and box.x + box.width / 2 <= drawing.width
            assert box.y - box.height / 2 >= 0 and box.y + box.height / 2 <= drawing.height
            assert 6.4 * max(map(len, box.lines)) <= box.width - 6 and 15 * len(box.lines) <= box.height


@pytest.mark.parametrize(("features", "N", "M"), SPACES)
def test_no_line_runs_through_a_box_that_it_does_not_join(features: tuple[str, ...], N: int, M: int) -> None:
    for drawing in drawings(features, N, M):
        boxes = {box.node: box for box in drawing.boxes}
        for line in drawing.lines:
            others = [box for node, box in boxes.items() if node not in line.edge]
            for x, y in along(line.points):
                hit = [box.node for box in others if abs(x - box.x) < box.width / 2 and abs(y - box.y) < box.height / 2]
                assert hit == [], (line.edge, x, y)


def along(points, count: int = 40):
    """Points on start - straight - S - straight - end, the S as the cubic that is drawn."""
    start, (x1, y1), (x2, y2), end = points
    for t in (i / count for i in range(count + 1)):
        yield start[0] + t * (x1 - start[0]), start[1] + t * (y1 - start[1])
        yield x2 + t * (end[0] - x2), y2 + t * (end[1] - y2)
        a, b, c, d = (1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3
        middle = (x1 + x2) / 2
        yield a * x1 + (b + c) * middle + d * x2, (a + b) * y1 + (c + d) * y2


@pytest.mark.parametrize(("features", "N", "M"), SPACES)
def test_lines_join_their_boxes_and_go_to_the_right(features: tuple[str, ...], N: int, M: int) -> None:
    for drawing in drawings(features, N, M):
        boxes = {box.node: box for box in drawing.boxes}
        ends = [line.points[3] for line in drawing.lines]
        assert len(set(ends)) == len(ends)  # every line has a port of its own
        for line in drawing.lines:
            source, target = (boxes[node] for node in line.edge)
            assert line.points[0] == pytest.approx((source.x + source.width / 2, source.y))
            assert line.points[3][0] == pytest.approx(target.x - target.width / 2)
            assert abs(line.points[3][1] - target.y) <= target.height / 2
            places = [round(x, 6) for x, _ in line.points]
            assert places == sorted(places)


def test_weight_makes_lines_wide_and_dark_and_only_the_genotype_has_colour() -> None:
    record = architecture()
    genotype = derive(record, 2)
    graph = hypernet_graph(record, genotype)
    nx.set_edge_attributes(graph, True, "decided")
    lines = {line.edge: line for line in dag_drawing(graph).lines}
    for a, b in combinations(lines.values(), 2):
        first, second = graph.edges[a.edge], graph.edges[b.edge]
        if first["role"] == second["role"] == "choice" and first["weight"] < second["weight"]:
            assert a.width < b.width
            if first["chosen"] == second["chosen"]:
                assert a.opacity <= b.opacity
    x, y = genotype.cells[0].inputs
    grey = lines[next(node for node in FEATURES if node not in (x, y)), "Cell_1"].colour
    assert lines[x, "Cell_1"].colour != grey != lines[y, "Cell_1"].colour


def test_a_genotype_says_what_every_step_takes_in_order() -> None:
    steps = (StepGenotype("LinearGLU", ("y", "x")), StepGenotype("Attention", ("Step_1", "x")))
    drawing = dag_drawing(genotype_graph(Genotype((CellGenotype(("a_1", "b_1"), steps),), 2)))
    texts = {box.node: box.lines for box in drawing.boxes}
    assert texts["Cell_1.Step_1"] == ("Step_1", "LinearGLU", "(y, x)")
    assert texts["Cell_1.Step_2"] == ("Step_2", "Attention", "(Step_1, x)")
    marks = {text.text: text.y for text in drawing.texts if text.text in ("x", "y")}
    assert set(marks) == {"x", "y"} and marks["x"] < marks["y"]


def test_figure_and_svg_show_the_same_marks_and_neither_trusts_names() -> None:
    bad = "<script>alert(1)</script>&_1"
    record = architecture((bad, "b_1", "c_1"), 1, 1)
    drawing = dag_drawing(hypernet_graph(record, derive(record, 1)))
    svg = dag_svg(drawing)
    root = ElementTree.fromstring(svg)  # well-formed
    assert "<script" not in svg
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{space}rect")) == len(drawing.boxes)
    assert len(root.findall(f".//{space}path")) == len(drawing.lines)
    assert bad in {element.text for element in root.iter(f"{space}text")}
    fig = dag_figure(drawing, "<b>title", "a & note")
    assert len(fig.to_dict()["layout"]["shapes"]) == len(drawing.boxes) + len(drawing.lines)
    assert "<script" not in str(fig.to_json())
    assert fig.to_dict()["layout"]["title"]["text"] == "&lt;b&gt;title"
    assert fig.to_dict()["layout"]["title"]["subtitle"]["text"].endswith(">a &amp; note</span>")


def test_figures_of_the_largest_spaces_stay_small() -> None:
    record = architecture(NTU, 4, 4)
    genotype = derive(record, 4)
    assert len(str(hypernet_figure(record, genotype, note="stand-in").to_json())) < 60_000
    assert len(str(genotype_figure(genotype).to_json())) < 40_000


def test_the_layout_is_the_same_every_time_and_follows_the_order_of_the_graph() -> None:
    graph = upper_level(hypernet_graph(architecture()))
    sizes = dict.fromkeys(graph, (60.0, 30.0))
    layout = arrange(graph, sizes)
    assert layout == arrange(nx.DiGraph(graph), sizes)
    rows = [layout.boxes[name].y for name in FEATURES]
    assert rows == sorted(rows) and len({layout.boxes[name].x for name in FEATURES}) == 1
    assert layout.boxes["Cell_1"].x < layout.boxes["Cell_2"].x < layout.boxes["classifier"].x


def test_what_is_added_is_dotted_and_only_what_is_undecided_is_dashed() -> None:
    record = architecture(FEATURES, 2, 2)
    genotype = derive(record, 2)
    for graph in (hypernet_graph(record, genotype), genotype_graph(genotype)):
        lines = dag_drawing(graph).lines
        dotted = {line.edge for line in lines if line.dash == "dot"}
        assert dotted == {edge for edge in graph.edges if graph.edges[edge]["role"] == "residual"} != set()
        assert all("undecided" in line.hover for line in lines if line.dash == "dash")
        assert dag_svg(dag_drawing(graph)).count("stroke-dasharray") == sum(line.dash != "solid" for line in lines)
