"""Jobs: computed once, claimed by a lock file, tried twice, and never stopping one another."""

import json
import os
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.machine import processor
from bmnas.storage import job_list, jobs
from bmnas.storage.job_list import JOB_ENGINES, failures, run_jobs
from bmnas.storage.jobs import Job, execute
from bmnas.storage.lock import hold
from tests.support.small_jobs import calls, results, square, square_job


def test_results_come_in_order_and_are_computed_once(tmp_path):
    work = [square_job(tmp_path, x) for x in (3, 1, 2, 3)]
    outcomes = run_jobs(work)
    assert [outcome.result() for outcome in outcomes] == [{"square": x * x} for x in (3, 1, 2, 3)]
    before = results(tmp_path)
    again = run_jobs(work)
    assert [outcome.status for outcome in again] == ["read"] * 4
    assert calls(tmp_path) == {1: 1, 2: 1, 3: 1} and results(tmp_path) == before


def test_the_machine_lies_beside_the_result_and_not_in_it(tmp_path):
    job = square_job(tmp_path, 2)
    run_jobs([job])
    timing = json.loads(job.timing.read_text())
    assert timing["machine"]["processor"] == processor() and timing["machine"]["packages"]["torch"]
    assert job.seconds() == timing["seconds"] > 0
    assert json.loads(job.path.read_text()) == {"square": 4, "about": {"square of": 2}}


@pytest.mark.parametrize("place", range(3))
def test_a_job_that_fails_is_tried_twice_and_stops_no_other(tmp_path, place):
    work = [square_job(tmp_path, x, fails=x == place) for x in range(3)]
    reported = []
    outcomes = run_jobs(work, report=lambda outcome, done, total: reported.append((outcome.status, done, total)))
    assert [outcome.finished for outcome in outcomes] == [x != place for x in range(3)]
    assert calls(tmp_path) == {x: 2 if x == place else 1 for x in range(3)}
    assert [status for status, *_ in reported].count("failed") == 2 and reported[-1][1:] == (3, 3)
    assert "KeyError" in outcomes[place].error and "unforeseen" in failures(outcomes)
    with pytest.raises(RunError, match="unforeseen"):
        outcomes[place].result()


def test_a_job_that_another_process_computes_is_left_to_it_and_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(job_list, "PAUSE", 0.01)
    theirs, ours = square_job(tmp_path, 1), square_job(tmp_path, 2)
    theirs.folder.mkdir()
    finish = threading.Event()

    def other_process():
        with hold(theirs.lock):
            claimed.set()
            finish.wait()
            jobs.write_json(theirs.path, {"square": "theirs", "about": theirs.identity})

    claimed = threading.Event()
    thread = threading.Thread(target=other_process)
    thread.start()
    claimed.wait()
    assert execute(theirs).status == "elsewhere"
    outcomes = run_jobs([theirs, ours], report=lambda outcome, done, total: finish.set())
    thread.join()
    assert outcomes[0].result() == {"square": "theirs"} and calls(tmp_path) == {2: 1}


def test_a_claim_whose_process_died_is_taken_over(tmp_path):
    job = square_job(tmp_path, 1)
    job.folder.mkdir()
    child = os.fork()
    if not child:
        with hold(job.lock):
            os._exit(0)  # as a kill: the file stays, the system's lock does not
    os.waitpid(child, 0)
    assert job.lock.exists() and execute(job).status == "computed" and not job.lock.exists()


def test_a_worker_that_cannot_see_the_folder_says_so(tmp_path):
    job = square_job(tmp_path / "elsewhere", 1)
    outcome = execute(job)
    assert outcome.wrong and str(job.folder) in outcome.error and not job.folder.exists()


def test_a_result_that_the_driver_cannot_see_is_no_result(tmp_path, monkeypatch):
    monkeypatch.setattr(job_list, "VISIBLE", 0.0)

    class FarAway:
        shares_fate = False

        def side_by_side(self, workers, address):
            return 0

        def run(self, work, jobs, workers, address):
            return (jobs_outcome(job) for job in jobs)

    def jobs_outcome(job):
        return jobs.Outcome(job, "computed", host="far")

    monkeypatch.setitem(JOB_ENGINES, "far", FarAway())
    (outcome,) = run_jobs([square_job(tmp_path, 1)], "far")
    assert outcome.status == "failed" and "far" in outcome.error


def test_a_job_that_needs_more_memory_than_there_is_says_so(tmp_path):
    (outcome,) = run_jobs([replace(square_job(tmp_path, 1), memory=10**15)])
    assert outcome.wrong and "1000000.0 GB" in outcome.error and calls(tmp_path) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"square": 1}', '{"square": 1, "about": {"square of": 2}}'])
def test_a_damaged_result_is_an_error_that_names_the_file(tmp_path, content):
    job = square_job(tmp_path, 1)
    run_jobs([job])
    job.path.write_text(content)
    with pytest.raises(RunError, match=job.path.name):
        run_jobs([job])[0].result()
    assert job.path.read_text() == content


@pytest.mark.parametrize(("workers", "error"), [(0, ConfigError), (True, ConfigError), ("2", ConfigError)])
def test_workers_are_a_number(tmp_path, workers, error):
    with pytest.raises(error, match="workers"):
        run_jobs([square_job(tmp_path, 1)], workers=workers)


def test_an_unknown_engine_lists_those_there_are(tmp_path):
    with pytest.raises(UnknownNameError, match="joblib"):
        run_jobs([square_job(tmp_path, 1)], "jobli")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda v: st.lists(v, max_size=3)
)
IDENTITIES = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)


@settings(deadline=None)
@given(IDENTITIES, IDENTITIES)
def test_other_identities_have_other_files(tmp_path_factory, one, other):
    def path(identity):
        return Job("it", identity, square, {}, tmp_path_factory.getbasetemp()).path

    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (path(one) == path(other)) == same
