"""Every reader, given hundreds of damaged files: one typed error that names the file, nothing written, no crash."""

import os
import shutil
from dataclasses import fields as dataclass_fields

import pytest

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import BmnasError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.trained_network import load, train_and_save
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import load_selection
from bmnas.space.genotype import Genotype
from tests.support.fuzz import contents, fields, flips, only, truncations
from tests.support.tiny import CONFIG, tiny_features

BUDGET = EvalConfig(epochs=1, seeds=1)
SETTINGS = CONFIG.change(epochs=2, shortlist_size=1)
SCALARS = (None, "\0", [], {}, [[]])
TABLE = ("train_loss", "val_score", "lr", "best_score", "epochs", "is_best", "best_epoch", "architecture.alpha")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run that has everything, and stored features."""
    folder = tmp_path_factory.mktemp("good")
    features = FeatureSet.open(tiny_features(samples=32).save(folder / "features"))
    run = Run(folder / "run")
    list(search(features, SETTINGS, run))
    genotype = read_out(run, features).chosen
    evaluate(SEARCHED, genotype, features, SETTINGS, BUDGET, run)
    train_and_save(run, genotype, features, SETTINGS, BUDGET)
    (kept,) = run.path("scores").glob("*.json")
    kept.rename(kept.with_name("kept.json"))
    return folder


def cases(reader, file, *groups):
    return [
        pytest.param(reader, file, damage, id=f"{file}: {name}".replace("\0", "NUL"))
        for group in groups
        for name, damage in group
    ]


def open_features(folder):
    FeatureSet.open(folder / "features")


def load_genotype(folder):
    Run(folder / "run").genotype()


def read_selection(folder):
    load_selection(Run(folder / "run"))


def read_config(folder):
    Run(folder / "run").config()
    Run(folder / "run").dataset()


def read_trace(folder):
    Run(folder / "run").trace().weights()


def resume(folder):
    list(search(FeatureSet.open(folder / "features"), SETTINGS, Run(folder / "run")))


def load_network(folder):
    load(Run(folder / "run"))


def read_score(folder):
    """The kept score has a digest for its name; it is put under it again."""
    run, kept = Run(folder / "run"), folder / "run/scores/kept.json"
    features, name = FeatureSet.open(folder / "features"), next((folder / "run/timing").iterdir()).name
    shutil.copy(kept, kept.with_name(name))
    try:
        evaluate(SEARCHED, run.genotype(), features, SETTINGS, BUDGET, run)
    finally:
        kept.with_name(name).unlink()


FILES = [
    *cases(
        open_features,
        "features/manifest.json",
        contents(),
        truncations((0.1, 0.5, 0.9)),
        fields(["schema", "L", "kind", "classes", "modalities", "features", "targets", "splits", "source"]),
        only("logits", None, -1, 1.5, "\0", [], [[]], True),
        fields(["features.0.file", "features.0.shape", "features.0.sha256", "targets.dtype"], SCALARS),
        only(
            "features.0.file", "../features/targets.npy", "", "manifest.json", "/etc/hostname", "targets.npy", "no.npy"
        ),
        only("features.0.name", "x", "Cell_1", "A 1", "<b>", "Step_2", "A_2", 7),
        only("schema", 0, 2, "1"),
    ),
    *cases(
        open_features, "features/01_A_1.npy", truncations((0.0, 0.01, 0.5, 0.99)), flips(12), contents(("a pickle",))
    ),
    *cases(open_features, "features/targets.npy", truncations((0.0, 0.5)), flips(6)),
    *cases(
        load_genotype,
        "run/genotype.json",
        contents(),
        truncations((0.2, 0.6)),
        fields(
            ["r", "cells", "cells.0.inputs", "cells.0.steps", "cells.0.steps.0.primitive", "cells.0.steps.0.inputs"]
        ),
        only("r", 0, 4, 10**6),
        only("schema", 0, 2),
        only("cells.0.inputs", ["A_1"], ["A_1", "A_1"], ["Cell_1", "A_1"], ["A_1", "A_2", "B_1"], ["A_1", ""]),
        only("cells.0.steps.0.primitive", "Summ", "__class__", "<script>"),
        only("cells.0.steps.0.inputs", ["x"], ["x", "x"], ["x", "Step_1"], ["x", "z"]),
    ),
    *cases(
        read_selection,
        "run/selection.json",
        contents(),
        fields(["rule", "algorithm1", "candidates", "exhaustive", "candidates.0.genotype"], (None, -1, "\0", [], [[]])),
        only("candidates.0.trained_score", None, "1", [], True),
        only("ranked", None, "1", 1.5),
    ),
    *cases(
        read_config,
        "run/config.json",
        contents(),
        truncations((0.3, 0.8)),
        fields(["dataset"], (None, 1, [])),
        only("search", None, [], 7, "C"),
        only("schema", 0, 2, "1", None),
        only("search.C", 0, -1, 1.5, "4", [], True, 1e400),
        only("search.arch_lr", -1.0, "fast", [], float("nan"), float("inf")),
        only("search.primitives", 5, [7], ["Summ"], {"Sum": 1}),
        only("search.mode", "Paper", [], 1),
        only("search.train_reshape", "yes", 2, []),
        only("search.colour", 1, "red"),
        only("search.dropout", 1.0, -0.1, "0"),
    ),
    *cases(
        read_trace,
        "run/trace.jsonl",
        contents(("no text", "a list", "a number", "null", "deep object")),
        (case for name in TABLE for case in fields([name], SCALARS, line=1)),
        only("metric", None, 1, [], {}, True, line=1),
        only("epoch", 1, 3, 0, "2", None, True, line=1),
        only("architecture.alpha.Cell_1.A_1", None, "0.5", [], float("nan"), line=1),
        only("genotype", None, [], {}, line=1),
    ),
    *cases(
        resume,
        "run/checkpoint.safetensors",
        contents(("empty", "nothing but zeros", "no text", "a list", "a pickle", "deep")),
        truncations((0.01, 0.1, 0.5, 0.99)),
    ),
    *cases(
        load_network,
        "run/network.safetensors",
        contents(("empty", "nothing but zeros", "no text", "a list", "a pickle", "deep")),
        truncations((0.01, 0.1, 0.5, 0.99)),
    ),
    *cases(
        read_score,
        "run/scores/kept.json",
        contents(),
        fields(["scores", "per_class", "parameters"], (None, "\0", [], {}, [[]])),
        only("scores.accuracy", None, "1", [], float("nan"), True),
    ),
]


NAMED_BY: dict[str, str] = {"run/scores/kept.json": "scores/"}  # under another name there


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("reader", "file", "damage"), FILES)
def test_a_damaged_file(good, tmp_path, reader, file: str, damage):
    shutil.copytree(good, tmp_path / "copy", copy_function=os.link)  # a damaged file is a new one
    damage(tmp_path / "copy" / file)
    before = snapshot(tmp_path / "copy")
    with pytest.raises(BmnasError) as error:
        reader(tmp_path / "copy")
    where = NAMED_BY[file] if file in NAMED_BY else file.split("/")[-1].split(".")[0]
    assert str(tmp_path / "copy") in str(error.value) and where in str(error.value), error.value
    assert len(str(error.value)) < 4000
    assert snapshot(tmp_path / "copy") == before


SETTING = [
    (kind, field.name, value)
    for kind in (SearchConfig, EvalConfig)
    for field in dataclass_fields(kind)
    for value in ([[]], "\0", -1, {})
]


@pytest.mark.parametrize(("kind", "name", "value"), SETTING, ids=lambda part: repr(part).replace("\\x00", "NUL"))
def test_a_wrong_setting(kind, name, value):
    if name == "device" and value == "\0":
        pytest.skip("any text may be the name of a device")
    with pytest.raises(BmnasError, match=name):
        kind.from_dict({name: value})


@pytest.mark.parametrize("data", [None, [], 7, "C", {1: 2}, {"C ": 4}])
def test_settings_that_are_none(data):
    for kind in (SearchConfig, EvalConfig):
        with pytest.raises(BmnasError):
            kind.from_dict(data)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"r": 1}', '{"cells": []}', '{"r": 1, "cells": [], "x": 1}', "[" * 10**5]
)
def test_a_genotype_that_is_none(text):
    with pytest.raises(BmnasError):
        Genotype.from_json(text)


def test_the_damages_are_many():
    assert len({case.id for case in FILES}) == len(FILES) >= 200
