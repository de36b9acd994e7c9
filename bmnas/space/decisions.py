"""Which choices of a search are decided: the entropy of their weights, and the agreement of several seeds.

A choice is among alternatives k of weight w_k: the primitives of a Step (gamma), or the nodes that a Cell or a Step
takes, of two nodes with w_ij = w_i w_j as in Eq. 3 (the weight of i in the slot x times that of j in y with two slots).
Its entropy is

    H = - sum_k p_k log p_k / log n,    p_k = w_k / sum_l w_l

from 0 (one alternative has all the weight) to 1 (all are alike). Where the order of a Step's inputs matters, both
orders are alternatives; one mixture for both inputs weighs them alike. So by one mixture a Step with exactly as many
nodes before it as it takes (x and y, where M = 1) has no choice: it takes them all, and no weight says in which order.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

from bmnas.registry import PRIMITIVES
from bmnas.space.architecture import Architecture, entropy
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, step_name

UNDECIDED = 0.95
"""Entropy above which a choice counts as undecided. Of three alternatives one then has about half of the weight (.52,
.24, .24); of two, .63. It is a convention, not a measurement: where there are seeds, their agreement counts too."""
AGREED = 0.5  # of other seeds, the share that must have chosen the same


@dataclass(frozen=True)
class Decision:
    """One choice of a search.

    Attributes:
        place: "Cell_1" or "Cell_1.Step_1".
        kind: "inputs" or "primitive".
        choice: what the genotype has there, as text.
        entropy: see above; 0 where there is no choice.
        alternatives: how many the weights choose from; 1 is no choice.
        agreement: share of other seeds with the same choice; None where there are none.
    """

    place: str
    kind: str
    choice: str
    entropy: float
    alternatives: int
    agreement: float | None = None

    @property
    def decided(self) -> bool:
        """Whether the weights, and other seeds where there are some, settle the choice."""
        return self.entropy <= UNDECIDED and (self.agreement is None or self.agreement > AGREED)

    @property
    def word(self) -> str:
        """ "decided", "undecided", or "no choice" where there is one alternative, which other seeds have too."""
        if not self.decided:
            return "undecided"
        return "no choice" if self.alternatives == 1 else "decided"


def decisions(
    architecture: Architecture, genotype: Genotype, others: Sequence[Genotype] = ()
) -> dict[tuple[str, str], Decision]:
    """Returns the choices of a genotype by place and kind.

    Args:
        architecture: the weights that the genotype was derived from.
        genotype: of the search.
        others: genotypes of other seeds, of as many Cells and Steps.
    """
    made: dict[tuple[str, str], Decision] = {}
    for n, (cell, chosen) in enumerate(zip(architecture.alpha, genotype.cells, strict=True)):
        twins = [other.cells[n] for other in others]
        weights = _weights_of_groups(architecture, cell, architecture.alpha[cell], 2, bool(architecture.slots))
        made[cell, "inputs"] = _decision(cell, "inputs", _inputs(chosen), weights, [_inputs(twin) for twin in twins])
        for m, step in enumerate(chosen.steps):
            place = f"{cell}.{step_name(m + 1)}"
            theirs = [twin.steps[m] for twin in twins]
            nodes = architecture.beta[cell][step_name(m + 1)]
            ordered = not getattr(PRIMITIVES[step.primitive], "symmetric", False)
            groups = _weights_of_groups(architecture, place, nodes, len(step.inputs), ordered)
            made[place, "inputs"] = _decision(place, "inputs", _operands(step), groups, [_operands(t) for t in theirs])
            gamma = list(architecture.gamma[cell][step_name(m + 1)].values())
            names = [twin.primitive for twin in theirs]
            made[place, "primitive"] = _decision(place, "primitive", step.primitive, gamma, names)
    return made


def _decision(place: str, kind: str, choice: str, weights: Sequence[float], others: Sequence[str]) -> Decision:
    total = sum(weights)
    spread = entropy([weight / total for weight in weights]) if total > 0 and math.isfinite(total) else 1.0
    agreement = sum(other == choice for other in others) / len(others) if others else None
    return Decision(
        place=place, kind=kind, choice=choice, entropy=spread, alternatives=len(weights), agreement=agreement
    )


def _weights_of_groups(
    architecture: Architecture, place: str, nodes: dict[str, float], takes: int, ordered: bool
) -> list[float]:
    """Weighs the groups of nodes that a place may take, in every order where that is an alternative too."""
    if not architecture.slots:
        if len(nodes) == takes:
            return [1.0]
        groups = permutations(nodes, takes) if ordered else combinations(nodes, takes)
        return [math.prod(nodes[node] for node in group) for group in groups]
    x, y = architecture.slots[place]
    if takes == 1:
        return list(x.values())
    pairs = permutations(nodes, 2) if ordered else combinations(nodes, 2)
    return [x[i] * y[j] if ordered else x[i] * y[j] + x[j] * y[i] for i, j in pairs]


def _inputs(cell: CellGenotype) -> str:
    return ", ".join(cell.inputs)


def _operands(step: StepGenotype) -> str:
    symmetric = getattr(PRIMITIVES[step.primitive], "symmetric", False)
    return ", ".join(sorted(step.inputs) if symmetric else step.inputs)
