"""What the rows of the table share, and what a row is: a name, how it is made, what it costs, when it is wanted."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.origin import Origin
from bmnas.evaluation.results import Evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials, spent_epochs
from bmnas.searching.selection import Selection
from bmnas.searching.shortlisting.halving import read_out_epochs
from bmnas.space.genotype import Genotype
from bmnas.training.progress import Progress


@dataclass(frozen=True)
class Contest:
    """What all rows of a table share.

    Attributes:
        run: of the search; keeps every result.
        features: that all rows are trained and tested on.
        config: of the search.
        budget: of each training, and the seeds.
        genotype: the searched one.
        selection: both answers of the search; None where the genotype is not its answer.
        by_hand: name -> genotype that was built by hand.
        command: that makes the table.
    """

    run: Run
    features: FeatureSet
    config: SearchConfig
    budget: EvalConfig
    genotype: Genotype
    selection: Selection | None = None
    by_hand: dict[str, Genotype] = field(default_factory=dict)
    command: str = ""

    @property
    def common(self) -> tuple[FeatureSet, SearchConfig, EvalConfig, Run]:
        """What every evaluation takes."""
        return self.features, self.config, self.budget, self.run

    def origin(self, **about: Any) -> Origin:
        """Says where a row of this table comes from."""
        return Origin(run=self.run.name, features=self.features.fingerprint, command=self.command, **about)


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: in the table.
        choice: the smallest choice of rows that has it.
        make: (contest, progress) -> result, kept in the run folder and not trained again.
        trainings: how many networks it trains, a measure of its time.
        lacks: why there is no result on these features; "" where there is one.
    """

    name: str
    choice: str
    make: Callable[[Contest, Progress | None], Evaluation]
    trainings: int
    lacks: str = ""


def search_epochs(contest: Contest) -> float:
    """Counts the passes over the training split of a search: of Algorithm 1 and the brief trainings of its read-out.

    Of another searcher, those of its short trainings, or of its supernet.
    """
    if contest.selection is not None and contest.selection.rule == "searcher":
        return spent_epochs(contest.config, recorded_trials(contest.run))
    config = contest.config
    warm = min(config.warmup_epochs, config.epochs)
    return config.epochs + (config.epochs - warm) * _arch_share(contest) + trained_by_read_out(contest)


def trained_by_read_out(contest: Contest) -> float:
    """Counts the passes over the training split of the read-out: of its trainings, or of DARTS-PT's tunings."""
    selection = contest.selection
    if selection is None:
        return 0
    if selection.projection is not None:
        return selection.projection.tunings * (1 + _arch_share(contest)) * contest.config.shortlist_epochs
    return read_out_epochs(selection.rule, contest.config, len(selection.candidates))


def _arch_share(contest: Contest) -> float:
    """Returns what the architecture steps of an epoch cost, in passes over the training split."""
    splits = contest.features.splits
    return contest.config.arch_passes * len(splits["val"]) / len(splits["train"])


def genotype_result(
    contest: Contest,
    name: str,
    genotype: Genotype,
    source: str,
    epochs: float,
    progress: Progress | None = None,
    run: Run | None = None,
) -> Evaluation:
    """Trains and tests a genotype's network with every seed; the result says where it comes from.

    Args:
        name: of the result.
        source: who found the genotype.
        epochs: that finding it cost, in passes over the training split.
        run: of the search that found it; the contest's when None.
    """
    result = evaluate(name, genotype, *contest.common, progress)
    origin = contest.origin(
        source=source, search_epochs=epochs, network=genotype.describe(), genotype=genotype.to_dict()
    )
    return with_origin(result, origin if run is None else replace(origin, run=run.name))


def with_origin(result: Evaluation, origin: Origin) -> Evaluation:
    """Returns a result that says where it comes from."""
    return replace(result, origin=origin)
