"""Scores of many genotypes: of a whole space, or by hill climbing with restarts."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype
from bmnas.training.progress import Progress

EXHAUSTIVE = 20_000  # spaces up to this size are ranked as a whole
LOCAL_SEARCH = 3_000  # genotypes that a local search scores at most

Score = Callable[[Genotype], float]


def ranked_as_a_whole(space: Space) -> bool:
    """Returns whether all genotypes of a space are scored."""
    return space.size(EXHAUSTIVE) <= EXHAUSTIVE


def rank(space: Space, starts: Iterable[Genotype], score: Score, report: Progress) -> dict[Genotype, float]:
    """Scores all genotypes of a space, or climbs from each start in turn; larger is better."""
    return _rank_all(space, score, report) if ranked_as_a_whole(space) else _local_search(space, starts, score, report)


def restarts(space: Space, first: Sequence[Genotype], seed: int) -> Iterator[Genotype]:
    """Yields where a local search starts: at some genotypes, then at as many random ones as there are scores left."""
    yield from first
    generator = random.Random(seed)
    for _ in range(LOCAL_SEARCH):
        yield space.random(generator)


def _rank_all(space: Space, score: Score, report: Progress) -> dict[Genotype, float]:
    size = space.size(EXHAUSTIVE)
    scores = {}
    for genotype in space.genotypes():
        if len(scores) % max(1, size // 50) == 0:
            report("ranking genotypes", len(scores), size)
        scores[genotype] = score(genotype)
    report("ranking genotypes", size, size)
    return scores


def _local_search(space: Space, starts: Iterable[Genotype], score: Score, report: Progress) -> dict[Genotype, float]:
    """Ascends from each start to the best neighbour until none is better; returns all that was scored on the way."""
    scores: dict[Genotype, float] = {}
    for start in starts:
        if len(scores) >= LOCAL_SEARCH:
            break
        if start not in scores:
            scores[start] = score(start)
        _ascend(space, start, scores, score, report)
    report("ranking genotypes", len(scores), len(scores))
    return scores


def _ascend(space: Space, start: Genotype, scores: dict[Genotype, float], score: Score, report: Progress) -> None:
    best = start
    while len(scores) < LOCAL_SEARCH:
        report("ranking genotypes", len(scores), LOCAL_SEARCH)
        neighbours = list(space.neighbours(best))
        new = [genotype for genotype in neighbours if genotype not in scores]
        for genotype in new[: LOCAL_SEARCH - len(scores)]:
            scores[genotype] = score(genotype)
        better = max(neighbours, key=lambda genotype: scores.get(genotype, float("-inf")), default=best)
        if scores.get(better, float("-inf")) <= scores[best]:
            return
        best = better
