"""Dask: jobs as tasks of a scheduler, or of processes that Dask starts on this machine."""

from collections.abc import Iterator, Sequence

from bmnas.errors import ConfigError
from bmnas.machine import optional_package
from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome


class Dask:
    """The engine `dask`: `dask` (processes of this machine) or `dask:tcp://host:8786` (a scheduler that runs)."""

    shares_fate = False

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine, see `bmnas.storage.job_list.Engine`."""
        return 0 if address else workers

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job, see `bmnas.storage.job_list.Engine`."""
        distributed = optional_package("distributed", "dask", "the engine dask (joblib needs nothing more)")
        try:
            scheduler = address or distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            )
            client = distributed.Client(scheduler, timeout="10s")
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no Dask scheduler answers at {address!r} ({error}); start one with `dask scheduler`, or take the "
                "engine 'joblib'"
            ) from error
        with client:
            waiting, running = list(reversed(jobs)), distributed.as_completed()
            job_of = {}
            while waiting or job_of:
                while waiting and len(job_of) < workers:
                    job = waiting.pop()
                    future = client.submit(work, job, pure=False, retries=0)
                    job_of[future.key] = job
                    running.add(future)
                future = next(running)
                job, error = job_of.pop(future.key), future.exception()
                yield future.result() if error is None else Outcome(job, "lost", f"its worker was lost ({error})")


JOB_ENGINES["dask"] = Dask()
