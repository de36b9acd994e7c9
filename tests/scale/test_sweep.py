"""Sweeps: the run folders that the notebooks make, whoever computes them; foreign machines are not mixed in."""

import io
import json
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import bmnas
from bmnas.errors import ConfigError, RunError, UnknownNameError
from bmnas.machine import processor, runs_root
from bmnas.scale.sweep import Point, grid, run_sweep
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import list_runs
from bmnas.storage.jobs import Outcome
from tests.support.small_jobs import square_job
from tools import sweep as command
from tools.sweep_table import SweepTable, stage

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = {"epochs": 2, "samples": 80, "C": 4, "shortlist_size": 1, "shortlist_epochs": 1, "device": "cpu"}
POINT = Point("planted", {**PARAMETERS, "seed": 3}, {"seeds": 2})
COMMAND = ["planted", *(text for name, value in PARAMETERS.items() for text in ("-p", name, str(value)))]
MAY_DIFFER = ("environment.json", "timing.jsonl")


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def swept_point(tmp_path_factory):
    """A folder in which POINT was swept once; it is copied, never changed."""
    folder = tmp_path_factory.mktemp("swept") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMNAS_RUNS", str(folder))
        sweep([POINT])
    return folder


@pytest.fixture
def swept(swept_point, runs):
    """The folder of runs, in which POINT was swept."""
    return shutil.copytree(swept_point, runs)


def sweep(points, **settings):
    outcomes = []
    for _ in run_sweep(points, report=lambda outcome, done, total: outcomes.append(outcome), **settings):
        pass
    return outcomes


def content(folder):
    files = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.name not in MAY_DIFFER and "timing" not in name.parts
    }


def cell(notebook, text):
    """The source of the one code cell of a notebook that holds a text."""
    cells = json.loads(next((ROOT / "notebooks").glob(f"{notebook}_*.ipynb")).read_text())["cells"]
    (source,) = [s for c in cells if c["cell_type"] == "code" and text in (s := "".join(c["source"]))]
    return source


def by_sweep_command(*_, run_name):
    return f"python3 run.py notebook 04 -p run_name {run_name}"


def notebooks(point):
    """What 02 and 04 do with the parameters of a point, by their own cells where they are more than a call."""
    config = point.task.search_config.change_from(point.parameters)
    features = bmnas.prepare(point.dataset, samples=point.parameters["samples"], L=config.L, device="cpu")
    (run,) = bmnas.seed_runs(point.dataset, config, features).values()
    for _ in bmnas.search_seeds(features, config, {config.seed: run}):
        pass
    bmnas.read_out(run, features)
    budget = point.task.eval_config.change_from({**point.parameters, **point.evaluation})
    names = {
        "run": run, "features": run.features(), "genotype": run.genotype(), "selection": bmnas.load_selection(run),
        "config": run.config(), "budget": budget, "joint": False, "bmnas": bmnas, "by_hand_rows": lambda run: [],
        "progress_bar": lambda: lambda what, done, of: None, "rows": "quick", "as_they_come": list, "In": [],
        "parameters": {}, "command": by_sweep_command,
    }  # fmt: skip
    exec(cell("04", "bmnas.save_evaluation(run"), names)
    return run.folder


def test_a_sweep_makes_the_folders_and_bytes_of_the_notebooks(swept, monkeypatch, tmp_path):
    (run,) = list_runs()
    by_sweep = content(run.folder)
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "by notebooks"))
    folder = notebooks(POINT)
    assert folder.name == run.name and content(folder) == by_sweep
    assert {"trace.jsonl", "evaluation.json", "network.safetensors"} <= {str(name) for name in by_sweep}


def test_a_finished_point_is_not_computed_again_and_a_deleted_one_is(swept):
    (run,) = list_runs()
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    assert [outcome.status for outcome in sweep([POINT])] == ["read", "read"]
    assert before == {path: path.stat().st_mtime_ns for path in before}
    for path in sorted(run.folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    run.folder.rmdir()
    assert [outcome.status for outcome in sweep([POINT])] == ["read", "computed"]
    assert list_runs()[0].path("evaluation.json").exists()


@pytest.mark.slow
def test_processes_make_the_same_bytes_and_one_bad_point_stops_no_other(runs, monkeypatch, tmp_path):
    settings = {**PARAMETERS, "selection": "algorithm1"}
    points = grid(["planted"], range(2), {"L": [4]}, settings, {"seeds": 1})
    points += grid(["planted"], [0], {"L": [8]}, settings, {"seeds": 1})
    sweep(points)
    alone = content(runs)
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "processes"))
    (tmp_path / "processes").mkdir()
    broken = tmp_path / "processes" / next(name.parent for name in alone if name.name == "config.json")
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    outcomes = sweep(points, engine="joblib", workers=2)
    failed = {outcome.job.name for outcome in outcomes if outcome.wrong}
    assert len(failed) == 1 and broken.name in failed.pop()
    (broken / "config.json").unlink()
    sweep(points, engine="joblib", workers=2)
    assert content(tmp_path / "processes") == alone


def foreign(run, processor="another processor"):
    path = run.path("environment.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "processor": processor}))


def test_machines_of_two_kinds_do_not_mix_in_one_run(runs):
    config, features = POINT.config(), bmnas.prepare("planted", samples=80, L=POINT.config().L)
    (run,) = bmnas.seed_runs("planted", config, features).values()
    next(bmnas.search(features, config, run))
    foreign(run)
    before = content(run.folder)
    with pytest.raises(RunError, match="another processor"):
        list(bmnas.search(features, config, run))
    (outcome,) = [outcome for outcome in sweep([POINT]) if outcome.status == "failed"][-1:]
    assert "another processor" in outcome.error and processor() in outcome.error
    assert content(run.folder) == before
    run.path("environment.json").unlink()
    assert len(list(bmnas.search(features, config, run))) == 2


def test_a_finished_search_of_another_machine_is_read(runs):
    config, features = POINT.config(), bmnas.prepare("planted", samples=80, L=POINT.config().L)
    (run,) = bmnas.seed_runs("planted", config, features).values()
    events = list(bmnas.search(features, config, run))
    foreign(run)
    assert [event.epoch for event in bmnas.search(features, config, run)] == [event.epoch for event in events]
    with pytest.raises(RunError, match="another processor"):  # its ranking would be of other roundings than its weights
        bmnas.read_out(run, features)
    run.path("environment.json").unlink()
    answer = bmnas.read_out(run, features)
    run.path("environment.json").write_text("{}")
    foreign(run)
    assert bmnas.read_out(run, features) == answer  # nothing is computed


@pytest.mark.parametrize(
    ("parameters", "error"),
    [({"epohcs": 3}, UnknownNameError), ({"epochs": 0}, ConfigError), ({"preset": "ntu-9"}, UnknownNameError)],
)
def test_a_wrong_parameter_is_refused_before_anything_is_computed(runs, parameters, error):
    with pytest.raises(error):
        grid(["planted"], [0], {}, parameters)
    assert not runs.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [("5", "options is 5; .*dictionary"), ("{foo: 1}", "'{foo: 1}'.*dictionary"), ("{'foo': 1}", "'foo'")],
)
def test_options_that_are_none_are_named_with_those_there_are(options, words, runs, capsys):
    assert command.main(["mfeat", "-p", "options", options]) == 1
    error = capsys.readouterr().err
    assert re.match(f".*{words}", error) and "views" in error and error.count("\n") == 1 and not runs.exists()


def test_the_grid_has_every_combination():
    points = grid(["planted", "digits"], [0, 1, 2], {"C": [4, 8], "N": [1, 2]})
    settings = {(p.dataset, p.config().seed, p.config().C, p.config().N) for p in points}
    assert len(points) == len(settings) == 24


@pytest.mark.parametrize(
    ("datasets", "seeds", "varied", "fixed", "words"),
    [
        ([], [0], {}, {}, "datasets"),
        (["planted"], [], {}, {}, "seeds"),
        (["planted"], [0], {"C": []}, {}, "values of C"),
        (["planted"], [0], {"seed": [1, 2]}, {}, "seed"),  # each would be that of seed 0
        (["planted"], [0], {}, {"seed": 1}, "seed"),
    ],
)
def test_a_grid_of_nothing_or_of_one_seed_by_other_names_is_refused(datasets, seeds, varied, fixed, words):
    with pytest.raises(ConfigError, match=words):
        grid(datasets, seeds, varied, fixed)


def test_a_point_that_is_named_twice_is_one():
    assert len(grid(["planted", "planted"], [0, 1, 0], {})) == 2


@pytest.mark.parametrize("words", [("--seeds", "9-0"), ("--seeds", "0-"), ("--seeds", "a"), ("--name", "../x")])
def test_a_wrong_command_line_computes_nothing(words, runs, capsys):
    with suppress(SystemExit):
        assert command.main(["planted", *words]) == 1
    error = capsys.readouterr().err
    assert words[1] in error and "seed_range" not in error and not runs.exists()


def test_the_command_prints_scores_and_writes_a_line_a_run(runs, capsys):
    assert command.main([*COMMAND, "--seeds", "0-1", "-p", "seeds", "1", "-p", "selection", "algorithm1"]) == 0
    printed = capsys.readouterr().out
    lines = (runs / "_sweeps/sweep.csv").read_text().splitlines()
    assert len(lines) == 3 and all(run.name in "".join(lines) and run.name in printed for run in list_runs())
    assert command.main(["nosuch"]) == 1 and "nosuch" in capsys.readouterr().err


def test_the_table_reads_the_folders(runs, tmp_path):
    table = SweepTable()
    sizes = []
    for jobs in run_sweep([POINT], report=table.report):
        table.show(jobs)
        sizes.append(table.lines(10))
    assert "waiting" in sizes[0][1] and table.lines(10)[0].startswith("1 of 1 done") and "%" in table.lines(10)[1]
    run = Run(runs_root() / table.jobs[0].result()["run"])
    assert "evaluation" in stage(run.folder, 2)
    run.path("genotype.json").unlink()
    assert stage(run.folder, 2) == "read-out" and "epoch 2 of 5" in stage(run.folder, 5)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_jobs_draw_no_bars_into_the_table_of_a_terminal(runs, monkeypatch):
    sweep_errors, search_errors = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", sweep_errors)
    (_, outcome) = sweep([Point("planted", {**PARAMETERS, "selection": "algorithm1"}, {"seeds": 1})])
    monkeypatch.setattr(sys, "stderr", search_errors)
    list(bmnas.search(bmnas.prepare("planted", samples=80, L=POINT.config().L), POINT.config()))
    assert outcome.status == "computed" and not sweep_errors.getvalue()
    assert "search, epochs" in search_errors.getvalue()


def test_errors_of_a_point_are_kept_for_the_end(swept, capsys):
    (run,) = list_runs()
    run.path("evaluation.json").unlink()
    run.path("trace.jsonl").write_text("{}\n")
    next((swept / "_sweeps/results").glob("*.json")).unlink()
    arguments = [*COMMAND, "--seeds", "3", "-e", "seeds", "2"]
    assert command.main(arguments) == 1
    assert re.search(rf"^  {run.name}: .*trace.jsonl", capsys.readouterr().err, re.MULTILINE)


def test_the_failures_of_features_are_told_apart_at_the_end(runs, capsys):
    assert command.main(["planted", "mfeat", "--vary", "samples", "0", "1"]) == 1
    lines = capsys.readouterr().err.splitlines()[1:]
    named = [
        f"  features of {name} samples={samples}: samples is {samples};"
        for name in ("mfeat", "planted")
        for samples in (0, 1)
    ]
    assert len(lines) == 4 and all(line.startswith(name) for line, name in zip(lines, named, strict=True))


def test_a_point_that_fails_once_is_no_failure_of_the_end():
    table = SweepTable()
    job = square_job(Path("nowhere"), 1)
    table.report(Outcome(job, "lost", "its worker was lost"), 0, 1)
    assert list(table.failed) == [job.digest]
    table.report(Outcome(job, "elsewhere"), 1, 1)
    assert not table.failed
