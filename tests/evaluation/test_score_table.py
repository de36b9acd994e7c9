"""Tables of scores in a plain terminal: the scores can be seen at 80 columns, and nothing is left out in silence."""

import pandas as pd
import pytest

import bmnas
from bmnas.evaluation.score_table import ScoreTable

METHODS = ["late fusion of logits: sum of log-probabilities (heads)", "Image alone, trained head", "GMU"]
SCORES = {"macro average precision": 0.81234, "std": 0.0125, "accuracy": 0.75, "macro F1": 0.6, "parameters": 1234567}


@pytest.fixture(params=[80, 60, 200])
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


def leaderboard():
    return ScoreTable([{"method": name, **SCORES} for name in METHODS])


def test_a_leaderboard_shows_methods_and_first_score(width):
    text = repr(leaderboard())
    assert max(map(len, text.splitlines())) <= width
    assert text.count("0.8123") == 3 and all(name[:15] in text for name in METHODS)


@pytest.mark.parametrize("score", ["accuracy", "weighted F1"])
def test_names_are_whole_where_a_score_fits_beside_them(score, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    longest = "late fusion of logits: tuned weights and temperatures (heads)"
    text = repr(ScoreTable([{"method": name, score: 0.75, "std": 0.01} for name in (longest, *METHODS)]))
    assert all(name in text for name in (longest, *METHODS)) and text.count("0.75") == 4


def test_every_column_is_shown_or_named(width):
    text = " ".join(repr(leaderboard()).split())
    assert all(name in text for name in SCORES) and "[3 rows x 6 columns" in text


@pytest.mark.parametrize("change", [lambda f: f.head(1), lambda f: f.sort_values("std"), lambda f: f[f["std"] < 1]])
def test_parts_of_a_table_print_as_the_whole_does(change, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "0.8123" in repr(change(leaderboard()))


def test_a_truth_table_shows_its_scores_in_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    frame = bmnas.truth("mfeat")
    lines = repr(frame).splitlines()
    assert {"val", "test", "test_std"} <= set(lines[0].split()) and f"{frame['test'][0]:.4f}" in lines[1]


def test_it_is_a_data_frame():
    frame = leaderboard()
    assert isinstance(frame, pd.DataFrame) and frame["std"].tolist() == [0.0125] * 3
    assert "method" in repr(ScoreTable(columns=["method"])) and repr(ScoreTable())
