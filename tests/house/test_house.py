"""The house: layers, pins, index and hygiene of what is tracked."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bmnas
import widgets
from tools import health

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
VIEWERS = ("plotly", "ipywidgets", "anywidget", "IPython", "matplotlib", "widgets")
DISTRIBUTION = {"IPython": "ipython", "jupyter_client": "jupyter-client", "sklearn": "scikit-learn", "PIL": "pillow"}
NOTEBOOKS = ("01_feature_extraction", "02_search", "03_derivation", "04_evaluation", "05_ablation", "06_trust")
SIZE_LIMIT = 1_000_000  # bytes of a tracked file


def tracked():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout: nothing is tracked")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def modules(package):
    return sorted((ROOT / package).rglob("*.py"))


def imports(path):
    """The top-level names that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


# layers


def test_importing_bmnas_loads_neither_viewers_nor_what_a_search_does_not_need():
    """First `import bmnas`, without what takes a second; then all of its modules."""
    program = (
        "import bmnas, importlib, pkgutil, sys\n"
        "print([name for name in ('sklearn', 'scipy') if name in sys.modules])\n"
        "for module in pkgutil.walk_packages(bmnas.__path__, 'bmnas.'): importlib.import_module(module.name)\n"
        f"print([name for name in {VIEWERS} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["[]", "[]"]), done.stderr


@pytest.mark.parametrize("path", modules("bmnas"), ids=lambda path: str(path.relative_to(ROOT)))
def test_bmnas_names_no_viewer(path):
    assert not set(imports(path)) & set(VIEWERS)


def test_only_notebooks_and_tests_import_widgets():
    elsewhere = [*modules("benchmarks"), *modules("docs"), ROOT / "run.py"]
    assert [path for path in elsewhere if "widgets" in imports(path)] == []


def test_widgets_knows_neither_notebooks_nor_tests():
    assert [path for path in modules("widgets") if {"tools", "tests"} & set(imports(path))] == []


def test_both_packages_are_those_of_this_checkout():
    for package in (bmnas, widgets):
        assert Path(str(package.__file__)).resolve().parent.parent == ROOT


# dependencies


def requirement(text):
    """("pyright", (1, 1, 400)) from "pyright[nodejs]>=1.1.400"."""
    name, _, lowest = re.sub(r"\[.*?\]", "", text).partition(">=")
    return name, version(lowest)


def version(text):
    return tuple(int(part) for part in text.split("."))


def declared(*extras):
    return dict(requirement(text) for text in (*PROJECT["dependencies"], *(r for e in extras for r in EXTRAS[e])))


def pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_direct_dependency_has_a_range_and_a_pin_within_it():
    wanted, pinned = declared("lab", "onnx", "optuna", "efficientnet", "ray", "dask", "slurm", "test"), pins()
    assert set(pinned) == set(wanted)
    assert [name for name, lowest in wanted.items() if version(pinned[name]) < lowest] == []


def test_an_environment_is_well_without_the_extras_that_nobody_installed():
    assert set(health.pins(ROOT)) == set(declared("lab", "test"))


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("bmnas", ("onnx",)),  # within a function: an optional extra
        ("widgets", ("lab",)),
        ("tools", ("lab", "test")),
        ("benchmarks", ("lab", "ray")),
        ("tests", ("lab", "onnx", "test")),
    ],
)
def test_every_import_is_declared(folder, extras):
    ours = {"bmnas", "widgets", "tools", "tests", "benchmarks", "run"} | sys.stdlib_module_names
    used = {name for path in modules(folder) for name in imports(path)} - ours
    assert {DISTRIBUTION.get(name, name) for name in used} <= set(declared(*extras))


@pytest.mark.parametrize("extra", ["", "lab", "test"])
def test_every_declared_dependency_is_used(extra):
    started = {
        "anywidget",
        "ipykernel",
        "jinja2",
        "jupyterlab",
        "kaleido",
        "mkdocs-material",
        "mkdocstrings-python",
        "nbconvert",
        "pyright",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
    }
    text = "\n".join(path.read_text(encoding="utf-8") for path in tracked() if path.suffix in {".py", ".ipynb"})
    imported = set(re.findall(r"\b(?:import |from |importorskip\(\")(\w+)", text))
    names = {requirement(text)[0] for text in (EXTRAS[extra] if extra else PROJECT["dependencies"])}
    assert names - started - {DISTRIBUTION.get(name, name) for name in imported} == set()


def test_environment_yml_leaves_every_version_to_the_constraints():
    lines = (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines if line.strip() and not line.startswith("#")] == [
        "name: bmnas",
        "channels:",
        "- conda-forge",
        "dependencies:",
        f"- python{PROJECT['requires-python']}",
        "- pip",
        "- pip:",
        "- -c constraints.txt",
        "- -e .[lab,test]",
    ]


# what a reader meets (the documentation: test_docs.py)


def test_versions_agree():
    assert f"version: {PROJECT['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_ci_script_is_well_formed_and_executable():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", str(script)]).returncode == 0


# what is tracked


def test_no_tracked_file_is_large():
    """But for the embedded data sets: 8 MB in all, each beside its licence."""
    large = [path for path in tracked() if path.stat().st_size > SIZE_LIMIT]
    assert [path for path in large if ROOT / "bmnas/tasks" not in path.parents] == []
    assert [path.name for path in large if not (path.parent / "LICENSE.txt").is_file()] == []
    assert sum(path.stat().st_size for path in large) < 8_000_000


def test_no_tracked_file_names_somebodys_machine():
    personal = re.compile(r"(?<![\w.])/(?:home|Users|root|work|farm)/[\w.-]+|[A-Z]:\\Users|\.\./shared")
    found = []
    for path in tracked():
        if path.name == "run" and path.parent.name == ".ci":
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1):
            if personal.search(line) and path != Path(__file__):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


def test_no_open_promises():
    promise = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|raise NotImplemented" + r"Error)\b")
    code = [path for path in tracked() if path.suffix in {".py", ".ipynb"}]
    assert [path.name for path in code if promise.search(path.read_text(encoding="utf-8"))] == []


# notebooks


def test_notebooks_are_the_six_in_order():
    assert [path.stem for path in sorted((ROOT / "notebooks").glob("*.ipynb"))] == list(NOTEBOOKS)


def notebook(name):
    return json.loads((ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_is_stored_without_traces_of_a_run(name):
    for cell in notebook(name)["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        assert cell["id"]
        assert "execution" not in cell["metadata"] and "papermill" not in cell["metadata"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_has_a_title_then_its_parameters(name):
    cells = notebook(name)["cells"]
    tagged = [i for i, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == [1]
    assert cells[0]["cell_type"] == "markdown" and "".join(cells[0]["source"]).startswith("# ")


def parameters(name):
    """Parameter -> its line, from the second cell of a notebook."""
    source = "".join(notebook(name)["cells"][1]["source"])
    lines = {}
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        ast.literal_eval(statement.value)
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        lines[ast.unparse(target)] = source.splitlines()[statement.lineno - 1]
    return lines


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_parameters_are_commented_literals(name):
    lines = parameters(name)
    assert next(iter(lines)) == "dataset"
    assert [line for line in lines.values() if not re.search(r"#\s*\S", line)] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_keeps_its_kernelspec(name):
    kernel = notebook(name)["metadata"]["kernelspec"]
    assert (kernel["name"], kernel["language"]) == ("python3", "python")
