"""Graphs of genotypes and hypernets, checked against the records that they are made of."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import cell_names, genotype_graph, hypernet_graph, lower_level, modality_of, upper_level
from tests.support.synthetic import FEATURES, NTU, architecture

spaces = st.tuples(st.sampled_from([FEATURES, NTU]), st.integers(1, 4), st.integers(1, 4), st.integers(0, 5))


def written_out() -> Genotype:
    """Cell_2 takes Cell_1; r = 2 concatenates both Steps of Cell_1 and, in Cell_2, y and its only Step."""
    first = CellGenotype(
        ("Image_3", "Text_1"), (StepGenotype("Sum", ("y", "x")), StepGenotype("ConcatFC", ("Step_1", "x")))
    )
    second = CellGenotype(("Text_1", "Cell_1"), (StepGenotype("LinearGLU", ("y", "x")),))
    return Genotype((first, second), 2)


def test_the_graph_of_a_genotype_written_out_by_hand() -> None:
    graph = genotype_graph(written_out())
    assert list(graph) == [
        "Image_3", "Text_1", "Cell_1", "Cell_2", "classifier",
        "Cell_1.x", "Cell_1.y", "Cell_1.Step_1", "Cell_1.Step_2", "Cell_1.output",
        "Cell_2.x", "Cell_2.y", "Cell_2.Step_1", "Cell_2.output",
    ]  # fmt: skip
    edges = {(a, b): (data["level"], data["role"], data["port"]) for a, b, data in graph.edges(data=True)}
    assert edges == {
        ("Image_3", "Cell_1"): ("upper", "choice", "x"),
        ("Text_1", "Cell_1"): ("upper", "choice", "y"),
        ("Text_1", "Cell_2"): ("upper", "choice", "x"),
        ("Cell_1", "Cell_2"): ("upper", "choice", "y"),
        ("Cell_1", "classifier"): ("upper", "output", ""),
        ("Cell_2", "classifier"): ("upper", "output", ""),
        ("Cell_1.y", "Cell_1.Step_1"): ("lower", "choice", "1"),
        ("Cell_1.x", "Cell_1.Step_1"): ("lower", "choice", "2"),
        ("Cell_1.Step_1", "Cell_1.Step_2"): ("lower", "choice", "1"),
        ("Cell_1.x", "Cell_1.Step_2"): ("lower", "choice", "2"),
        ("Cell_1.x", "Cell_1.output"): ("lower", "residual", ""),
        ("Cell_1.Step_1", "Cell_1.output"): ("lower", "output", ""),
        ("Cell_1.Step_2", "Cell_1.output"): ("lower", "output", ""),
        ("Cell_2.y", "Cell_2.Step_1"): ("lower", "choice", "1"),
        ("Cell_2.x", "Cell_2.Step_1"): ("lower", "choice", "2"),
        ("Cell_2.x", "Cell_2.output"): ("lower", "residual", ""),
        ("Cell_2.y", "Cell_2.output"): ("lower", "output", ""),
        ("Cell_2.Step_1", "Cell_2.output"): ("lower", "output", ""),
    }
    assert [graph.nodes[node]["primitive"] for node in ("Cell_1.Step_1", "Cell_2.Step_1")] == ["Sum", "LinearGLU"]
    assert all(data["chosen"] and data["weight"] == 1 for _, _, data in graph.edges(data=True))


@given(spaces)
def test_a_hypernet_has_every_weight_and_marks_exactly_the_genotype(space: tuple) -> None:
    features, N, M, seed = space
    record = architecture(features, N, M, seed)
    genotype = derive(record, M)
    graph = hypernet_graph(record, genotype)
    weights = {(a, b): data["weight"] for a, b, data in graph.edges(data=True) if data["role"] == "choice"}
    expected = {(node, cell): w for cell, edges in record.alpha.items() for node, w in edges.items()}
    for cell, steps in record.beta.items():
        for step, edges in steps.items():
            expected |= {(f"{cell}.{node}", f"{cell}.{step}"): w for node, w in edges.items()}
    assert weights == expected
    small = genotype_graph(genotype)
    for level in ("choice", "output", "residual"):
        chosen = {(a, b): d["port"] for a, b, d in graph.edges(data=True) if d["role"] == level and d["chosen"]}
        assert chosen == {(a, b): d["port"] for a, b, d in small.edges(data=True) if d["role"] == level}
    for node, data in small.nodes(data=True):
        assert graph.nodes[node]["primitive"] == data["primitive"]


@given(spaces)
def test_both_graphs_are_acyclic_in_levels_that_do_not_meet(space: tuple) -> None:
    features, N, M, seed = space
    record = architecture(features, N, M, seed)
    for graph in (hypernet_graph(record), genotype_graph(derive(record, M))):
        assert nx.is_directed_acyclic_graph(graph)
        parts = [upper_level(graph), *(lower_level(graph, cell) for cell in cell_names(graph))]
        assert sum(len(part) for part in parts) == len(graph)
        assert sum(part.number_of_edges() for part in parts) == graph.number_of_edges()
        assert list(upper_level(graph)) == [node for node in graph if "." not in node]


def test_without_a_genotype_nothing_is_chosen_and_steps_show_their_heaviest_primitive() -> None:
    record = architecture()
    graph = hypernet_graph(record)
    assert not any(data["chosen"] for _, _, data in graph.edges(data=True) if data["role"] == "choice")
    gamma = record.gamma["Cell_2"]["Step_1"]
    assert gamma[graph.nodes["Cell_2.Step_1"]["primitive"]] == max(gamma.values())
    assert graph.nodes["Cell_2.Step_1"]["primitives"] == gamma


def test_features_come_by_modality_and_number_not_by_use() -> None:
    step = (StepGenotype("Sum", ("x", "y")),)
    cells = (CellGenotype(("Video_10", "Skeleton_2"), step), CellGenotype(("Video_9", "Skeleton_1"), step))
    graph = genotype_graph(Genotype(cells, 1))
    assert list(graph)[:4] == ["Video_9", "Video_10", "Skeleton_1", "Skeleton_2"]
    assert graph.graph["modalities"] == ["Video", "Skeleton"]
    own = {"bones": ["Skeleton_2", "Skeleton_1"], "pixels": ["Video_9", "Video_10"]}
    graph = genotype_graph(Genotype(cells, 1), own)
    assert list(graph)[:4] == ["Skeleton_2", "Skeleton_1", "Video_9", "Video_10"]
    assert graph.nodes["Video_9"]["modality"] == "pixels"


@pytest.mark.parametrize(("name", "modality"), [("Image_1", "Image"), ("my_own_3", "my_own"), ("plain", "plain")])
def test_the_modality_is_the_name_before_the_last_underscore(name: str, modality: str) -> None:
    assert modality_of(name) == modality
