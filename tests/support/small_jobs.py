"""Small jobs whose worker, or whose driver, a test may kill."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

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


def start_driver(folder, count, seconds, engine="joblib", workers=2):
    """Another process, in a group of its own, that runs so many jobs."""
    driver = multiprocessing.get_context("forkserver").Process(
        target=drive, args=(folder, count, seconds, engine, workers)
    )
    driver.start()
    return driver


def drive(folder, count, seconds, engine, workers):
    """What the process does; its workers belong to its group."""
    os.setsid()
    run_jobs([square_job(folder, x, seconds=seconds) for x in range(count)], engine, workers)
    if engine == "joblib":
        get_reusable_executor().shutdown()  # whose workers would wait five minutes for more
