"""Runs many jobs by one of several engines: finished results are read, and what fails is tried once more."""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from bmnas.errors import ConfigError, RunError
from bmnas.machine import free_memory
from bmnas.registry import Registry
from bmnas.storage.jobs import Job, Outcome, execute

PAUSE = 0.5  # seconds between two looks at jobs that other processes compute
VISIBLE = 10.0  # seconds after which a file of another machine must be seen
Execute = Callable[[Job], Outcome]
Report = Callable[[Outcome, int, int], None]  # what became of a job, jobs done, of how many


class Engine(Protocol):
    """What runs jobs: in this process, in several, or on a cluster."""

    @property
    def shares_fate(self) -> bool:
        """Whether a worker that dies takes the jobs of the other workers with it."""
        ...

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine; 0 where it is the machines of a cluster that work."""
        ...

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job as it comes, of a lost worker's jobs too.

        Args:
            work: what a worker does with a job.
            jobs: in the order in which they are started.
            workers: how many work at once.
            address: what stands behind the engine's name, as `//head:10001` in `ray://head:10001`.

        Raises:
            ConfigError: the engine is not installed, or does not answer.
        """
        ...


JOB_ENGINES = Registry("engine")
"""Name -> engine; `bmnas.scale.jobs` fills it."""


def run_jobs(
    jobs: Sequence[Job], engine: str = "in-process", workers: int = 1, report: Report | None = None
) -> list[Outcome]:
    """Runs jobs; returns what became of each, in their order. A job that fails does not stop the others.

    A finished result is read. A job that another process of any machine computes is waited for. A job that failed, or
    whose worker died, is tried once more; one that does not fit into the memory of this machine fails at once.

    Args:
        engine: a name in `JOB_ENGINES`, with an address behind a colon where there is a cluster.
        workers: how many jobs are computed at once.
        report: called after each job; a job that will be tried again is reported too.

    Raises:
        UnknownNameError: no such engine; lists those there are.
        ConfigError: `workers` is no whole number of at least 1, the engine cannot work here, or so many workers need
            more memory than there is.
        RunError: the folder of the jobs cannot be made.
    """
    name, _, address = engine.partition(":")
    chosen: Engine = JOB_ENGINES[name]
    if type(workers) is not int or workers < 1:
        raise ConfigError(f"workers is {workers!r}; expected a whole number of at least 1")
    _make_folders(jobs)
    outcomes: dict[str, Outcome] = {}
    waiting = list({job.digest: job for job in jobs}.values())
    total = len(waiting)
    tried: set[str] = set()

    def settle(outcome: Outcome) -> None:
        outcomes[outcome.job.digest] = outcome
        if report is not None:
            report(outcome, len(outcomes), total)

    for job in waiting:
        if job.path.exists():
            settle(Outcome(job, "read"))
    waiting = [job for job in waiting if job.digest not in outcomes]
    for outcome in _check_memory(waiting, chosen.side_by_side(workers, address)):
        settle(outcome)
    waiting = [job for job in waiting if job.digest not in outcomes]
    retries: list[Job] = []
    while retries or waiting:
        if retries:
            alone = 1 if chosen.shares_fate else len(retries)  # or a job that kills its worker takes others along again
            batch = retries[:alone]
            retries = retries[alone:]
            at_once = workers
        else:
            batch = waiting
            waiting = []
            at_once = workers
        for outcome in map(_seen, chosen.run(execute, batch, at_once, address)):
            if outcome.status == "elsewhere":
                waiting.append(outcome.job)
            elif outcome.wrong and outcome.job.digest not in tried:
                tried.add(outcome.job.digest)
                retries.append(outcome.job)
                if report is not None:
                    report(replace(outcome, error=f"{outcome.error}; it is tried once more"), len(outcomes), total)
            else:
                settle(outcome)
        if waiting and not retries:
            time.sleep(PAUSE)
    return [outcomes[job.digest] for job in jobs]


def _check_memory(jobs: Sequence[Job], workers: int) -> list[Outcome]:
    """Returns the failures of jobs that do not fit into memory alone; one that another process is at is not judged.

    Args:
        workers: how many share the memory; with 0 nothing is checked.

    Raises:
        ConfigError: the largest of the other jobs do not fit side by side; says how many workers would.
    """
    if not workers:
        return []
    free = free_memory(torch.device("cpu"))
    too_large = [job for job in jobs if job.memory > free]
    largest = sorted((job.memory for job in jobs if job.memory <= free), reverse=True)[:workers]
    if sum(largest) > free:
        raise ConfigError(
            f"{len(largest)} workers need about {sum(largest) / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free; "
            f"take workers = {free // largest[0]}"
        )
    host = socket.gethostname()
    return [
        Outcome(
            job,
            "failed",
            f"it alone needs about {job.memory / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free on {host}; "
            "take smaller settings, or a larger machine",
        )
        for job in too_large
        if not job.lock.exists()
    ]


def failures(outcomes: Sequence[Outcome]) -> str:
    """Returns a line for each job without a result, and why; "" where all have one."""
    lines = {f"{outcome.job.name}: {outcome.error}" for outcome in outcomes if not outcome.finished}
    return "\n".join(sorted(lines))


def _make_folders(jobs: Sequence[Job]) -> None:
    for folder in {job.folder for job in jobs}:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder} cannot be made: {error}; results need a folder that can be written") from error


def _seen(outcome: Outcome) -> Outcome:
    """Makes sure that a result that a worker wrote is seen here, too."""
    deadline = time.monotonic() + VISIBLE
    while outcome.finished and not outcome.job.path.exists():
        if time.monotonic() > deadline:
            error = (
                f"the worker on {outcome.host} wrote {outcome.job.path}, which cannot be seen from here; workers need "
                "a folder that all machines share: set BMNAS_RUNS to one"
            )
            return replace(outcome, status="failed", error=error)
        time.sleep(PAUSE)
    return outcome
