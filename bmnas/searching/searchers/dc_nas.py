"""DC-NAS: divide and conquer, evolution in four groups, three of which train on parts of the data and learn from one.

    P = 4 groups of 7 random genotypes; groups 1 to 3 train on 70 % of the training split each, group 4 on all of it
    15 times:
        fill Q, slot by slot, with pairs of children:
            first parent    the better of two random members of the slot's group
            second parent   groups 1 to 3: one of the 7 best that group 4 has had ("transfer");
                            group 4: one of the 3, 2 and 2 best that groups 1, 2 and 3 have had
            children        with probability .9 they exchange a part, and otherwise are copies
        each child exchanges, with probability .2, a part with a new random genotype
        train Q
        P = in each slot the better of a random member of its group in P, and one in Q
        the best so far takes the place of the worst of P, unless it is in P

So at most 448 networks are trained; an equal one never twice. In the authors' code an individual is a binary tree of
operators on pooled features, and a part is a subtree. Here it is a genotype of the space of all searchers: a part is
the inputs of a Cell, a Step, or a whole Cell. A child that breaks the rule of pairs stays as it was, as repeated
features are dropped there. Parents that are equal are drawn again, three times at most. A budget that is left after
the last generation, as a small space leaves it, is spent on random networks.

What the paper does not let one know: its authors' code has the division switched off (every group trains on all
rows), selects on the samples that it reports, and does not say which of both its published results did. Here the
division is on, as the paper describes it, and selection is on the validation split. In the code the best so far takes
the first slot where the worst network of all has died out; here it always takes the place of the worst.

Source: Liang and others, AAAI 2024, and https://github.com/fupinhan123/AAAI_DC-NAS (`gen_offspring_tree.py`,
`train_DC.py`, `config.py`).
"""

import random
from collections.abc import Sequence

from bmnas.searching.searchers.points import Point, Points
from bmnas.searching.searchers.random_search import propose_at_random
from bmnas.searching.searchers.trials import PATIENCE, Proposal, Proposals
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype, cell_name

MEMBERS = 7  # of a group
ALL_ROWS = 3  # the group that trains on all rows; those before it have a part each
GENERATIONS = 15  # after the first
CROSSED = 0.9  # probability that children exchange a part
MUTATED = 0.2  # probability that a child exchanges a part with a random genotype
TRANSFERRED = (3, 2, 2)  # the best of groups 1, 2 and 3 that group 4 may take
REDRAWN = 3  # times at most that equal parents are drawn again

Scores = dict[Genotype, float]


def propose_by_groups(space: Space, generator: random.Random) -> Proposals:
    """Proposes the generations of DC-NAS, see `bmnas.searching.searchers.trials`; then random genotypes."""
    breeder = Breeder(space, generator)
    scores: Scores = {}
    bests: list[Scores] = [{} for _ in range(ALL_ROWS + 1)]  # of each group: all that it has had
    population = breeder.first_generation()
    for slot, genotype in enumerate(population):
        scores[genotype] = yield Proposal(genotype, part_of(slot))
    for _ in range(GENERATIONS):
        for slot, genotype in enumerate(population):
            bests[slot // MEMBERS][genotype] = scores[genotype]
        offspring = breeder.offspring(population, scores, archives(bests))
        for slot, genotype in enumerate(offspring):
            scores[genotype] = yield Proposal(genotype, part_of(slot))
        population = survivors(population, offspring, scores, generator)
    return propose_at_random(space, generator)


def part_of(slot: int) -> int | None:
    """Returns which part of the training rows a slot trains on; None is all of them."""
    group = slot // MEMBERS
    return None if group == ALL_ROWS else group


def archives(bests: Sequence[Scores]) -> tuple[list[Genotype], list[Genotype]]:
    """Returns what groups 1 to 3 may take from group 4, and what group 4 may take from them."""
    ranked = [sorted(group, key=lambda genotype: -group[genotype]) for group in bests]
    of_parts = [genotype for group, most in zip(ranked, TRANSFERRED, strict=False) for genotype in group[:most]]
    return ranked[ALL_ROWS][:MEMBERS], of_parts


def survivors(
    population: Sequence[Genotype], offspring: Sequence[Genotype], scores: Scores, generator: random.Random
) -> list[Genotype]:
    """Returns the next population: tournaments of old and new within each group, and the best so far."""
    chosen: list[Genotype] = []
    for slot in range(len(population)):
        group = range(slot // MEMBERS * MEMBERS, (slot // MEMBERS + 1) * MEMBERS)
        old, new = population[generator.choice(group)], offspring[generator.choice(group)]
        chosen.append(old if scores[old] > scores[new] else new)
    best = max(scores, key=lambda genotype: scores[genotype])
    if best not in chosen:
        worst = min(range(len(chosen)), key=lambda slot: scores[chosen[slot]])
        chosen[worst] = best
    return chosen


class Breeder:
    """Makes genotypes of others.

    Args:
        space: of the genotypes.
        generator: the only source of chance.
    """

    def __init__(self, space: Space, generator: random.Random) -> None:
        self.space = space
        self.generator = generator
        self.points = Points(space)
        self.parts = parts_of(self.points)

    def first_generation(self) -> list[Genotype]:
        """Draws genotypes of different networks; of equal ones where the space has too few."""
        genotypes: list[Genotype] = []
        keys = set[tuple]()
        draws = 0
        while len(genotypes) < MEMBERS * (ALL_ROWS + 1):
            genotype = self.space.random(self.generator)
            draws += 1
            if network_key(genotype) not in keys or draws > PATIENCE:
                keys.add(network_key(genotype))
                genotypes.append(genotype)
        return genotypes

    def offspring(
        self, population: Sequence[Genotype], scores: Scores, archive: tuple[list[Genotype], list[Genotype]]
    ) -> list[Genotype]:
        """Returns as many children as there are slots."""
        children: list[Genotype] = []
        while len(children) < len(population):
            group = len(children) // MEMBERS
            members = population[group * MEMBERS : (group + 1) * MEMBERS]
            foreign = archive[group == ALL_ROWS]
            for _ in range(1 + REDRAWN):
                one, other = self.generator.sample(members, 2)
                first = one if scores[one] > scores[other] else other
                second = self.generator.choice(foreign)
                if first != second:
                    break
            children += self.crossed(first, second) if self.generator.random() < CROSSED else (first, second)
        return [self.mutated(child) for child in children]

    def mutated(self, genotype: Genotype) -> Genotype:
        """Returns a genotype that may have got a part of a random one."""
        if self.generator.random() >= MUTATED:
            return genotype
        return self.crossed(genotype, self.space.random(self.generator))[0]

    def crossed(self, first: Genotype, second: Genotype) -> tuple[Genotype, Genotype]:
        """Returns both genotypes with a random part exchanged."""
        part = self.generator.choice(self.parts)
        one, other = self.points.of(first), self.points.of(second)
        return self._with(first, one, other, part), self._with(second, other, one, part)

    def _with(self, genotype: Genotype, own: Point, foreign: Point, part: tuple[str, ...]) -> Genotype:
        return self.points.genotype(own | {name: foreign[name] for name in part}) or genotype


def parts_of(points: Points) -> list[tuple[str, ...]]:
    """Lists what can be exchanged: the inputs of a Cell, a Step, and a whole Cell where there are others."""
    names = list(points.values)
    cells = [cell_name(n) for n in range(1, points.space.N + 1)]
    whole = [tuple(name for name in names if name.split(".")[0] == cell) for cell in cells]
    return [(name,) for name in names] + (whole if len(cells) > 1 else [])
