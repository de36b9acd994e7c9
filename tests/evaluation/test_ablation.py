"""The rows of Tables 6 and 7: what each keeps, what it varies, and that all get the same training."""

import numpy as np
import pytest

from bmnas.evaluation import ablation
from bmnas.evaluation.ablation import MFAS_PAIRS, SEARCHED, STRUCTURES, TABLE_6, TABLE_7, TABLES, ablate, ablation_table
from bmnas.features.feature_set import FeatureSet
from bmnas.paper.published import PUBLISHED
from bmnas.searching.networks import build_network
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from tests.support.tiny import BUDGET, CONFIG, tiny_features

STEPS = (StepGenotype("LinearGLU", ("y", "x")), StepGenotype("Sum", ("x", "Step_1")))
ROWS = {row.name: row for row in (*TABLE_6, *TABLE_7)}


def ntu_features():
    rng = np.random.default_rng(0)
    names = [f"{modality}_{i}" for modality in ("Video", "Skeleton") for i in range(1, 5)]
    arrays = {name: rng.normal(size=(48, 3, 4)) for name in names}
    splits = {"train": np.arange(24), "val": np.arange(24, 36), "test": np.arange(36, 48)}
    return FeatureSet.from_arrays(arrays, np.arange(48) % 3, splits, task="ntu")


def make(name, genotype, features, seed=0):
    made = ROWS[name].make(genotype, features, seed)
    assert made is not None
    return made


def searched(features):
    """Two Cells of different inner structures over the first features."""
    a, b, c = features.names[:3]
    cells = (CellGenotype((a, b), STEPS), CellGenotype((c, "Cell_1"), STEPS[::-1][1:] + (STEPS[1],)))
    return Genotype(cells, 2)


FEATURES = {
    "two modalities": tiny_features,
    "three modalities": lambda: tiny_features(K=6, modalities=3),
    "ntu": ntu_features,
}


@pytest.mark.parametrize("case", FEATURES)
@pytest.mark.parametrize("name", [row.name for row in (*TABLE_6, *TABLE_7[:-1])])
def test_every_row_gives_a_genotype_that_fits(case, name):
    features = FEATURES[case]()
    made = ROWS[name].make(searched(features), features, 0)
    if name == "searched by MFAS" and case != "ntu":
        assert made is None
        return
    assert made is not None
    made.check(features.names)
    build_network(made, features, CONFIG, 0)


def test_searched_is_the_searched_genotype():
    features = tiny_features()
    assert ROWS[SEARCHED].make(searched(features), features, 0) == searched(features)
    assert TABLE_6[-1].name == TABLE_7[-1].name == SEARCHED


def test_random_features_keep_the_inner_structure_and_differ_between_seeds():
    features = ntu_features()
    genotype = searched(features)
    made = [make("random features", genotype, features, seed) for seed in range(8)]
    assert made == [make("random features", genotype, features, seed) for seed in range(8)]
    pairs = [tuple(cell.inputs for cell in one.cells) for one in made]
    assert len(set(pairs)) > 5
    allowed = {tuple(cell.inputs for cell in one.cells) for one in Space(features.names, 2, 1, 1, ("Sum",)).genotypes()}
    assert set(pairs) <= allowed
    for one in made:
        assert [cell.steps for cell in one.cells] == [cell.steps for cell in genotype.cells] and one.r == genotype.r


def test_last_features():
    for case, expected in (("two modalities", ("A_2", "B_2")), ("ntu", ("Video_4", "Skeleton_4"))):
        features = FEATURES[case]()
        made = ROWS["last features"].make(searched(features), features, 0)
        assert made == Genotype((CellGenotype(expected, STEPS),), 2)
    single = tiny_features(modalities=1)
    assert ROWS["last features"].make(searched(single), single, 0) is None


def test_mfas():
    features = ntu_features()
    genotype = searched(features)
    made = make("searched by MFAS", genotype, features)
    assert [cell.inputs for cell in made.cells] == list(MFAS_PAIRS)
    first, second = (cell.steps for cell in genotype.cells)
    assert [cell.steps for cell in made.cells] == [first, second, first, second]


EQUATIONS = {  # what the Steps of a row of Table 7 compute, written out
    "Sum": ["Sum(x, y)"],
    "ConcatFC": ["ConcatFC(x, y)"],
    "MHA": ["Attention(x, y)", "Attention(x, y)"],
    "AoA": ["Attention(x, y)", "LinearGLU(Step_1, x)"],
}


@pytest.mark.parametrize("name", EQUATIONS)
def test_structures_of_table_7(name):
    features = tiny_features()
    genotype = searched(features)
    made = make(name, genotype, features)
    assert [cell.inputs for cell in made.cells] == [cell.inputs for cell in genotype.cells]
    for cell in made.cells:
        assert [f"{step.primitive}({', '.join(step.inputs)})" for step in cell.steps] == EQUATIONS[name]
    assert made.r == (2 if name == "MHA" else 1)  # both heads are concatenated, AoA's gate is the output
    assert list(STRUCTURES) == list(EQUATIONS)


def test_what_the_paper_prints():
    assert {row.name: row.paper for row in TABLE_6} == {
        "random features": "86.35 ± 0.68",
        "last features": "89.49 ± 0.15",
        "searched by MFAS": "89.50 ± 0.60",
        SEARCHED: "90.48 ± 0.24",
    }
    assert [row.paper for row in TABLE_7] == ["87.64", "89.20", "88.29", "89.11", "90.48"]
    assert TABLES == {"Table 6": TABLE_6, "Table 7": TABLE_7}


def test_published_genotypes_can_be_ablated():
    features = ntu_features()
    for name in ("ntu_1", "ntu_4"):
        for row in (*TABLE_6, *TABLE_7):
            make(row.name, PUBLISHED[name].genotype, features).check(features.names)


def test_all_rows_are_trained_alike(monkeypatch, tmp_path):
    features = tiny_features()
    calls, evaluate = [], ablation.evaluate

    def spy(name, genotypes, given, config, budget, *rest):
        calls.append((name, sorted(genotypes), given is features, config, budget))
        return evaluate(name, genotypes, given, config, budget, *rest)

    monkeypatch.setattr(ablation, "evaluate", spy)
    tables = {name: ablate(rows, searched(features), features, CONFIG, BUDGET) for name, rows in TABLES.items()}
    expected = [row.name for row in (*TABLE_6, *TABLE_7) if row.name != "searched by MFAS"]
    five = BUDGET.change(seeds=5)
    assert calls[0] == ("random features", [0, 1, 2, 3, 4], True, CONFIG, five)
    assert calls[1:] == [(name, [0, 1, 2], True, CONFIG, BUDGET) for name in expected[1:]]
    frame = ablation_table(tables)
    assert list(frame["method"]) == expected and list(frame["seeds"]) == [5, *7 * [3]]
    assert list(frame["table"]) == 3 * ["Table 6"] + 5 * ["Table 7"]
    for line, (row, found) in zip(frame.to_dict("records"), [*tables["Table 6"], *tables["Table 7"]], strict=True):
        assert line["paper (NTU, %)"] == row.paper
        assert line["std"] == pytest.approx(np.std(found.scores, ddof=1))
    twice = frame[frame["method"] == SEARCHED]
    assert len(set(twice["mean"])) == 1  # the same network, the same seeds, in both tables


def test_a_row_that_the_features_do_not_allow_is_left_out():
    single = tiny_features(modalities=1)
    results = ablate(TABLE_6, searched(single), single, CONFIG, BUDGET.change(epochs=1, seeds=1))
    assert [row.name for row, _ in results] == ["random features", SEARCHED]
