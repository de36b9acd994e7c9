"""evaluation.json and ablation.csv: what is written is read back, and a damaged file is named."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.config import EvalConfig
from bmnas.errors import RunError
from bmnas.evaluation.ablation import TABLE_6
from bmnas.evaluation.evaluation import evaluate
from bmnas.evaluation.results import Evaluation
from bmnas.evaluation.saved_results import (
    ABLATION,
    EVALUATION,
    load_ablation,
    load_evaluation,
    save_ablation,
    save_evaluation,
)
from bmnas.searching.run_folder import Run
from bmnas.tasks.planted import answer
from tests.support.tiny import BUDGET, CONFIG, multilabel_features, tiny_features

FEATURES = tiny_features()
SCORE = st.floats(0, 1)
EVALUATIONS = st.builds(
    Evaluation,
    name=st.text(st.characters(exclude_categories=["Cs"])),
    metric=st.sampled_from(["accuracy", "weighted F1"]),
    scores=st.lists(SCORE, min_size=1, max_size=4).map(tuple),
    all_scores=st.dictionaries(st.text("ab"), SCORE),
    per_class=st.dictionaries(st.text("ab"), SCORE | st.just(math.nan)),
    parameters=st.integers(0, 10**9),
)


@given(st.lists(EVALUATIONS, max_size=3))
def test_an_evaluation_there_and_back(tmp_path_factory, results):
    run = Run(tmp_path_factory.mktemp("runs") / "run")
    save_evaluation(run, results, FEATURES, EvalConfig())
    again = load_evaluation(run)
    assert repr(again) == repr(results)  # NaN is not equal to itself, but it prints the same


def test_the_file_says_what_was_trained_on_and_how(tmp_path):
    run = Run(tmp_path / "run")
    save_evaluation(run, [Evaluation("it", "accuracy", (0.5, 1.0))], FEATURES, EvalConfig(epochs=3))
    data = json.loads(run.path(EVALUATION).read_text())
    assert list(data) == ["source", "notes", "budget", "test", "methods"]
    assert (data["source"], data["budget"]["epochs"]) == (FEATURES.source, 3)
    assert (data["methods"][0]["mean"], data["methods"][0]["scores"]) == (0.75, [0.5, 1.0])
    assert "seconds" not in run.path(EVALUATION).read_text()


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("features", [FEATURES, multilabel_features()])
def test_answers_of_test_samples_there_and_back(tmp_path, features, columns):
    run, genotype = Run(tmp_path / "run"), answer((features.names[0], features.names[-1]))
    thirds = np.arange(len(features)) // 3
    grouped = replace(features, groups=thirds if columns == 1 else np.stack([thirds, 10**6 - thirds // 2], axis=1))
    results = [evaluate("it", genotype, grouped, CONFIG, BUDGET)]
    save_evaluation(run, results, grouped, BUDGET)
    (again,) = load_evaluation(run)
    before = results[0].outcomes
    assert before is not None and again.outcomes is not None and before.same_test(again.outcomes)
    assert np.array_equal(before.answers, again.outcomes.answers)
    assert again.interval == pytest.approx(results[0].interval)
    content = json.loads(run.path(EVALUATION).read_text())
    content["methods"][0]["answers"][1] = "AAAA"
    run.path(EVALUATION).write_text(json.dumps(content))
    with pytest.raises(RunError, match="answers"):
        load_evaluation(run)


GOOD = {"name": "it", "metric": "accuracy", "scores": [0.5]}
BAD_EVALUATIONS = [
    ([], "evaluation.json"),
    ({}, "methods"),
    ({"methods": {}}, "methods"),
    ({"methods": [3]}, r"methods\[0\]"),
    ({"methods": [GOOD, {"name": 3}]}, r"methods\[1\].*name is 3"),
    ({"methods": [GOOD | {"scores": []}]}, "scores"),
    ({"methods": [GOOD | {"scores": ["0.5"]}]}, r"scores\[0\] is '0.5'"),
    ({"methods": [GOOD | {"scores": [True]}]}, r"scores\[0\] is True"),
    ({"methods": [GOOD | {"scores": 0.5}]}, "scores is 0.5"),
    ({"methods": [GOOD | {"per_class": {"a": "x"}}]}, "per_class"),
    ({"methods": [GOOD | {"parameters": 0.5}]}, "parameters is 0.5"),
    ({"methods": [{"name": "it", "scores": [0.5]}]}, "metric"),
]


@pytest.mark.parametrize(("data", "named"), BAD_EVALUATIONS)
def test_a_damaged_evaluation_is_named(tmp_path, data, named):
    run = Run(tmp_path / "run")
    run.save_json(EVALUATION, data)
    with pytest.raises(RunError, match=rf"evaluation\.json.*{named}" if named != EVALUATION else named):
        load_evaluation(run)


ROWS = [
    (TABLE_6[0], Evaluation("random features", "accuracy", (0.5, 0.7))),
    (TABLE_6[3], Evaluation("it", "f", (1.0,))),
]


def test_an_ablation_there_and_back(tmp_path):
    run = Run(tmp_path / "run")
    save_ablation(run, {"Table 6": ROWS, "Table 7": ROWS[1:]}, FEATURES)
    frame = load_ablation(run)
    assert list(frame["table"]) == ["Table 6", "Table 6", "Table 7"]
    assert list(frame["method"]) == ["random features", "it", "it"]
    assert frame["mean"].to_list() == pytest.approx([0.6, 1.0, 1.0]) and frame["seeds"].to_list() == [2, 1, 1]
    assert set(frame["source"]) == {FEATURES.source}


@pytest.mark.parametrize("column", ["table", "method", "mean", "std", "seeds", "metric"])
def test_an_ablation_without_a_column_is_named(tmp_path, column):
    run = Run(tmp_path / "run")
    save_ablation(run, {"Table 6": ROWS}, FEATURES)
    pd.read_csv(run.path(ABLATION)).drop(columns=column).to_csv(run.path(ABLATION), index=False)
    with pytest.raises(RunError, match=rf"ablation\.csv.*'{column}'"):
        load_ablation(run)


@pytest.mark.parametrize("text", ["", "a,b\n1,2,3\n", "\0", "table,method,metric,mean,std,seeds\na,b,c,x,0,1\n"])
def test_a_damaged_ablation_is_named(tmp_path, text):
    run = Run(tmp_path / "run")
    run.save_text(ABLATION, text)
    with pytest.raises(RunError, match=r"ablation\.csv"):
        load_ablation(run)


def test_files_that_do_not_exist_are_named(tmp_path):
    for load, name in ((load_evaluation, EVALUATION), (load_ablation, ABLATION)):
        with pytest.raises(RunError, match=name):
            load(Run(tmp_path / "run"))
