"""Sweeps: grids of data sets, seeds and settings; each point is searched, read out and evaluated in a run folder.

The folders are those that notebooks 02 and 04 make with the same parameters: the same names and the same bytes, but for
seconds, versions and pictures. What a sweep keeps beside them, in `runs/_sweeps`, is a line for each point.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bmnas.config import PAPER_CONFIGS, EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.saved_results import save_evaluation
from bmnas.evaluation.trained_network import train_and_save
from bmnas.features.feature_set import FeatureSet, opened
from bmnas.machine import data_root, runs_root
from bmnas.registry import TASKS, unknown
from bmnas.rivals.field.contest import Contest
from bmnas.rivals.field.rows import field_rows
from bmnas.rivals.field.table import evaluate_field
from bmnas.scale.seeds.search import seed_runs
from bmnas.searching.algorithm1 import search
from bmnas.searching.networks import sketched
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.run_record import check_machine
from bmnas.searching.selection import Selection
from bmnas.storage.digests import json_sha256
from bmnas.storage.job_list import Report, run_jobs
from bmnas.storage.jobs import Job
from bmnas.tasks.base import Task
from bmnas.tasks.preparation import prepare
from bmnas.training.progress import without_bars

FOLDER = "_features"
FEATURES = {"features_seed": "seed", "samples": "samples", "source": "source"}
"""Parameter of a notebook -> option of `prepare`."""


@dataclass(frozen=True)
class Point:
    """One point of a grid: what the parameters of 02 and 04 are.

    Attributes:
        dataset: a name in TASKS.
        parameters: of the notebooks, such as seed, C or epochs; None and what is missing leave the preset.
        evaluation: further ones, for the evaluation alone.
        label: what tells it from other points of its grid, for people.
    """

    dataset: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    def __post_init__(self) -> None:
        parameters = {*SearchConfig.names(), *EvalConfig.names(), *FEATURES, "preset", "options"}
        for name in self.parameters:
            if name not in parameters:
                raise unknown("parameter", name, parameters)
        options = self.parameters.get("options")
        if not isinstance(options, Mapping | None):
            known = ", ".join(sorted(self.task.options))
            raise ConfigError(
                f"options is {options!r}; expected a dictionary, as \"{{'name': value}}\", with names among {known}"
            )
        self.task.resolve(self.features_options())
        self.config()
        self.budget()

    @property
    def task(self) -> Task:
        """Of the data set."""
        return TASKS[self.dataset]

    def config(self) -> SearchConfig:
        """Returns the settings of the search, as 02 makes them."""
        preset, mode = self.parameters.get("preset"), self.parameters.get("mode")
        if preset and preset not in PAPER_CONFIGS:
            raise unknown("preset", preset, PAPER_CONFIGS)
        start = PAPER_CONFIGS[preset] if preset else self.task.search_config
        start = start.change(**(self.task.reference if mode == "reference" else {}))
        return start.change_from(self.parameters)

    def budget(self) -> EvalConfig:
        """Returns the settings of the evaluation, as 04 makes them."""
        return self.task.eval_config.change_from(self.parameters).change(**self.evaluation)

    def features_options(self) -> dict[str, Any]:
        """Returns what `prepare` gets."""
        chosen = {option: self.parameters.get(name) for name, option in FEATURES.items()}
        chosen["seed"] = chosen["seed"] or 0
        return {**chosen, "L": self.config().L, **(self.parameters.get("options") or {})}


def grid(
    datasets: Sequence[str],
    seeds: Sequence[int],
    varied: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> list[Point]:
    """Returns all points of a grid, the seeds of equal settings next to each other.

    Args:
        datasets: names in TASKS.
        seeds: of the searches.
        varied: parameter -> its values.
        fixed: parameters that all points share.
        evaluation: further ones, for the evaluation alone.

    Raises:
        UnknownNameError: a data set, a parameter or an option that is none.
        ConfigError: a value out of its range; a grid without points; a seed among the parameters.
    """
    lists = {"datasets": datasets, "seeds": seeds, **{f"the values of {name}": each for name, each in varied.items()}}
    empty = [name for name, each in lists.items() if not each]
    if empty:
        raise ConfigError(f"{empty[0]} are none; a grid has at least one of each")
    if "seed" in {**varied, **(fixed or {})}:
        raise ConfigError("seed is a parameter here; give the seeds of a grid as its seeds")
    settings = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    return [
        Point(
            dataset=dataset,
            parameters={**(fixed or {}), **chosen, "seed": seed},
            evaluation=evaluation or {},
            label=" ".join(f"{name}={value}" for name, value in chosen.items()),
        )
        for dataset in dict.fromkeys(datasets)
        for chosen in settings
        for seed in dict.fromkeys(seeds)
    ]


def run_sweep(
    points: Sequence[Point], engine: str = "in-process", workers: int = 1, report: Report | None = None
) -> Iterator[list[Job]]:
    """Prepares the features of all points, then searches, reads out and evaluates each.

    Yields the jobs before they are started, so that a watcher can look at their folders: first of the features, then
    of the points. A job's outcome is reported; see `bmnas.storage.job_list.run_jobs`.
    """
    preparations = {digest(point): _preparation(point) for point in points}
    _forget(preparations.values(), "features", runs_root() / FOLDER)
    yield list(preparations.values())
    outcomes = run_jobs(list(preparations.values()), engine, workers, report)
    ready = dict(zip(preparations, outcomes, strict=True))
    places = {mark: job.result() for mark, job in ready.items() if job.finished}
    jobs = [
        point_job(point, opened(runs_root() / FOLDER / place["features"], place["manifest"]))
        for point in points
        if (place := places.get(digest(point)))
    ]  # fmt: skip
    _forget(jobs, "run", runs_root())
    yield jobs
    run_jobs(jobs, engine, workers, report)


def digest(point: Point) -> str:
    """Returns what names the features of a point."""
    return json_sha256([point.dataset, point.features_options()])


def _preparation(point: Point) -> Job:
    options = point.features_options()
    deciding = {name: point.parameters.get(name) for name in (*FEATURES, "L", "options")}
    given = "".join(f" {name}={value}" for name, value in deciding.items() if value is not None)
    return Job(
        name=f"features of {point.dataset}{given}",
        identity={"dataset": point.dataset, "recipe": point.task.recipe, "options": options},
        function=prepare_features,
        arguments={"dataset": point.dataset, "options": options, "runs": runs_root(), "data": data_root()},
        folder=sweeps_folder(),
        kind="features",
    )


def prepare_features(dataset: str, options: dict[str, Any], runs: Path, data: Path) -> dict[str, Any]:
    """Makes the features of a data set; returns where they are."""
    features = prepare(dataset, **options, root=data, cache=runs / FOLDER)
    assert features.folder is not None
    return {"features": features.folder.name, "manifest": json_sha256(features.manifest)}


def point_job(point: Point, features: FeatureSet) -> Job:
    """Returns the job of a point, whose features are ready."""
    config, budget = point.config(), point.budget()
    (run,) = seed_runs(point.dataset, config, features).values()
    memory = sketched(features, config)
    return Job(
        name=f"{run.name} {point.label}".strip(),
        identity={
            "dataset": point.dataset,
            "features": features.fingerprint,
            "search": config.identity(),
            "budget": budget.to_dict(),
        },
        function=search_and_evaluate,
        arguments={"features": features, "config": config, "budget": budget, "folder": run.folder},
        folder=sweeps_folder(),
        memory=memory.total,
        gpus=int(config.device.startswith("cuda")),
    )


def search_and_evaluate(features: FeatureSet, config: SearchConfig, budget: EvalConfig, folder: Path) -> dict[str, Any]:
    """Makes or completes a run folder; returns a line on it.

    Raises:
        RunError: a machine of another kind started it, or see `bmnas.search`.
    """
    run = Run(folder)
    check_machine(folder, config)
    with without_bars():  # they would break the table of the sweep
        for _ in search(features, config, run):
            pass
        answer = read_out(run, features)
        results = evaluate_run(run, answer, features, config, budget)
    best = next(result for result in results if result.name == SEARCHED)
    return {
        "run": run.name,
        "genotype": answer.chosen.digest(),
        "metric": best.metric,
        "scores": list(best.scores),
        "methods": {result.name: result.mean for result in results},
    }


def evaluate_run(
    run: Run, answer: Selection, features: FeatureSet, config: SearchConfig, budget: EvalConfig
) -> list[Evaluation]:
    """Trains, tests and writes what notebook 04 does, rows made by hand and joint training left out."""
    contest = Contest(
        run=run,
        features=features,
        config=config,
        budget=budget,
        genotype=answer.chosen,
        selection=answer,
        command=f"python3 run.py notebook 04 -p run_name {run.name}",
    )
    train_and_save(run, answer.chosen, features, config, budget)
    results = list(evaluate_field(contest, field_rows(contest)))
    save_evaluation(run, results, features, budget)
    return results


def sweeps_folder() -> Path:
    """Returns where the lines of all sweeps are."""
    return runs_root() / "_sweeps"


def _forget(jobs: Iterable[Job], made: str, place: Path) -> None:
    """Removes the lines of jobs whose folder somebody has deleted since."""
    for job in jobs:
        if job.path.exists() and not (place / job.result()[made]).exists():
            job.path.unlink()
