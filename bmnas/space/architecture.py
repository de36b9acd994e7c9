"""The architecture weights of a hypernet, by name: what views show and what a derivation reads.

A record without tensors. `alpha` and `beta` hold the softmax weight of Identity on each edge (Eq. 1: the other
choice on an edge is Zero, so 1 - weight is Zero's), `gamma` the softmax weight of each primitive (Eq. 10).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pydantic import FiniteFloat, TypeAdapter

from bmnas.errors import RunError
from bmnas.registry import PRIMITIVES
from bmnas.storage.validation import validate

Weights = dict[str, FiniteFloat]


@dataclass(frozen=True)
class Architecture:
    """The softmax weights of a hypernet.

    Args:
        alpha: Cell -> node before it -> weight of Identity on that edge.
        beta: Cell -> Step -> node before it -> weight of Identity on that edge.
        gamma: Cell -> Step -> primitive -> weight.
        slots: only where the relaxation is not "shared": Cell or "Cell.Step" -> node -> weight in the slot x, and in y;
            each sums to 1. `alpha` and `beta` then hold 1 - (1 - x)(1 - y), the weight of a node in either slot.
    """

    alpha: dict[str, Weights]
    beta: dict[str, dict[str, Weights]]
    gamma: dict[str, dict[str, Weights]]
    slots: dict[str, tuple[Weights, Weights]] = field(default_factory=dict)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields one dictionary a weight (kind, cell, step, name, weight), ready for a data frame."""
        for cell, edges in self.alpha.items():
            yield from _rows("alpha", cell, "", edges)
        for kind, level in (("beta", self.beta), ("gamma", self.gamma)):
            for cell, steps in level.items():
                for step, weights in steps.items():
                    yield from _rows(kind, cell, step, weights)

    def entropy(self) -> dict[str, float | None]:
        """Returns the mean entropy of the choices of each kind, from 0 (decided) to 1 (undecided); None for no choice.

        An edge chooses between Identity and Zero (alpha, beta), or a slot among nodes; a Step among its primitives
        (gamma). There is no choice where all nodes are taken, as a Cell takes two features and a Step x and y where
        M = 1, unless their order is learnt; nor is there one in a pool of one primitive.
        """
        steps = {(cell, step): list(weights) for cell, pools in self.gamma.items() for step, weights in pools.items()}
        cells = [cell for cell, nodes in self.alpha.items() if self.slots or len(nodes) > 2]
        inner = [(cell, step) for (cell, step), pool in steps.items() if self._chooses(self.beta[cell][step], pool)]
        return {
            "alpha": _mean([h for cell in cells for h in self._input_entropies(cell, self.alpha[cell])]),
            "beta": _mean([h for c, s in inner for h in self._input_entropies(f"{c}.{s}", self.beta[c][s])]),
            "gamma": _mean([entropy(list(self.gamma[c][s].values())) for (c, s), pool in steps.items() if pool[1:]]),
        }

    def _chooses(self, nodes: Weights, pool: Sequence[str]) -> bool:
        """Returns whether a Step has a choice of inputs: more nodes than it takes, or an order of slots that counts."""
        kinds = [PRIMITIVES.get(name) for name in pool]  # one's own may be unknown here
        ordered = bool(self.slots) and not all(getattr(kind, "symmetric", False) for kind in kinds)
        return ordered or any(getattr(kind, "arity", 2) != len(nodes) for kind in kinds)

    def _input_entropies(self, place: str, nodes: Weights) -> list[float]:
        """Returns the entropy of each edge that ends in a Cell or Step, or of its two slots."""
        if self.slots:
            return [entropy(list(slot.values())) for slot in self.slots[place]]
        return [entropy([weight, 1 - weight]) for weight in nodes.values()]

    def distance(self, other: "Architecture") -> dict[str, float]:
        """Returns the largest change of a weight of each kind between two records of the same space."""
        before = {(row["kind"], row["cell"], row["step"], row["name"]): row["weight"] for row in other.rows()}
        moved = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}
        for row in self.rows():
            change = abs(row["weight"] - before[row["kind"], row["cell"], row["step"], row["name"]])
            moved[row["kind"]] = max(moved[row["kind"]], change)
        return moved

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, for JSON."""
        plain = asdict(self)
        if not self.slots:
            del plain["slots"]
        return plain

    @classmethod
    def from_dict(cls, data: Any) -> "Architecture":
        """Inverts `to_dict`.

        Raises:
            RunError: a kind of weights is missing, or is not made of numbers.
        """
        weights = validate(TypeAdapter(cls), data, RunError, "not an architecture record")
        if not weights.alpha or not weights.alpha.keys() == weights.beta.keys() == weights.gamma.keys():
            raise RunError("not an architecture record: alpha, beta and gamma name different Cells, or none")
        for cell in weights.alpha:
            weights._check_cell(cell)
        if weights.slots:
            weights._check_slots()
        return weights

    def _check_slots(self) -> None:
        """Every Cell and Step has two slots over its own nodes."""
        nodes = {cell: edges.keys() for cell, edges in self.alpha.items()}
        nodes |= {f"{cell}.{step}": edges.keys() for cell in self.beta for step, edges in self.beta[cell].items()}
        if self.slots.keys() != nodes.keys():
            raise RunError("not an architecture record: slots names other places than alpha and beta")
        for place, pair in self.slots.items():
            if any(slot.keys() != nodes[place] for slot in pair):
                raise RunError(f"not an architecture record: slots.{place} names other nodes than alpha or beta")

    def _check_cell(self, cell: str) -> None:
        """Checks that a Cell chooses among two nodes or more, and its Steps among primitives and earlier nodes."""
        if len(self.alpha[cell]) < 2:
            raise RunError(f"not an architecture record: alpha.{cell} names fewer than two nodes")
        beta, gamma = self.beta[cell], self.gamma[cell]
        steps = [f"Step_{m}" for m in range(1, len(gamma) + 1)]
        if not steps or not beta.keys() == gamma.keys() == set(steps):
            raise RunError(f"not an architecture record: beta and gamma of {cell} do not name Step_1, Step_2, ...")
        for m, step in enumerate(steps):
            if beta[step].keys() != {"x", "y", *steps[:m]}:
                raise RunError(f"not an architecture record: beta.{cell}.{step} names other nodes than those before it")
            if not gamma[step]:
                raise RunError(f"not an architecture record: gamma.{cell}.{step} names no primitive")


def _rows(kind: str, cell: str, step: str, weights: dict[str, float]) -> Iterator[dict[str, Any]]:
    for name, weight in weights.items():
        yield {"kind": kind, "cell": cell, "step": step, "name": name, "weight": weight}


def entropy(weights: list[float]) -> float:
    """The entropy of weights that sum to 1, over its largest value: from 0 (decided) to 1 (undecided)."""
    if len(weights) < 2:
        return 0.0
    return -sum(w * math.log(w) for w in weights if w > 0) / math.log(len(weights))


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
