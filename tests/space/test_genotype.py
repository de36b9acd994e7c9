"""Genotypes: what is accepted, what is refused and how, and JSON there and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.errors import GenotypeError
from bmnas.paper.published import PUBLISHED
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.primitives import PAPER_PRIMITIVES

SPACE = Space(("Image_1", "Image_2", "Text_1"), 3, 3, 2, PAPER_PRIMITIVES)


@st.composite
def genotypes(draw):
    return SPACE.random(draw(st.randoms(use_true_random=False)))


@given(genotypes())
def test_json_there_and_back(genotype):
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert set(genotype.features) <= set(SPACE.features)


def test_files(tmp_path):
    path = tmp_path / "genotype.json"
    PUBLISHED["ntu_4"].genotype.save(path)
    assert Genotype.load(path) == PUBLISHED["ntu_4"].genotype
    assert [p.name for p in tmp_path.iterdir()] == ["genotype.json"]
    with pytest.raises(GenotypeError, match=r"missing\.json"):
        Genotype.load(tmp_path / "missing.json")
    path.write_text("{")
    with pytest.raises(GenotypeError, match=r"genotype\.json"):
        Genotype.load(path)


def test_the_file_is_readable_by_hand():
    data = json.loads(PUBLISHED["ntu_1"].genotype.to_json())
    assert data["schema"] == 1
    assert data["cells"][0]["inputs"] == ["Video_3", "Skeleton_4"]
    assert data["cells"][0]["steps"][1] == {"primitive": "LinearGLU", "inputs": ["Step_1", "x"]}


def edited(change):
    data = PUBLISHED["mmimdb_1"].genotype.to_dict()
    change(data)
    return data


BAD = {
    "unknown primitive 'LinearGlu'; known (nearest first): LinearGLU": lambda d: d["cells"][0]["steps"][0].update(
        primitive="LinearGlu"
    ),
    "Cell_1.inputs names Cell_2, which does not come": lambda d: d["cells"][0].update(inputs=["Text_1", "Cell_2"]),
    "Cell_2.inputs names Cell_2": lambda d: d["cells"][1].update(inputs=["Text_1", "Cell_2"]),
    "expected two different nodes": lambda d: d["cells"][0].update(inputs=["Text_1", "Text_1"]),
    "cells[0].inputs": lambda d: d["cells"][0].update(inputs=["Text_1", 3]),
    "Cell_2.Step_1.inputs names 'Step_1'": lambda d: d["cells"][1]["steps"][0].update(inputs=["x", "Step_1"]),
    "ConcatFC takes 2 different nodes": lambda d: d["cells"][0]["steps"][0].update(inputs=["x"]),
    "Cell_1.steps is empty": lambda d: d["cells"][0].update(steps=[]),
    "cells is empty": lambda d: d.update(cells=[]),
    "r is 0": lambda d: d.update(r=0),
    "r is 9; Cell_1 has only 3 states": lambda d: d.update(r=9),
    "r is '2'": lambda d: d.update(r="2"),
    "r is True": lambda d: d.update(r=True),
    "the field 'r'": lambda d: d.pop("r"),
    "the field 'cells[1].inputs'": lambda d: d["cells"][1].pop("inputs"),
    "the field 'cells[0].step'": lambda d: d["cells"][0].update(step=[]),
    "schema is 7": lambda d: d.update(schema=7),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_genotypes_say_what_is_wrong(message):
    with pytest.raises(GenotypeError) as caught:
        Genotype.from_dict(edited(BAD[message]))
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [None, 3, [], "x", {"cells": {}, "r": 1}, {"cells": [1], "r": 1}])
def test_bad_shapes(data):
    with pytest.raises(GenotypeError):
        Genotype.from_dict(data)


def test_fit_to_features():
    genotype = PUBLISHED["mmimdb_1"].genotype
    genotype.check(PUBLISHED["mmimdb_1"].channels)
    with pytest.raises(GenotypeError, match=r"Cell_1 takes 'Text_1'.*nearest first\): Text_2, Image_3"):
        genotype.check(["Image_3", "Text_2"])


def test_describe():
    cell = CellGenotype(("a", "b"), (StepGenotype("Sum", ("x", "y")), StepGenotype("Attention", ("Step_1", "x"))))
    assert Genotype((cell,), 1).describe() == "Cell_1(x = a, y = b): Step_1 = Sum(x, y); Step_2 = Attention(Step_1, x)"
