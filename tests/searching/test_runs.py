"""The run folder: whose it is, what happens to damaged files, and how runs are found."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from bmnas.config.settings import LATER_DEFAULTS
from bmnas.errors import RunError
from bmnas.searching.algorithm1 import search
from bmnas.searching.other_process import follow, is_searched
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import list_runs, open_run, run_name
from bmnas.storage.checkpoint import load_state, save_state
from tests.support.tiny import CONFIG, tiny_features
from widgets.labs.gap import Gap
from widgets.runs.rows import run_row
from widgets.search.replay import replay_of

FILES = ("config.json", "features.json", "environment.json", "trace.jsonl", "timing.jsonl", "checkpoint.safetensors")


@pytest.fixture(scope="module")
def features():
    return tiny_features()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, features):
    """A run of four epochs; tests that damage it take a copy."""
    run = Run(tmp_path_factory.mktemp("runs") / "finished")
    list(search(features, CONFIG, run))
    return run


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy")
    return Run(tmp_path / "copy")


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# whose it is


def test_what_a_search_leaves(finished):
    assert {path.name for path in finished.folder.iterdir()} == {*FILES, "features"}
    assert not list(finished.folder.rglob("*.partial"))
    assert len(finished.path("trace.jsonl").read_text().splitlines()) == 4
    for name in ("seconds", "peak_memory_mb", "date"):
        assert name not in finished.path("trace.jsonl").read_text()
        assert name in finished.path("timing.jsonl").read_text()
    about = finished.load_json("environment.json")
    assert set(about["packages"]) >= {"torch", "numpy", "bmnas"} and about["python"]


def test_another_configuration(run, features):
    before = content(run.folder)
    with pytest.raises(RunError) as error:
        next(search(features, CONFIG.change(C=8, max_lr=1e-3), run))
    message = str(error.value)
    assert "search.C" in message
    assert "search.max_lr" in message
    assert "search.M" not in message and "Nothing was changed" in message
    assert content(run.folder) == before


def test_other_features(run):
    before = content(run.folder)
    other = tiny_features(seed=1)
    with pytest.raises(RunError, match=f"features is '.*' there, '{other.fingerprint}' here"):
        next(search(other, CONFIG, run))
    assert content(run.folder) == before


def test_device_and_threads_do_not_make_it_another_run(run, features):
    assert len(list(search(features, CONFIG.change(device="auto", threads=2), run))) == 4


def test_a_finished_run_is_read_back_and_not_changed(run, features, finished):
    before = content(run.folder)
    again = list(search(features, CONFIG, run))
    assert [event.record() for event in again] == [event.record() for event in finished.trace()]
    assert [event.seconds for event in again] == [event.seconds for event in finished.trace()]
    assert content(run.folder) == before


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a;b", "ä"])
def test_names_of_runs(tmp_path, name):
    with pytest.raises(RunError, match="expected letters, digits"):
        Run(tmp_path / name if name else "/")


# features and configuration of the run


def test_features_in_memory_are_kept_in_the_run(run, features):
    again = run.features()
    assert again.fingerprint == features.fingerprint and again.folder is not None
    assert again.names == features.names and again.classes == features.classes
    for name, array in features.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
    for split in ("train", "val", "test"):
        np.testing.assert_array_equal(again.rows(split), features.rows(split))


def test_features_with_a_folder_are_only_referred_to(tmp_path, features):
    features.save(tmp_path / "stored")
    opened = type(features).open(tmp_path / "stored")
    run = Run(tmp_path / "run")
    next(search(opened, CONFIG, run))
    assert not run.path("features").exists()
    assert run.features().fingerprint == features.fingerprint
    shutil.move(tmp_path / "stored", tmp_path / "elsewhere")
    with pytest.raises(RunError, match="notebook 01"):
        run.features()
    tiny_features(seed=1).save(tmp_path / "stored")
    with pytest.raises(RunError, match="features"):
        run.features()


def test_configuration_and_data_set(finished):
    assert finished.config().identity() == CONFIG.identity()
    assert finished.dataset() == "planted"


# damage


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "[]",
            "{}",
            '{"search": [], "dataset": "planted"}',
            '{"search": {"Q": 1}}',
            '{"search": {"C": "x"}}',
        ),
        '{"dataset": "planted", "features": "", "search": {"C": "x"}}',
        '{"dataset": "planted", "features": "", "search": {"Q": 1}}',
        '{"dataset": "planted", "features": "", "search": {}, "other": 1}',
        '{"dataset": "planted", "features": "", "search": {}, "schema": 2}',
        '{"dataset": 3, "features": "", "search": {}}',
    ],
)
def test_a_damaged_configuration(run, text):
    run.path("config.json").write_text(text)
    with pytest.raises(RunError) as error:
        run.config()
    assert str(run.path("config.json")) in str(error.value)


def test_a_folder_of_an_older_version_opens_and_resumes(run, features):
    about = run.load_json("config.json")
    settings = {name: value for name, value in about["search"].items() if name not in LATER_DEFAULTS}
    old = {name: about[name] for name in ("schema", "dataset", "features")} | {"search": settings | {"threads": None}}
    run.save_json("config.json", old)
    assert run.config().digest() == CONFIG.digest() and run.source() == ""
    assert len(list(search(features, CONFIG, run))) == 4


def test_a_missing_configuration(tmp_path):
    with pytest.raises(RunError, match="config.json"):
        Run(tmp_path / "none").config()


def damage(run, number, line):
    lines = run.path("trace.jsonl").read_text().splitlines()
    lines[number - 1] = line
    run.path("trace.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("line", ["", "{", "nonsense", '{"epoch": 2}', '{"epoch": 2, "colour": 1}', "[]", "7"])
def test_a_damaged_line_of_the_trace(run, features, line):
    damage(run, 2, line)
    for read in (run.trace, lambda: list(search(features, CONFIG, run))):
        with pytest.raises(RunError) as error:
            read()
        assert f"{run.path('trace.jsonl')}, line 2" in str(error.value)


def test_a_trace_that_is_no_text(run, features):
    run.path("trace.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunError, match=r"trace\.jsonl"):
        run.trace()


def test_a_line_that_was_being_written_is_ignored(run, finished):
    text = run.path("trace.jsonl").read_text()
    run.path("trace.jsonl").write_text(text + text[:50])
    assert [e.record() for e in run.trace()] == [e.record() for e in finished.trace()]


@pytest.mark.parametrize("name", ["trace.jsonl", "timing.jsonl"])
def test_a_line_that_was_being_written_is_cut_off_when_the_search_goes_on(tmp_path, features, finished, name):
    run = Run(tmp_path / "run")
    going = search(features, CONFIG, run)
    next(going)
    next(going)
    going.close()
    with open(run.path(name), "a") as file:
        file.write('{"epoch": 3, "epo')
    list(search(features, CONFIG, run))
    assert run.path("trace.jsonl").read_bytes() == finished.path("trace.jsonl").read_bytes()
    assert [e.epoch for e in run.trace() if e.seconds > 0] == [1, 2, 3, 4]


def test_a_trace_ahead_of_its_checkpoint_is_cut_back(tmp_path, features, finished):
    run = Run(tmp_path / "run")
    going = search(features, CONFIG, run)
    next(going)
    next(going)
    early = run.path("checkpoint.safetensors").read_bytes()
    next(going)
    going.close()
    run.path("checkpoint.safetensors").write_bytes(early)
    state = run.load_checkpoint()
    assert state is not None and state["epoch"] == 2
    assert [len(run.path(name).read_text().splitlines()) for name in ("trace.jsonl", "timing.jsonl")] == [2, 2]
    list(search(features, CONFIG, run))
    assert run.path("trace.jsonl").read_bytes() == finished.path("trace.jsonl").read_bytes()


def test_a_search_that_has_just_started_is_followed(tmp_path):
    """Its process may hold the folder before it has written anything."""
    run = Run(tmp_path / "run")
    assert list(follow(run)) == [] and not is_searched(run)


def test_who_only_reads_cuts_nothing_back(tmp_path, features):
    """A search appends to the trace before it replaces the checkpoint; in between somebody may read."""
    run = Run(tmp_path / "run")
    going = search(features, CONFIG, run)
    next(going)
    early = run.path("checkpoint.safetensors").read_bytes()
    next(going)
    going.close()
    run.path("checkpoint.safetensors").write_bytes(early)
    names = ("trace.jsonl", "timing.jsonl", "checkpoint.safetensors")
    before = [run.path(name).read_bytes() for name in names]
    assert run.last_state()["epoch"] == 1
    Gap.of(run, features)
    assert [run.path(name).read_bytes() for name in names] == before


@pytest.mark.parametrize("patience", [None, 1])
def test_a_search_is_complete_where_it_ended(tmp_path, features, patience):
    config = CONFIG.change(epochs=30 if patience else 3, patience=patience, arch_lr=1e-9, max_lr=1e-9, min_lr=1e-9)
    run = Run(tmp_path / "runs" / "run")
    going = search(features, config, run)
    next(going)
    assert not is_searched(run) and replay_of(run) is None and run_row(run.folder).state == "stopped"
    events = list(going)
    assert is_searched(run) and run_row(run.folder).state == "searched"
    assert replay_of(run) is not None and list(follow(run))[1:] == events
    assert (events[-1].epoch < events[-1].epochs) == (patience is not None)


def test_a_trace_without_a_checkpoint_begins_anew(run, features, finished):
    run.path("checkpoint.safetensors").unlink()
    assert len(list(search(features, CONFIG, run))) == 4
    assert run.path("trace.jsonl").read_bytes() == finished.path("trace.jsonl").read_bytes()


@pytest.mark.parametrize("kept", [0, 2])
def test_a_trace_behind_its_checkpoint_is_damaged(run, features, kept):
    lines = run.path("trace.jsonl").read_text().splitlines(keepends=True)
    run.path("trace.jsonl").write_text("".join(lines[:kept]))
    with pytest.raises(RunError, match=rf"trace\.jsonl: holds {kept} epochs, but the checkpoint is of epoch 4"):
        list(search(features, CONFIG, run))


@pytest.mark.parametrize(
    "damaged",
    [b"", b"garbage", pickle.dumps({"epoch": 4})],
    ids=["empty", "garbage", "pickle"],
)
def test_a_damaged_checkpoint(run, features, damaged):
    run.path("checkpoint.safetensors").write_bytes(damaged)
    before = content(run.folder)
    with pytest.raises(RunError) as error:
        next(search(features, CONFIG, run))
    assert str(run.path("checkpoint.safetensors")) in str(error.value)
    assert content(run.folder) == before


@pytest.mark.parametrize("missing", ["epoch", "hypernet", "weight_optimizer", "arch_optimizer", "best_score"])
def test_a_checkpoint_that_lacks_a_part(run, features, missing):
    path = run.path("checkpoint.safetensors")
    save_state(path, {key: part for key, part in load_state(path).items() if key != missing})
    with pytest.raises(RunError) as error:
        next(search(features, CONFIG, run))
    assert "checkpoint" in str(error.value) and missing in str(error.value)


@pytest.mark.parametrize("state", [[1, 2], None, {"epoch": 4, "hypernet": [1]}])
def test_a_checkpoint_of_something_else(run, features, state):
    save_state(run.path("checkpoint.safetensors"), state)
    with pytest.raises(RunError, match="checkpoint"):
        next(search(features, CONFIG, run))


def test_no_answer_yet(run):
    with pytest.raises(RunError, match=r"no genotype\.json yet"):
        run.genotype()


# finding runs


def test_names_tell_seed_and_experiment(features):
    name = run_name("planted", CONFIG, features)
    assert name.startswith("planted-s0-") and Run(name).name == name
    assert run_name("planted", CONFIG.change(device="auto", threads=3), features) == name
    others = {run_name("planted", CONFIG.change(C=8), features), run_name("planted", CONFIG, tiny_features(seed=1))}
    assert len({name, *others}) == 3


@pytest.fixture
def several(tmp_path, monkeypatch):
    """Three runs of two data sets; the newest of `planted` is beta."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    for age, (name, dataset) in enumerate([("beta", "planted"), ("alpha", "planted"), ("gamma", "digits")]):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "config.json"
        path.write_text(json.dumps({"dataset": dataset, "features": "", "search": {}}))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "_features" / "planted").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_the_newest_run_of_a_data_set(several):
    assert [run.name for run in list_runs()] == ["alpha", "beta", "gamma"]
    assert open_run(None, "planted").name == "beta"
    assert open_run(None, "digits").name == "gamma"
    assert open_run("alpha", "planted").folder == several / "alpha"


def test_a_search_without_an_answer_is_not_the_newest_run_where_another_has_one(several):
    (several / "alpha" / "genotype.json").write_text("{}")
    assert open_run(None, "planted").name == "alpha"
    assert open_run("beta", "planted").name == "beta"


def test_an_unknown_run_lists_the_known_ones(several):
    with pytest.raises(RunError, match=r"no run 'alfa' in .*; there are \(nearest first\): alpha, "):
        open_run("alfa", "planted")
    with pytest.raises(RunError, match="no run of 'avmnist' in .* yet; run notebook 02 with dataset = 'avmnist' first"):
        open_run(None, "avmnist")


def test_the_run_worked_on_last_is_the_newest(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    features = tiny_features()
    for name, seed in (("first", 0), ("second", 1)):
        Run(tmp_path / name).claim(CONFIG.change(seed=seed), features)
        os.utime(tmp_path / name / "config.json", (100 + seed, 100 + seed))
    assert open_run(None, features.task).name == "second"
    Run(tmp_path / "first").claim(CONFIG, features)
    assert open_run(None, features.task).name == "first"
    (tmp_path / "second" / "config.json").write_text("{")  # a damaged run hides no other
    assert open_run(None, features.task).name == "first"


def test_features_of_a_run_that_died_before_it_began_are_not_mistaken_for_others(tmp_path):
    tiny_features().save(tmp_path / "run" / "features")
    with pytest.raises(RunError, match="holds other features"):
        Run(tmp_path / "run").claim(CONFIG, tiny_features(seed=5))
    Run(tmp_path / "run").claim(CONFIG, tiny_features())


def test_a_run_remembers_its_device_and_threads_but_goes_on_with_others(tmp_path):
    run = Run(tmp_path / "run")
    run.claim(CONFIG.change(threads=3), tiny_features())
    assert run.config() == CONFIG.change(threads=3)
    run.claim(CONFIG.change(threads=2), tiny_features())
    with pytest.raises(RunError, match="search.epochs.*4.*5"):
        run.claim(CONFIG.change(epochs=5), tiny_features())
