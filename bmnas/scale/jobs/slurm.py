"""Slurm, by submitit: each job is a job of the queue."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from bmnas.errors import ConfigError
from bmnas.machine import optional_package, runs_root
from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome

PAUSE = 1.0  # seconds between two looks at the queue
MINUTES = 24 * 60  # most that a job may take
LOCAL = "local"


class Slurm:
    """The engine `slurm`: `slurm` (the default partition), `slurm:NAME` (another one), or `slurm:local`, which starts
    processes on this machine in the same way.
    """

    shares_fate = False

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine, see `bmnas.storage.job_list.Engine`."""
        return workers if address == LOCAL else 0

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job, see `bmnas.storage.job_list.Engine`."""
        submitit = optional_package("submitit", "slurm", "the engine slurm (joblib needs nothing more)")
        executor = _executor(submitit, address)
        waiting, running = list(reversed(jobs)), []
        while waiting or running:
            while waiting and len(running) < workers:
                job = waiting.pop()
                if address != LOCAL:
                    executor.update_parameters(slurm_gpus_per_node=job.gpus)
                running.append((job, executor.submit(work, job)))
            ended = [pair for pair in running if pair[1].done()]
            running = [pair for pair in running if pair not in ended]
            for job, task in ended:
                lost = f"its worker was lost; {task.paths.stderr} says more"
                yield task.result() if task.exception() is None else Outcome(job, "lost", lost)
            if not ended:
                time.sleep(PAUSE)


def _executor(submitit: Any, address: str) -> Any:
    folder = runs_root() / "_jobs"
    try:
        executor = submitit.AutoExecutor(folder, cluster=LOCAL if address == LOCAL else "slurm")
    except RuntimeError as error:
        raise ConfigError(
            f"Slurm does not answer here ({error}); call from a machine that has `sbatch`, or take the engine 'joblib'"
        ) from error
    executor.update_parameters(timeout_min=MINUTES, cpus_per_task=1, name="bmnas")
    if address and address != LOCAL:
        executor.update_parameters(slurm_partition=address)
    return executor


JOB_ENGINES["slurm"] = Slurm()
