"""Arguments of another class, and paths that are none, are named before any work."""

import inspect
import pickle
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from pydantic.dataclasses import is_pydantic_dataclass

import bmnas
import widgets
from bmnas.errors import ConfigError, FeatureError
from bmnas.storage.arguments import matches, wording
from tests.support.tiny import tiny_features

CONFIG = bmnas.SearchConfig(C=4, L=4, N=1, M=1, epochs=1)
BUDGET = bmnas.EvalConfig(epochs=1, seeds=1)

CALLS = {
    "search: features": (lambda f, r: next(bmnas.search({"A": 1}, CONFIG, r)), "features.*bmnas.FeatureSet"),
    "search: config": (lambda f, r: next(bmnas.search(f, {"C": 4}, r)), "config.*bmnas.SearchConfig"),
    "search: run": (lambda f, r: next(bmnas.search(f, CONFIG, "runs/mine")), "run is 'runs/mine'.*bmnas.Run"),
    "read_out": (lambda f, r: bmnas.read_out("runs/mine", f), "run is 'runs/mine'"),
    "evaluate": (lambda f, r: bmnas.evaluate("a", {}, f, CONFIG, CONFIG, r), "budget.*bmnas.EvalConfig"),
    "train_and_save": (lambda f, r: bmnas.train_and_save(r, CONFIG, f, BUDGET, BUDGET), "genotype.*bmnas.Genotype"),
    "baselines": (lambda f, r: bmnas.baselines(f, CONFIG, {"seeds": 1}, r), "budget.*bmnas.EvalConfig"),
    "evaluate_rivals": (lambda f, r: bmnas.evaluate_rivals(f, CONFIG, BUDGET, "x"), "run is 'x'"),
    "a genotype's text": (lambda f, r: bmnas.Genotype.from_json({"cells": []}), "Genotype.from_json: text.*str"),
    "change_from": (lambda f, r: CONFIG.change_from("C"), "change_from: parameters is 'C'"),
    "Run": (lambda f, r: bmnas.Run(None), "folder is None"),
    "load": (lambda f, r: bmnas.load(None), "run is None"),
    "open": (lambda f, r: bmnas.FeatureSet.open(3), "folder is 3"),
    "save": (lambda f, r: f.save(None), "folder is None"),
    "save: NUL": (lambda f, r: f.save("a\0b"), "NUL"),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_argument_of_another_class_is_named(call, tmp_path):
    function, words = CALLS[call]
    with pytest.raises(ConfigError, match=words):
        function(tiny_features(), bmnas.Run(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_folder_that_no_disk_takes_is_named(tmp_path):
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path))):
        tiny_features().save(tmp_path / ("a" * 300))


class Foreign:
    """Of no class that anything takes."""


THEIR_OWN = (bmnas.FeatureSet, bmnas.TrainedNetwork, bmnas.EpochEvent)


def public_calls():
    """Public functions and classes, but for errors, pydantic's data classes and THEIR_OWN."""
    for package in (bmnas, widgets):
        for name, value in vars(package).items():
            if name.startswith("_") or not callable(value) or not value.__module__.startswith(package.__name__):
                continue
            besides = value in THEIR_OWN or is_pydantic_dataclass(value)  # type: ignore[arg-type]
            if isinstance(value, type) and (besides or issubclass(value, Exception)):
                continue
            yield pytest.param(value, id=f"{package.__name__}.{name}")


@pytest.mark.parametrize("function", list(public_calls()))
def test_every_public_name_names_an_argument_of_a_foreign_class(function):
    hints = get_type_hints(function.__init__ if isinstance(function, type) else function)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if parameter.default is not parameter.empty and not is_dataclass(function):
            assert matches(parameter.default, hints[name])
        with pytest.raises(ConfigError, match=rf"\b{name} is .*Foreign.*expected"):
            function(**{name: Foreign()})


RIGHT = [
    (3, int), (np.int64(3), int), (3, float), (np.float32(3), float), (True, bool), (None, int | None),
    ([1], Sequence[int]), ((1,), Iterable[int]), (np.arange(3), Sequence[int]), ({"a": 1}, Mapping[str, int]),
    ({"a": [np.zeros(3)]}, dict[str, Sequence[np.ndarray]]), ((1, "a"), tuple[int, str]), ((), tuple[int, ...]),
    ("a", str | Path), (Path("a"), str | Path), ("b", Literal["a"]), (len, Callable[[int], int]), (3, Any),
    ({"a": 1}, Iterable[str]),
    (np.zeros(3), np.ndarray[Any, Any]), ("cpu", str | torch.device), (int, type),
    ("abc", Sequence[str] | str),
]  # fmt: skip
WRONG = [
    ("3", int), (3.5, int), (torch.zeros(2), float), (None, int), ("abc", Sequence[str]), ("abc", tuple[str, ...]),
    ({"a": 1}, Sequence[str]), (["a", 3], Sequence[str]), ({"a": "b"}, Mapping[str, int]), ({3: 1}, Mapping[str, int]),
    ([1], Mapping[str, int]), ((1,), tuple[int, str]), (b"abc", str | Path), ("len", Callable[[int], int]),
    ([0.0], np.ndarray), (3, Iterable[int]), (int, int), (3, type), (np.zeros((2, 2)), Sequence[float]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "hint"), RIGHT)
def test_what_an_annotation_allows_is_taken(value, hint):
    assert matches(value, hint)


@pytest.mark.parametrize(("value", "hint"), WRONG)
def test_what_an_annotation_does_not_allow_is_refused(value, hint):
    assert not matches(value, hint)


def test_a_generator_is_not_used_up():
    numbers = iter([1, 2])
    assert matches(numbers, Iterable[str])
    assert list(numbers) == [1, 2]


def test_classes_are_written_as_they_are_imported():
    assert wording(Sequence[bmnas.FeatureSet] | None) == "Sequence[bmnas.FeatureSet] | None"
    assert wording(Mapping[str, ArrayLike]) == "Mapping[str, ArrayLike]"


def test_a_warning_names_the_line_of_the_caller():
    arrays = {"A_1": np.ones((6, 3)), "B_1": np.eye(6)}
    splits = {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    with pytest.warns(UserWarning, match="A_1") as warned:
        bmnas.FeatureSet.from_arrays(arrays, [0, 1] * 3, splits)
    assert {warning.filename for warning in warned} == {__file__}


def test_public_functions_can_be_pickled():
    assert pickle.loads(pickle.dumps(bmnas.evaluate)) is bmnas.evaluate


@pytest.mark.parametrize(
    "registry", [bmnas.PRIMITIVES, bmnas.SEARCHERS, bmnas.TASKS, bmnas.RIVALS], ids=lambda r: r.kind
)
@pytest.mark.parametrize("thing", [5, None, object(), "name"])
def test_what_has_no_name_is_not_registered(registry, thing):
    before = dict(registry)
    with pytest.raises(ConfigError, match=registry.kind):
        registry.register(thing)
    assert registry == before


@pytest.mark.parametrize("value", [True, np.True_])
def test_a_truth_value_is_no_number(value):
    with pytest.raises(ConfigError, match="seed"):
        bmnas.prepare("planted", seed=value)
    with pytest.raises(ConfigError, match="L"):
        bmnas.pool(torch.zeros(2, 3, 4), value)


def test_two_classes_of_one_name_are_refused():
    arrays, splits = {"A": np.eye(9)}, {"train": range(5), "val": range(5, 7), "test": range(7, 9)}
    rows = {name: np.array(part) for name, part in splits.items()}
    with pytest.raises(FeatureError, match="'a' twice"):
        bmnas.FeatureSet.from_arrays(arrays, np.arange(9) % 2, rows, classes=["a", "a"])
