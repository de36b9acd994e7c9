"""Local search: moves to the best neighbour until there is none better, then restarts at random.

The best of some random genotypes is the first start. All neighbours of the current genotype are scored, one by one; the
search moves to the best of them if it is better, and otherwise restarts from a random genotype.

Source: White and others, UAI 2021; the random genotypes before it as in https://github.com/automl/NASLib.
"""

import random

from bmnas.searching.searchers.trials import Proposals
from bmnas.space.enumeration import Space

FIRST = 10  # random genotypes before the first start


def propose_neighbours(space: Space, generator: random.Random) -> Proposals:
    """Proposes random genotypes, then the neighbours of the best, in random order, without end."""
    draws = FIRST
    while True:
        best, score = None, float("-inf")
        for _ in range(draws):
            start = space.random(generator)
            start_score = yield start
            if best is None or start_score > score:
                best, score = start, start_score
        while best is not None:
            neighbours = list(space.neighbours(best))
            generator.shuffle(neighbours)
            best = None
            for neighbour in neighbours:
                neighbour_score = yield neighbour
                if neighbour_score > score:
                    best, score = neighbour, neighbour_score
        draws = 1
