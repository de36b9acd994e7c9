"""What may be chosen when a genotype is built by hand: BuilderInfo, and what is valid beside the other choices."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from bmnas.config import SearchConfig
from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.space.derivation import PAIR_RULES
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CELL_NAME, CellGenotype, Genotype, StepGenotype, cell_name
from widgets.networks.facts import Shapes, genotype_facts

Pair = tuple[str, str]


class BuilderInfo(NamedTuple):
    """A genotype, its parameter count, and what may be chosen."""

    genotype: Genotype
    shapes: Shapes
    space: Space
    modalities: dict[str, tuple[str, ...]]

    @property
    def parameters(self) -> int:
        """The trainable scalars of its network."""
        return genotype_facts(self.genotype, self.shapes).parameters


def builder_info(features: FeatureSet, config: SearchConfig, start: Genotype | None = None) -> BuilderInfo:
    """Describes the space of a configuration and a genotype to start from (None: the first of the space).

    Raises:
        GenotypeError: the start uses other features.
    """
    space = Space.of(features.names, config)
    info = BuilderInfo(next(space.genotypes()), Shapes.of(features, config), space, dict(features.modalities))
    return info if start is None else started_from(info, start)


def started_from(info: BuilderInfo, genotype: Genotype) -> BuilderInfo:
    """Starts from another genotype, in the space of its size.

    Raises:
        GenotypeError: it uses other features.
    """
    genotype.check(info.space.features)
    space = replace(info.space, N=genotype.N, M=genotype.M, r=genotype.r)
    return info._replace(genotype=genotype, space=space)


def pair_choices(space: Space, genotype: Genotype, n: int) -> list[Pair]:
    """Lists the pairs that Cell n (from 0) may take so that the pair rule holds for it and every later Cell."""
    before = [cell_name(i) for i in range(1, n + 1)] if space.cells_as_inputs else []
    pairs = [cell.inputs for cell in genotype.cells]
    rule = PAIR_RULES[space.pair_rule]
    choices = []
    for pair in combinations((*space.features, *before), 2):
        tried = [*pairs[:n], pair, *pairs[n + 1 :]]
        if all(rule(one, tried[:i]) for i, one in enumerate(tried) if i >= n):
            choices.append(pair)
    return choices


def input_choices(space: Space, m: int, primitive: str) -> list[tuple[str, ...]]:
    """Lists the inputs that Step m (from 0) may have with a primitive."""
    return [step.inputs for step in space.step_choices(m) if step.primitive == primitive]


def primitive_choices(space: Space, m: int) -> list[str]:
    """Lists the primitives that Step m (from 0) has enough earlier nodes for."""
    return list(dict.fromkeys(step.primitive for step in space.step_choices(m)))


def with_size(info: BuilderInfo, N: int, M: int, r: int) -> BuilderInfo:
    """Returns the same genotype cut or lengthened to N Cells of M Steps; r at most M + 2.

    Raises:
        RunError: the features have too few pairs for so many Cells.
    """
    space = replace(info.space, N=N, M=M, r=min(r, M + 2))
    cells: list[CellGenotype] = []
    for n in range(N):
        old = info.genotype.cells[n] if n < info.genotype.N else None
        steps = tuple(
            old.steps[m] if old is not None and m < len(old.steps) else _first_step(space, m) for m in range(M)
        )
        cells.append(CellGenotype(old.inputs if old is not None else _free_pair(space, cells), steps))
    return info._replace(genotype=Genotype(tuple(cells), space.r), space=space)


def with_primitive(space: Space, m: int, primitive: str, old: StepGenotype) -> StepGenotype:
    """Returns the Step with another primitive, with its inputs where these fit."""
    choices = input_choices(space, m, primitive)
    same = [inputs for inputs in choices if inputs == old.inputs or set(inputs) == set(old.inputs)]
    return StepGenotype(primitive, (same or choices)[0])


def _first_step(space: Space, m: int) -> StepGenotype:
    """Returns a new Step: the first choice that passes something on."""
    choices = space.step_choices(m)
    return next((step for step in choices if not getattr(PRIMITIVES[step.primitive], "constant", False)), choices[0])


def _free_pair(space: Space, cells: Sequence[CellGenotype]) -> Pair:
    """Returns the first pair that the rule leaves to the next Cell: of features, and of earlier Cells if need be."""
    others = [cell.inputs for cell in cells]
    before = [cell_name(i + 1) for i in range(len(cells))] if space.cells_as_inputs else []
    pairs = [pair for pair in combinations((*space.features, *before), 2) if PAIR_RULES[space.pair_rule](pair, others)]
    if not pairs:
        raise RunError(f"no pair is left for {cell_name(len(cells) + 1)} under the rule {space.pair_rule!r}")
    return next((pair for pair in pairs if not any(map(CELL_NAME.fullmatch, pair))), pairs[0])
