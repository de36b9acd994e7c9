"""What an answer is read out of: a finished search, its features and settings, and the scores that are kept."""

from dataclasses import dataclass
from functools import cached_property

from bmnas.config import SearchConfig
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.filling import objective_of
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import alike_inputs_of
from bmnas.searching.shortlisting.paths import trained_paths
from bmnas.searching.shortlisting.ranking import Score, Scores
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import living_modalities
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet
from bmnas.storage.replay import Replay
from bmnas.training.progress import Progress


@dataclass(frozen=True)
class FinishedSearch:
    """A search and what its read-out needs; see `bmnas.searching.read_outs.select`."""

    hypernet: Hypernet
    derived: Genotype
    features: FeatureSet
    config: SearchConfig
    report: Progress
    replay: Replay | None

    @property
    def space(self) -> Space:
        """The genotypes that may be the answer."""
        return Space.of(self.features.names, self.config)

    def modalities_of(self, genotype: Genotype) -> tuple[str, ...]:
        """Returns the modalities that the answer of a genotype's network depends on."""
        alike = alike_inputs_of(self.features, self.config)
        return living_modalities(genotype, self.features.modalities, alike)

    @cached_property
    def paths(self) -> Hypernet:
        """The hypernet with its weights trained on single paths."""
        return trained_paths(self.hypernet, self.features, self.config)

    def once(self, what: str, score: Score, seconds: float | None = None) -> Score:
        """Returns a score that is computed once for each genotype, also where a read-out is killed and resumed."""
        return score if self.replay is None else self.replay.of(what, score, seconds)

    def once_several(self, what: str, scores: Scores) -> Scores:
        """Returns scores that are computed once for each genotype, as `once`."""
        return scores if self.replay is None else self.replay.of_several(what, scores)

    def inherited(self, hypernet: Hypernet) -> InheritedScore:
        """Returns the validation scores of genotypes with the weights of a hypernet."""
        return InheritedScore(
            hypernet,
            self.features.tensors(next(hypernet.parameters()).device),
            objective_of(self.features, self.config),
        )
