"""SPOS: single-path one-shot search, a supernet trained on uniform samples, then evolution on inherited scores.

    W* = argmin_W  E_{a uniform} [ loss_train(a, W(a)) ]    a step moves the weights of one sampled genotype's path
    a* = argmax_a  score_val(a, W*(a))                      by evolution; nothing is trained for it

Each of 20 generations after the first, of 50 random genotypes, has up to 25 mutants and 25 crosses of the 10 best so
far, filled up to 50 at random. A mutant has each choice (the pair of a Cell, a Step) drawn again with probability .1; a
cross takes each choice from one of two parents. No network is scored twice: ten draws for each wanted child must do.

The supernet is that of the read-out (`bmnas.searching.shortlisting.paths`); its scores are those of
`bmnas.searching.inherited_score`, whose BatchNorm sees a path's own statistics. Beside the authors' code the last
generation counts too, and the draws of a space that is used up end.

Source: Guo and others, ECCV 2020, https://arxiv.org/abs/1904.00420, and
https://github.com/megvii-model/SinglePathOneShot.
"""

import random
from collections.abc import Callable, Iterator
from itertools import islice

from bmnas.searching.searchers.points import Point, Points
from bmnas.searching.searchers.random_search import propose_at_random
from bmnas.searching.searchers.trials import PATIENCE, Proposals
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype

GENERATIONS = 20  # after the first
POPULATION = 50
MUTANTS, CROSSES = 25, 25
REDRAWN = 0.1  # probability of each choice of a mutant
PARENTS = 10  # the best so far
DRAWS = 10  # for each child that is wanted


class SinglePathOneShot:
    """Proposes the generations of SPOS; `inherits` says that a supernet's weights score them, not short trainings."""

    inherits = True

    def __call__(self, space: Space, generator: random.Random) -> Proposals:
        """Proposes genotypes, see `bmnas.searching.searchers.trials`, and random ones after the last generation."""
        points = Points(space)
        scores = dict[Genotype, float]()
        visited = set[tuple]()

        def mutant() -> Point:
            point = points.of(generator.choice(parents))
            redrawn = [name for name in points.values if generator.random() < REDRAWN]
            return point | {name: generator.randrange(len(points.values[name])) for name in redrawn}

        def cross() -> Point:
            first, second = (points.of(generator.choice(parents)) for _ in range(2))
            return {name: generator.choice((first[name], second[name])) for name in first}

        def new(draw: Callable[[], Genotype | None], draws: int) -> Iterator[Genotype]:
            """Yields those of so many draws whose networks were not there before."""
            for genotype in (draw() for _ in range(draws)):
                if genotype is not None and network_key(genotype) not in visited:
                    visited.add(network_key(genotype))
                    yield genotype

        for generation in range(GENERATIONS + 1):
            parents = sorted(scores, key=lambda genotype: -scores[genotype])[:PARENTS]
            members: list[Genotype] = []
            for child, number in ((mutant, MUTANTS), (cross, CROSSES)) if generation else ():
                drawn = new(lambda child=child: points.genotype(child()), DRAWS * number)
                members += islice(drawn, number)
            members += islice(new(lambda: space.random(generator), PATIENCE), POPULATION - len(members))
            for genotype in members:
                scores[genotype] = yield genotype
        return propose_at_random(space, generator)
