"""All runs of a folder: run folders -> BrowserInfo, a row a run, damaged ones with the reason."""

import math
import os
from pathlib import Path
from typing import NamedTuple

from bmnas.errors import BmnasError, RunError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.saved_results import EVALUATION, load_evaluation
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import runs_root
from bmnas.searching.run_features import FEATURES
from bmnas.searching.run_folder import GENOTYPE, Run
from bmnas.searching.searchers.recorded_search import recorded_trials
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.genotype import Genotype
from bmnas.space.graph import Modalities
from bmnas.storage.paths import given_path
from widgets.networks.facts import Shapes, genotype_facts

NAN = float("nan")
DAMAGED = "damaged"
TEST, VAL = "test", "val"
SCORES = {TEST: "test score", VAL: "val score of the search"}  # never mixed in one chart


class RunRow(NamedTuple):
    """One run folder; what is not known is NaN or ""."""

    name: str
    state: str  # finished, searched, stopped or damaged
    dataset: str = ""
    seed: int = 0
    epochs: int | None = 0  # of Algorithm 1; None of another searcher, which has none
    val: float = NAN  # per cent
    test: float = NAN  # per cent, mean over seeds
    std: float = NAN
    parameters: float = NAN
    seconds: float = NAN  # of the search
    genotype: Genotype | None = None
    modalities: Modalities | None = None  # of the features; None where they are gone
    problem: str = ""  # why it is damaged
    searcher: str = ""

    def score(self, kind: str) -> float:
        """Returns the score in per cent: "test", or "val", which is of the search and no measure of the answer."""
        return self.test if kind == TEST else self.val


class BrowserInfo(NamedTuple):
    """All runs under a root, in the order of their names."""

    root: str
    rows: tuple[RunRow, ...]

    @property
    def datasets(self) -> list[str]:
        """The data sets of the runs that can be read."""
        return list(dict.fromkeys(row.dataset for row in self.rows if row.dataset))

    def of(self, dataset: str, kind: str) -> list[RunRow]:
        """Returns the runs of a data set that have a score of that kind."""
        return [row for row in self.rows if row.dataset == dataset and math.isfinite(row.score(kind))]

    def get(self, name: str) -> RunRow:
        """Returns a run by name."""
        return next(row for row in self.rows if row.name == name)


def browser_info(root: str | Path | None = None) -> BrowserInfo:
    """Reads every run folder under the root (`bmnas.runs_root()` when None); only reads.

    A folder whose name starts with "_" or "." is none. A run that cannot be read is listed as damaged, with the reason.
    """
    place = runs_root() if root is None else given_path("root", root)
    folders = sorted(place.iterdir()) if place.is_dir() else []
    return BrowserInfo(str(place), tuple(run_row(f) for f in folders if f.is_dir() and f.name[0] not in "_."))


def run_row(folder: Path) -> RunRow:
    """Reads one run folder, damaged or not."""
    try:
        return _read(Run(folder))
    except (BmnasError, OSError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return RunRow(folder.name, DAMAGED, problem=str(error).replace(f"{folder}{os.sep}", "") or type(error).__name__)


def _read(run: Run) -> RunRow:
    """Reads one run; raises whatever a damaged run makes it raise."""
    trace = run.trace()
    events = trace.events
    trials = recorded_trials(run)
    config = run.config()
    dataset = run.dataset()
    if run.source() == "stand-in":  # never in one chart with real data
        dataset = f"{dataset} (stand-in)"
    row = RunRow(run.name, "stopped", dataset, config.seed, searcher=config.searcher)
    if not events and not trials:
        return row
    last = events[-1] if events else trials[-1]
    finished = bool(trials) or trace.is_complete(config)
    path = run.path(GENOTYPE)
    derived = trace.best.genotype if events else trials[trials[-1].best_trial - 1].genotype
    genotype = Genotype.load(path) if path.exists() else derived
    row = row._replace(
        state="searched" if finished else "stopped",
        epochs=len(events) or None,
        val=100 * last.best_score,
        seconds=sum(stage.seconds for stage in events or trials) or NAN,
        genotype=genotype,
    )
    if features := _features(run):
        size = float(genotype_facts(genotype, Shapes.of(features, config)).parameters)
        row = row._replace(parameters=size, modalities=features.modalities)
    if not run.path(EVALUATION).exists():
        return row
    searched = next((method for method in load_evaluation(run) if method.name == SEARCHED), None)
    if searched is None:
        raise RunError(f"{run.path(EVALUATION)} has no method {SEARCHED!r}; run notebook 04 again")
    return row._replace(
        state="finished", parameters=float(searched.parameters), test=100 * searched.mean, std=100 * searched.std
    )


def _features(run: Run) -> FeatureSet | None:
    """Opens a run's features, to read their shapes; None where they are gone: the run is listed all the same."""
    try:
        return FeatureSet.open(run.folder / str(run.load_json(FEATURES)["folder"]), verify=False)
    except BmnasError:
        return None
