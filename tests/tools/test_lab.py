"""The copies on which JupyterLab works: what is typed there changes no shipped notebook, and is never lost."""

import pytest

import tools.lab
from tools.lab import FOLDER, ORIGINS, SHIPPED, copy_notebooks, lab_options
from tools.runner import choose, known_parameters


@pytest.fixture
def shipped(tmp_path):
    """Two shipped notebooks of a miniature project."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "01_first.ipynb").write_text("one")
    (folder / "02_second.ipynb").write_text("two")
    return folder


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "runs" / FOLDER


def contents(folder):
    return {path.name: path.read_text() for path in sorted(folder.glob("*.ipynb"))}


def test_what_is_typed_into_a_copy_stays_and_changes_no_shipped_notebook(shipped, copies):
    before = contents(shipped)
    assert copy_notebooks(shipped, copies) == []
    assert contents(copies) == before
    (copies / "02_second.ipynb").write_text("typed")
    assert copy_notebooks(shipped, copies) == []
    assert contents(copies)["02_second.ipynb"] == "typed"
    assert contents(shipped) == before


def test_a_removed_copy_is_made_again(shipped, copies):
    copy_notebooks(shipped, copies)
    (copies / "01_first.ipynb").unlink()
    assert copy_notebooks(shipped, copies) == []
    assert contents(copies) == contents(shipped)


@pytest.mark.parametrize("damage", [None, "missing", "{", "[]"])
def test_a_copy_of_an_older_notebook_is_set_aside_and_not_lost(shipped, copies, damage):
    copy_notebooks(shipped, copies)
    (copies / "02_second.ipynb").write_text("typed")
    (shipped / "02_second.ipynb").write_text("two, as of the next release")
    if damage == "missing":
        (copies / ORIGINS).unlink()
    elif damage:
        (copies / ORIGINS).write_text(damage)
    (line,) = [line for line in copy_notebooks(shipped, copies) if "02_second" in line]
    assert contents(copies) == contents(shipped)
    (earlier,) = copies.glob("earlier/*/02_second.ipynb")
    assert earlier.read_text() == "typed" and str(earlier.parent) in line


def test_jupyterlab_cannot_reach_what_the_commands_run(tmp_path):
    root = next(option.partition("=")[2] for option in lab_options(tmp_path) if "root_dir" in option)
    assert not SHIPPED.is_relative_to(root)
    assert {path.parent for path in choose([])} == {SHIPPED}


def test_a_copy_with_other_parameters_leaves_those_of_the_commands_alone(copies):
    copy_notebooks(SHIPPED, copies)
    (search,) = choose(["02"])
    copy, shipped_epochs = copies / search.name, known_parameters(search)["epochs"]
    copy.write_text(copy.read_text().replace("epochs = None  # int: epochs of Algorithm 1", "epochs = 40  #"))
    assert known_parameters(copy)["epochs"] == 40
    assert known_parameters(search)["epochs"] == shipped_epochs


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Starts the command as some user, where JupyterLab refuses -> (the options that it had, what is printed)."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(tools.lab, "SHIPPED", tmp_path)

    def run(capsys, user, container, *arguments):
        passed = []
        monkeypatch.setattr(tools.lab.os, "geteuid", lambda: user, raising=False)
        monkeypatch.setattr(tools.lab, "CONTAINER_MARKS", (tmp_path,) if container else ())
        monkeypatch.setattr(tools.lab, "run_module", lambda _, *options: passed.extend(options) or 1)
        assert tools.lab.main(list(arguments)) == 1
        return passed, capsys.readouterr().out

    return run


@pytest.mark.parametrize(
    ("user", "container", "arguments", "passes", "hints"),
    [
        (0, True, [], True, False),
        (0, False, [], False, True),  # root on a machine of one's own: only if it is wanted
        (0, False, ["--allow-root"], True, False),
        (1000, True, [], False, False),
        (1000, False, [], False, False),  # it ended for another reason
    ],
)
def test_root_is_let_in_within_a_container_and_told_the_flag_elsewhere(
    start, capsys, user, container, arguments, passes, hints
):
    options, printed = start(capsys, user, container, *arguments)
    assert ("--allow-root" in options) == passes
    assert ("--allow-root" in printed) == hints
