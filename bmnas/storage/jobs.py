"""One kind of job: a function with arguments, an identity made of all that decides its result, and one result file.

    <folder>/<kind>/<digest>.json          the result, equal on every machine of one kind, and the identity ("about")
    <folder>/<kind>/<digest>.lock          only while a process computes it
    <folder>/timing/<digest>.json          its seconds, and the machine that computed it

The lock is the claim: any number of processes and machines that share the folder may be given the same jobs.
`bmnas.storage.job_list` runs many of them.
"""

import json
import socket
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from bmnas.errors import BmnasError, RunError
from bmnas.machine import environment, free_memory
from bmnas.storage.digests import json_sha256
from bmnas.storage.lock import hold
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import write_json

Status = Literal["computed", "read", "elsewhere", "failed", "lost"]


class ClaimedElsewhere(RunError):
    """Another process computes this job right now."""


@dataclass(frozen=True)
class Job:
    """One unit of work.

    Attributes:
        name: for people.
        identity: all that decides the result, in JSON values.
        function: a function of a module, so that other processes can import it; returns a JSON object.
        arguments: of the function, by name.
        folder: on a file system that all workers share.
        kind: the subfolder of the results.
        memory: bytes that the function takes; 0 where nobody knows.
        gpus: that the function takes; only engines of a cluster look at it.
    """

    name: str
    identity: Mapping[str, Any]
    function: Callable[..., dict[str, Any]]
    arguments: Mapping[str, Any]
    folder: Path
    kind: str = "results"
    memory: int = 0
    gpus: int = 0

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that name the result."""
        return json_sha256(self.identity)[:16]

    @property
    def path(self) -> Path:
        """Of the result."""
        return self.folder / self.kind / f"{self.digest}.json"

    @property
    def timing(self) -> Path:
        """Of seconds and machine, which may differ between equal results."""
        return self.folder / "timing" / f"{self.digest}.json"

    @property
    def lock(self) -> Path:
        """Of the claim."""
        return self.path.with_suffix(".lock")

    def result(self) -> dict[str, Any]:
        """Reads the result, without the identity.

        Raises:
            RunError: there is none, or it is damaged or of another job.
        """
        value = read_json(self.path, remedy="delete the file to compute it again")
        if value.pop("about", None) != json.loads(json.dumps(self.identity)):
            raise RunError(f"{self.path} is the result of another job; delete the file to compute it again")
        return value

    def seconds(self) -> float:
        """Reads how long the job took; 0 where nobody knows."""
        try:
            seconds = read_json(self.timing).get("seconds")
        except RunError:
            return 0.0
        return float(seconds) if isinstance(seconds, int | float) else 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: it.
        status: "computed" now, "read" as it was finished before, claimed "elsewhere", "failed" with an error, or "lost"
            with its worker.
        error: one sentence; "" where nothing went wrong.
        host: that worked on it.
    """

    job: Job
    status: Status
    error: str = ""
    host: str = field(default_factory=socket.gethostname)

    @property
    def finished(self) -> bool:
        """Whether there is a result."""
        return self.status in ("computed", "read")

    @property
    def wrong(self) -> bool:
        """Whether the job failed, or was lost with its worker."""
        return self.status in ("failed", "lost")

    def result(self) -> dict[str, Any]:
        """Reads the result.

        Raises:
            RunError: the job has none, and why; or see `Job.result`.
        """
        if not self.finished:
            raise RunError(f"{self.job.name}: {self.error or 'another process is computing it'}")
        return self.job.result()


def execute(job: Job, wait: bool = False) -> Outcome:
    """Computes a job in this process, unless it is finished or another process is at it; never raises an `Exception`.

    Args:
        wait: for the other process.
    """
    host = socket.gethostname()
    try:
        if not job.folder.is_dir():
            raise RunError(
                f"the worker on {host} cannot see {job.folder}; workers need the same files under the same paths: "
                "mount the folder there, or set BMNAS_RUNS to a shared one"
            )
        with hold(job.lock, wait=wait, busy=ClaimedElsewhere):
            if job.path.exists():
                return Outcome(job, "read")
            _compute(job)
        return Outcome(job, "computed")
    except ClaimedElsewhere:
        return Outcome(job, "elsewhere")
    except Exception as error:
        return Outcome(job, "failed", explained(error))


def _compute(job: Job) -> None:
    free = free_memory(torch.device("cpu"))
    if job.memory > free:
        raise RunError(
            f"it needs about {job.memory / 1e9:.1f} GB, but {free / 1e9:.1f} GB are free on {socket.gethostname()}; "
            "take fewer workers, or a larger machine"
        )
    started = time.perf_counter()
    value = job.function(**job.arguments)
    seconds = time.perf_counter() - started
    write_json(job.timing, {"seconds": seconds, "machine": environment(torch.get_num_threads())})
    write_json(job.path, {**value, "about": job.identity})


def explained(error: BaseException) -> str:
    """Returns one line on an error: its message, and of a surprising one its class and place too."""
    text = " ".join(str(error).split())
    if isinstance(error, BmnasError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text}{place}"
