"""Successive halving: many trained briefly, fewer trained longer (Jamieson and Talwalkar, AISTATS 2016)."""

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Sequence
from dataclasses import dataclass

from bmnas.config import SearchConfig
from bmnas.searching.shortlisting.candidates import inputs_of
from bmnas.searching.shortlisting.paths import path_epochs
from bmnas.space.genotype import Genotype
from bmnas.training.progress import Progress


@dataclass(frozen=True)
class Rung:
    """Trainings of equal length.

    Attributes:
        networks: how many are trained at most.
        epochs: of each training, from scratch.
        seeds: trainings of each.
        trained: of these, those that the rung before has made already.
    """

    networks: int
    epochs: int
    seeds: int = 1
    trained: int = 0

    @property
    def cost(self) -> int:
        """Epochs of all new trainings together, at most."""
        return self.networks * self.epochs * (self.seeds - self.trained)


@dataclass(frozen=True)
class Outcome:
    """What became of a genotype: its last rung, and the means over that rung's seeds."""

    epochs: int
    seeds: int
    score: float
    loss: float


FINALISTS = 3  # networks of the last rung
NEAR_COPIES = 3  # networks of the same inputs in the second rung, where there are others
SEEDS = 3  # trainings of each, whose mean decides: that of two is often decided by their seeds

Train = Callable[[Genotype, int, int], tuple[float, float]]  # genotype, epochs, number of the seed -> score, loss


def rungs(config: SearchConfig, candidates: int) -> list[Rung]:
    """Returns the rungs of a read-out: all briefly, `shortlist_size` at length, and three of them twice more.

    With e = shortlist_epochs a brief training has e / 2 epochs and a long one 5 e / 2, or two thirds of the search's
    where that is more: about as many as a network needs.
    """
    size, epochs = config.shortlist_size, config.shortlist_epochs
    long = max((5 * epochs + 1) // 2, 2 * config.epochs // 3)
    return [
        Rung(candidates, (epochs + 1) // 2),
        Rung(min(size, candidates), long),
        Rung(min(FINALISTS, size, candidates), long, seeds=SEEDS, trained=1),
    ]


def read_out_epochs(rule: str, config: SearchConfig, candidates: int) -> int:
    """Counts the epochs that a read-out trains, those of single paths as if they were of networks.

    Args:
        rule: of the read-out; every rule but "shortlist" and "best_ranked" trains nothing.
        config: of the search.
        candidates: how many the read-out had.
    """
    if rule == "best_ranked":
        return candidates * config.shortlist_epochs
    if rule == "shortlist":
        return path_epochs(config) + sum(rung.cost for rung in rungs(config, candidates))
    return 0


def halve(
    candidates: Sequence[Genotype],
    prior: dict[Genotype, float],
    steps: Sequence[Rung],
    train: Train,
    report: Progress,
    references: Sequence[Collection[Genotype]] = (),
    alike: Callable[[Genotype], Hashable] = inputs_of,
) -> dict[Genotype, Outcome]:
    """Trains candidates rung by rung, of which the best go to the next; returns the outcome of each.

    The first rung is too short to judge by its scores: its losses are added to those of the ranking. Near copies and
    what a person would try first are seen to in `second_rung`. From then on the score decides, and the loss between
    equal scores.

    Args:
        candidates: genotypes.
        prior: genotype -> calibrated validation loss of the ranking.
        steps: rung by rung.
        train: what trains once; called again for what an earlier rung has trained.
        report: of the progress.
        references: groups of which the best stays for the second rung.
        alike: what near copies have in common.
    """
    total = sum(rung.cost for rung in steps)
    outcomes: dict[Genotype, Outcome] = {}
    staying = list(candidates)
    done = 0
    for number, rung in enumerate(steps):
        staying = staying[: rung.networks]
        for genotype in staying:
            results = []
            for seed in range(rung.seeds):
                report("training the shortlist", done, total)
                results.append(train(genotype, rung.epochs, seed))
                done += rung.epochs if seed >= rung.trained else 0
            score, loss = (sum(values) / rung.seeds for values in zip(*results, strict=True))
            outcomes[genotype] = Outcome(rung.epochs, rung.seeds, score, loss)
        if number == 0:
            staying.sort(key=lambda one: outcomes[one].loss + prior[one])
            staying = second_rung(staying, steps[1].networks, steps[2].networks, references, alike)
        else:
            staying.sort(key=lambda one: (-outcomes[one].score, outcomes[one].loss))
    report("training the shortlist", total, total)
    return outcomes


def second_rung(
    ranked: Sequence[Genotype],
    places: int,
    finalists: int,
    references: Sequence[Collection[Genotype]],
    alike: Callable[[Genotype], Hashable],
) -> list[Genotype]:
    """Returns who is trained at length: the best, of which few are near copies, and the best of each group.

    Near copies gain and lose together, and would push out what is really another answer. What the answer is to be
    compared with takes places that lead no further.

    Args:
        ranked: the best first.
        places: how many.
        finalists: of these, how many go on; the other places may go to references.
        references: groups, the most important first.
        alike: what near copies have in common.
    """
    best = [next(one for one in ranked if one in group) for group in references if group][: places - finalists]
    copies = Counter(map(alike, best))
    others, left_over = [], []
    for one in ranked:
        if one not in best:
            copies[alike(one)] += 1
            (others if copies[alike(one)] <= NEAR_COPIES else left_over).append(one)
    chosen = {*best, *[*others, *left_over][: places - len(best)]}
    return [one for one in ranked if one in chosen]
