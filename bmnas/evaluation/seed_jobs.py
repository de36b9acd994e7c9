"""Seeds that are trained at once: each result of an evaluation as a job of the run folder."""

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

from bmnas.errors import ConfigError, RunError, warn
from bmnas.evaluation.results import CACHED
from bmnas.searching.run_folder import Run
from bmnas.storage.job_list import JOB_ENGINES, failures, run_jobs
from bmnas.storage.jobs import Job

ALONE = "joblib"
_chosen: ContextVar[tuple[int, str]] = ContextVar("workers", default=(1, ALONE))


def use_workers(workers: int = 1, engine: str = ALONE) -> None:
    """Trains so many seeds of each method at once, in all evaluations that follow.

    One worker of joblib is this process itself, which trains one after another.

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


def train_at_once(
    name: str,
    run: Run | None,
    compute: Callable[..., dict[str, Any]],
    seeds: Iterable[tuple[Any, Any]],
    memory: int = 0,
) -> None:
    """Computes the results of several seeds as `use_workers` says, into the run folder.

    A seed that failed is left out, with a warning: trained again by the caller, it raises its own error.

    Args:
        name: of the method, for messages.
        run: where they are kept; without one nothing is done.
        compute: arguments -> a result.
        seeds: identity and arguments of each result.
        memory: bytes that each takes at least.

    Raises:
        RunError: the workers of a seed died, twice: it might take this process along, too. Other seeds are kept.
        ConfigError: see `bmnas.storage.job_list.run_jobs`.
    """
    workers, engine = _chosen.get()
    if run is None or (workers == 1 and engine == ALONE):
        return
    jobs = [
        Job(
            name=f"{name}, seed {identity['seed']}",
            identity=identity,
            function=cached_part,
            arguments={"compute": compute, "arguments": arguments},
            folder=run.folder,
            kind="scores",
            memory=memory,
        )
        for identity, arguments in seeds
    ]
    outcomes = run_jobs(jobs, engine, workers)
    if lost := failures([outcome for outcome in outcomes if outcome.status == "lost"]):
        raise RunError(
            f"{' | '.join(lost.splitlines())}. The results of other seeds are kept; take fewer workers, or a machine "
            "with more memory"
        )
    if failed := failures(outcomes):
        warn(f"{' | '.join(failed.splitlines())}; tried once more, in this process")


def cached_part(compute: Callable[..., dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a result that a run folder keeps."""
    result = compute(**arguments)
    return {name: result[name] for name in CACHED}
