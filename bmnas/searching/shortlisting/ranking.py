"""Scores of many genotypes: of a whole space, or by hill climbing with restarts."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype
from bmnas.training.progress import Progress

EXHAUSTIVE = 20_000  # spaces up to this size are ranked as a whole
LOCAL_SEARCH = 3_000  # genotypes that a local search scores at most
TOGETHER = 64  # genotypes that are scored in one call

Score = Callable[[Genotype], float]
Scores = Callable[[Sequence[Genotype]], Sequence[float]]


def ranked_as_a_whole(space: Space) -> bool:
    """Returns whether all genotypes of a space are scored."""
    return space.size(EXHAUSTIVE) <= EXHAUSTIVE


def rank(space: Space, starts: Iterable[Genotype], scores: Scores, report: Progress) -> dict[Genotype, float]:
    """Scores all genotypes of a space, or climbs from each start in turn; larger is better."""
    if ranked_as_a_whole(space):
        return _rank_all(space, scores, report)
    return _local_search(space, starts, scores, report)


def restarts(space: Space, first: Sequence[Genotype], seed: int) -> Iterator[Genotype]:
    """Yields where a local search starts: at some genotypes, then at as many random ones as there are scores left."""
    yield from first
    generator = random.Random(seed)
    for _ in range(LOCAL_SEARCH):
        yield space.random(generator)


def _rank_all(space: Space, scores: Scores, report: Progress) -> dict[Genotype, float]:
    size = space.size(EXHAUSTIVE)
    found: dict[Genotype, float] = {}
    genotypes = space.genotypes()
    while some := list(islice(genotypes, TOGETHER)):
        report("ranking genotypes", len(found), size)
        found |= zip(some, scores(some), strict=True)
    report("ranking genotypes", size, size)
    return found


def _local_search(space: Space, starts: Iterable[Genotype], scores: Scores, report: Progress) -> dict[Genotype, float]:
    """Ascends from each start to the best neighbour until none is better; returns all that was scored on the way."""
    found: dict[Genotype, float] = {}
    for start in starts:
        if len(found) >= LOCAL_SEARCH:
            break
        if start not in found:
            found[start] = scores([start])[0]
        _ascend(space, start, found, scores, report)
    report("ranking genotypes", len(found), len(found))
    return found


def _ascend(space: Space, start: Genotype, found: dict[Genotype, float], scores: Scores, report: Progress) -> None:
    best = start
    while len(found) < LOCAL_SEARCH:
        report("ranking genotypes", len(found), LOCAL_SEARCH)
        neighbours = list(space.neighbours(best))
        new = [genotype for genotype in neighbours if genotype not in found][: LOCAL_SEARCH - len(found)]
        found |= zip(new, scores(new), strict=True)
        better = max(neighbours, key=lambda genotype: found.get(genotype, float("-inf")), default=best)
        if found.get(better, float("-inf")) <= found[best]:
            return
        best = better
