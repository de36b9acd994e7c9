"""Nothing is lost: kill -9, a full disk, a read-only folder, a second process, and a clock that jumps."""

import datetime
import errno
import gc
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch

from bmnas.errors import FeatureError, GenotypeError, RunError
from bmnas.evaluation.evaluation import evaluate
from bmnas.features.done_log import DoneLog
from bmnas.features.feature_set import FeatureSet
from bmnas.scale.seeds.search import search_seeds
from bmnas.searching import read_outs
from bmnas.searching.algorithm1 import search
from bmnas.searching.other_process import follow, process_at_work, wait_for
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.storage import whole_files as files
from bmnas.storage.checkpoint import load_state, save_state, save_tensors
from bmnas.storage.lock import hold
from bmnas.storage.lock import holder as lock_holder
from bmnas.storage.records import append_record, read_records
from bmnas.storage.whole_files import whole
from bmnas.tasks.planted import answer, planted_genotype
from bmnas.tasks.preparation import prepare
from tests.support.tiny import BUDGET, CONFIG, tiny_features

ROOT = Path(__file__).resolve().parents[2]
FULL = 50_000  # bytes that a file may have where the disk is "full"


def python(program, *args, **more):
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)], cwd=ROOT, text=True, stdout=subprocess.PIPE, **more
    )


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# kill -9


@pytest.mark.slow
def test_killed_at_a_random_moment_of_each_stage_the_end_is_the_same():
    command = [sys.executable, "benchmarks/kill.py", "--kills", "5", "--each-stage", "--seed", str(os.getpid())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    tally = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert tally["kills"] >= 5 and tally["different"] == 0 and tally["files"] > 30


def features_and_scores(folder):
    torch.set_num_threads(1)
    prepare("digits", samples=30, copies=0, cache=folder, device="cpu")
    features = prepare("planted", samples=64, cache=folder)
    evaluate("it", planted_genotype(features), features, CONFIG, BUDGET, Run(folder / "run"))


def test_features_are_the_same_in_another_process(tmp_path):
    other = get_context("forkserver").Process(target=features_and_scores, args=(tmp_path / "a",))
    other.start()
    features_and_scores(tmp_path / "b")
    other.join()
    assert other.exitcode == 0
    found = [{n: data for n, data in content(tmp_path / name).items() if "timing" not in n} for name in ("a", "b")]
    assert found[0] == found[1] and len([n for n in found[0] if "scores" in n]) == BUDGET.seeds
    assert sum(n.endswith("manifest.json") for n in found[0]) == 2


def test_what_a_killed_process_left_beside_the_features_is_removed(tmp_path):
    (tmp_path / ".features-dead.partial").mkdir()
    (tmp_path / ".others-dead.partial").mkdir()
    tiny_features().save(tmp_path / "features")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".others-dead.partial", "features"]


# a full disk


@pytest.fixture
def full():
    """No file may grow beyond FULL bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


LARGE = torch.zeros(FULL)
WRITERS = {
    "text": lambda folder: Run(folder).save_text("file", "x" * 2 * FULL),
    "json": lambda folder: Run(folder).save_json("file", ["x" * 2 * FULL]),
    "state": lambda folder: save_state(folder / "file", {"w": LARGE}),
    "tensors": lambda folder: save_tensors(folder / "file", {"w": LARGE}, {}),
    "record": lambda folder: append_record(folder / "file", {"epoch": 2, "text": "x" * 2 * FULL}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_keeps_the_last_good_file(tmp_path, full, writer):
    folder = tmp_path / "run"
    folder.mkdir()
    append_record(folder / "file", {"epoch": 1})
    before = content(folder)
    with pytest.raises(RunError, match="file cannot be written"):
        WRITERS[writer](folder)
    assert content(folder) == before
    assert read_records(folder / "file") == [{"epoch": 1}]


def test_a_full_disk_leaves_no_half_of_a_feature_set(tmp_path, full):
    with pytest.raises(FeatureError, match="features"):
        tiny_features(samples=2000).save(tmp_path / "features")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def whole_search(tmp_path_factory):
    """Features on the disk, and a search of them that nothing stopped."""
    folder = tmp_path_factory.mktemp("whole")
    features = FeatureSet.open(tiny_features().save(folder / "features"))
    list(search(features, CONFIG, Run(folder / "run")))
    return features, Run(folder / "run")


@pytest.mark.parametrize("after", range(1, 9))
def test_a_disk_that_fills_up_during_a_search(whole_search, tmp_path, monkeypatch, after):
    features, uninterrupted = whole_search
    run, count, replace = Run(tmp_path / "run"), iter(range(1, 100)), os.replace

    def sometimes(source, target):
        if next(count) >= after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", sometimes)
    try:
        list(search(features, CONFIG, run))
    except RunError as error:
        assert "No space left on device" in str(error)
    assert not list(run.folder.glob("*.partial"))
    monkeypatch.undo()
    list(search(features, CONFIG, run))
    for name in ("trace.jsonl", "config.json"):
        assert run.path(name).read_bytes() == uninterrupted.path(name).read_bytes()
    ours, theirs = (load_state(r.path("checkpoint.safetensors")) for r in (run, uninterrupted))
    assert ours["epoch"] == theirs["epoch"] == CONFIG.epochs


# a read-only folder


@pytest.mark.parametrize("error", [PermissionError(errno.EACCES, "no"), OSError(errno.EROFS, "read-only")])
def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch, error):
    def refuse(*args, **more):
        raise error

    def refuse_to_write(path, flags, *args, **more):
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise error
        return read_only(path, flags, *args, **more)

    features, read_only = tiny_features(), os.open
    run = Run(tmp_path / "run")
    list(search(features, CONFIG, run))
    before = content(tmp_path)
    monkeypatch.setattr(os, "open", refuse_to_write)
    with pytest.raises(RunError, match="cannot be written"):
        next(search(features, CONFIG, run))
    monkeypatch.undo()
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunError, match="cannot be written"):
        next(search(features, CONFIG, Run(tmp_path / "other")))
    monkeypatch.undo()
    monkeypatch.setattr(Path, "write_text", refuse)
    with pytest.raises(GenotypeError, match="cannot be written"):
        answer(("A_1", "B_1")).save(tmp_path / "genotype.json")
    assert content(tmp_path) == before


def test_an_error_of_ours_is_not_mistaken_for_the_disks(tmp_path):
    (tmp_path / "file").write_text("good")
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "file") as partial:
        partial.write_text("bad")
        raise ZeroDivisionError
    assert content(tmp_path) == {"file": b"good"}


# a file system of its own, really full and really read-only

PRIVATE = """
import subprocess, sys
from pathlib import Path
from bmnas.errors import BmnasError
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.searching.algorithm1 import search
from bmnas.scale.seeds.search import search_seeds
from bmnas.searching.read_outs import read_out
from bmnas.evaluation.evaluation import evaluate
from tests.support.tiny import BUDGET, CONFIG, tiny_features

place, whole = Path(sys.argv[1]), Path(sys.argv[2])
config = CONFIG.change(epochs=3)

def mount(options, *more):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, *more, "tmpfs", str(place)], check=True)

def content(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and "timing" not in str(p)}

def work(run, features):
    list(search(features, config, run))
    genotype = read_out(run, features).chosen
    evaluate("it", genotype, features, config, BUDGET, run)

features = FeatureSet.open(tiny_features().save(whole / "features"))
work(Run(whole / "run"), features)
expected = content(whole / "run")
mount("size=4k")
run, refused, kilobytes = Run(place / "run"), 0, 4
while True:
    try:
        work(run, features)
        break
    except BmnasError as error:
        assert "No space left on device" in str(error), error
        assert not list(place.rglob("*.partial")), "a half-written file was left"
        refused += 1
    kilobytes += 4
    mount(f"size={kilobytes}k", "-o", "remount")
found = content(run.folder)
differ = {name for name in expected if found.get(name) != expected[name]}
assert differ <= {"environment.json", "features.json"}, differ  # the second names a folder by a relative path
mount("ro", "-o", "remount")
for again in (lambda: next(search(features, config, run)), lambda: work(Run(place / "other"), features)):
    try:
        again()
        raise SystemExit("a read-only file system was written to")
    except BmnasError as error:
        assert "Read-only file system" in str(error), error
assert content(run.folder) == found
print(refused)
"""


def may_mount():
    """Whether this process may mount a file system that nobody else sees."""
    tried = "mount -t tmpfs -o size=4k tmpfs /mnt"
    return (
        sys.platform == "linux"
        and not subprocess.run(["unshare", "-m", "sh", "-c", tried], capture_output=True).returncode
    )


@pytest.mark.skipif(not may_mount(), reason="no file system of its own may be mounted here (unshare -m, mount)")
@pytest.mark.slow
def test_a_disk_that_is_full_again_and_again_and_then_read_only(tmp_path):
    for name in ("place", "whole"):
        (tmp_path / name).mkdir()
    command = ["unshare", "-m", sys.executable, "-c", PRIVATE, str(tmp_path / "place"), str(tmp_path / "whole")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) >= 5  # so often was there no room
    assert list((tmp_path / "place").iterdir()) == []  # nobody else saw it


# a second process

HOLDER = """
import fcntl, os, sys, time
with open(sys.argv[1], "w") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print(os.getpid(), file=file, flush=True)
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of a finished run."""
    features, run = tiny_features(), Run(tmp_path / "run")
    list(search(features, CONFIG, run))
    other = python(HOLDER, run.path("lock"))
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    yield other, run, features
    other.kill()
    other.wait()


def test_a_second_process_is_refused_and_the_first_is_named(holder):
    other, run, features = holder
    before = content(run.folder)
    for work in (lambda: next(search(features, CONFIG, run)), lambda: read_out(run, features)):
        with pytest.raises(RunError, match=f"process {other.pid}"):
            work()
    assert content(run.folder) == before


def test_readers_and_the_evaluation_are_not_held_up(holder):
    _, run, features = holder
    assert len(run.trace()) == CONFIG.epochs and run.features().fingerprint == features.fingerprint
    assert run.config().identity() == CONFIG.identity()
    assert evaluate("it", run.trace().best.genotype, features, CONFIG, BUDGET, run).scores


def test_a_killed_process_holds_up_nobody(holder):
    other, run, features = holder
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert run.path("lock").exists()
    assert len(list(search(features, CONFIG, run))) == CONFIG.epochs
    assert not run.path("lock").exists()


def test_a_lock_that_was_left_is_nobodys_even_where_its_number_is_in_use_again(holder):
    """A killed process leaves the file; another, that has nothing to do with it, may get the number."""
    other, run, _ = holder
    assert process_at_work(run) == other.pid
    left = run.path("lock").read_bytes()
    run.path("lock").unlink()
    run.path("lock").write_bytes(left)
    assert process_at_work(run) is None and len(list(follow(run))) == CONFIG.epochs
    wait_for(run)


def test_who_looks_at_a_lock_that_goes_leaves_none(tmp_path, monkeypatch):
    def gone_meanwhile(process, number):
        (tmp_path / "lock").unlink()

    (tmp_path / "lock").write_text(str(os.getppid()))
    monkeypatch.setattr("bmnas.storage.lock.os.kill", gone_meanwhile)
    assert lock_holder(tmp_path / "lock") is None and list(tmp_path.iterdir()) == []


def test_who_looks_whether_a_lock_is_held_refuses_nobody(tmp_path):
    held, done = [], threading.Event()

    def look():
        while not done.is_set():
            (tmp_path / "lock").write_text(str(os.getppid()))
            held.append(lock_holder(tmp_path / "lock"))

    with ThreadPoolExecutor(1) as pool:
        looking = pool.submit(look)
        try:
            for _ in range(50):
                with hold(tmp_path / "lock"):
                    pass
        finally:
            done.set()
        looking.result()
    assert held


def test_neither_a_process_holds_its_own_lock_twice_nor_a_child_its_parents(tmp_path):
    with hold(tmp_path / "lock"):
        with pytest.raises(RunError, match=f"process {os.getpid()}"), hold(tmp_path / "lock"):
            pass
        assert (tmp_path / "lock").read_text() == str(os.getpid())
        child = os.fork()
        if not child:
            try:
                with hold(tmp_path / "lock"):
                    os._exit(1)
            except RunError:
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert list(tmp_path.iterdir()) == []


WORK = {
    "search": lambda run: next(search(tiny_features(), CONFIG, run)),
    "search_seeds": lambda run: next(search_seeds(tiny_features(), CONFIG, {0: run, 1: None})),
    "read_out": lambda run: read_out(run, tiny_features()),
}


@pytest.mark.parametrize("first", ["search", "search_seeds"])
@pytest.mark.parametrize("second", WORK)
def test_a_second_search_of_the_same_process_is_refused_and_the_first_goes_on(first, second, tmp_path):
    run = Run(tmp_path / "run")
    runs = {0: run, 1: None}
    going = search(tiny_features(), CONFIG, run) if first == "search" else search_seeds(tiny_features(), CONFIG, runs)
    next(going)
    before = content(run.folder)
    with pytest.raises(RunError, match=f"process {os.getpid()}"):
        WORK[second](Run(tmp_path / "run"))
    assert content(run.folder) == before
    list(going)
    assert len(run.trace()) == CONFIG.epochs
    assert run.load_checkpoint() is not None
    WORK["read_out"](run)


READER = """
import sys
from bmnas.searching import read_outs
from bmnas.searching.run_folder import Run
from tests.support.tiny import tiny_features
select = read_outs.select
def at_a_word(*arguments):
    print("reading", flush=True)
    sys.stdin.readline()
    return select(*arguments)
read_outs.select = at_a_word
read_outs.read_out(Run(sys.argv[1]), tiny_features())
"""


def test_a_read_out_of_another_process_is_waited_for_and_its_answer_read_back(tmp_path, monkeypatch):
    """Who follows a search reads it out at the same time as the process that made it: one of them computes it."""
    run, features = Run(tmp_path / "run"), tiny_features()
    list(search(features, CONFIG, run))
    monkeypatch.setattr(read_outs, "select", None)  # nothing is selected in this process
    told = []

    def tell(what, done, of):
        told.append(what)
        assert other.stdin is not None
        print("on", file=other.stdin, flush=True)

    with python(READER, run.folder, stdin=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == "reading\n"
        assert read_out(run, features, tell).chosen == run.genotype()
        assert other.wait(30) == 0
    assert len(told) == 1 and str(other.pid) in told[0]
    assert not list(run.folder.glob("*.lock"))


def test_who_only_watches_a_finished_search_keeps_nobody_from_its_read_out(tmp_path):
    run, features = Run(tmp_path / "run"), tiny_features()
    list(search(features, CONFIG, run))
    watched = search(features, CONFIG, run)
    next(watched)
    assert read_out(run, features).chosen == run.genotype()
    assert len(list(watched)) == CONFIG.epochs - 1


def test_two_searches_in_turns_leave_one_whole_run(tmp_path):
    run = Run(tmp_path / "run")
    a, b = (search(tiny_features(), CONFIG, run) for _ in range(2))
    next(a)
    with pytest.raises(RunError):
        next(b)
    del a
    gc.collect()
    assert not run.path("lock").exists()
    assert len(list(search(tiny_features(), CONFIG, run))) == CONFIG.epochs
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None and checkpoint["epoch"] == len(run.trace()) == CONFIG.epochs


def test_a_result_that_another_thread_computes_is_waited_for(tmp_path):
    """Two evaluations in one process: one trains a seed, the other reads it."""
    run, features = Run(tmp_path / "run"), tiny_features()
    list(search(features, CONFIG, run))
    genotype = run.trace().best.genotype
    with ThreadPoolExecutor(2) as pool:
        work = [pool.submit(evaluate, "it", genotype, features, CONFIG, BUDGET, run) for _ in range(2)]
    first, second = (each.result() for each in work)
    assert first == second
    assert not list(run.path("scores").glob("*.lock"))


def test_an_extraction_is_held_against_its_own_process(tmp_path):
    with DoneLog(tmp_path / "done.jsonl", 9), pytest.raises(FeatureError):
        DoneLog(tmp_path / "done.jsonl", 9)
    with DoneLog(tmp_path / "done.jsonl", 9):
        pass


WITH_A_WORKER = """
import os, sys, time
from pathlib import Path
from bmnas.features.done_log import DoneLog
from bmnas.storage.lock import hold
folder = Path(sys.argv[1])
with hold(folder / "lock"), DoneLog(folder / "done.jsonl", 9):
    worker = os.fork()
    if worker:
        (folder / "told").write_text(str(worker))
    time.sleep(600)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_process_holds_up_nobody_through_its_workers(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", WITH_A_WORKER, str(tmp_path)], cwd=ROOT)
    told = tmp_path / "told"
    while not (told.exists() and told.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    worker = int(told.read_text())
    try:
        time.sleep(0.5)  # for the worker to let go
        with pytest.raises(RunError, match=f"process {process.pid}"), hold(tmp_path / "lock"):
            pass  # its parent has not
        with pytest.raises(FeatureError, match=f"process {process.pid}"):
            DoneLog(tmp_path / "done.jsonl", 9)
        process.kill()
        process.wait()
        os.kill(worker, 0)  # it is still there
        with hold(tmp_path / "lock"), DoneLog(tmp_path / "done.jsonl", 9):
            pass
    finally:
        process.kill()
        os.kill(worker, signal.SIGKILL)


def test_a_search_that_is_given_up_lets_go(tmp_path):
    run = Run(tmp_path / "run")
    going = search(tiny_features(), CONFIG, run)
    next(going)
    assert run.path("lock").exists()
    going.close()
    assert not run.path("lock").exists()


# clocks, versions


def test_a_clock_that_jumps_backwards(tmp_path, monkeypatch):
    jumps = iter([2e9, 1e9, 5e8, 3e9, 1e8] * 200)
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    assert datetime.datetime.now(datetime.UTC)
    events = list(search(tiny_features(), CONFIG, Run(tmp_path / "run")))
    assert all(0 <= event.seconds < 60 and event.seconds_left >= 0 for event in events)
    sources = [*(ROOT / "bmnas").rglob("*.py"), *(ROOT / "widgets").rglob("*.py")]
    assert [path.name for path in sources if "time.time()" in path.read_text(encoding="utf-8")] == []


def test_a_run_of_another_schema_is_refused_with_both_numbers(tmp_path):
    run, features = Run(tmp_path / "run"), tiny_features()
    list(search(features, CONFIG, run))
    about = run.load_json("config.json")
    run.save_json("config.json", {**about, "schema": 99})
    before = content(run.folder)
    with pytest.raises(RunError, match="schema is 99"):
        next(search(features, CONFIG, run))
    with pytest.raises(RunError, match="schema.*99.*1"):
        run.config()
    assert content(run.folder) == before


def test_nothing_of_ours_is_unpickled():
    found = []
    for path in (*(ROOT / "bmnas").rglob("*.py"), *(ROOT / "widgets").rglob("*.py"), *(ROOT / "notebooks").glob("*")):
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                loads = (
                    "pickle.load",
                    "allow_pickle=True",
                    "read_pickle",
                    "joblib.load",
                    "weights_only=False",
                    "extractall(",
                )
                bare = "torch.load(" in line and "weights_only=True" not in line
                if bare or any(word in line for word in loads) or ("np.load(" in line and "allow_pickle" not in line):
                    found.append(f"{path.name}: {line.strip()}")
    assert found == []
