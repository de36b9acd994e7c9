"""The first cells of every notebook: parameters that nobody knows, progress, banner."""

import pytest

from bmnas.errors import UnknownNameError
from tests.support.tiny import tiny_features
from widgets.notebook import cells as notebook
from widgets.notebook.cells import banner, check_parameters, progress_bar

TAGGED = '# Parameters of this notebook; None means "preset"\ndataset = "digits"  # str\nepochs = None  # int'


def test_parameters_that_the_notebook_knows_pass():
    check_parameters(["", TAGGED, "# Parameters\nepochs = 3\n", "anything = 1"])
    check_parameters(["", TAGGED])  # in JupyterLab nothing is injected


def test_a_parameter_nobody_knows_is_refused_nearest_first():
    with pytest.raises(UnknownNameError, match=r"'epoch'; known \(nearest first\): epochs, dataset"):
        check_parameters(["", TAGGED, "# Parameters\nepoch = 3\n"])


def test_names_of_later_cells_are_no_parameters():
    check_parameters(
        ["", TAGGED, "# Parameters\ndataset = 'ntu'", "import torch\nepoch = 4\nfor event in []:\n    pass"]
    )


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
    assert "STAND-IN FEATURES, NOT REAL DATA" in loud
    assert "<script>" not in loud and "&lt;script&gt;" in loud
