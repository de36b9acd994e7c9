"""Ray: jobs as tasks of a cluster, or of processes that Ray starts on this machine."""

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from bmnas.errors import ConfigError
from bmnas.machine import optional_package
from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome

PATIENCE = 5.0  # seconds until a machine must have answered
NAMES = ("auto", "local")  # what Ray takes in place of an address


class Ray:
    """The engine `ray`: `ray` (a cluster of this machine alone, else processes), `ray:auto` (a cluster that runs here,
    of any number of machines), `ray:host:6379` (its head) or `ray://host:10001` (from outside the cluster).
    """

    shares_fate = False

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine, see `bmnas.storage.job_list.Engine`."""
        return 0 if address not in ("", "local") or "RAY_ADDRESS" in os.environ else workers

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
        ConfigError: no cluster answers at the address, or Ray does not start here.
    """
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        settings["address"] = f"ray:{address}" if address.startswith("//") else address
    where = settings.get("address") or os.environ.get("RAY_ADDRESS", "")
    try:
        if where:
            _check_port(where)
            ray.init(**settings)
            return
        try:
            ray.init(num_cpus=workers, include_dashboard=False, **settings)
        except ValueError:  # a cluster runs here, which has its own number of processors
            ray.init(**settings)
    except Exception as error:  # Ray raises plain ones too, as where a node does not start in time
        ray.shutdown()  # what it had begun
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        wrong = f"no Ray cluster answers at {where!r}" if where else "Ray does not start on this machine"
        remedy = "start one with `ray start --head` and give its address" if where else "call again"
        raise ConfigError(f"{wrong} ({reason}); {remedy}, or take the engine 'joblib'") from error


def _check_port(where: str) -> None:
    """Looks whether anything listens at an address, as Ray itself would ask for minutes.

    Raises:
        OSError: nothing does.
        ValueError: the address has no host, or no port.
    """
    if where in NAMES:
        return
    parts = urlsplit(where if "://" in where else f"//{where}")
    if not parts.hostname or parts.port is None:
        raise ValueError("expected an address as head:6379, or //head:10001")
    socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE).close()


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
