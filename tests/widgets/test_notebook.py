"""The first cells of every notebook: parameters that nobody knows, progress, banner."""

import re
from pathlib import Path

import nbformat
import pytest

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, UnknownNameError
from tests.support.tiny import tiny_features
from widgets.notebook import cells as notebook
from widgets.notebook.cells import DECLARATION, banner, check_parameters, check_types, progress_bar

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

TAGGED = """# Parameters of this notebook; None means "preset"
dataset = "digits"  # str: the data set
samples = None  # int or str: how many
epochs = None  # int: how often
dropout = None  # float: a "  # " in a comment
fast = None  # bool: shortcuts
options = None  # dict: others
primitives = None  # list of str: the pool
free = None  # whatever comes"""


def checked(*cells):
    """The parameters of a notebook that has executed these cells."""
    namespace = {}
    for cell in cells:
        exec(cell, namespace)
    return check_parameters(["", *cells], namespace)


def injected(name, value):
    return checked(TAGGED, f"# Parameters\n{name} = {value!r}\n")


def test_the_values_are_those_of_the_last_cell_that_sets_them():
    defaults = checked(TAGGED)  # in JupyterLab nothing is injected
    assert defaults == {"dataset": "digits"} | dict.fromkeys(
        ("samples", "epochs", "dropout", "fast", "options", "primitives", "free")
    )
    assert checked(TAGGED, "# Parameters\nepochs = 3\n", "anything = 1") == defaults | {"epochs": 3}


def test_a_parameter_nobody_knows_is_refused_nearest_first():
    with pytest.raises(UnknownNameError, match="'epoch'.*: epochs, "):
        injected("epoch", 3)


def test_names_of_later_cells_are_no_parameters():
    parameters = checked(TAGGED, "# Parameters\ndataset = 'ntu'", "epoch = 4\nfor event in []:\n    pass")
    assert parameters["dataset"] == "ntu" and "epoch" not in parameters


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("dataset", 7), ("samples", "full"), ("samples", 7), ("epochs", 7), ("dropout", 0), ("dropout", 0.5)),
        *(("fast", False), ("options", {"a": 1}), ("primitives", "Sum,Zero"), ("primitives", ["Sum"]), ("free", 1j)),
        *((name, None) for name in ("dataset", "epochs", "fast")),
    ],
)
def test_a_parameter_of_its_type_passes(name, value):
    assert injected(name, value)[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("dataset", ["ntu"]),
            ("dataset", True),
            ("samples", [7]),
            ("epochs", "7"),
            ("epochs", 7.0),
            ("epochs", True),
        ),
        *(("dropout", "0.5"), ("dropout", False), ("fast", 1), ("fast", "no"), ("options", "a"), ("primitives", 7)),
    ],
)
def test_a_parameter_of_another_type_is_refused(name, value):
    with pytest.raises(ConfigError, match=f"^{name} is {re.escape(repr(value))}; expected"):
        injected(name, value)


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_every_parameter_of_the_notebooks_declares_its_type(notebook):
    (cell,) = [c for c in nbformat.read(notebook, 4).cells if "parameters" in c.metadata.get("tags", [])]
    parameters = checked(cell.source)
    assert list(parameters) == [declaration["name"] for declaration in DECLARATION.finditer(cell.source)]


VALUES = {"bool": True, "int": 7, "float": 0.5, "str": "text", "list": ["a"], "dict": {"a": 1}, "complex": 1j}
PASSING = {
    "int": "int",
    "float": "int float",
    "bool": "bool",
    "str": "str int float",
    "dict": "dict",
    "list of str": "list str",
}


def mistyped():
    """Every parameter of every notebook with a value of each type that its comment does not declare."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        (cell,) = [c for c in nbformat.read(path, 4).cells if "parameters" in c.metadata.get("tags", [])]
        for line in DECLARATION.finditer(cell.source):
            passing = " ".join(PASSING[kind] for kind in line["types"].split(" or ")).split()
            for kind in VALUES.keys() - set(passing):
                yield pytest.param(cell.source, line["name"], VALUES[kind], id=f"{path.stem}: {line['name']}, {kind}")


@pytest.mark.parametrize(("source", "name", "value"), sorted(mistyped(), key=lambda case: str(case.id)))
def test_no_parameter_of_a_notebook_takes_another_type(source, name, value):
    with pytest.raises(ConfigError, match=f"^{name} is {re.escape(repr(value))}; expected"):
        check_types(source, {**checked(source), name: value})


def test_the_notebook_of_the_search_has_every_setting():
    (cell, *_) = [c for c in nbformat.read(NOTEBOOKS / "02_search.ipynb", 4).cells if c.cell_type == "code"]
    bars = {"show_progress"}  # of a terminal; a notebook has its own
    assert set(SearchConfig.names()) - bars <= set(checked(cell.source))


@pytest.fixture
def shown(monkeypatch):
    """Everything that a progress bar displays, in order."""
    texts = []

    class Handle:
        def display(self, data, raw):
            texts.append(data["text/plain"])

        update = display

    monkeypatch.setattr(notebook, "DisplayHandle", Handle)
    return texts


def test_progress_is_one_output_with_a_line_for_each_thing(shown):
    progress = progress_bar()
    for done in range(5):
        progress("ranking", done, 4)
    progress("training", 2, 2)
    lines = shown[-1].split("\n")
    assert [line.split(":")[0] for line in lines] == ["ranking", "training"]
    assert "100%" in lines[0] and "4/4" in lines[0] and "2/2" in lines[1]
    assert len(shown) < 7  # most calls draw nothing


def test_progress_of_unknown_length(shown):
    progress_bar()("reading", 3, 0)
    assert "reading" in shown[0] and "3" in shown[0]


def test_the_banner_is_loud_for_stand_ins_and_escapes():
    features = tiny_features()
    quiet = str(banner(features).data)
    assert "synthetic" in quiet and "train / val / test = 64 / 32 / 32" in quiet and "STAND-IN" not in quiet
    object.__setattr__(features, "source", "stand-in")
    object.__setattr__(features, "notes", "<script>alert(1)</script>")
    loud = str(banner(features).data)
    assert "STAND-IN" in loud
    assert "<script>" not in loud and "&lt;script&gt;" in loud
    assert repr(banner(features)).splitlines()[:2] == ["STAND-IN FEATURES, NOT REAL DATA", "<script>alert(1)</script>"]
