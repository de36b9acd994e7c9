"""A genotype or a hypernet as a directed graph (networkx), both levels in one; nothing is drawn here.

Upper level: features -> Cells -> classifier, nodes `Image_1`, `Cell_1`, `classifier`. Lower level, for every Cell:
x, y -> Steps -> output, nodes `Cell_1.x`, `Cell_1.Step_1`, `Cell_1.output`.

Every node has the attributes

- `kind`: "feature", "cell", "classifier" (upper), "input", "step", "output" (lower);
- `label`: its name within its level (`Image_1`, `Step_1`);
- `modality`: the modality of a feature, otherwise "";
- `cell`: the Cell that it belongs to, "" for features and the classifier;
- `primitive`: the primitive of a Step, otherwise "";
- `primitives`: primitive -> softmax weight (Eq. 10) of a hypernet's Step, otherwise empty;
- `decided`: False for a hypernet's Step whose primitive is undecided (`bmnas.space.decisions`).

Every edge has

- `level`: "upper" or "lower";
- `weight`: the softmax weight of Identity in a hypernet (Eqs. 1, 9), 1 where there is no choice;
- `chosen`: whether the genotype has it;
- `decided`: False where a hypernet's choice of these inputs is undecided;
- `role`: "choice" (what the search chooses), "output" (concatenated into the output) or "residual" (x + ...);
- `port`: its place among the chosen inputs of its node, "x" and "y" for a Cell, "1", "2", ... for a Step, else "".

Nodes and edges come in a fixed order: the order of the features, of the Cells and of the Steps. The graph itself has
the attribute `modalities`, the modalities in order, and `listed`, the features of each as they were given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import networkx as nx

from bmnas.space.architecture import Architecture
from bmnas.space.decisions import Decision, decisions
from bmnas.space.genotype import CELL_NAME, CellGenotype, Genotype, cell_name, step_name

CLASSIFIER = "classifier"
Modalities = Mapping[str, Iterable[str]]


def genotype_graph(genotype: Genotype, modalities: Modalities | None = None) -> nx.DiGraph:
    """Makes the graph of the discrete network: only what the genotype has, every edge chosen.

    Args:
        genotype: the fusion network.
        modalities: modality -> feature names; by default a feature's modality is its name before the last "_".
    """
    graph = nx.DiGraph()
    features = ordered_features(genotype.features, modalities)
    _add_upper_nodes(graph, features, [cell_name(n + 1) for n in range(genotype.N)], modalities)
    for n, cell in enumerate(genotype.cells, start=1):
        name = cell_name(n)
        for port, node in zip("xy", cell.inputs, strict=True):
            _add_edge(graph, node, name, "upper", port=port)
        _add_cell_nodes(graph, name, {step_name(m): step.primitive for m, step in enumerate(cell.steps, start=1)})
        for m, step in enumerate(cell.steps, start=1):
            for port, node in enumerate(step.inputs, start=1):
                _add_edge(graph, f"{name}.{node}", f"{name}.{step_name(m)}", "lower", port=str(port))
        _add_output_edges(graph, name, len(cell.steps), genotype.r)
    return graph


def hypernet_graph(
    architecture: Architecture,
    genotype: Genotype | None = None,
    modalities: Modalities | None = None,
    others: Sequence[Genotype] = (),
) -> nx.DiGraph:
    """Makes the graph of the relaxed network: every edge with its softmax weight, those of `genotype` marked as chosen.

    Args:
        architecture: the softmax weights by name.
        genotype: what was derived from them; without it nothing is chosen, a Step shows its heaviest primitive
            (the first of equal ones) and a Cell's output concatenates all its Steps (r = M).
        modalities: as for `genotype_graph`.
        others: genotypes of other seeds; a choice that most of them have otherwise is undecided.
    """
    graph = nx.DiGraph()
    cells = list(architecture.alpha)
    features = [node for node in architecture.alpha[cells[0]] if not CELL_NAME.fullmatch(node)]
    _add_upper_nodes(graph, features, cells, modalities)
    genotypes = dict(zip(cells, genotype.cells, strict=True)) if genotype else {}
    for name in cells:
        ports = dict(zip(genotypes[name].inputs, "xy", strict=True)) if name in genotypes else {}
        for node, weight in architecture.alpha[name].items():
            _add_edge(graph, node, name, "upper", weight=weight, chosen=node in ports, port=ports.get(node, ""))
        _add_relaxed_cell(graph, name, architecture, genotypes.get(name))
        steps = len(architecture.gamma[name])
        _add_output_edges(graph, name, steps, genotype.r if genotype else steps)
    if genotype:
        _mark_undecided(graph, decisions(architecture, genotype, others).values())
    return graph


def _mark_undecided(graph: nx.DiGraph, made: Iterable[Decision]) -> None:
    for decision in made:
        if decision.kind == "primitive":
            graph.nodes[decision.place]["decided"] = decision.decided
            continue
        for edge in graph.in_edges(decision.place):
            if graph.edges[edge]["role"] == "choice":
                graph.edges[edge]["decided"] = decision.decided


def upper_level(graph: nx.DiGraph) -> nx.DiGraph:
    """Returns the features, the Cells and the classifier."""
    nodes = [node for node, data in graph.nodes(data=True) if data["kind"] in ("feature", "cell", "classifier")]
    return _ordered_subgraph(graph, nodes)


def lower_level(graph: nx.DiGraph, cell: str) -> nx.DiGraph:
    """Returns what is inside one Cell: x, y, the Steps and the output."""
    nodes = [node for node, data in graph.nodes(data=True) if data["cell"] == cell and data["kind"] != "cell"]
    return _ordered_subgraph(graph, nodes)


def cell_names(graph: nx.DiGraph) -> list[str]:
    """Returns the Cells of a graph, in order."""
    return [node for node, data in graph.nodes(data=True) if data["kind"] == "cell"]


def modality_of(feature: str, modalities: Modalities | None = None) -> str:
    """Returns the modality of a feature: the one that lists it, otherwise its name before the last "_"."""
    for modality, names in (modalities or {}).items():
        if feature in names:
            return modality
    return feature.rpartition("_")[0] or feature


def ordered_features(features: Iterable[str], modalities: Modalities | None) -> list[str]:
    """Sorts features by modality, and by number within it; the modalities as given, otherwise by first use."""
    names = list(features)
    order = list(dict.fromkeys([*(modalities or {}), *(modality_of(name, modalities) for name in names)]))
    listed = [name for group in (modalities or {}).values() for name in group]

    def key(name: str) -> tuple[int, int, list[tuple[int, str]]]:
        place = listed.index(name) if name in listed else len(listed)
        parts = re.split(r"([0-9]+)", name)  # text, digits, text ...
        parts[1::2] = [digits.lstrip("0") for digits in parts[1::2]]
        sized = [(len(part) if i % 2 else 0, part) for i, part in enumerate(parts)]  # longer digits: a larger number
        return order.index(modality_of(name, modalities)), place, sized

    return sorted(names, key=key)


def _add_upper_nodes(
    graph: nx.DiGraph, features: Sequence[str], cells: Sequence[str], modalities: Modalities | None
) -> None:
    present = [modality_of(feature, modalities) for feature in features]
    graph.graph["modalities"] = list(dict.fromkeys([*(modalities or {}), *present]))
    graph.graph["listed"] = {name: tuple(listed) for name, listed in (modalities or {}).items()}
    for feature in features:
        _add_node(graph, feature, "feature", feature, modality=modality_of(feature, modalities))
    for name in cells:
        _add_node(graph, name, "cell", name, cell=name)
    _add_node(graph, CLASSIFIER, "classifier", CLASSIFIER)
    for name in cells:
        _add_edge(graph, name, CLASSIFIER, "upper", role="output")


def _add_cell_nodes(graph: nx.DiGraph, cell: str, primitives: Mapping[str, str]) -> None:
    for node in ("x", "y"):
        _add_node(graph, f"{cell}.{node}", "input", node, cell=cell)
    for step, primitive in primitives.items():
        _add_node(graph, f"{cell}.{step}", "step", step, cell=cell, primitive=primitive)
    _add_node(graph, f"{cell}.output", "output", "output", cell=cell)


def _add_relaxed_cell(graph: nx.DiGraph, cell: str, architecture: Architecture, derived: CellGenotype | None) -> None:
    heaviest = {step: max(weights, key=weights.__getitem__) for step, weights in architecture.gamma[cell].items()}
    chosen = dict(zip(heaviest, derived.steps, strict=True)) if derived else {}
    _add_cell_nodes(graph, cell, heaviest | {step: chosen[step].primitive for step in chosen})
    for step, weights in architecture.beta[cell].items():
        inputs = chosen[step].inputs if step in chosen else ()
        ports = {node: str(place) for place, node in enumerate(inputs, start=1)}
        target = f"{cell}.{step}"
        graph.nodes[target]["primitives"] = dict(architecture.gamma[cell][step])
        for node, weight in weights.items():
            port = ports.get(node, "")
            _add_edge(graph, f"{cell}.{node}", target, "lower", weight=weight, chosen=bool(port), port=port)


def _add_output_edges(graph: nx.DiGraph, cell: str, steps: int, r: int) -> None:
    """Adds the output's edges: the last r of [x, y, Step_1 .. Step_M] are concatenated, and x is added."""
    states = ["x", "y", *(step_name(m + 1) for m in range(steps))]
    _add_edge(graph, f"{cell}.x", f"{cell}.output", "lower", role="residual")
    for node in states[-r:]:
        _add_edge(graph, f"{cell}.{node}", f"{cell}.output", "lower", role="output")


def _add_node(graph: nx.DiGraph, node: str, kind: str, label: str, **attributes: Any) -> None:
    empty: dict[str, Any] = {"modality": "", "cell": "", "primitive": "", "primitives": {}, "decided": True}
    graph.add_node(node, kind=kind, label=label, **(empty | attributes))


def _add_edge(graph: nx.DiGraph, source: str, target: str, level: str, **attributes: Any) -> None:
    defaults = {"weight": 1.0, "chosen": True, "role": "choice", "port": "", "decided": True}
    graph.add_edge(source, target, level=level, **(defaults | attributes))


def _ordered_subgraph(graph: nx.DiGraph, nodes: list[str]) -> nx.DiGraph:
    part = nx.DiGraph(**graph.graph)
    part.add_nodes_from((node, graph.nodes[node]) for node in nodes)
    part.add_edges_from((a, b, data) for a, b, data in graph.edges(data=True) if a in part and b in part)
    return part
