"""The rows of the table as data: a name, how it is made, what it costs, and which choice of rows it belongs to.

`quick` fits in the time of a first look, `paper` has the rivals of Tables 1 to 3, and `all` every searcher as well.
"""

from dataclasses import replace

from bmnas.errors import ConfigError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import unknown
from bmnas.rivals.field.contest import Contest, Row, genotype_result, search_epochs, trained_by_read_out, with_origin
from bmnas.rivals.field.hypernets import hypernet_rows
from bmnas.rivals.field.methods import method_of
from bmnas.rivals.field.searchers import searcher_rows
from bmnas.rivals.late_fusion import late_fusion, late_fusions, modality_alone, stored_rows
from bmnas.rivals.networks import RIVALS, Rival, choose, evaluate_choice
from bmnas.space.genotype import Genotype
from bmnas.training.progress import Progress

CHOICES = ("quick", "paper", "all")
QUICK = ("MLP on last features", "two-stream", "GMU", "CentralNet", "last features, best operator")
"""The rivals that a first look has time for."""
DERIVED = "derived by Algorithm 1"


def field_rows(contest: Contest, choice: str = "quick") -> list[Row]:
    """Lists the rows of a choice, in the order of the table: modalities alone, late fusion, rivals, searched networks.

    Raises:
        ConfigError: no such choice.
    """
    if choice not in CHOICES:
        raise ConfigError(str(unknown("choice of rows", choice, CHOICES)))
    listed = [
        *unimodal(contest),
        *fusions(contest),
        *rivals(contest),
        *searched(contest),
        *hypernet_rows(contest),
        *searcher_rows(contest),
    ]
    choices = CHOICES[: CHOICES.index(choice) + 1]
    return [row for row in listed if row.choice in choices]


def unimodal(contest: Contest) -> list[Row]:
    """Lists the modalities alone: their stored answers, and heads that are trained with the budget of a fusion."""
    features = contest.features
    seeds = contest.budget.seeds

    def stored(result: Evaluation) -> Row:
        origin = contest.origin(source="the modality's own answer, stored with the features")
        return Row(result.name, "quick", lambda *_: with_origin(result, origin), 0)

    def head(modality: str) -> Row:
        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            result = modality_alone(modality, *contest.common, progress)
            return with_origin(result, contest.origin(source="this project", network="an MLP on all its features"))

        choice = "paper" if features.logits else "quick"
        return Row(f"{modality} alone, trained head", choice, make, seeds)

    return [
        *map(stored, stored_rows(features, contest.config) if features.logits else []),
        *map(head, features.modalities),
    ]


def fusions(contest: Contest) -> list[Row]:
    """Lists the late fusions: of the stored unimodal outputs, and of heads that are trained out of fold."""
    features = contest.features
    seeds = contest.budget.seeds
    sources = {"quick": features, "paper": without_logits(features)} if features.logits else {"quick": features}

    def row(name: str, choice: str, source: FeatureSet, heads: int) -> Row:
        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            result = late_fusion(name, source, *contest.common[1:], progress)
            return with_origin(result, contest.origin(source="this project", network="no intermediate feature"))

        return Row(name, choice, make, seeds * (1 + heads))

    rows = []
    for choice, source in sources.items():
        heads = 0 if source.logits else 6 * len(features.modalities)
        for place, name in enumerate(late_fusions(source)):  # the first one trains the heads of all
            rows.append(row(name, choice, source, 0 if place else heads))
    return rows


def without_logits(features: FeatureSet) -> FeatureSet:
    """Returns the features without their stored unimodal outputs."""
    return replace(features, logits={})


def rivals(contest: Contest) -> list[Row]:
    """Lists the networks of others."""

    def row(rival: Rival) -> Row:
        lacks = rival.lacks(contest.features)
        networks = {} if lacks else rival.networks(contest.features, contest.config)

        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            name = choose(rival, *contest.common, progress)
            result = evaluate_choice(rival, name, *contest.common, progress)
            epochs = contest.budget.epochs * len(networks) if len(networks) > 1 else 0
            about = networks[name].identity.get("genotype")
            origin = contest.origin(
                source=rival.source, limits=rival.limits, search_epochs=epochs, network=name, genotype=about
            )
            return with_origin(result, origin)

        tried = len(networks) if len(networks) > 1 else 0
        return Row(rival.name, "quick" if rival.name in QUICK else "paper", make, contest.budget.seeds + tried, lacks)

    return [row(rival) for rival in RIVALS.values()]


def searched(contest: Contest) -> list[Row]:
    """Lists the networks of genotypes: searched, derived by Algorithm 1 where that differs, and built by hand."""
    cost = search_epochs(contest)
    genotypes = {SEARCHED: (contest.genotype, cost, method_of(contest.config))}
    if contest.selection is not None and contest.selection.differs:
        before = cost - trained_by_read_out(contest)
        source = method_of(replace(contest.config, selection="algorithm1"))
        genotypes[DERIVED] = (contest.selection.algorithm1, before, source)
    genotypes |= {name: (genotype, 0.0, "by hand") for name, genotype in contest.by_hand.items()}

    def row(name: str, genotype: Genotype, epochs: float, source: str) -> Row:
        def make(contest: Contest, progress: Progress | None) -> Evaluation:
            return genotype_result(contest, name, genotype, source, epochs, progress)

        return Row(name, "quick", make, contest.budget.seeds)

    return [row(name, *about) for name, about in genotypes.items()]
