"""Ray: jobs as tasks of a cluster, or of processes that Ray starts on this machine."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

from bmnas.errors import ConfigError
from bmnas.machine import optional_package
from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome


class Ray:
    """The engine `ray`: `ray` (a cluster that runs on this machine, else processes), `ray:auto` (a cluster that runs),
    `ray:host:6379` (its head) or `ray://host:10001` (from outside the cluster).
    """

    shares_fate = False

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job, see `bmnas.storage.job_list.Engine`."""
        ray = optional_package("ray", "ray", "the engine ray (joblib needs nothing more)")
        connected = ray.is_initialized()
        if not connected:
            connect(ray, workers, address)
        try:
            yield from _outcomes(ray, work, jobs, workers)
        finally:
            if not connected:
                ray.shutdown()


def connect(ray: Any, workers: int, address: str) -> None:
    """Connects this process with a cluster, or starts one here.

    Raises:
        ConfigError: no cluster answers at the address.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        settings["address"] = f"ray:{address}" if address.startswith("//") else address
    try:
        if address or "RAY_ADDRESS" in os.environ:
            ray.init(**settings)
            return
        try:
            ray.init(num_cpus=workers, include_dashboard=False, **settings)
        except ValueError:  # a cluster runs here, which has its own number of processors
            ray.init(**settings)
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        where = settings.get("address", os.environ.get("RAY_ADDRESS"))
        raise ConfigError(
            f"no Ray cluster answers at {where!r} ({' '.join(str(error).split())[:200]}); start one with "
            "`ray start --head`, or take the engine 'joblib'"
        ) from error


def _outcomes(ray: Any, work: Execute, jobs: Sequence[Job], workers: int) -> Iterator[Outcome]:
    """Keeps `workers` tasks at work; Ray itself retries nothing."""
    waiting, running = list(reversed(jobs)), {}
    while waiting or running:
        while waiting and len(running) < workers:
            job = waiting.pop()
            task = ray.remote(num_cpus=1, num_gpus=job.gpus, max_retries=0)(work)
            running[task.remote(job)] = job
        ready, _ = ray.wait(list(running), num_returns=1)
        for reference in ready:
            job = running.pop(reference)
            try:
                yield ray.get(reference)
            except ray.exceptions.RayError as error:
                lines = str(error).strip().split("\n")  # of an error in Python the last one says what it was
                reason = lines[-1 if isinstance(error, ray.exceptions.RayTaskError) else 0][:200]
                yield Outcome(job, "lost", f"its worker, or the machine that it ran on, was lost ({reason})")


JOB_ENGINES["ray"] = Ray()
