"""Small jobs whose worker, or whose driver, a test may kill.

python -m tests.support.small_jobs FOLDER JOBS ENGINE WORKERS SECONDS
"""

import os
import signal
import sys
import time
from pathlib import Path

from bmnas.storage.job_list import run_jobs
from bmnas.storage.jobs import Job


def square(x, log=None, seconds=0.0, dies="never", fails=False):
    """The square of x; a line in `log` for each call.

    Args:
        dies: "never", "once" (the worker is killed by the first call) or "always".
        fails: raises an error that nobody foresaw.
    """
    calls = 0
    if log is not None:
        with Path(log).open("a") as file:
            file.write(f"{x}\n")
        calls = Path(log).read_text().split().count(str(x))
    time.sleep(seconds)
    if dies == "always" or (dies == "once" and calls == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if fails:
        raise KeyError("unforeseen")
    return {"square": x * x}


def square_job(folder, x, **arguments):
    return Job(
        name=f"square of {x}",
        identity={"square of": x},
        function=square,
        arguments={"x": x, "log": str(folder / "log"), **arguments},
        folder=folder / "jobs",
    )


def calls(folder):
    """x -> how many times its square was computed."""
    lines = (folder / "log").read_text().split() if (folder / "log").exists() else []
    return {int(line): lines.count(line) for line in lines}


def results(folder):
    """File -> bytes of all results, whoever made them."""
    return {path.name: path.read_bytes() for path in sorted((folder / "jobs/results").glob("*.json"))}


if __name__ == "__main__":
    place, count, engine, workers, pause = sys.argv[1:]
    jobs = [square_job(Path(place), x, seconds=float(pause)) for x in range(int(count))]
    run_jobs(jobs, engine, int(workers))
