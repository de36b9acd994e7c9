"""Which genotypes a shortlist trains: the best of the ranking that differ, and those that a person would try first."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from bmnas.config import SearchConfig
from bmnas.registry import PRIMITIVES
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import living_features, network_key
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import Modalities

PLAIN = 2_000  # networks of last features that are looked at for each operator


def best_ranked(scores: Mapping[Genotype, float]) -> list[Genotype]:
    """Sorts genotypes by their scores, the best first; ties keep their order."""
    return sorted(scores, key=lambda genotype: -scores[genotype])


def most_candidates(space: Space, config: SearchConfig) -> int:
    """Returns how many candidates a shortlist can have: the leading, Algorithm 1's, a single feature, the plain."""
    return _leaders(config.shortlist_size) + 2 + len(space.step_choices(0))


def leading(space: Space, ranked: Sequence[Genotype], size: int, both_orders: bool) -> list[Genotype]:
    """Picks different networks from a ranking: the best, the best with another operator, and the best of other inputs.

    A ranking knows inputs better than operators: the inherited weights of a primitive that learns slowly are poor.

    Args:
        space: of the ranking.
        ranked: the best first.
        size: how many take another operator at most; one and a half times as many follow.
        both_orders: see `varied`.
    """
    places = {genotype: place for place, genotype in enumerate(ranked)}
    others = sorted(space.other_operators(ranked[0]), key=lambda one: places.get(one, len(ranked)))
    return list(islice(different([ranked[0], *others[:size], *varied(ranked, both_orders)]), _leaders(size)))


def _leaders(size: int) -> int:
    """Returns how many candidates lead a ranking, see `leading`."""
    return 5 * size // 2


def varied(ranked: Iterable[Genotype], both_orders: bool) -> Iterator[Genotype]:
    """Yields different networks of a ranking: the best of each combination of inputs before a second of any.

    Args:
        ranked: the best first.
        both_orders: whether a genotype is followed by its twin with the operands of its Steps exchanged.
    """
    rounds: dict[int, list[Genotype]] = {}
    seen: dict[tuple, int] = {}
    for genotype in ranked:
        inputs = inputs_of(genotype)
        seen[inputs] = seen.get(inputs, -1) + 1
        rounds.setdefault(seen[inputs], []).append(genotype)
    in_turn = (genotype for number in sorted(rounds) for genotype in rounds[number])
    return different(twin for one in in_turn for twin in ((one, exchanged(one)) if both_orders else (one,)))


def inputs_of(genotype: Genotype) -> tuple[tuple[str, ...], ...]:
    """Returns the inputs of all Cells, in whatever order."""
    return tuple(sorted(tuple(sorted(cell.inputs)) for cell in genotype.cells))


def different(genotypes: Iterable[Genotype]) -> Iterator[Genotype]:
    """Yields genotypes whose network has not come before."""
    seen: set[tuple] = set()
    for genotype in genotypes:
        key = network_key(genotype)
        if key not in seen:
            seen.add(key)
            yield genotype


def same_networks(genotypes: Iterable[Genotype], others: Iterable[Genotype]) -> list[Genotype]:
    """Returns the genotypes whose network is one of the others'."""
    keys = set(map(network_key, others))
    return [genotype for genotype in genotypes if network_key(genotype) in keys]


def exchanged(genotype: Genotype) -> Genotype:
    """Returns the genotype with the operands of all Steps in the other order, where that makes a difference."""

    def other(step: StepGenotype) -> StepGenotype:
        symmetric = getattr(PRIMITIVES[step.primitive], "symmetric", False)
        return step if symmetric else replace(step, inputs=step.inputs[::-1])

    cells = tuple(replace(cell, steps=tuple(map(other, cell.steps))) for cell in genotype.cells)
    return Genotype(cells, genotype.r)


def plain_networks(space: Space, modalities: Modalities) -> dict[StepGenotype, list[Genotype]]:
    """Returns, for each operator, networks of the last feature of each modality whose Steps are all that operator.

    What a person would try without a search. A Step of M > 1 repeats the first.

    Args:
        space: of the search.
        modalities: modality -> features, from the first layer to the last.
    """
    last = tuple(list(names)[-1] for names in modalities.values())
    if len(last) < 2:
        return {}
    networks: dict[StepGenotype, list[Genotype]] = {}
    for operator in replace(space, M=1).step_choices(0):
        if getattr(PRIMITIVES[operator.primitive], "constant", False):
            continue
        small = replace(space, features=last, M=1, r=1, primitives=(operator.primitive,))
        networks[operator] = [
            Genotype(tuple(replace(cell, steps=space.M * cell.steps) for cell in genotype.cells), space.r)
            for genotype in islice(small.genotypes(), PLAIN)
            if all(cell.steps == (operator,) for cell in genotype.cells)
        ]
    return networks


def single_features(space: Space) -> list[Genotype]:
    """Returns a network of each feature alone: Zero in all Steps, so that each Cell is LayerNorm(x).

    Zero need not be in the pool. There is none where a Cell's output also holds its input y.
    """
    networks = []
    zero = space.M * (StepGenotype("Zero", ("x", "y")),)
    for name in space.features:
        others = [other for other in space.features if other != name][: space.N]
        if len(others) == space.N:
            genotype = Genotype(tuple(CellGenotype((name, other), zero) for other in others), space.r)
            networks += [genotype] if living_features(genotype) == (name,) else []
    return networks
