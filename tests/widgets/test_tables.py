"""Data frames for tables: their content against the records they come from."""

from dataclasses import replace
from itertools import combinations

import pandas as pd
import pytest

from bmnas.config import EvalConfig, SearchConfig
from bmnas.evaluation.ablation import TABLE_6
from bmnas.evaluation.results import Evaluation
from bmnas.features.extraction_timing import note
from bmnas.searching.algorithm1 import search
from bmnas.searching.trace import Trace
from tests.support.tiny import CONFIG, TWO_CELLS, tiny_features
from widgets.results.frames import (
    ablation_view,
    all_scores_table,
    config_table,
    extraction_table,
    movement_table,
    pair_table,
    primitive_table,
    published_table,
    step_table,
    unimodal_table,
)
from widgets.static.html_table import table


@pytest.fixture(scope="module")
def event():
    return list(search(tiny_features(), TWO_CELLS))[-1]


def settings(config):
    return {row["setting"]: row["value"] for row in config_table(config).to_dict("records")}


def test_settings_show_what_the_mode_stands_for():
    paper = settings(SearchConfig())
    assert paper["primitives"] == "Zero, Sum, Attention, LinearGLU, ConcatFC" and paper["pair_rule"] == "paper"
    release = settings(SearchConfig(mode="reference", ties="earlier"))
    assert "Zero" not in release["primitives"] and release["ties"] == "earlier" and release["schedule"] == "release"
    assert settings(EvalConfig(epochs=7))["epochs"] == "7"


def test_primitives_and_their_sizes():
    zero, glu = primitive_table(["Zero", "LinearGLU"]).to_dict("records")
    # C = 16: W1, W2 of 16 x 16, two biases, and a BatchNorm of 32 channels
    assert glu["parameters at C = 16, L = 4"] == 2 * 16 * 16 + 32 + 64
    assert zero["parameters at C = 16, L = 4"] == 0 and zero["inputs"] == 2


def test_backbones_of_a_feature_set():
    features = tiny_features()
    assert unimodal_table(features).empty
    scores = {"fit": 0.9, "train": 0.8, "val": 0.75, "test": 0.5}
    about = {"backbone": "LeNet", "parameters": 7, "epochs": 3, "scores": scores}
    features.manifest["backbones"] = {"A": about}
    (row,) = unimodal_table(features).to_dict("records")
    assert row["modality"] == "A" and (row["train"], row["val"], row["test"]) == (80, 75, 50)


def test_the_pace_of_an_extraction(tmp_path):
    assert extraction_table(tiny_features()).empty
    features = replace(tiny_features(), folder=tmp_path)
    note(tmp_path, "train A backbone", seconds=3.5)
    pace = {"rate": 20.0, "bare": 80.0, "share": 0.25, "bound": "decoding"}
    note(tmp_path, "extract", samples=60, seconds=3.0, waiting=2.0, backbones=0.75, writing=0.25, **pace)
    train, extract = extraction_table(features).to_dict("records")
    assert (train["stage"], train["seconds"]) == ("train A backbone", 3.5) and pd.isna(train["share [%]"])
    assert list(extract.values()) == ["extract", 3.0, "60", 20.0, 80.0, 25.0, "decoding"]


def test_how_far_the_weights_moved():
    trace = Trace(search(tiny_features(), CONFIG))
    alpha, beta, gamma = movement_table(trace).to_dict("records")
    edges = [abs(w - 0.5) for w in trace.events[-1].architecture.alpha["Cell_1"].values()]
    assert alpha["largest distance"] == max(edges)
    assert 0 < gamma["entropy"] <= 1 and beta["entropy"] == "no choice"  # M = 1


def test_the_best_pairs_of_each_cell(event):
    table = pair_table(event.architecture, event.genotype)
    taken = table[table[""] == "taken"]
    assert list(zip(taken["x"], taken["y"], strict=True)) == [cell.inputs for cell in event.genotype.cells]
    edges = event.architecture.alpha["Cell_1"]
    best = max(edges[i] * edges[j] for i, j in combinations(edges, 2))
    first = table.to_dict("records")[0]
    assert first["product"] == best and first["rank"] == 1


def test_the_choices_of_each_step(event):
    table = step_table(event.architecture, event.genotype)
    assert list(table["Step"]) == ["Cell_1.Step_1", "Cell_1.Step_2", "Cell_2.Step_1", "Cell_2.Step_2"]
    steps = [step for cell in event.genotype.cells for step in cell.steps]
    for (_, row), step in zip(table.iterrows(), steps, strict=True):
        assert row["primitive (γ)"].startswith(step.primitive)
        assert not row["runner-up"].startswith(step.primitive)


def test_published_sizes_agree_but_for_two():
    table = published_table().set_index("genotype")
    assert table.loc["ego_4", "parameters"] == 1_590_803
    assert sorted(table.index[table["agrees"] != "yes"]) == ["ntu_1", "ntu_3"]


def test_an_ablation_in_per_cent():
    result = Evaluation("random", "accuracy", (0.5, 0.6, 0.7))
    (row,) = ablation_view([(TABLE_6[0], result)]).to_dict("records")
    low, high = result.interval
    assert row["accuracy [%]"] == pytest.approx(60) and row["95 % interval"] == f"{100 * low:.2f} to {100 * high:.2f}"
    assert row["paper, NTU [%]"] == "86.35 ± 0.68"


def test_every_score_of_a_method():
    scores = {"weighted F1": 0.5, "macro F1": 0.25}
    results = [Evaluation("a", "weighted F1", (0.5,), scores), Evaluation("b", "x", (0.1,))]
    first, second = all_scores_table(results).to_dict("records")
    assert first == {"method": "a", "weighted F1": 50.0, "macro F1": 25.0} and pd.isna(second["macro F1"])


@pytest.mark.parametrize("number", [1234.5678, None])
def test_a_table_reads_as_one_without_html(number):
    frame = pd.DataFrame({"method": ["GMU & more", "late fusion"], "score": [number, 2.0]})
    lines = repr(table(frame, "Scores", best="score")).splitlines()
    assert lines[0] == "Scores" and lines[1].split() == ["method", "score"]
    assert lines[2].endswith("1,234.57" if number else "-") and "GMU & more" in lines[2]
    assert len({len(line) for line in lines[1:]}) == 1
    assert str(frame) == str(pd.DataFrame({"method": ["GMU & more", "late fusion"], "score": [number, 2.0]}))


def test_a_wide_table_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    frame = pd.DataFrame({f"a column {i}": ["some words"] * 2 for i in range(12)})
    lines = repr(table(frame)).splitlines()
    assert max(map(len, lines)) <= 60 and sum(line.count("some words") for line in lines) == 24
