"""A search as it was recorded: run -> ExplorerInfo, epoch by epoch; and the runs that can be looked at."""

from typing import NamedTuple

from bmnas.errors import BmnasError, RunError
from bmnas.searching.run_folder import Run, list_runs
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.genotype import Genotype
from widgets.networks.facts import Facts, Shapes, genotype_facts
from widgets.networks.titles import network_title


class ExplorerInfo(NamedTuple):
    """A search: every epoch's weights, genotype and score, and what shapes and sizes follow from."""

    name: str
    events: tuple[EpochEvent, ...]
    modalities: dict[str, tuple[str, ...]]
    shapes: Shapes | None  # None where the features are gone
    notes: str

    @property
    def best(self) -> EpochEvent:
        """The best epoch."""
        return Trace(self.events).best

    @property
    def state(self) -> str:
        """Whether the search came to its end."""
        last = self.events[-1]
        return "finished" if last.epoch == last.epochs else f"stopped after epoch {last.epoch} of {last.epochs}"

    def event(self, epoch: int) -> EpochEvent:
        """Returns the event of an epoch; of a later one than the last, the last."""
        return self.events[min(max(epoch, 1), len(self.events)) - 1]

    def facts(self, genotype: Genotype) -> Facts | None:
        """Returns the facts of its nodes, None where the features are gone."""
        return None if self.shapes is None else genotype_facts(genotype, self.shapes)


def explorer_info(run: Run) -> ExplorerInfo:
    """Reads a finished or interrupted run, and writes nothing.

    Raises:
        RunError: no epoch was finished, or the record is damaged.
    """
    events = tuple(run.trace().events)
    if not events:
        raise RunError(f"{run.folder} has no finished epoch yet; run notebook 02 for it first")
    try:
        features = run.features()
    except BmnasError as error:  # the record can be looked at without them
        return ExplorerInfo(run.name, events, {}, None, f"no shapes: {error}")
    shapes = Shapes.of(features, run.config())
    return ExplorerInfo(run.name, events, dict(features.modalities), shapes, features.notes)


def headline(info: ExplorerInfo, epoch: int) -> str:
    """Names the network of an epoch, its score and its size, in one line."""
    return "; ".join(headlines(info, epoch))


def headlines(info: ExplorerInfo, epoch: int) -> list[str]:
    """Returns the same in two lines, without the size where that is not known."""
    event = info.event(epoch)
    facts = info.facts(event.genotype)
    score = f"{event.metric} {100 * event.val_score:.1f} % on val"
    size = f"; {facts.parameters:,} parameters" if facts else ""
    return [network_title(event.epoch, info.best.epoch), score + size]


def comparable_runs(dataset: str) -> list[Run]:
    """Lists the runs of a data set that have a finished epoch, by name; those that cannot be read are left out."""
    return [run for run in list_runs() if run.path("trace.jsonl").exists() and _is_of(run, dataset)]


def _is_of(run: Run, dataset: str) -> bool:
    try:
        return run.dataset() == dataset
    except BmnasError:  # a damaged run must not hide the others; the results browser names it
        return False
