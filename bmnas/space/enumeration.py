"""The discrete search space: all genotypes, and a genotype's neighbours."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, islice, permutations, product
from typing import Any, Protocol

from bmnas.registry import PRIMITIVES
from bmnas.space.derivation import PAIR_RULES, Pair
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, cell_name, step_name

Steps = tuple[StepGenotype, ...]


class SpaceSettings(Protocol):
    """The settings that shape a space; `SearchConfig` has them, which lies above this room."""

    @property
    def N(self) -> int:
        """The number of Cells."""
        ...

    @property
    def M(self) -> int:
        """The number of Steps in a Cell."""
        ...

    @property
    def depth(self) -> int:
        """How many of a Cell's last states its output concatenates."""
        ...

    def switch(self, name: str) -> Any:
        """Returns the value of a switch."""
        ...


@dataclass(frozen=True)
class Space:
    """The genotypes that a search may derive.

    Args:
        features: the names of the K features.
        N, M, r: see `Genotype`.
        primitives: the pool of a Step.
        pair_rule: which pairs a Cell may still take, see `bmnas.space.derivation`.
        cells_as_inputs: whether earlier Cells may feed later ones.
    """

    features: tuple[str, ...]
    N: int
    M: int
    r: int
    primitives: tuple[str, ...]
    pair_rule: str = "paper"
    cells_as_inputs: bool = True

    @classmethod
    def of(cls, features: Sequence[str], config: SpaceSettings) -> "Space":
        """Returns the space that a search with these settings draws from.

        Args:
            features: the names of the K features.
            config: a `SearchConfig`.
        """
        rule = config.switch("pair_rule")
        cells = config.switch("cells_as_inputs")
        return cls(tuple(features), config.N, config.M, config.depth, config.switch("primitives"), rule, cells)

    def genotypes(self) -> Iterator[Genotype]:
        """Yields all genotypes; the last Cell varies fastest, so that neighbours share their first Cells."""
        yield from (Genotype(cells, self.r) for cells in self._cells(()))

    def size(self, limit: int) -> int:
        """Counts the genotypes, up to `limit` + 1."""
        return sum(1 for _ in islice(self._pairs_and_steps(()), limit + 1))

    def neighbours(self, genotype: Genotype) -> Iterator[Genotype]:
        """Yields all that differ from it in one Cell's pair or in one Step."""
        for n, cell in enumerate(genotype.cells):
            for pair in self.pairs(n):
                yield from self._with(genotype, n, replace(cell, inputs=pair))
            for m in range(self.M):
                for step in self.step_choices(m):
                    steps = (*cell.steps[:m], step, *cell.steps[m + 1 :])
                    yield from self._with(genotype, n, replace(cell, steps=steps))

    def other_operators(self, genotype: Genotype) -> Iterator[Genotype]:
        """Yields all that differ from it in one Step's operator: its primitive, or the order of its operands."""
        for n, cell in enumerate(genotype.cells):
            for m, step in enumerate(cell.steps):
                for other in self.step_choices(m):
                    if set(other.inputs) == set(step.inputs):
                        steps = (*cell.steps[:m], other, *cell.steps[m + 1 :])
                        yield from self._with(genotype, n, replace(cell, steps=steps))

    def random(self, generator: random.Random) -> Genotype:
        """Draws one genotype: every Cell's pair and every Step uniformly from what is left to it."""
        cells: tuple[CellGenotype, ...] = ()
        for n in range(self.N):
            pair = generator.choice(self._allowed(n, [cell.inputs for cell in cells]))
            steps = tuple(generator.choice(self.step_choices(m)) for m in range(self.M))
            cells += (CellGenotype(pair, steps),)
        return Genotype(cells, self.r)

    def allows(self, pairs: Sequence[Pair]) -> bool:
        """Returns whether the pairs of all Cells, in order, keep to the pair rule."""
        rule = PAIR_RULES[self.pair_rule]
        return all(rule(pair, pairs[:n]) for n, pair in enumerate(pairs))

    def pairs(self, n: int) -> list[Pair]:
        """Lists what Cell n (from 0) may take where the pair rule leaves all: features and earlier Cells, unordered."""
        return list(self._pairs[n])

    @cached_property
    def _pairs(self) -> list[tuple[Pair, ...]]:
        names = [cell_name(n) for n in range(1, self.N)] if self.cells_as_inputs else []
        return [tuple(combinations((*self.features, *names[:n]), 2)) for n in range(self.N)]

    def step_choices(self, m: int) -> tuple[StepGenotype, ...]:
        """Lists what Step m (from 0) may be: every primitive with all choices of inputs; a symmetric one unordered."""
        return self._step_choices[m]

    @cached_property
    def _step_choices(self) -> list[tuple[StepGenotype, ...]]:
        choices = []
        for m in range(self.M):
            nodes = ("x", "y", *(step_name(i) for i in range(1, m + 1)))
            choices.append(tuple(step for name in self.primitives for step in _choices(name, nodes)))
        return choices

    @cached_property
    def _all_steps(self) -> list[Steps]:
        return list(product(*self._step_choices))

    def _allowed(self, n: int, earlier: Sequence[Pair]) -> list[Pair]:
        rule = PAIR_RULES[self.pair_rule]
        return [pair for pair in self._pairs[n] if rule(pair, earlier)]

    def _cells(self, before: tuple[CellGenotype, ...]) -> Iterator[tuple[CellGenotype, ...]]:
        if len(before) == self.N:
            yield before
            return
        for pair in self._allowed(len(before), [cell.inputs for cell in before]):
            for steps in self._all_steps:
                yield from self._cells((*before, CellGenotype(pair, steps)))

    def _pairs_and_steps(self, earlier: tuple[Pair, ...]) -> Iterator[None]:
        """Yields one item a genotype, without building it."""
        if len(earlier) == self.N:
            yield None
            return
        per_cell = 1
        for choices in self._step_choices:
            per_cell *= len(choices)
        for pair in self._allowed(len(earlier), earlier):
            for _ in range(per_cell):
                yield from self._pairs_and_steps((*earlier, pair))

    def _with(self, genotype: Genotype, n: int, cell: CellGenotype) -> Iterator[Genotype]:
        """Yields the genotype with another Cell n, if that differs and the pair rule still holds."""
        cells = (*genotype.cells[:n], cell, *genotype.cells[n + 1 :])
        if cell != genotype.cells[n] and self.allows([c.inputs for c in cells]):
            yield Genotype(cells, genotype.r)


def _choices(primitive: str, nodes: tuple[str, ...]) -> Iterator[StepGenotype]:
    kind = PRIMITIVES[primitive]
    pick = combinations if getattr(kind, "symmetric", False) else permutations
    for inputs in pick(nodes, kind.arity):
        yield StepGenotype(primitive, inputs)
