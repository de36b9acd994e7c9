"""Derivation: architecture weights -> Genotype (Eqs. 3 and 11).

A Cell takes the pair (i, j) of earlier nodes with the largest product of Identity weights, x the lower index; equal
products go to the lexicographically first pair. A Step takes the nodes of largest Identity weight in descending
order, ties to the lower index, as many as its primitive has inputs; its primitive is the argmax of gamma, ties to the
first. Weights and products are float32, as in the release.

With two slots (`relaxation` is not "shared") a Cell takes the ordered pair (i, j), i other than j, with the largest
product of the weight of i in the slot x and of j in the slot y; so does a Step, for its operands.

What no two Cells may share is the `rule`:

* "paper" ("we enforce the Cells to have different predecessors"): no unordered pair is taken twice;
* "reference" (the release): a pair holds at least one node that no earlier Cell has taken.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from math import comb

import numpy as np

from bmnas.errors import ConfigError, GenotypeError
from bmnas.registry import PRIMITIVES
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import CELL_NAME, CellGenotype, Genotype, StepGenotype

Pair = tuple[str, str]
SlotPair = tuple[Mapping[str, float], Mapping[str, float]]  # weights in x, and in y


PAIR_RULES: dict[str, Callable[[Pair, Sequence[Pair]], bool]] = {
    "paper": lambda pair, earlier: pair not in earlier,
    "reference": lambda pair, earlier: any(all(node not in other for other in earlier) for node in pair),
}
"""(a pair, those of earlier Cells) -> whether a Cell may take it: no pair twice, or one node that no Cell has taken."""


def check_pairs(K: int, N: int, rule: str, cells_as_inputs: bool) -> None:
    """Refuses a search none of whose derivations could give every Cell a pair.

    Raises:
        ConfigError: more Cells than the rule allows on K features, whatever the weights are.
    """
    if cells_as_inputs:  # the Cell before is a node that is new to every later one
        return
    most = comb(K, 2) if rule == "paper" else K - 1  # the release's first Cell takes two new nodes, each later one one
    if most < N:
        raise ConfigError(
            f"N is {N}; the pair rule {rule!r} leaves pairs of {K} features for {most} Cells at most. "
            "Lower N, or set cells_as_inputs = True"
        )


def derive(architecture: Architecture, r: int, rule: str = "paper", cells_as_inputs: bool = True) -> Genotype:
    """Derives the genotype that the architecture weights stand for.

    Args:
        architecture: softmax weights by name.
        r: of the genotype, see `Genotype`.
        rule: which pairs a Cell may still take, "paper" or "reference".
        cells_as_inputs: whether earlier Cells may feed later ones (the released derivation never lets them, though
            five of the nine published genotypes need it).

    Raises:
        ConfigError: unknown rule.
        GenotypeError: the rule leaves a Cell without a pair (the release stops with an IndexError there).
    """
    if rule not in PAIR_RULES:
        raise ConfigError(f"rule is {rule!r}; expected one of {', '.join(PAIR_RULES)}")
    earlier: list[Pair] = []
    cells = []
    for cell, edges in architecture.alpha.items():
        nodes = {name: w for name, w in edges.items() if cells_as_inputs or not CELL_NAME.fullmatch(name)}
        slots = architecture.slots
        pair = _best_pair(cell, nodes, earlier, rule, slots.get(cell))
        earlier.append(tuple(node for node in nodes if node in pair))  # type: ignore[arg-type]
        steps = derive_steps(architecture.beta[cell], architecture.gamma[cell])
        if slots:
            steps = tuple(
                replace(step, inputs=_operands(step, slots[f"{cell}.{name}"]))
                for name, step in zip(architecture.beta[cell], steps, strict=True)
            )
        cells.append(CellGenotype(pair, steps))
    return Genotype(tuple(cells), r)


def _best_pair(
    cell: str, weights: Mapping[str, float], earlier: Sequence[Pair], rule: str, slots: SlotPair | None
) -> Pair:
    """Eq. 3 over the pairs that the rule leaves; the first of equal products in lexicographic order of indices."""
    allowed = [pair for pair in combinations(weights, 2) if PAIR_RULES[rule](pair, earlier)]
    if not allowed:
        raise GenotypeError(
            f"{cell} has no pair left under the rule {rule!r}: {len(earlier)} Cells have taken {list(earlier)} of "
            f"{len(weights)} nodes. Use fewer Cells, let Cells feed later Cells, or use the rule 'paper'"
        )
    if slots is not None:
        return _ordered_pair([*allowed, *((second, first) for first, second in allowed)], slots)
    return max(allowed, key=lambda pair: np.float32(weights[pair[0]] * weights[pair[1]]))  # max keeps the first


def _ordered_pair(pairs: Sequence[Pair], slots: SlotPair) -> Pair:
    """The pair with the largest product of the first node's weight in x and of the second's in y; ties to the first."""
    x, y = slots
    return max(pairs, key=lambda pair: np.float32(x[pair[0]] * y[pair[1]]))


def _operands(step: StepGenotype, slots: SlotPair) -> tuple[str, ...]:
    x, _ = slots
    if len(step.inputs) == 1:
        return (max(x, key=lambda node: x[node]),)
    return _ordered_pair(list(permutations(x, 2)), slots)


def derive_steps(
    beta: Mapping[str, Mapping[str, float]], gamma: Mapping[str, Mapping[str, float]]
) -> tuple[StepGenotype, ...]:
    """Derives the Steps of a Cell: Eq. 11 for the primitive, the largest Identity weights for its inputs."""
    steps = []
    for step, edges in beta.items():
        primitive = max(gamma[step], key=lambda name: gamma[step][name])
        ranked = sorted(edges, key=lambda node: -edges[node])  # stable: ties keep the lower index first
        steps.append(StepGenotype(primitive, tuple(ranked[: PRIMITIVES[primitive].arity])))
    return tuple(steps)
