"""Optuna's samplers as searchers: TPE, NSGA-II and a Gaussian process (the optional extra `bmnas[optuna]`).

    TPE       takes what maximises l(x) / g(x), densities of the good and of the other genotypes so far
    NSGA-II   crosses and mutates the better half of a population; with one objective, an elitist genetic algorithm
    GP        takes what maximises the expected improvement over the best, by a Gaussian process on the scores

A genotype is a point of categorical parameters: one for the unordered pair of each Cell, one for each Step (a primitive
and its inputs). Their values are the same throughout, as Optuna asks for. A point that breaks the rule of pairs is
reported as failed and another is asked for.

The sampler is made again for each point, seeded by the search's seed and the number of points so far, and the study is
in memory alone. So a proposal depends on nothing but the scores before it, and a search that was killed asks again with
the recorded scores: the run folder stays the truth, and no study of Optuna's can be left behind half-told.

Samplers return to what they know. A network that was trained is answered from memory and told again; after REPEATS
points in a row that bring nothing new, a random network that was not trained yet is put into the study.

Source: Akiba and others, KDD 2019, https://github.com/optuna/optuna; TPE of Bergstra and others, NeurIPS 2011; NSGA-II
of Deb and others, IEEE Transactions on Evolutionary Computation 6 (2002).
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bmnas.machine import one_blas_thread, optional_package, use_threads
from bmnas.searching.searchers.points import Points
from bmnas.searching.searchers.regularised_evolution import POPULATION
from bmnas.searching.searchers.trials import PATIENCE, Proposals
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key

REPEATS = 5  # points in a row that bring nothing new, after which a random one is tried


@dataclass(frozen=True)
class OptunaSearcher:
    """Proposes what a sampler of Optuna suggests; ends when no network is left.

    Args:
        sampler: name of a class in `optuna.samplers`.
        settings: of the sampler; Optuna's own where it is not named.
    """

    sampler: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    package = "optuna"

    def __call__(self, space: Space, generator: random.Random) -> Proposals:
        """Proposes genotypes, see `bmnas.searching.searchers.trials`.

        Raises:
            ConfigError: Optuna is not installed; gives the command.
        """
        optuna = optional_package("optuna", "optuna", "a searcher by Optuna")
        study = _study(optuna)
        points = Points(space)
        sizes = {name: range(len(values)) for name, values in points.values.items()}
        distributions = {name: optuna.distributions.CategoricalDistribution(size) for name, size in sizes.items()}
        trained = set[tuple]()
        repeats = 0
        while True:
            study.sampler = getattr(optuna.samplers, self.sampler)(seed=generator.getrandbits(32), **self.settings)
            if repeats == REPEATS:
                draws = (space.random(generator) for _ in range(PATIENCE))
                untrained = next((genotype for genotype in draws if network_key(genotype) not in trained), None)
                if untrained is None:
                    return
                study.enqueue_trial(points.of(untrained))
            with use_threads(1), one_blas_thread():
                trial = study.ask(distributions)
            genotype = points.genotype(trial.params)
            if genotype is None:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                repeats += 1
                continue
            repeats = repeats + 1 if network_key(genotype) in trained else 0
            trained.add(network_key(genotype))
            study.tell(trial, (yield genotype))


def _study(optuna: Any) -> Any:
    """Makes a study in memory, without the line that Optuna prints about it."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return optuna.create_study(direction="maximize")
    finally:
        optuna.logging.set_verbosity(verbosity)


tpe = OptunaSearcher("TPESampler")
nsga_ii = OptunaSearcher("NSGAIISampler", {"population_size": POPULATION})
gaussian_process = OptunaSearcher("GPSampler")
