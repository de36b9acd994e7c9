"""The notebook runner, on miniature notebooks."""

import json
import logging
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from bmnas.config import EvalConfig
from bmnas.errors import UnknownNameError
from bmnas.evaluation.ablation import TABLE_6
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.saved_results import save_ablation, save_evaluation
from bmnas.searching.run_folder import Run
from tests.support.processes import gone, within
from tests.support.tiny import tiny_features
from tools import progress, record, runner, summary

ROOT = Path(runner.__file__).parents[1]
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


def write(folder, name, parameters, *cells):
    notebook = new_notebook(metadata={"kernelspec": KERNEL})
    notebook.cells = [new_code_cell(parameters, metadata={"tags": ["parameters"]}), *map(new_code_cell, cells)]
    nbformat.write(notebook, folder / name)
    return folder / name


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two miniature notebooks in place of the real ones, and a fresh folder of runs."""
    place = tmp_path / "notebooks"
    place.mkdir()
    write(place, "01_first.ipynb", 'dataset = "planted"  # type: str\nseed = 0', "print(dataset, seed)")
    write(place, "02_second.ipynb", 'dataset = "planted"\nepochs = None', 'print("epochs are", repr(epochs))')
    monkeypatch.setattr(runner, "FOLDER", place)
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(runner, "export", page)
    return place


def page(executed):
    executed.with_suffix(".html").write_text("<html></html>")
    return executed.with_suffix(".html")


def outputs(path):
    return "".join(o.get("text", "") for c in nbformat.read(path, 4).cells for o in c.get("outputs", []))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], ["01_first", "02_second"]),
        (["2"], ["02_second"]),
        (["02", "1"], ["01_first", "02_second"]),
        (["notebooks/01_first.ipynb"], ["01_first"]),
    ],
)
def test_notebooks_are_chosen_by_number_or_name(folder, names, expected):
    assert [path.stem for path in runner.choose(names)] == expected


def test_an_unknown_notebook_is_refused(folder):
    with pytest.raises(UnknownNameError, match=r"notebook '02_secund'.*nearest first\): 02_second, 01_first"):
        runner.choose(["02_secund"])


def test_a_folder_without_notebooks_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "FOLDER", tmp_path)
    assert runner.main([]) == 2
    assert str(tmp_path) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "value"),
    [("5", 5), ("1e-3", 1e-3), ("None", None), ("True", True), ("[0, 1]", [0, 1]), ("ntu", "ntu"), ("'5'", "5")],
)
def test_values_are_literals_or_text(text, value):
    parsed = runner.parse(text)
    assert parsed == value and type(parsed) is type(value)


def test_each_notebook_gets_the_parameters_it_knows(folder):
    plan = runner.assign(runner.choose([]), {"seed": 3, "epochs": 5, "dataset": "ntu"})
    assert {path.stem: given for path, given in plan.items()} == {
        "01_first": {"seed": 3, "dataset": "ntu"},
        "02_second": {"epochs": 5, "dataset": "ntu"},
    }


def test_an_unknown_parameter_is_refused_before_anything_runs(folder, tmp_path, capsys):
    assert runner.main(["-p", "epoch", "5"]) == 2
    shown = capsys.readouterr().out
    assert "'epoch'" in shown and shown.index("epochs") < shown.index("seed")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    "words", [["-p", "seed", "1", "-p", "seed", "2"], ["-p", "dataset", "ink", "--dataset", "mfeat"]]
)
def test_a_parameter_of_two_values_is_refused(folder, words, capsys):
    assert runner.main(words) == 2
    assert f"{words[1]} is given twice" in capsys.readouterr().out


def test_a_parameter_that_only_another_notebook_knows_is_refused(folder):
    with pytest.raises(UnknownNameError, match="'epochs'"):
        runner.assign(runner.choose(["1"]), {"epochs": 5})


def test_notebooks_run_in_order_leave_records_and_do_not_chatter(folder, tmp_path, capfd):
    assert runner.main(["-p", "epochs", "3", "--dataset", "digits"]) == 0
    left = tmp_path / "runs/_notebooks/digits"
    assert sorted(path.name for path in left.iterdir()) == [
        "01_first.html",
        "01_first.ipynb",
        "02_second.html",
        "02_second.ipynb",
    ]
    assert not (left / "unfinished").exists()
    assert outputs(left / "01_first.ipynb") == "digits 0\n"
    assert outputs(left / "02_second.ipynb") == "epochs are 3\n"
    shown, errors = capfd.readouterr()
    assert errors == ""  # of the kernels neither
    assert shown.index("[1/2] 01_first dataset=digits") < shown.index("[2/2] 02_second epochs=3 dataset=digits")
    assert str(left) in shown


MEET = """
import pathlib, time
place = pathlib.Path({place!r})
(place / {own!r}).touch()
until = time.monotonic() + {seconds}
while not all((place / name).exists() for name in ("03", "04")) and time.monotonic() < until:
    time.sleep(0.05)
print("met" if all((place / name).exists() for name in ("03", "04")) else "alone")
"""


def write_two_that_meet(folder, place, seconds):
    """Two notebooks after the search; each waits for the other to begin."""
    place.mkdir()
    for name in ("03", "04"):
        cell = MEET.format(place=str(place), own=name, seconds=seconds)
        write(folder, f"{name}_after.ipynb", 'dataset = "planted"', "print('line of', " + repr(name) + ")", cell)


def test_notebooks_after_the_search_run_side_by_side(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress, "TICK", 0.05)
    write_two_that_meet(folder, tmp_path / "place", seconds=60)
    assert runner.main(["--at-once", "2"]) == 0
    left = tmp_path / "runs/_notebooks/planted"
    for name in ("03", "04"):
        assert outputs(left / f"{name}_after.ipynb") == f"line of {name}\nmet\n"
    shown = capsys.readouterr().out
    assert all(shown.index("[2/4] 02_second") < shown.index(f"[{name}_after") for name in ("3/4] 03", "4/4] 04"))
    rows = [line.split()[0] for line in shown.splitlines() if line.endswith("MB  done")]
    assert rows == ["01_first", "02_second", "03_after", "04_after"]
    for name, other in (("03", "04"), ("04", "03")):  # what is told of a notebook is its own
        told = [line for line in shown.splitlines() if line.startswith(f"  {name}_after") and " cell " in line]
        assert told and not any(f"line of {other}" in line for line in told)


def test_one_at_once_means_one_after_the_other(folder, tmp_path):
    write_two_that_meet(folder, tmp_path / "place", seconds=1)
    assert runner.main(["3", "4", "--at-once", "1"]) == 0
    left = tmp_path / "runs/_notebooks/planted"
    assert [outputs(left / f"{name}_after.ipynb").split()[-1] for name in ("03", "04")] == ["alone", "met"]


def test_after_a_failure_no_further_notebook_begins(folder, tmp_path):
    write(folder, "03_after.ipynb", 'dataset = "planted"', "raise ValueError")
    write(folder, "04_after.ipynb", 'dataset = "planted"', "print('never')")
    assert runner.main(["2", "3", "4", "--at-once", "1"]) == 1
    left = tmp_path / "runs/_notebooks/planted"
    assert (left / "02_second.ipynb").exists() and (left / "unfinished/03_after.ipynb").exists()
    assert not list(left.rglob("04_after.ipynb"))


def test_each_that_fails_is_told_as_it_ends_and_in_the_summary(folder, capsys):
    def ends_after(before, end):
        """The cell of a notebook that ends when the one before has, however slowly a kernel starts."""
        wait = f"while not Path({str(folder / before)!r}).exists():\n    time.sleep(0.1)"
        return f"import time\nfrom pathlib import Path\n{wait}\ntime.sleep(1)\n{end}"

    def fails(mark, error):
        return f"open({str(folder / mark)!r}, 'w').close()\nraise {error}"

    write(folder, "03_after.ipynb", 'dataset = "planted"', ends_after("fifth", "print('late')"))
    write(folder, "04_after.ipynb", 'dataset = "planted"', fails("fourth", "ValueError('no such luck')"))
    write(folder, "05_after.ipynb", 'dataset = "planted"', ends_after("fourth", fails("fifth", "OSError('nor this')")))
    assert runner.main(["3", "4", "5", "--at-once", "3"]) == 1
    lines = capsys.readouterr().out.splitlines()

    def line(*parts):
        return next(i for i, text in enumerate(lines) if all(part in text for part in parts))

    assert line("04_after", "failed: ValueError: no such luck") < line("03_after", " s  done")
    assert line("04_after.ipynb failed: ValueError: no such luck") < line("05_after.ipynb failed: OSError: nor this")


def test_at_once_is_a_whole_number_of_at_least_one(capsys):
    for given in ("0", "many", "1.5"):
        with pytest.raises(SystemExit) as ended:
            runner.main(["--at-once", given])
        assert ended.value.code == 2
        shown = capsys.readouterr().err
        assert "--at-once" in shown and f"'{given}'" in shown


def test_records_of_before_are_kept_and_their_place_is_told(folder, tmp_path, capsys):
    assert runner.main(["1", "-p", "seed", "1"]) == 0
    assert "earlier" not in capsys.readouterr().out
    assert runner.main(["1", "-p", "seed", "2"]) == 0
    left = tmp_path / "runs/_notebooks/planted"
    assert outputs(left / "01_first.ipynb") == "planted 2\n"
    (before,) = (left / "earlier").iterdir()
    assert outputs(before / "01_first.ipynb") == "planted 1\n"
    assert sorted(path.name for path in before.iterdir()) == ["01_first.html", "01_first.ipynb"]
    assert str(before) in capsys.readouterr().out


def test_a_failing_notebook_stops_the_rest_and_is_named(folder, tmp_path, capsys):
    write(folder, "01_first.ipynb", 'dataset = "planted"', 'raise ValueError("no such luck")')
    assert runner.main([]) == 1
    left = tmp_path / "runs/_notebooks/planted"
    assert not (left / "02_second.ipynb").exists() and not (left / "unfinished/02_second.ipynb").exists()
    assert (left / "unfinished/01_first.html").is_file()
    shown = capsys.readouterr().out
    assert "01_first.ipynb" in shown and "ValueError" in shown
    assert str(left / "unfinished/01_first.ipynb") in shown and "python3 run.py" in shown


def test_a_rerun_that_fails_leaves_the_last_good_record_in_place(folder, tmp_path, capsys):
    assert runner.main(["1"]) == 0
    write(folder, "01_first.ipynb", 'dataset = "planted"', 'raise ValueError("no such luck")')
    assert runner.main(["1"]) == 1
    left = tmp_path / "runs/_notebooks/planted"
    assert outputs(left / "01_first.ipynb") == "planted 0\n" and (left / "01_first.html").is_file()
    assert str(left) in capsys.readouterr().out
    assert not (left / "earlier").exists()


def test_a_kernel_that_dies_is_told_in_one_line(folder, capsys):
    write(folder, "01_first.ipynb", "dataset = 'planted'", "print('so far')", "import os; os.kill(os.getpid(), 9)")
    assert runner.main(["1", "-p", "dataset", "digits"]) == 1
    shown = capsys.readouterr().out
    assert "01_first.ipynb" in shown and "cell 4 of 4" in shown and "memory" in shown
    assert "python3 run.py notebook 1 -p dataset digits" in shown and "Traceback" not in shown


def test_an_unknown_data_set_is_refused_before_anything_is_written(folder, tmp_path, capsys):
    assert runner.main(["-p", "dataset", "digit"]) == 2
    shown = capsys.readouterr().out
    assert "'digit'" in shown and "digits" in shown
    assert not (tmp_path / "runs").exists()


COMMAND_LINE = """
import sys
from pathlib import Path
from tools import runner
runner.FOLDER = Path(sys.argv.pop(1))
runner.command_line()
"""


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_however_the_runner_ends_its_kernel_ends_too(folder, tmp_path, number):
    told = tmp_path / "kernel"
    work = f"import os, time; open({str(told)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    write(folder, "01_first.ipynb", "dataset = 'planted'", work)
    command = [sys.executable, "-c", COMMAND_LINE, str(folder), "1"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert within(60, lambda: told.exists() and told.read_text())
    kernel = int(told.read_text())
    run.send_signal(number)
    shown, _ = run.communicate(timeout=60)
    assert gone(kernel)
    if number != signal.SIGKILL:
        assert run.returncode == 130
        assert "stopped" in shown and "python3 run.py notebook 1" in shown
        assert "Traceback" not in shown and "no HTML" not in shown


def test_a_page_that_cannot_be_made_is_told_and_counts(folder, capsys, monkeypatch):
    monkeypatch.setattr(runner, "export", lambda executed: None)
    assert runner.main(["1"]) == 1
    assert "-  done" in capsys.readouterr().out


def test_export_tells_why_there_is_no_page(tmp_path, capsys):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    assert record.export(broken) is None
    assert "no HTML of broken.ipynb: " in capsys.readouterr().out


def test_the_working_directory_is_the_callers(folder, tmp_path, monkeypatch):
    write(folder, "01_first.ipynb", "dataset = 'planted'", "import os; print(os.getcwd(), end='')")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert runner.main(["1"]) == 0
    assert outputs(tmp_path / "runs/_notebooks/planted/01_first.ipynb") == str(elsewhere)


def test_progress_reads_cell_and_last_line():
    reader = progress.Progress()
    for text in ("Executing Cell 7------", "one\ntwo\n", "10%|#   |\r a: 20%|██▎  | 2/9\r", "[figure]", " }\n"):
        reader.emit(logging.LogRecord("papermill", logging.INFO, "", 0, text, None, None))
    assert (reader.cell, reader.line) == (7, "a: 20%  2/9")


def test_progress_hears_only_the_notebook_of_its_own_thread():
    logger = logging.getLogger("papermill")
    with progress.telling("01_first", cells=9) as reader:
        logger.info("Executing Cell 4------")
        with ThreadPoolExecutor(1) as elsewhere:
            elsewhere.submit(logger.info, "Executing Cell 8------").result()
        assert reader.cell == 4


def test_a_line_is_told_while_a_notebook_works(capsys, monkeypatch):
    monkeypatch.setattr(progress, "TICK", 0.01)
    with progress.telling("01_first", cells=9):
        logging.getLogger("papermill").info("Executing Cell 4------")
        logging.getLogger("papermill").warning("epoch 3 of 8")
        until = time.monotonic() + 30
        shown = ""
        while "cell 4 of 9  epoch 3 of 8" not in shown and time.monotonic() < until:
            shown += capsys.readouterr().out
    assert "cell 4 of 9  epoch 3 of 8" in shown


def test_summary_names_sizes_and_places(tmp_path):
    executed = tmp_path / "01_first.ipynb"
    executed.write_text(json.dumps({"cells": ["x" * 1_200_000]}))
    report = summary.Report(executed, executed, None, 61.4)
    text = summary.summarise([report], tmp_path, tmp_path / "run")
    assert "61 s" in text and "1.2 MB" in text and str(tmp_path / "run") in text


def test_summary_shows_the_scores_that_a_run_has(tmp_path):
    run = Run(tmp_path / "run")
    run.folder.mkdir()
    assert summary.scores(run.folder) == []
    features = tiny_features()
    save_evaluation(run, [Evaluation("searched", "accuracy", (0.9, 0.8))], features, EvalConfig())
    rows = [(TABLE_6[i], Evaluation(name, "accuracy", (0.5,))) for i, name in ((0, "random features"), (3, "ours"))]
    save_ablation(run, {"Table 6": rows, "Table 7": rows}, features)
    text = "\n".join(summary.scores(run.folder))
    assert text.count("ours ") == 1  # which both tables have
    shown = re.search(r"searched +85\.00 % \(([0-9.]+) to ([0-9.]+)\)", text)
    assert shown and 0 <= float(shown[1]) < 85 < float(shown[2]) <= 100
    assert "random features " in text and re.search(r"50\.00 % +accuracy", text)


NOTEBOOKS = runner.FOLDER  # the real ones, whatever a test puts in their place


@pytest.mark.parametrize(
    ("number", "name", "value", "expected"),
    [
        ("01", "features_seed", "abc", "int"),
        ("01", "L", "2.5", "int"),
        ("02", "epochs", "1e3", "int"),
        ("02", "options", "{split: paper}", "dict"),
        ("02", "fast", "yes", "bool"),
        ("03", "epoch", "first", "int"),
        ("04", "joint", "yes", "bool"),
        ("05", "max_lr", "large", "float"),
        ("06", "threads", "two", "int"),
    ],
)
def test_a_mistyped_parameter_is_refused_before_anything_runs(
    number, name, value, expected, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(runner, "FOLDER", NOTEBOOKS)
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    assert runner.main([number, "-p", name, value]) == 2
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{name} is {runner.parse(value)!r}; expected {expected}")
    assert not (tmp_path / "runs").exists()
