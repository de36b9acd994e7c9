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


HEAD = """
import collections, enum, functools, math, operator, pathlib, re, types
from dataclasses import dataclass
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Held:
    def __init__(self, a): self.a = a
    def __call__(self, x): return x * self.a
    def method(self, x): return x * self.a

class Slotted:
    __slots__ = ("a",)
    def __init__(self, a): self.a = a

@dataclass
class Settings:
    a: float = 1.0

class Kind(enum.Enum):
    A = 1
    B = 2
"""
VALUES = {
    "a list": ("[1, 2]", "[1, 3]"),
    "a dictionary": ("{'a': 1}", "{'a': 2}"),
    "a set": ("{1, 2}", "{1, 3}"),
    "a list in a dictionary": ("{'a': [1]}", "{'a': [2]}"),
    "a tuple that holds a list": ("(1, [2])", "(1, [3])"),
    "a function in a dictionary": ("{'a': lambda x: x + 1}", "{'a': lambda x: x + 2}"),
    "a function in a list": ("[lambda x: x + 1]", "[lambda x: x + 2]"),
    "a number of numpy": ("np.float32(2)", "np.float32(3)"),
    "a type of numbers": ("torch.float32", "torch.float16"),
    "a slice": ("slice(0, 2)", "slice(0, 3)"),
    "a range": ("range(2)", "range(3)"),
    "bytes that may change": ("bytearray(b'a')", "bytearray(b'b')"),
    "a namespace": ("types.SimpleNamespace(a=1)", "types.SimpleNamespace(a=2)"),
    "a mapping that stays": ("types.MappingProxyType({'a': 1})", "types.MappingProxyType({'a': 2})"),
    "an ordered dictionary": ("collections.OrderedDict(a=1)", "collections.OrderedDict(a=2)"),
    "a queue": ("collections.deque([1])", "collections.deque([2])"),
    "a dataclass": ("Settings(2.0)", "Settings(3.0)"),
    "an object": ("Held(1)", "Held(2)"),
    "an object with slots": ("Slotted(1)", "Slotted(2)"),
    "a method of an object": ("Held(1).method", "Held(2).method"),
    "a choice": ("Kind.A", "Kind.B"),
    "a path": ("pathlib.Path('a')", "pathlib.Path('b')"),
    "a pattern": ("re.compile('a')", "re.compile('b')"),
    "a tensor of float64": ("torch.tensor(1.0).double()", "torch.tensor(1.0).double() + 1e-12"),
    "a tensor of whole numbers": ("torch.tensor(2**53)", "torch.tensor(2**53 + 1)"),
    "a complex tensor": ("torch.tensor(1 + 0j)", "torch.tensor(1 + 1j)"),
    "a tensor of bfloat16": ("torch.ones(1).bfloat16()", "torch.zeros(1).bfloat16()"),
    "an array of texts": ("np.array(['a'])", "np.array(['b'])"),
    "tensors in a list": ("[torch.ones(1)]", "[torch.zeros(1)]"),
    "a layer": ("nn.Dropout(0.1)", "nn.Dropout(0.2)"),
    "weights": ("nn.BatchNorm1d(2)", "nn.BatchNorm1d(2).requires_grad_(False).apply(lambda m: m.weight.fill_(2))"),
    "a function of torch": ("torch.relu", "torch.sigmoid"),
    "a function of torch in Python": ("F.relu", "F.gelu"),
    "a class of torch": ("nn.ReLU", "nn.GELU"),
    "a function of numpy": ("np.sin", "np.cos"),
    "a function of Python": ("math.sin", "math.cos"),
    "an operator": ("operator.add", "operator.mul"),
    "a part of a function of torch": ("functools.partial(torch.mul, 2)", "functools.partial(torch.add, 2)"),
    "a function that remembers": ("functools.cache(lambda: 1)", "functools.cache(lambda: 2)"),
    "the sign of zero": ("0.0", "-0.0"),
}
PLACES = {
    "a global": "W = {}\nclass Triple:\n    def forward(self, x): return x, W",
    "a class attribute": "class Triple:\n    w = {}\n    def forward(self, x): return x, self.w",
    "a default": "class Triple:\n    def forward(self, x, *, w={}): return x, w",
    "a closure": (
        "def make(w):\n    class Triple:\n        def forward(self, x): return x, w\n    return Triple\n"
        "Triple = make({})"
    ),
    "what a helper uses": "W = {}\ndef helper(): return W\nclass Triple:\n    def forward(self, x): return helper()",
}
OTHERS = {
    "a cached property": (
        "class Triple:\n    @functools.cached_property\n    def w(self): return 1\n"
        "    def forward(self, x): return self.w",
        ("return 1", "return 2"),
    ),
    "a method by parts": (
        "class Triple:\n    def f(self, k, x): return x * k\n    forward = functools.partialmethod(f, 1)",
        ("(f, 1)", "(f, 2)"),
    ),
    "one of several functions by type": (
        "@functools.singledispatch\ndef h(x): return 1\n@h.register(torch.Tensor)\ndef _(x): return 1.5\n"
        "class Triple:\n    def forward(self, x): return h(x)",
        ("1.5", "2.5"),
    ),
    "a function of torch under another name": (
        "from math import sin as h\nclass Triple:\n    def forward(self, x): return h(x)",
        ("sin as", "cos as"),
    ),
    "a class of classes": (
        "class M(type):\n    def k(cls): return 1\n"
        "class Triple(metaclass=M):\n    def forward(self, x): return type(self).k()",
        ("return 1", "return 2"),
    ),
}
CHANGES_ITSELF = {
    "a list of calls": ("W = []", "W.append(x)", "W.append(1)"),
    "a counter": ("W = 0", "global W; W += 1", "W = 5"),
    "a counter in a list": ("W = [0]", "W[0] += 1", "W[0] = 5"),
    "a cache": ("W = {}", "W[x] = x", "W[1] = 1"),
    "a cache in an object": ("W = Held({})", "W.a[x] = x", "W.a[1] = 1"),
    "a counter of a class": ("", "Triple.n = x", "Triple.n = 3"),
    "random numbers": ("W = np.random.default_rng(0)", "W.normal()", "W.normal()"),
    "an iterator": ("W = iter(range(9))", "next(W)", "next(W)"),
    "a function that remembers": ("W = functools.cache(lambda n: n)", "W(x)", "W(3)"),
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


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("value", VALUES)
def test_another_value_changes_the_digest_wherever_it_stands(value, place):
    before, again, after = (
        own_code(defined(HEAD + PLACES[place].replace("{}", text)))
        for text in (*VALUES[value][:1] * 2, VALUES[value][1])
    )
    assert before == again != after


@pytest.mark.parametrize("kind", OTHERS)
def test_so_does_code_that_is_reached_in_another_way(kind):
    source, edit = OTHERS[kind]
    assert own_code(defined(HEAD + source)) != own_code(defined(HEAD + source.replace(*edit)))


@pytest.mark.parametrize("kind", CHANGES_ITSELF)
def test_what_the_code_changes_itself_keeps_the_digest(kind):
    start, use, change = CHANGES_ITSELF[kind]
    source = f"{HEAD}{start}\nclass Triple:\n    n = 0\n    def forward(self, x):\n        {use}\n        return x\n"
    names: dict = {"__name__": "own_module"}
    exec(compile(source, "own_module.py", "exec"), names)
    before = own_code(names["Triple"])
    exec(change, names)
    assert own_code(names["Triple"]) == before


LATER = "self.more(x)\n\n    def more(self, x):\n        {}\n        return scale(x)"
IMPORTS = {
    "by its package": ("import own_package.helpers", "own_package.helpers.scale(x)"),
    "as a module": ("from own_package import helpers as h", "h.scale(x)"),
    "within a function": ("", LATER.format("from own_package.helpers import scale")),
    "within a function, relatively": ("", LATER.format("from .helpers import scale")),
}


@pytest.mark.parametrize("way", IMPORTS)
def test_a_helper_of_another_file_belongs_to_it(way, tmp_path, monkeypatch):
    head, use = IMPORTS[way]
    digests = []
    for number in (1, 2):
        folder = tmp_path / str(number) / "own_package"
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "helpers.py").write_text(f"def scale(x):\n    return x * {number}\n")
        (folder / "own.py").write_text(f"{head}\nclass Own:\n    def forward(self, x):\n        return {use}\n")
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder.parent)
            digests.append(own_code(importlib.import_module("own_package.own").Own))
        for name in [name for name in sys.modules if name.startswith("own_package")]:
            del sys.modules[name]
    assert digests[0] != digests[1]


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
    assert own_code(nn.Sequential(Net(2))) == own_code(nn.Sequential(Net(2)))  # its weights are another matter
    assert own_code(nn.Sequential(Net(2))) != own_code(nn.Sequential(Net(3)))
    assert own_code(nn.Sequential(Net(2))) is not None


@pytest.mark.parametrize("thing", [Sum, own_code, nn.Linear(2, 2), torch.relu, (1, "a"), functools.partial(Sum, 2)])
def test_what_is_not_ones_own_has_no_digest(thing):
    assert own_code(thing) is None


def test_nothing_that_comes_with_bmnas_is_ones_own():
    ours = {name for name, kind in PRIMITIVES.items() if kind.__module__.startswith("bmnas.")}
    assert own_primitives(ours) == {}
    for task in TASKS.values():
        assert own_code(task) is None, task.name
