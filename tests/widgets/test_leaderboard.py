"""The leaderboard: its order, its colours, the front, what a click shows, and that its picture has the same."""

import re
from dataclasses import replace

import numpy as np
import pytest

import bmnas
from bmnas.evaluation.origin import Origin
from bmnas.rivals.field.table import field_table
from bmnas.tasks.planted import answer
from tests.support.methods import draw, evaluation
from widgets.colours import modality_colours
from widgets.results.field import SOURCES, field_styler, sources_styler
from widgets.results.leaderboard.info import leaderboard_info
from widgets.results.leaderboard.leaderboard import Leaderboard


def results():
    rng, groups = np.random.default_rng(0), np.arange(400)
    genotype = answer(("A_1", "B_1"))
    about = {
        bmnas.SEARCHED: (
            0.8,
            500,
            Origin("run", command="run.py 04", source="BM-NAS", search_epochs=60, genotype=genotype.to_dict()),
        ),
        "strong <b>": (0.95, 90, Origin("run", command="run.py 04", source="a paper", limits="frozen")),
        "weak": (0.5, 9000, Origin("run", command="run.py 04", source="another")),
    }
    return [
        replace(evaluation(name, draw(rng, 3, 400, 1, skill), groups, size), origin=origin)
        for name, (skill, size, origin) in about.items()
    ]


def test_methods_are_sorted_and_judged():
    info = leaderboard_info(results())
    assert [one.name for one in info.standings] == ["strong <b>", bmnas.SEARCHED, "weak"]
    assert [one.rank for one in info.standings] == [1, 2, 3]
    assert [one.verdict for one in info.standings] == ["worse", "", "better"]
    assert [one.name for one in info.sorted("smallest first")] == ["strong <b>", bmnas.SEARCHED, "weak"]
    assert [one.name for one in info.sorted("cheapest search first")] == ["strong <b>", "weak", bmnas.SEARCHED]
    assert [one.name for one in info.sorted("by name")] == [bmnas.SEARCHED, "strong <b>", "weak"]
    by_name = sorted(results(), key=lambda result: result.name.lower())
    for one, result in zip(info.sorted("by name"), by_name, strict=True):
        assert (one.low, one.high) == pytest.approx([100 * end for end in result.interval])
    with pytest.raises(ValueError, match="none"):
        leaderboard_info([])


def test_the_picture_has_every_method_once_to_click_and_the_front_alone_is_numbered():
    board = Leaderboard(leaderboard_info(results()))
    bars = board.bars().marks
    assert re.findall('data-name="([^"]*)"', bars) == ["strong &lt;b&gt;", bmnas.SEARCHED, "weak"]
    assert "<b>" not in board.twin().marks
    charts = "".join(chart.marks for chart in board.charts())
    labels = re.findall(r'paint-order="stroke">([^<]*)<', charts)
    assert labels == ["1", "2", "1", "2"]  # in each chart the front, which is the best method, and the searched one
    assert board.text().splitlines()[0].startswith("strong <b>: ")


def test_a_modality_alone_has_the_mark_of_its_colour():
    modalities = {"Image": ["Image_1"], "Im": ["Im_1"]}
    alone = [
        replace(one, name=name)
        for one, name in zip(results()[1:], ("Im alone", "Image alone, trained head"), strict=True)
    ]
    board = Leaderboard(leaderboard_info([results()[0], *alone]), modalities)
    rows = dict(re.findall(r'<g data-name="([^"]*)"(.*?)</g>', board.bars().marks, re.DOTALL))
    colours = modality_colours(modalities)
    shown = {name: {one for one in colours.values() if one in marks} for name, marks in rows.items()}
    assert shown["Im alone"] == {colours["Im"]} and shown["Image alone, trained head"] == {colours["Image"]}
    assert shown[bmnas.SEARCHED] == set()


def test_a_click_shows_the_network_of_a_method():
    board = Leaderboard(leaderboard_info(results()))
    assert "cannot do on stored features: frozen" in board.network().marks
    board.box()
    board.bar_view.click(bmnas.SEARCHED)
    assert board.chosen == bmnas.SEARCHED and "LinearGLU" in board.drawing.content
    board.chart_view.click("weak")
    assert "another" in board.drawing.content and "LinearGLU" not in board.drawing.content
    board.sorting.value = "cheapest search first"
    assert re.findall('data-name="([^"]*)"', board.bar_view.content)[-1] == bmnas.SEARCHED


def test_the_table_leaves_out_what_all_rows_share_and_what_nobody_has():
    html = field_styler(results(), "mfeat", "Scores").to_html()
    assert "run.py 04" not in html and "published" not in html
    assert "frozen" in sources_styler(results(), "mfeat").to_html()
    other = [replace(one, origin=Origin(name)) for name, one in zip("abc", results(), strict=True)]
    assert ">b</td>" in field_styler(other, "mfeat", "Scores").to_html()
    assert "93.51" in field_styler(results(), "egogesture", "Scores").to_html()


@pytest.mark.parametrize("task", ["mfeat", "egogesture"])
def test_every_column_of_the_field_is_in_one_of_two_tables(task: str) -> None:
    whole = field_table(results(), task)
    scores, sources = field_styler(results(), task, "Scores"), sources_styler(results(), task)
    shown = {*scores.data.columns, *sources.data.columns}  # type: ignore[attr-defined]
    missing = {column for column in whole if column not in shown}
    assert missing <= {"run", "command"} | {c for c in whole if set(whole[c].fillna("")) == {""}}
    assert not {*SOURCES} & {*scores.data.columns}  # type: ignore[attr-defined]
    assert list(sources.data["method"]) == list(whole["method"])  # type: ignore[attr-defined]
