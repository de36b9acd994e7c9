"""One job after another, in this process."""

from collections.abc import Iterator, Sequence

from bmnas.storage.job_list import JOB_ENGINES, Execute
from bmnas.storage.jobs import Job, Outcome


class InProcess:
    """The engine `in-process`; the number of workers has no effect."""

    shares_fate = False

    def side_by_side(self, workers: int, address: str) -> int:
        """Returns how many jobs share the memory of this machine, see `bmnas.storage.job_list.Engine`."""
        return 1

    def run(self, work: Execute, jobs: Sequence[Job], workers: int, address: str) -> Iterator[Outcome]:
        """Yields the outcome of each job, see `bmnas.storage.job_list.Engine`."""
        return map(work, jobs)


JOB_ENGINES["in-process"] = InProcess()
