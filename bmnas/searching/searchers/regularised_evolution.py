"""Regularised evolution: tournaments choose the parent, and the oldest dies whatever its score.

A queue is filled with P random genotypes. Then, again and again: S of them are drawn with replacement, the best is the
parent, one mutation of it is trained and appended, and the oldest of the queue is removed.

Source: Real and others, AAAI 2019; S drawn with replacement as in https://github.com/automl/NASLib. Real and others
have P = 100 and S = 25 for spaces far larger than these.
"""

import random
from collections import deque
from functools import lru_cache

from bmnas.searching.searchers.trials import Proposals
from bmnas.space.enumeration import Space
from bmnas.space.genotype import Genotype

POPULATION = 20  # P
TOURNAMENT = 5  # S


def propose_by_evolution(space: Space, generator: random.Random) -> Proposals:
    """Proposes random genotypes, then mutations of the winners of tournaments, without end.

    A mutation is one of the genotype's neighbours, all equally likely; a genotype without any is drawn again.
    """

    @lru_cache(maxsize=50 * POPULATION)
    def mutations(parent: Genotype) -> tuple[Genotype, ...]:
        return tuple(space.neighbours(parent))

    queue: deque[tuple[float, Genotype]] = deque()
    while len(queue) < POPULATION:
        genotype = space.random(generator)
        queue.append(((yield genotype), genotype))
    while True:
        tournament = generator.choices(queue, k=TOURNAMENT)
        _, parent = max(tournament, key=lambda member: member[0])
        child = generator.choice(mutations(parent)) if mutations(parent) else space.random(generator)
        queue.append(((yield child), child))
        queue.popleft()
