"""DARTS-PT's rule: a choice of the hypernet keeps what it misses most, not what has the largest weight.

    for each Step, in random order:                       its primitive; then
    for each Step and each Cell, in random order:         its inputs:
        without_a = validation score of the hypernet without the alternative a, all others in place, for each a
        keep the alternatives of least without_a          1 primitive, the primitive's inputs, 2 inputs of a Cell
        remove the others, and tune the hypernet          before the next decision, if anything was removed

Of equal scores the larger loss is missed more, and of equal losses the earlier alternative is kept. The authors' code
takes the score alone; on some hundred validation rows it leaves many ties.

A Cell's inputs must keep to the pair rule: it keeps the first pair of its ranking that leaves every other Cell a pair.
A Step's inputs stand in the order in which they are missed, as those of a derivation in the order of their weights.

Source: Wang and others, Rethinking architecture selection in differentiable NAS, ICLR 2021,
https://arxiv.org/abs/2108.04392, and https://github.com/ruocwang/darts-pt, `sota/cnn/projection.py`: operations first,
then inputs, both in random order; alternatives are removed one at a time, also where two inputs are kept.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Protocol

from bmnas.registry import PRIMITIVES
from bmnas.space.derivation import Pair
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, cell_name, step_name

Remaining = Mapping[str, tuple[str, ...]]
"""Choice -> the alternatives that are left to it. "Cell_n" and "Cell_n.Step_m" choose inputs, "Cell_n.Step_m primitive"
a primitive."""
Merit = tuple[float, float]  # validation score, and loss with the opposite sign
PRIMITIVE = " primitive"  # the ending of a choice of a primitive


@dataclass(frozen=True)
class ProjectedChoice:
    """What became of a choice.

    Attributes:
        choice: its name, see `Remaining`.
        kept: the alternatives that stay, the one that is missed most first; a Cell's pair in the order of the nodes.
        removed: the others.
        without: alternative -> validation score of the hypernet without it; empty where there was nothing to compare.
    """

    choice: str
    kept: tuple[str, ...]
    removed: tuple[str, ...]
    without: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return {**asdict(self), "kept": list(self.kept), "removed": list(self.removed)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ProjectedChoice":
        """Inverts `to_dict`.

        Raises:
            TypeError, KeyError: a field is missing or wrong.
        """
        return cls(data["choice"], tuple(data["kept"]), tuple(data["removed"]), dict(data["without"]))


@dataclass(frozen=True)
class Projection:
    """The answer of DARTS-PT.

    Attributes:
        genotype: what all decisions together are.
        decisions: in their order.
    """

    genotype: Genotype
    decisions: tuple[ProjectedChoice, ...]

    @property
    def tunings(self) -> int:
        """Returns how often the hypernet was tuned: once after each decision that removed something."""
        return sum(bool(decision.removed) for decision in self.decisions)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for JSON."""
        return {
            "genotype": self.genotype.to_dict(),
            "decisions": [decision.to_dict() for decision in self.decisions],
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Projection":
        """Inverts `to_dict`.

        Raises:
            TypeError, KeyError, GenotypeError: a field is missing or wrong.
        """
        return cls(Genotype.from_dict(data["genotype"]), tuple(map(ProjectedChoice.from_dict, data["decisions"])))


class Supernet(Protocol):
    """A trained hypernet, as the rule sees it."""

    def merit(self, remaining: Remaining) -> Merit:
        """Returns score and negative loss on validation with these alternatives alone."""
        ...

    def tune(self, remaining: Remaining) -> None:
        """Trains the hypernet for some epochs with these alternatives alone."""
        ...


def project(
    space: Space, offered: Remaining, supernet: Supernet, seed: int, decided: Sequence[ProjectedChoice] = ()
) -> Iterator[ProjectedChoice]:
    """Yields the decision of each choice as soon as it is made and the hypernet is tuned.

    Args:
        space: of the genotypes that may be the answer.
        offered: all alternatives of each choice, in the hypernet's order.
        supernet: which scores alternatives, and is tuned.
        seed: of the order of the choices.
        decided: decisions that an interrupted projection has made; they are not made again.
    """
    decisions = list(decided)
    for choice in order_of(space, seed)[len(decisions) :]:
        decision = _decide(choice, space, offered, decisions, supernet)
        decisions.append(decision)
        if decision.removed:
            supernet.tune(remaining_after(offered, decisions))
        yield decision


def order_of(space: Space, seed: int) -> list[str]:
    """Returns the choices in the order of their decisions: primitives, then inputs, both in random order."""
    generator = random.Random(seed)
    cells = [cell_name(n) for n in range(1, space.N + 1)]
    steps = [f"{cell}.{step_name(m)}" for cell in cells for m in range(1, space.M + 1)]
    primitives = [step + PRIMITIVE for step in steps]
    inputs = [*steps, *cells]
    return generator.sample(primitives, len(primitives)) + generator.sample(inputs, len(inputs))


def projected_genotype(space: Space, decisions: Sequence[ProjectedChoice]) -> Genotype:
    """Returns the genotype that all decisions together are."""
    kept = {decision.choice: decision.kept for decision in decisions}
    cells = []
    for n in range(1, space.N + 1):
        steps = [f"{cell_name(n)}.{step_name(m)}" for m in range(1, space.M + 1)]
        chosen = tuple(StepGenotype(kept[step + PRIMITIVE][0], kept[step]) for step in steps)
        x, y = kept[cell_name(n)]
        cells.append(CellGenotype((x, y), chosen))
    return Genotype(tuple(cells), space.r)


def remaining_after(offered: Remaining, decisions: Sequence[ProjectedChoice]) -> dict[str, tuple[str, ...]]:
    """Returns what decisions have left of the alternatives."""
    return {**offered, **{decision.choice: decision.kept for decision in decisions}}


def _decide(
    choice: str, space: Space, offered: Remaining, decisions: Sequence[ProjectedChoice], supernet: Supernet
) -> ProjectedChoice:
    remaining = remaining_after(offered, decisions)
    alternatives = remaining[choice]
    pairs = _open_pairs(choice, space, {decision.choice: decision.kept for decision in decisions})
    candidates = [name for name in alternatives if not pairs or any(name in pair for pair in pairs)]
    merits = {}
    if len(candidates) > 1:
        for name in candidates:
            others = tuple(other for other in alternatives if other != name)
            merits[name] = supernet.merit({**remaining, choice: others})
    ranking = sorted(candidates, key=lambda name: merits.get(name, (0.0, 0.0)))  # stable: ties keep their order
    if pairs:
        best = next(set(pair) for pair in combinations(ranking, 2) if set(pair) in map(set, pairs))
        kept = tuple(name for name in alternatives if name in best)
    else:
        primitive = choice.endswith(PRIMITIVE)
        kept = tuple(ranking[: 1 if primitive else PRIMITIVES[remaining[choice + PRIMITIVE][0]].arity])
    removed = tuple(name for name in alternatives if name not in kept)
    return ProjectedChoice(choice, kept, removed, {name: score for name, (score, _) in merits.items()})


def _open_pairs(choice: str, space: Space, taken: Remaining) -> list[Pair]:
    """Lists the pairs of a Cell that leave one to every other Cell; none where the choice is not of a Cell's inputs."""
    cells = [cell_name(n) for n in range(1, space.N + 1)]

    def options(n: int, pairs: Remaining) -> list[Pair]:
        if cells[n] not in pairs:
            return space.pairs(n)
        first, second = pairs[cells[n]]
        return [(first, second)]

    def complete(pairs: Remaining, earlier: list[Pair]) -> bool:
        return len(earlier) == space.N or any(
            space.allows([*earlier, pair]) and complete(pairs, [*earlier, pair])
            for pair in options(len(earlier), pairs)
        )

    if choice not in cells:
        return []
    return [pair for pair in space.pairs(cells.index(choice)) if complete({**taken, choice: pair}, [])]
