"""run.py, started for real in a miniature checkout: a real venv, the real pip (offline), and stand-ins for the rest."""

import ast
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import run
from tests.support.processes import gone, within

SOURCE = Path(run.__file__)
BARE = ("run.py", "tools/__init__.py", "tools/children.py")  # what a bare Python runs

# An in-tree build backend: pip can install the miniature without any index.
BACKEND = """
import base64, pathlib, zipfile

def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "bmnas-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        wheel.writestr("bmnas_here.pth", str(pathlib.Path.cwd()))
        wheel.writestr("bmnas-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: bmnas\\nVersion: 0.1.0\\n")
        wheel.writestr("bmnas-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\n"
                       "Tag: py3-none-any\\n")
        wheel.writestr("bmnas-0.1.0.dist-info/RECORD", "")
    return name
"""
PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
TELL = """
import json, os, pathlib, sys, time
names = ("PYTHONPATH", "PYTHONNOUSERSITE", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
told = {"who": pathlib.Path(__file__).stem, "arguments": sys.argv[1:], "cwd": os.getcwd(), "prefix": sys.prefix}
print("TOLD", json.dumps({**told, **{name: os.environ.get(name) for name in names}}), flush=True)
if os.environ.get("WAIT_" + told["who"]):
    pathlib.Path(os.environ["WAIT_" + told["who"]]).write_text(str(os.getpid()))
    time.sleep(600)
sys.exit(int(os.environ.get("FAIL_" + told["who"], "0")))
"""


def copy_bare(root):
    (root / "tools").mkdir()
    for name in BARE:
        (root / name).write_text((SOURCE.parent / name).read_text())


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout").resolve()
    copy_bare(root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "constraints.txt").write_text("# nothing is pinned\n")
    (root / "backend.py").write_text(BACKEND)
    for folder in ("bmnas", "benchmarks"):
        (root / folder).mkdir()
    (root / "bmnas/__init__.py").write_text("")
    for real in ("health", "checks", "module"):
        (root / f"tools/{real}.py").write_text((SOURCE.parent / f"tools/{real}.py").read_text())
    started = [path for path in run.COMMANDS.values() if path and path != "tools/checks.py"]
    for stand_in in (*started, "ruff.py", "pyright.py", "pytest.py"):
        (root / stand_in).parent.mkdir(parents=True, exist_ok=True)
        (root / stand_in).write_text(TELL)
    return root


def surroundings(**variables):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "OMP_NUM"))}
    return env | {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}


def start(root, *arguments, cwd=None, **variables):
    command, env = [sys.executable, str(root / "run.py"), *arguments], surroundings(**variables)
    return subprocess.run(command, cwd=cwd or root, env=env, capture_output=True, text=True, timeout=300)


def told(done):
    return [json.loads(line.removeprefix("TOLD ")) for line in done.stdout.splitlines() if line.startswith("TOLD ")]


@pytest.fixture
def ready(checkout):
    done = start(checkout, "setup")
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def test_first_start_sets_up_and_the_second_does_not(checkout, tmp_path):
    first = start(checkout, "--dataset", "avmnist", "-p", "epochs", "5", cwd=tmp_path)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "first start" in first.stdout
    (seen,) = told(first)
    assert seen["who"] == "runner"
    assert seen["arguments"] == ["--dataset", "avmnist", "-p", "epochs", "5"]
    assert seen["prefix"] == str(checkout / ".venv")
    assert seen["cwd"] == str(tmp_path)

    stamp = (checkout / ".venv/bmnas-setup.json").stat().st_mtime_ns
    second = start(checkout, "notebook", "02", cwd=tmp_path)
    assert "Setting up" not in second.stdout
    assert told(second)[0]["arguments"] == ["02"]
    assert (checkout / ".venv/bmnas-setup.json").stat().st_mtime_ns == stamp


def test_foreign_packages_are_kept_out(ready, tmp_path):
    (seen,) = told(start(ready, "lab", "--no-browser", PYTHONPATH=str(tmp_path), PIP_USER="1"))
    assert (seen["PYTHONPATH"], seen["PYTHONNOUSERSITE"]) == (None, "1")
    assert seen["arguments"][-1] == "--no-browser"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda root: (root / ".venv/bmnas-setup.json").unlink(), "did not come to its end"),
        (lambda root: (root / "constraints.txt").open("a").write("# another\n"), "constraints.txt has changed"),
        (lambda root: (root / ".venv/bin/python").unlink(), "its Python does not start"),
        (lambda root: next(root.glob(".venv/lib/*/site-packages/bmnas_here.pth")).unlink(), "not this checkout"),
    ],
    ids=["interrupted", "changed", "broken", "uninstalled"],
)
def test_a_damaged_environment_is_noticed_and_mended(ready, damage, reason):
    damage(ready)
    mended = start(ready, "setup")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert reason in mended.stdout
    assert "Setting up" not in start(ready, "setup").stdout


@pytest.mark.parametrize(
    "command", [name for name, path in run.COMMANDS.items() if path and name not in ("run", "test")]
)
def test_a_command_gets_its_arguments_and_the_folder_it_was_started_in(ready, tmp_path, command):
    (seen,) = told(start(ready, command, "--one", "two", cwd=tmp_path))
    assert (seen["who"], seen["arguments"], seen["cwd"]) == (
        Path(str(run.COMMANDS[command])).stem,
        ["--one", "two"],
        str(tmp_path),
    )


def test_every_command_has_its_file():
    assert [path for path in run.COMMANDS.values() if path and not (SOURCE.parent / path).is_file()] == []


def test_pip_failing_is_told_and_leaves_no_stamp(ready):
    backend = ready / "backend.py"
    backend.write_text("raise RuntimeError('this backend is broken')")
    (ready / "constraints.txt").write_text("# changed again\n")
    failed = start(ready, "setup")
    assert failed.returncode == 1
    assert "this backend is broken" in failed.stdout and "bmnas-setup.log" in failed.stdout
    assert not (ready / ".venv/bmnas-setup.json").exists()
    backend.write_text(BACKEND)
    assert "did not come to its end" in start(ready, "setup").stdout


def test_a_version_other_than_the_pinned_one_is_an_error(ready):
    (ready / "constraints.txt").write_text("bmnas==0.1.0\n")
    assert start(ready, "setup").returncode == 0
    metadata = next(ready.glob(".venv/lib/*/site-packages/bmnas-0.1.0.dist-info/METADATA"))
    metadata.write_text(metadata.read_text().replace("0.1.0", "0.0.9"))
    assert "bmnas: 0.0.9, not 0.1.0" in start(ready, "setup").stdout


def test_test_command_checks_style_then_types_then_runs_pytest(ready):
    done = start(ready, "test")
    assert done.returncode == 0
    assert [(seen["who"], seen["arguments"][:1]) for seen in told(done)] == [
        ("ruff", ["check"]),
        ("ruff", ["format"]),
        ("pyright", ["--pythonpath"]),
        ("docs_site", ["--quiet"]),
        ("pytest", ["-n"]),
    ]
    assert told(done)[-1]["OMP_NUM_THREADS"] == told(done)[-1]["OPENBLAS_NUM_THREADS"] == "1"
    assert 1 <= int(told(done)[-1]["arguments"][1]) <= 1 + (os.cpu_count() or 1)
    assert done.stdout.splitlines()[-1].startswith("TOLD")  # pytest has the last word


def test_test_command_passes_arguments_and_statuses_on(ready):
    narrow = start(ready, "test", "-k", "one", OMP_NUM_THREADS="3")
    assert [(seen["who"], seen["arguments"]) for seen in told(narrow)] == [("pytest", ["-k", "one"])]
    assert told(narrow)[0]["OMP_NUM_THREADS"] == "3"
    assert start(ready, "test", FAIL_pytest="5").returncode == 5
    untidy = start(ready, "test", FAIL_pyright="1")
    assert untidy.returncode == 1 and "not clean: pyright;" in untidy.stdout
    assert json.loads(untidy.stdout.splitlines()[-1].removeprefix("TOLD "))["who"] == "pytest"


def test_bench_command_passes_arguments_on(ready):
    (seen,) = told(start(ready, "bench", "--quick"))
    assert (seen["who"], seen["arguments"], seen["OMP_NUM_THREADS"]) == ("bench", ["--quick"], "1")


def test_a_folder_that_is_no_environment_is_left_alone(tmp_path):
    copy_bare(tmp_path)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/mine.txt").write_text("precious")
    refused = start(tmp_path, "setup")
    assert refused.returncode == 1 and "move it away" in refused.stdout
    assert (tmp_path / ".venv/mine.txt").read_text() == "precious"


def test_unknown_command_names_the_known_ones(capsys):
    assert run.main(["notebok"]) == 2
    assert re.search(r"'notebok'; known \(nearest first\): notebook, .*test", capsys.readouterr().out)


def test_help_names_every_command(capsys):
    assert run.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert set(re.findall(r"run\.py ([a-z]+)", shown)) == set(run.COMMANDS) - {"run"}


def test_help_shows_how_a_parameter_is_given(capsys):
    assert run.main(["--help"]) == 0
    assert re.search(r"-p name value .*-p epochs 20", capsys.readouterr().out)


def heed_signals():
    """What nohup, or a script's background, told this process to ignore is not ignored by the one that starts."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def working(ready, tmp_path):
    """run.py with a child at work, and the child's number."""
    told = tmp_path / "child"
    command, env = [sys.executable, str(ready / "run.py")], surroundings(WAIT_runner=str(told))
    at_work = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, preexec_fn=heed_signals
    )
    assert within(60, lambda: told.exists() and told.read_text())
    yield at_work, int(told.read_text())
    at_work.kill()
    at_work.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="a child asks for its parent's end on Linux alone")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_child_ends_with_run_py(working, number):
    at_work, child = working
    at_work.send_signal(number)
    assert at_work.wait(60) == (-9 if number == signal.SIGKILL else 128 + number)
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc")
def test_a_child_that_is_killed_is_told(working):
    at_work, child = working
    os.kill(child, signal.SIGKILL)
    shown, _ = at_work.communicate(timeout=60)
    assert at_work.returncode == 128 + signal.SIGKILL
    assert "SIGKILL" in shown.splitlines()[-1]


def test_an_old_python_is_told_what_is_needed():
    problem = run.python_problem((3, 8, 10), "/usr/bin/python3")
    assert problem and "3.11" in problem and "/usr/bin/python3" in problem and "3.8" in problem
    assert run.python_problem((3, 11, 0)) is None
    for name in BARE:  # an old Python gets as far as the message
        ast.parse((SOURCE.parent / name).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("name", BARE)
def test_only_the_standard_library_is_imported(name):
    tree = ast.parse((SOURCE.parent / name).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names - {"tools.children"}} <= set(sys.stdlib_module_names)


def test_a_reader_that_has_had_enough_leaves_no_traceback():
    """As `run.py --help | head -1`, with a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([sys.executable, run.__file__, "--help"], stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert done.stderr == "" and done.returncode == 141
