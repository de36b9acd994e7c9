"""Code of one's own is told apart by what runs: an edit that can change a result changes its digest, no other does."""

import functools
import importlib
import subprocess
import sys

import pytest
import torch
from torch import nn

from bmnas.registry import PRIMITIVES, TASKS
from bmnas.space.primitives import Sum, own_primitives
from bmnas.storage.own_code import own_code

SOURCE = '''
import torch
from torch import nn

FACTOR = 2.0
WEIGHTS = torch.tensor([1.0, 2.0])
CALLS = []


def helper(x):
    """Shift."""
    return x + 1


class Base(nn.Module):
    def scale(self, x):
        return x * FACTOR


class Triple(Base):
    """A primitive."""

    arity = 2
    symmetric = False
    power = 1

    def __init__(self, C, L, dropout, mode="paper"):
        super().__init__()
        self.conv = nn.Conv1d(C, C, 1)

    def forward(self, x, y):
        CALLS.append(1)
        return self.scale(helper(x)) * WEIGHTS[0] + self.conv(y) ** self.power
'''
EDITS = {
    "its own method": ("+ self.conv(y)", "- self.conv(y)"),
    "a class attribute": ("power = 1", "power = 2"),
    "the number of inputs": ("arity = 2", "arity = 3"),
    "a base class": ("return x * FACTOR", "return x / FACTOR"),
    "a helper": ("return x + 1", "return x + 2"),
    "a constant": ("FACTOR = 2.0", "FACTOR = 3.0"),
    "a tensor": ("[1.0, 2.0]", "[5.0, 2.0]"),
    "a layer": ("nn.Conv1d(C, C, 1)", "nn.Conv1d(C, C, 3, padding=1)"),
    "a default": ('mode="paper"', 'mode="reference"'),
}
SAME = {
    "nothing": ("FACTOR", "FACTOR"),
    "a comment": ("    power = 1\n", "    # how much\n\n    power = 1\n"),
    "a docstring": ("A primitive.", "One's own primitive."),
    "a helper's docstring": ("Shift.", "Moves by one."),
    "a list that changes": ("CALLS = []", "CALLS = [1]"),
}


def defined(source: str) -> type:
    names: dict = {"__name__": "own_module"}
    exec(compile(source, "own_module.py", "exec"), names)
    return names["Triple"]


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_changes_the_digest(edit):
    assert own_code(defined(SOURCE.replace(*EDITS[edit]))) != own_code(defined(SOURCE))


@pytest.mark.parametrize("edit", SAME)
def test_what_changes_no_result_keeps_the_digest(edit):
    assert own_code(defined(SOURCE.replace(*SAME[edit]))) == own_code(defined(SOURCE))


def test_the_digest_is_the_same_in_another_process(tmp_path):
    (tmp_path / "own_module.py").write_text(
        SOURCE + "\nNAMES = {'b', 'a', 'c'}\nTriple.ok = lambda s, n: n in {'a', 'b', 'c'}\n"
    )
    command = "import own_module; from bmnas.storage.own_code import own_code; print(own_code(own_module.Triple))"
    digests = {
        subprocess.run(
            [sys.executable, "-c", command], capture_output=True, text=True, check=True,
            env={"PYTHONPATH": f"{tmp_path}:{':'.join(sys.path)}", "PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
        ).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(digests) == 1


def test_the_code_that_runs_counts_not_the_file_as_it_is_now(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_file.py").write_text(SOURCE)
    module = importlib.import_module("own_file")
    before = own_code(module.Triple)
    (tmp_path / "own_file.py").write_text(SOURCE.replace("x + 1", "x + 2"))
    assert own_code(module.Triple) == before
    del sys.modules["own_file"]


def test_a_closure_a_partial_and_an_instance_belong_to_it():
    def made(factor):
        return lambda x: factor * x

    class Net(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.layer = nn.Linear(width, width)

    assert own_code(made(2)) != own_code(made(3))
    assert own_code(functools.partial(Net, 2)) != own_code(functools.partial(Net, 3))
    assert own_code(nn.Sequential(Net(2))) == own_code(nn.Sequential(Net(3)))  # its weights are another matter
    assert own_code(nn.Sequential(Net(2))) is not None


@pytest.mark.parametrize("thing", [Sum, own_code, nn.Linear(2, 2), torch.relu, (1, "a"), functools.partial(Sum, 2)])
def test_what_is_not_ones_own_has_no_digest(thing):
    assert own_code(thing) is None


def test_nothing_that_comes_with_bmnas_is_ones_own():
    ours = {name for name, kind in PRIMITIVES.items() if kind.__module__.startswith("bmnas.")}
    assert own_primitives(ours) == {}
    for task in TASKS.values():
        assert own_code(task) is None, task.name
