"""Engines: whoever computes the jobs, and whoever is killed meanwhile, the results are the same bytes."""

import os
import signal
import socket
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from bmnas import machine
from bmnas.errors import ConfigError
from bmnas.scale.jobs.ray_cluster import connect
from bmnas.storage import job_list
from bmnas.storage.job_list import JOB_ENGINES, run_jobs
from tests.support.small_jobs import calls, results, square_job, start_driver

ROOT = Path(__file__).resolve().parents[2]
CLUSTERS = [
    pytest.param(engine, marks=pytest.mark.skipif(not find_spec(package), reason=f"{package} is not installed"))
    for engine, package in (("ray", "ray"), ("dask", "distributed"), ("slurm:local", "submitit"))
]


def expected(folder, count):
    folder.mkdir()
    run_jobs([square_job(folder, x) for x in range(count)])
    return results(folder)


def test_joblib_retries_what_a_killed_worker_takes_along(tmp_path):
    """The worker of 1 is killed once, that of 2, at work beside it, always; 3 fails. All others are computed, 1 too."""
    oddities = {1: {"dies": "once", "seconds": 2}, 2: {"dies": "always", "seconds": 4}, 3: {"fails": True}}
    work = [square_job(tmp_path, x, **oddities.get(x, {})) for x in range(6)]
    outcomes = run_jobs(work, "joblib", workers=2)
    assert [outcome.status for outcome in outcomes] == [
        "computed",
        "computed",
        "lost",
        "failed",
        "computed",
        "computed",
    ]
    assert calls(tmp_path)[2] == 2 and calls(tmp_path)[3] == 1  # 3 waited for a worker when that of 1 died
    whole = expected(tmp_path / "one process", 6)
    assert results(tmp_path) == {name: whole[name] for name in results(tmp_path)} and len(results(tmp_path)) == 4


def test_a_killed_driver_loses_no_finished_job(tmp_path):
    driver = start_driver(tmp_path, 12, 0.4)
    while len(results(tmp_path)) < 3:
        assert driver.is_alive()
        time.sleep(0.02)
    os.killpg(driver.pid, signal.SIGKILL)  # and its workers
    driver.join()
    kept = {path: path.stat().st_ino for path in (tmp_path / "jobs/results").glob("*.json")}
    run_jobs([square_job(tmp_path, x) for x in range(12)])
    assert kept == {path: path.stat().st_ino for path in kept} and len(kept) >= 3
    assert results(tmp_path) == expected(tmp_path / "one process", 12)


def test_two_drivers_divide_the_work(tmp_path):
    drivers = [start_driver(tmp_path, 10, 0.2), start_driver(tmp_path, 10, 0.2, "in-process", 1)]
    for driver in drivers:
        driver.join()
    assert [driver.exitcode for driver in drivers] == [0, 0]
    assert calls(tmp_path) == dict.fromkeys(range(10), 1)
    assert results(tmp_path) == expected(tmp_path / "one process", 10)


@pytest.mark.slow
@pytest.mark.parametrize("engine", CLUSTERS)
def test_a_cluster_gives_the_same_results(tmp_path, engine, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    work = [square_job(tmp_path, x, dies="once" if x == 1 else "never") for x in range(2)]
    outcomes = run_jobs(work, engine)
    assert [outcome.status for outcome in outcomes] == ["computed", "computed"]
    assert calls(tmp_path) == {0: 1, 1: 2} and results(tmp_path) == expected(tmp_path / "one process", 2)


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("dask", "dask"), ("slurm", "slurm")])
def test_an_engine_that_is_not_installed_gives_the_command(tmp_path, engine, package, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(machine, "import_module", missing)
    with pytest.raises(ConfigError, match=rf"pip install 'bmnas\[{package}\]'"):
        run_jobs([square_job(tmp_path, 1)], engine)


class RayThatFails:
    """Stands for the package; Ray itself would ask an address where nothing is for minutes."""

    def __init__(self, error):
        self.error = error
        self.calls = []

    def init(self, **settings):
        self.calls.append("init")
        raise self.error

    def shutdown(self):
        self.calls.append("shutdown")


@pytest.mark.parametrize("address", ["{}", "//{}", "nowhere.invalid:6379", "127.0.0.1", "127.0.0.1:99999"])
def test_ray_is_not_asked_where_nothing_listens(address):
    ray = RayThatFails(AssertionError("asked"))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # it does not listen
        address = address.format(f"127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(ConfigError, match=f"no Ray cluster answers at .*{address}.*ray start --head.*joblib"):
            connect(ray, 1, address)
    assert "init" not in ray.calls


@pytest.mark.parametrize(("listens", "words"), [(True, "no Ray cluster answers"), (False, "Ray does not start")])
def test_ray_that_does_not_start_gives_one_line(listens, words, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = RayThatFails(Exception("The current node timed out during startup.\nSee the logs."))
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}" if listens else ""
        with pytest.raises(ConfigError, match=rf"^{words}.*timed out during startup\. See the logs.*joblib'$"):
            connect(ray, 1, address)
    assert ray.calls[-1] == "shutdown"


@pytest.fixture
def thousand(monkeypatch):
    """A machine with 1000 free bytes."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(job_list, "free_memory", lambda device: 1000)


@pytest.mark.parametrize("engine", ["joblib", "ray", "ray:local", "dask", "slurm:local"])
def test_workers_that_do_not_fit_into_memory_are_refused_wherever_they_share_it(tmp_path, engine, thousand):
    jobs = [replace(square_job(tmp_path, x), memory=400) for x in range(3)]
    with pytest.raises(ConfigError, match="3 workers need .*workers = 2$"):
        run_jobs(jobs, engine, workers=3)
    assert not calls(tmp_path)


@pytest.mark.parametrize("engine", ["in-process", "ray:auto", "ray://head:1", "dask:tcp://head:1", "slurm", "slurm:x"])
def test_memory_that_is_not_shared_is_not_added_up(tmp_path, engine, thousand, monkeypatch):
    name, _, address = engine.partition(":")
    monkeypatch.setattr(type(JOB_ENGINES[name]), "run", lambda self, work, jobs, *_: map(work, jobs))
    jobs = [replace(square_job(tmp_path, x), memory=400) for x in range(3)]
    assert all(outcome.finished for outcome in run_jobs(jobs, engine, workers=3))


@pytest.mark.parametrize("engine", ["in-process", "joblib"])
def test_a_job_that_does_not_fit_alone_stops_no_other(tmp_path, engine, thousand):
    jobs = [replace(square_job(tmp_path, x), memory=400 if x else 2000) for x in range(3)]
    outcomes = run_jobs(jobs, engine, workers=2)
    assert [outcome.status for outcome in outcomes] == ["failed", "computed", "computed"]
    assert "it alone needs" in outcomes[0].error and "workers" not in outcomes[0].error
    assert calls(tmp_path) == {1: 1, 2: 1}
