"""Arguments of another class, and paths that are none, are named before any work."""

import re

import pytest

import bmnas
from bmnas.errors import ConfigError, FeatureError
from tests.support.tiny import tiny_features

CONFIG = bmnas.SearchConfig(C=4, L=4, N=1, M=1, epochs=1)
BUDGET = bmnas.EvalConfig(epochs=1, seeds=1)

CALLS = {
    "search: features": (lambda f, r: next(bmnas.search({"A": 1}, CONFIG, r)), "features.*bmnas.FeatureSet"),
    "search: config": (lambda f, r: next(bmnas.search(f, {"C": 4}, r)), "config.*bmnas.SearchConfig"),
    "search: run": (lambda f, r: next(bmnas.search(f, CONFIG, "runs/mine")), "run is 'runs/mine'.*bmnas.Run"),
    "read_out": (lambda f, r: bmnas.read_out("runs/mine", f), "run is 'runs/mine'"),
    "evaluate": (lambda f, r: bmnas.evaluate("a", None, f, CONFIG, CONFIG, r), "budget.*bmnas.EvalConfig"),
    "train_and_save": (lambda f, r: bmnas.train_and_save(r, None, f, BUDGET, BUDGET), "config.*bmnas.SearchConfig"),
    "baselines": (lambda f, r: bmnas.baselines(f, CONFIG, {"seeds": 1}, r), "budget.*bmnas.EvalConfig"),
    "evaluate_rivals": (lambda f, r: bmnas.evaluate_rivals(f, CONFIG, BUDGET, "x"), "run is 'x'"),
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
    with pytest.raises(FeatureError, match=re.escape(str(tmp_path))):
        tiny_features().save(tmp_path / ("a" * 300))
