"""Results, samples and sources: what the views say, and that they draw."""

import re

import numpy as np
import pandas as pd
import pytest

import bmnas
from bmnas.evaluation.ablation import SEARCHED, TABLE_6
from bmnas.evaluation.results import Evaluation
from bmnas.searching.selection import Candidate, Selection
from bmnas.searching.shortlisting.projection import ProjectedChoice, Projection
from bmnas.space.derivation import derive
from bmnas.space.genotype import Genotype
from tests.support.synthetic import architecture
from widgets import style
from widgets.colours import feature_colours
from widgets.inputs.samples import feature_bars, feature_maps, feature_rows, sample_grid, sample_rows
from widgets.notebook.source_listing import show_source
from widgets.results.classes import class_dots, class_scores
from widgets.results.methods import ablation_scores, score_bars, score_table, scores_of_methods
from widgets.results.projection import projection_table
from widgets.results.shortlist import candidate_figure, candidate_rows, candidate_table
from widgets.static.html_table import table

FUSED = Evaluation("fused <b>", "accuracy", (0.91, 0.93, 0.95), per_class={"cat": 0.9, "dog": float("nan")})
ONE = Evaluation("Image", "accuracy", (0.8,), per_class={"cat": 0.7, "dog": 0.9})


LOW, HIGH = (100 * end for end in FUSED.interval)


def test_scores_are_per_cent_with_the_interval_of_the_mean() -> None:
    fused, one = scores_of_methods([FUSED, ONE], ["Image"]).rows
    assert fused.mean == pytest.approx(93)
    assert (fused.low, fused.high) == pytest.approx((LOW, HIGH))
    assert fused.text == f"93.00 ({LOW:.2f} to {HIGH:.2f})" and one.text == "80.00 (1 seed)"
    assert (fused.highlight, one.highlight) == (False, True)


def test_the_highlighted_method_is_compared_with_every_other() -> None:
    first, other = scores_of_methods([FUSED, Evaluation("b", "accuracy", (0.8, 0.82, 0.84))], [FUSED.name]).rows
    assert first.comparison is None and other.comparison is not None
    assert other.difference == "+11.00 (+11.00 to +11.00)" and other.comparison.verdict == "better"


def test_bars_carry_intervals_seeds_and_escaped_names() -> None:
    fig = score_bars(scores_of_methods([FUSED, ONE]), "Test <scores>", "note")
    bars, dots = fig.data
    assert list(bars.x) == pytest.approx([93, 80]) and list(bars.error_x.array) == pytest.approx([HIGH - 93, 0])
    assert sorted(dots.x) == pytest.approx([91, 93, 95])
    assert "<b>" not in str(fig.to_json()) and "<scores>" not in str(fig.to_json())
    low, high = fig.layout.xaxis.range
    assert low < 80 and high > 95 and f"starts at {low:.0f} %" in fig.layout.xaxis.title.text


def test_low_scores_are_drawn_from_zero() -> None:
    fig = score_bars(scores_of_methods([Evaluation("a", "accuracy", (0.1, 0.2))]))
    assert fig.layout.xaxis.range[0] == 0 and "starts" not in fig.layout.xaxis.title.text


@pytest.mark.parametrize(
    ("evaluations", "message"),
    [([], "at least one score"), ([Evaluation("a", "accuracy", ())], "at least one score"),
     ([ONE, Evaluation("b", "macro F1", (0.5,))], "accuracy, macro F1")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(evaluations: list[Evaluation], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores_of_methods(evaluations)


def test_an_ablation_highlights_the_searched_row_and_quotes_the_paper() -> None:
    info = ablation_scores([(row, Evaluation(row.name, "accuracy", (0.5, 0.6))) for row in TABLE_6])
    assert [row.name for row in info.rows if row.highlight] == [SEARCHED]
    assert [row.aside for row in info.rows] == [f"paper, NTU: {row.paper}" for row in TABLE_6]
    assert TABLE_6[0].paper in str(score_bars(info).to_dict()["layout"]["annotations"])


def test_tables_escape_round_and_mark_the_best() -> None:
    html = score_table(scores_of_methods([FUSED, ONE]), "Test <i>").to_html()
    assert "fused &lt;b&gt;" in html and "Test &lt;i&gt;" in html and "<b>" not in html
    assert html.count("font-weight: bold") == 2  # the caption's rule and the best mean's
    assert f"{LOW:.2f} to {HIGH:.2f}" in html and "-" in html
    frame = scores_of_methods([ONE])
    assert "80.0<" in table(score_table(frame).data, digits=1).to_html()


def test_numbers_of_a_table_are_in_line_and_text_is_not() -> None:
    frame = pd.DataFrame({
        "x": [1.5, float("nan")], "size": ["0.98 M", "-"], "set": ["1e-6", "last"], "row": ["3", "a"], "none": [-1, 20],
    })  # fmt: skip
    looks = re.findall(r"(?<!th)\.col(\d) \{\s*([^}]*)\}", table(frame).to_html())
    assert [("right" in look) for _, look in looks] == [True, True, False, False, True]
    long = table(pd.DataFrame({"x": [1], "why": ["a reason " * 9]})).to_html()
    assert long.count("nowrap") == 1 and table(frame[:0]).to_html().count("right") == 0  # x alone; a caption may wrap
    assert "min-width" in long and "min-width" not in table(frame).to_html()  # a sentence has room beside full columns


def test_classes_of_different_methods_must_agree() -> None:
    info = class_scores([FUSED, ONE], "recall")
    assert info.classes == ("cat", "dog") and info.values["Image"] == pytest.approx((70, 90))
    assert len(class_dots(info).data) == 2
    other = Evaluation("other", "accuracy", (0.5,), per_class={"cat": 0.5})
    with pytest.raises(ValueError, match="'other' has the classes"):
        class_scores([ONE, other])


def test_the_shortlist_marks_the_chosen_and_algorithm_1() -> None:
    genotypes = [derive(architecture(seed=seed), 2) for seed in range(3)]
    candidates = [Candidate(g, rank, 0.9 - rank / 10, 0.5 + rank / 10) for rank, g in enumerate(genotypes, start=1)]
    rows = candidate_rows(Selection("shortlist", genotypes[0], tuple(candidates), 100, True))
    assert [row.chosen for row in rows] == [False, False, True]
    assert [row.algorithm1 for row in rows] == [True, False, False]
    assert rows[2].trained_score == pytest.approx(80) and rows[2].inherited_score == pytest.approx(60)
    html = candidate_table(rows, "accuracy").to_html()
    assert html.count(">chosen<") == 1 and html.count(">Algorithm 1<") == 1
    by_name = {trace.name: list(trace.text) for trace in candidate_figure(rows, "accuracy").data}
    assert by_name == {"chosen": ["3"], "derived by Algorithm 1": ["1"], "candidate": ["2"]}


def test_brief_trainings_are_told_from_long_ones() -> None:
    genotypes = [derive(architecture(seed=seed), 2) for seed in range(4)]
    epochs, scores = (3, 20, 3, 20), (0.8, 0.7, 0.7, 0.6)  # two of one score, and a brief one above the answer
    candidates = [
        Candidate(g, i + 1, 0.5, scores[i], 1.0, epochs[i], 3 if i == 1 else 1) for i, g in enumerate(genotypes)
    ]
    rows = candidate_rows(Selection("shortlist", genotypes[0], tuple(candidates), 100, True))
    assert [row.brief for row in rows] == [True, False, True, False] and [row.chosen for row in rows].index(True) == 1
    assert [row.trained_for for row in rows] == ["3 epochs", "20 epochs, mean of 3", "3 epochs", "20 epochs"]
    assert all(row.trained_for in candidate_table(rows, "accuracy").to_html() for row in rows)
    dots = {tuple(trace.text): trace.marker.symbol for trace in candidate_figure(rows, "accuracy").data}
    assert dots == {("1",): "diamond-open", ("2",): "star", ("3",): "circle-open", ("4",): "circle"}


def test_the_decisions_of_darts_pt_stand_in_their_order_with_the_scores_behind_them() -> None:
    cell = {"inputs": ["a", "b"], "steps": [{"primitive": "Sum", "inputs": ["x", "y"]}]}
    genotype = Genotype.from_dict({"schema": 1, "cells": [cell], "r": 1})
    decisions = (
        ProjectedChoice("Cell_1.Step_1 primitive", ("Sum",), ("Zero",), {"Zero": 0.75, "Sum": 0.5}),
        ProjectedChoice("Cell_1", ("a", "b"), (), {}),
    )
    frame = projection_table(Projection(genotype, decisions), "accuracy")
    assert frame["choice"].tolist() == ["Cell_1.Step_1 primitive", "Cell_1"]
    assert frame["kept"].tolist() == ["Sum", "a, b"]
    assert frame["accuracy on val without each [%]"].tolist() == ["Sum 50.0, Zero 75.0", "no choice"]
    assert frame["hypernet"].tolist() == ["tuned", ""]


def test_algorithm_1_is_marked_where_its_inputs_have_the_other_order() -> None:
    cell = {"inputs": ["a", "b"], "steps": [{"primitive": "ConcatFC", "inputs": ["x", "y"]}]}
    listed = Genotype.from_dict({"schema": 1, "cells": [cell], "r": 1})
    cell["steps"][0]["inputs"] = ["y", "x"]
    derived = Genotype.from_dict({"schema": 1, "cells": [cell], "r": 1})
    (row,) = candidate_rows(Selection("shortlist", derived, (Candidate(listed, 1, 0.5, 0.5),), 1, True))
    assert listed != derived and row.algorithm1


def test_samples_fill_the_range_each_and_stay_small() -> None:
    pictures = np.random.default_rng(0).normal(size=(6, 28, 28))
    rows = sample_rows({"Image": pictures, "Audio": 100 * pictures[:, :20]}, ["Audio"])
    assert [(row.pictures.min(), row.pictures.max(), row.origin) for row in rows] == [
        (0, 255, "upper"), (0, 255, "lower"),
    ]  # fmt: skip
    fig = sample_grid(rows, list("abcdef"), note="<note>")
    assert len(fig.data) == 12 and len(str(fig.to_json())) < 60_000
    assert fig.layout.yaxis.autorange == "reversed" and fig.layout.yaxis7.autorange is True
    many = sample_rows({"Image": np.repeat(pictures, 2, axis=0)})
    assert fig.layout.width < sample_grid(many, list("abcdefgh")).layout.width <= style.WIDTH  # names are not cut off
    with pytest.raises(ValueError, match="\\(samples, height, width\\)"):
        sample_rows({"Image": pictures[0]})
    with pytest.raises(ValueError, match="samples"):
        sample_rows({"a": pictures, "b": pictures[:2]})


def test_a_constant_picture_is_black_and_not_a_division_by_zero() -> None:
    assert sample_rows({"a": np.full((1, 2, 2), 7.0)})[0].pictures.max() == 0


def test_shapes_of_features_are_named() -> None:
    arrays = {"Image_1": np.zeros((5, 64, 16)), "Text_1": np.zeros((5, 300)), "Text_2": np.zeros((5, 128, 1))}
    rows = feature_rows(arrays, {"Image": ["Image_1"], "words": ["Text_1", "Text_2"]})
    assert [(row.modality, row.channels, row.length) for row in rows] == [
        ("Image", 64, 16), ("words", 300, 1), ("words", 128, 1),
    ]  # fmt: skip
    bars = feature_bars(rows).data[0]
    assert list(bars.text) == ["64 channels × 16 positions", "300 channels, vector", "128 channels, vector"]
    colours = list(bars.marker.color)
    assert len(set(colours)) == 3
    assert colours[1:] == list(feature_colours([], {"Image": [], "words": ["Text_1", "Text_2"]}).values())


def test_feature_maps_keep_the_channels_that_vary() -> None:
    array = np.zeros((4, 100, 8))
    array[:, 90] = np.arange(32).reshape(4, 8)
    fig = feature_maps({"Image_1": array, "Text_1": np.ones((4, 10))}, row=1)
    assert np.asarray(fig.data[0].z).shape == (48, 8) and np.asarray(fig.data[0].z).max() == 255
    assert np.asarray(fig.data[1].z).shape == (10, 1)
    assert [note.text for note in fig.layout.annotations] == [
        "Image_1: 0 to 15",
        "Text_1: 1 to 1",
    ]  # what the colours span
    assert (fig.layout.xaxis.dtick, fig.layout.xaxis2.dtick) == (2, 1)


def test_a_source_is_the_source_with_its_formula() -> None:
    shown = show_source(bmnas.Attention)
    assert "class Attention" in repr(shown) and bmnas.Attention.formula in repr(shown.data)
    assert "<script" not in str(shown.data) and len(str(shown.data)) < 20_000
    method = show_source(bmnas.Attention.forward, "f < g")
    assert repr(method).splitlines()[1].startswith("def forward") and "f &lt; g" in str(method.data)
