"""Seeds that are trained at once: each result of an evaluation as a job of the run folder."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

from bmnas.errors import ConfigError
from bmnas.evaluation.results import CACHED
from bmnas.searching.run_folder import Run
from bmnas.storage.job_list import JOB_ENGINES, run_jobs
from bmnas.storage.jobs import Job

_chosen: ContextVar[tuple[int, str]] = ContextVar("workers", default=(1, "joblib"))


def use_workers(workers: int = 1, engine: str = "joblib") -> None:
    """Trains so many seeds of each method at once, in all evaluations that follow; 1 trains one after another here.

    Args:
        engine: where, see `bmnas.storage.job_list.run_jobs`.

    Raises:
        ConfigError: `workers` is no whole number of at least 1.
        UnknownNameError: no such engine; lists those there are.
    """
    if type(workers) is not int or workers < 1:
        raise ConfigError(f"workers is {workers!r}; expected a whole number of at least 1")
    JOB_ENGINES[engine.partition(":")[0]]
    _chosen.set((workers, engine))


def train_at_once(run: Run | None, compute: Callable[..., dict[str, Any]], seeds: Sequence[tuple[Any, Any]]) -> None:
    """Computes the results of several seeds as `use_workers` says, into the run folder; what fails is left out.

    Args:
        run: where they are kept; without one nothing is done.
        compute: arguments -> a result.
        seeds: identity and arguments of each result.
    """
    workers, engine = _chosen.get()
    if run is None or workers == 1:
        return
    jobs = [
        Job(
            name=f"seed {identity['seed']}",
            identity=identity,
            function=cached_part,
            arguments={"compute": compute, "arguments": arguments},
            folder=run.folder,
            kind="scores",
        )
        for identity, arguments in seeds
    ]
    run_jobs(jobs, engine, workers)


def cached_part(compute: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a result that a run folder keeps."""
    result = compute(**arguments)
    return {name: result[name] for name in CACHED}
