"""Which genotypes are the same network, and which features a network looks at.

A Cell adds its input x to its output, so it always sees x. It may be blind to y: with r = 1 and Zero as its last Step
it is LayerNorm(x), whatever y is. A Step that no output depends on does not count either. Nor does the query of
Attention where all positions of its value are alike, as those of a vector that is copied to all positions: whatever it
weighs them by, their mean is the same.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import permutations
from typing import Any

from bmnas.registry import PRIMITIVES
from bmnas.space.genotype import CELL_NAME, CellGenotype, Genotype, StepGenotype, cell_name, step_name
from bmnas.space.graph import Modalities, modality_of

NOTHING = "0"
"""A node that is zero for every sample."""
Node = tuple[str, tuple[str, ...]]  # what it computes, and of what
Named = tuple[str, tuple[Any, tuple[str, ...]]]  # the name of a node, and the node


def network_key(genotype: Genotype) -> tuple:
    """Returns a key that is equal for genotypes that are the same network, and different for others.

    Genotypes are the same network where one becomes the other by renumbering Cells or Steps, by relabelling the weights
    of symmetric primitives, or by changing what no output depends on.
    """
    return _key(genotype, tuple(PRIMITIVES[step.primitive] for cell in genotype.cells for step in cell.steps))


@lru_cache(maxsize=100_000)  # a searcher of a small space meets the same genotypes again and again
def _key(genotype: Genotype, kinds: tuple[type, ...]) -> tuple:
    """Returns the key of a network; `kinds` as in `_inside`."""
    nodes = [(cell_name(n), _cell(cell, genotype.r)) for n, cell in enumerate(genotype.cells, start=1)]
    return (genotype.r, *_smallest(nodes, (), cell_name))


def living_features(genotype: Genotype, alike: frozenset[str] = frozenset()) -> tuple[str, ...]:
    """Returns the features that a network's answer depends on, in order of first use.

    Args:
        genotype: of the network.
        alike: inputs of Cells of which all positions are alike, see `bmnas.space.reshape.alike_inputs`.
    """
    names = [name for cell in genotype.cells for name in _cell(cell, genotype.r, alike)[1]]
    return tuple(dict.fromkeys(name for name in names if name and not CELL_NAME.fullmatch(name)))


def living_modalities(
    genotype: Genotype, modalities: Modalities | None = None, alike: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Returns the modalities that a network's answer depends on, in order of first use; one alone is no fusion."""
    return tuple(dict.fromkeys(modality_of(name, modalities) for name in living_features(genotype, alike)))


def _cell(cell: CellGenotype, r: int, alike: frozenset[str] = frozenset()) -> tuple[Any, tuple[str, str]]:
    """Returns what a Cell computes, and its inputs x and y; y is "" where it is blind to it."""
    of_alike = frozenset(state for state, name in zip("xy", cell.inputs, strict=True) if name in alike)
    inside = _inside(cell.steps, r, tuple(PRIMITIVES[step.primitive] for step in cell.steps), of_alike)
    steps, outputs = inside
    sees_y = "y" in outputs or any("y" in inputs for _, inputs in steps)
    return inside, (cell.inputs[0], cell.inputs[1] if sees_y else "")


@lru_cache(maxsize=100_000)
def _inside(
    steps: tuple[StepGenotype, ...], r: int, kinds: tuple[type, ...], alike: frozenset[str]
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Returns the Steps that some output depends on, in their smallest numbering, and the outputs.

    Args:
        kinds: the primitives themselves, as one's own may be defined again under its name.
        alike: which of the inputs x and y have alike positions.
    """
    nodes, values = _simplified(steps, alike)
    states = ["x", "y", *(step_name(m) for m in range(1, len(steps) + 1))]
    outputs = [values[state] for state in states[-r:] if values[state] != NOTHING]
    if r == 1 and outputs == ["x"]:
        outputs = []  # LayerNorm(x + x) = LayerNorm(x)
    living = set[str]()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in living:
            living.add(name)
            waiting.extend(nodes[name][1])
    return _smallest([(name, nodes[name]) for name in nodes if name in living], outputs, step_name)


def _simplified(steps: Sequence[StepGenotype], alike: frozenset[str]) -> tuple[dict[str, Node], dict[str, str]]:
    """Returns the Steps that compute something, and for every state the node that it equals."""
    nodes: dict[str, Node] = {}
    values = {"x": "x", "y": "y"}
    alike |= {NOTHING}
    for m, step in enumerate(steps, start=1):
        name = step_name(m)
        inputs = tuple(values[node] for node in step.inputs)
        if getattr(PRIMITIVES[step.primitive], "constant", False):
            values[name] = NOTHING
        elif step.primitive == "Sum" and NOTHING in inputs:
            values[name] = inputs[inputs[0] == NOTHING]
        else:
            if step.primitive == "Attention" and inputs[1] in alike:
                inputs = (inputs[1], inputs[1])  # there is nothing to choose from
            if getattr(PRIMITIVES[step.primitive], "pointwise", False) and alike.issuperset(inputs):
                alike |= {name}
            nodes[name] = (step.primitive, inputs)
            values[name] = name
    return nodes, values


def _smallest(
    nodes: Sequence[Named], outputs: Sequence[str], named: Callable[[int], str]
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Returns the smallest of all numberings of some nodes in which each comes after its inputs.

    Args:
        nodes: name, and what it computes of what, in one such order.
        outputs: names whose order makes no difference.
        named: number -> name.
    """
    numberings = []
    for order in _orders(nodes):
        names: dict[str, str] = {old: named(new) for new, (old, _) in enumerate(order, start=1)}
        renamed = tuple(
            (what, _sorted_where_symmetric(what, [names.get(node, node) for node in inputs]))
            for _, (what, inputs) in order
        )
        numberings.append((renamed, tuple(sorted(names.get(node, node) for node in outputs))))
    return min(numberings)


def _orders(nodes: Sequence[Named]) -> Iterator[tuple[Named, ...]]:
    own = {name for name, _ in nodes}
    for order in permutations(nodes):
        before = set[str]()
        for name, (_, inputs) in order:
            if not own.intersection(inputs) <= before:
                break
            before.add(name)
        else:
            yield order


def _sorted_where_symmetric(what: Any, inputs: list[str]) -> tuple[str, ...]:
    symmetric = isinstance(what, str) and getattr(PRIMITIVES[what], "symmetric", False)
    return tuple(sorted(inputs) if symmetric else inputs)
