"""Colours: one a thing, none with two meanings, the same in every picture."""

import math
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from bmnas.registry import PRIMITIVES
from bmnas.space.derivation import derive
from bmnas.space.graph import genotype_graph, hypernet_graph
from tests.support.synthetic import FEATURES, NTU, architecture, events
from widgets.colours import (
    CELL,
    OF_MODALITIES,
    OF_PRIMITIVES,
    STEP,
    feature_colours,
    modality_colours,
    node_colours,
    primitive_colours,
)
from widgets.explorer.info import ExplorerInfo, Stage
from widgets.explorer.sheets import weight_sheets
from widgets.networks.dag import dag_drawing
from widgets.search.panel import SearchView
from widgets.search.weight_panel import WeightPanel
from widgets.style import PALETTE

NAMES = st.text("abcdefgh", min_size=1, max_size=4)
MODALITIES = {"Skeleton": [name for name in NTU if "Skeleton" in name], "Video": [n for n in NTU if "Video" in n]}


def channels(colour: str) -> list[int]:
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


@given(st.dictionaries(NAMES, st.integers(1, 6), min_size=1, max_size=8), st.integers(1, 4))
def test_no_two_things_share_a_colour(sizes: dict[str, int], cells: int) -> None:
    modalities = {name: [f"{name}_{i}" for i in range(count)] for name, count in sizes.items()}
    nodes = [name for group in modalities.values() for name in group] + [f"Cell_{i + 1}" for i in range(cells)]
    colours = node_colours(nodes, modalities)
    primitives = primitive_colours(["Mine"])
    assert list(colours) == nodes
    everything = [*colours.values(), *primitives.values()]
    assert len(set(everything)) == len(everything)
    assert set(primitives) == {*PRIMITIVES, "Mine"}


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True), st.data())
def test_a_feature_looks_the_same_where_only_some_are_drawn(names: list[str], data: st.DataObject) -> None:
    modalities = {name: [f"{name}_{i}" for i in range(3)] for name in names}
    every = [feature for group in modalities.values() for feature in group]
    some = data.draw(st.lists(st.sampled_from(every), unique=True))
    assert {name: node_colours(some, modalities)[name] for name in some}.items() <= node_colours(
        every, modalities
    ).items()


def test_shades_stay_nearest_to_the_colour_of_their_modality() -> None:
    modalities = {name: [f"{name}_{i}" for i in range(3)] for name in "abcd"}
    bases = modality_colours(modalities)
    for feature, colour in feature_colours([], modalities).items():
        distances = {modality: math.dist(channels(colour), channels(base)) for modality, base in bases.items()}
        assert min(distances, key=distances.__getitem__) == feature[0]


def test_methods_and_series_have_no_colour_of_a_node_or_a_primitive() -> None:
    taken = {CELL, STEP, *OF_MODALITIES, *OF_PRIMITIVES}
    assert taken.isdisjoint(PALETTE) and len(set(PALETTE)) == len(PALETTE)
    for colour in PALETTE:
        assert min(math.dist(channels(colour), channels(other)) for other in OF_MODALITIES) > 40, colour


def test_graph_curves_and_bars_agree() -> None:
    record = tuple(events(NTU, 2, 2, epochs=3))
    wanted = node_colours([*NTU, "Cell_1"], MODALITIES) | primitive_colours()
    last = record[-1]
    for graph in (
        hypernet_graph(last.architecture, last.genotype, MODALITIES), genotype_graph(last.genotype, MODALITIES)
    ):  # fmt: skip
        for box in dag_drawing(graph).boxes:
            data = graph.nodes[box.node]
            name = data["primitive"] if data["kind"] == "step" else box.node
            assert name not in wanted or box.colour == wanted[name], box.node
    for kind in ("alpha", "gamma"):
        for line in WeightPanel(kind).traces(SearchView(record, modalities=MODALITIES)):
            assert line["line"]["color"] == wanted[line["name"]]
    info = ExplorerInfo(
        "run", tuple(map(Stage.of_epoch, record)), {name: tuple(group) for name, group in MODALITIES.items()}, None, ""
    )
    alpha, *others = weight_sheets(info, 3, "Cell_2")
    assert all(wanted[name] in alpha.marks for name in last.architecture.alpha["Cell_2"])
    gamma = others[1]
    assert all(wanted[name] in gamma.marks for name in PRIMITIVES)


def test_without_modalities_names_decide_and_graph_and_curves_agree_too() -> None:
    record = architecture(FEATURES[::-1], 1, 1)
    graph = hypernet_graph(record, derive(record, 1))
    colours = node_colours(record.alpha["Cell_1"])
    boxes = {box.node: box.colour for box in dag_drawing(graph).boxes}
    assert {name: boxes[name] for name in FEATURES} == {name: colours[name] for name in FEATURES}
    groups = [{colours[name] for name in FEATURES if name.startswith(kind)} for kind in ("Image", "Audio")]
    assert all(a.isdisjoint(b) for a, b in combinations(groups, 2))
