"""A search as it was recorded: run -> ExplorerInfo, stage by stage; and the runs that can be looked at."""

from typing import NamedTuple

from bmnas.errors import BmnasError, RunError
from bmnas.searching.filling import objective_of
from bmnas.searching.run_folder import TRACE, Run
from bmnas.searching.run_list import is_of, list_runs
from bmnas.searching.searchers.recorded_search import TRIALS, recorded_trials
from bmnas.searching.searchers.trials import Trial
from bmnas.searching.trace import EpochEvent
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import Genotype, cell_name
from widgets.networks.facts import Facts, Shapes, genotype_facts
from widgets.networks.titles import network_title, trained_title

NAN = float("nan")
EPOCH, TRAINING = "epoch", "training"
NO_WEIGHTS = "no α, β, γ: its networks are drawn as they were trained"


class Stage(NamedTuple):
    """What a search had at an epoch of Algorithm 1, or after a short training of another searcher.

    Attributes:
        number: of the epoch or the training, counted from 1.
        genotype: that was derived at the epoch, or trained.
        metric, val_score: of its validation.
        best: the number of the best stage so far.
        train_score: NaN after a short training, of which validation alone is recorded.
        architecture: the softmax weights; None where the searcher has none.
        planned: how many epochs there will be; None where a budget decides.
    """

    number: int
    genotype: Genotype
    metric: str
    val_score: float
    best: int
    train_score: float = NAN
    architecture: Architecture | None = None
    planned: int | None = None

    @classmethod
    def of_epoch(cls, event: EpochEvent) -> "Stage":
        """Makes the stage of an epoch."""
        return cls(
            number=event.epoch,
            genotype=event.genotype,
            metric=event.metric,
            val_score=event.val_score,
            best=event.best_epoch,
            train_score=event.train_score,
            architecture=event.architecture,
            planned=event.epochs,
        )

    @classmethod
    def of_trial(cls, trial: Trial, metric: str) -> "Stage":
        """Makes the stage of a short training."""
        return cls(
            number=trial.trial, genotype=trial.genotype, metric=metric, val_score=trial.score, best=trial.best_trial
        )


class ExplorerInfo(NamedTuple):
    """A search: the genotype and score of every stage, and what shapes and sizes follow from."""

    name: str
    stages: tuple[Stage, ...]
    modalities: dict[str, tuple[str, ...]]
    shapes: Shapes | None  # None where the features are gone
    notes: str

    @property
    def unit(self) -> str:
        """What a stage is: "epoch" or "training"."""
        return TRAINING if self.stages[0].architecture is None else EPOCH

    @property
    def best(self) -> Stage:
        """The best stage."""
        return self.stage(self.stages[-1].best)

    @property
    def state(self) -> str:
        """Whether the search came to its end, and of a searcher without weights that it has none."""
        last = self.stages[-1]
        if last.architecture is None:
            return f"{last.number} short trainings; {NO_WEIGHTS}"
        return "finished" if last.number == last.planned else f"stopped after epoch {last.number} of {last.planned}"

    @property
    def cells(self) -> list[str]:
        """The Cells of its largest genotype: a searcher may try fewer."""
        return [cell_name(n + 1) for n in range(max(stage.genotype.N for stage in self.stages))]

    @property
    def landmarks(self) -> list[int]:
        """The numbers of the first, the best and the last stage."""
        return list(dict.fromkeys((1, self.best.number, len(self.stages))))

    def stage(self, number: int) -> Stage:
        """Returns the stage of a number; of a later one than the last, the last."""
        return self.stages[min(max(number, 1), len(self.stages)) - 1]

    def facts(self, genotype: Genotype) -> Facts | None:
        """Returns the facts of its nodes, None where the features are gone."""
        return None if self.shapes is None else genotype_facts(genotype, self.shapes)


def explorer_info(run: Run) -> ExplorerInfo:
    """Reads a finished or interrupted run of any searcher, and writes nothing.

    Raises:
        RunError: no epoch or short training was finished, or the record is damaged.
    """
    events, trials = run.trace().events, recorded_trials(run)
    if not events and not trials:
        raise RunError(f"{run.folder} has no finished epoch or short training yet; run notebook 02 for it first")
    try:
        features = run.features()
    except BmnasError as error:  # the record can be looked at without them
        metric, modalities, shapes, notes = run.config().metric or "score", {}, None, f"no shapes: {error}"
    else:
        metric = objective_of(features, run.config()).metric
        modalities = dict(features.modalities)
        shapes, notes = Shapes.of(features, run.config()), features.notes
    stages = [Stage.of_epoch(event) for event in events] or [Stage.of_trial(trial, metric) for trial in trials]
    return ExplorerInfo(name=run.name, stages=tuple(stages), modalities=modalities, shapes=shapes, notes=notes)


def headline(info: ExplorerInfo, number: int) -> str:
    """Names the network of a stage, its score and its size, in one line."""
    return "; ".join(headlines(info, number))


def headlines(info: ExplorerInfo, number: int) -> list[str]:
    """Returns the same in two lines, without the size where that is not known."""
    stage = info.stage(number)
    facts = info.facts(stage.genotype)
    whose = "its hypernet has " if info.unit == EPOCH else ""
    score = f"{whose}{stage.metric} {100 * stage.val_score:.1f} % on val"
    size = f"; {facts.parameters:,} parameters" if facts else ""
    title = network_title if info.unit == EPOCH else trained_title
    return [title(stage.number, info.best.number), score + size]


def comparable_runs(dataset: str) -> list[Run]:
    """Lists the runs of a data set that have a finished epoch or short training, by name.

    Those that cannot be read are left out.
    """
    return [run for run in list_runs() if has_stages(run) and is_of(run, dataset)]


def has_stages(run: Run) -> bool:
    """Returns whether a run has the record of a search, by whichever searcher."""
    return run.path(TRACE).exists() or run.path(TRIALS).exists()
