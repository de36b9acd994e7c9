"""Processes of this machine, by joblib."""

from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome

LOST = "its worker ended without an answer, most often stopped by the system for lack of memory: take fewer workers"


class Joblib:
    """The engine `joblib`: worker processes (loky) that stay for the next jobs.

    When one dies, joblib ends them all. The jobs that were being computed are lost then; the others start anew.
    """

    shares_fate = True

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine, see `bmnas.storage.job_list.Engine`."""
        return workers

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job, see `bmnas.storage.job_list.Engine`."""
        from joblib import Parallel  # here: time that a process without workers does not need

        settings: dict[str, Any] = {
            "n_jobs": max(2, workers),  # with 1 joblib would compute in this process
            "backend": "loky",
            "batch_size": 1,
            "pre_dispatch": workers,
            "return_as": "generator_unordered",
        }
        waiting = list(jobs)
        while waiting:
            started: list[Job] = []
            settled: list[Job] = []
            try:
                pool: Any = Parallel(**settings)
                for outcome in pool(_tasks(work, waiting, started)):
                    settled.append(outcome.job)
                    yield outcome
            except BrokenProcessPool:
                yield from (Outcome(job, "lost", LOST) for job in started if job not in settled)
            waiting = [job for job in waiting if job not in started]


def _tasks(work: Execute, jobs: Sequence[Job], started: list[Job]) -> Iterator[Any]:
    """Yields tasks for joblib, which takes one whenever a worker is free, and notes which it took."""
    from joblib import delayed  # here, see above

    for job in jobs:
        started.append(job)
        yield delayed(work)(job)


JOB_ENGINES["joblib"] = Joblib()
