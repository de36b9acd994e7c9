"""The views of 06: their numbers are those of the truth and of the diagnosis, and they draw."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace

import numpy as np
import pytest

from bmnas.space.decisions import decisions
from bmnas.space.derivation import derive
from bmnas.space.enumeration import Space
from bmnas.trust.benchmark import add_searchers, bench_trials
from bmnas.trust.decomposition import Decomposition
from bmnas.trust.diagnosis import Diagnosis
from bmnas.trust.expected_regret import random_regret
from bmnas.trust.knowledge import Bits, Knowledge
from bmnas.trust.modality_use import ModalityUse
from bmnas.trust.redundancy import RedundancyMap
from bmnas.trust.search_paths import SearchPath, regret_curves, standings_frame, trials_path
from bmnas.trust.truth_table import Truth
from tests.support.synthetic import architecture
from widgets.colours import feature_colours
from widgets.networks.dag import hypernet_figure
from widgets.results.decisions import decisions_table
from widgets.results.diagnosis_figures import (
    JOINT,
    LATE,
    headroom_figure,
    knowledge_figure,
    knowledge_table,
    redundancy_figure,
    use_figure,
)
from widgets.results.search_cost import regret_figure, searchers_table
from widgets.results.truth_explorer import TruthExplorer, truth_info
from widgets.sheets.chart import Band, Line, chart
from widgets.sheets.sheet import page

NAMES = ("A_1", "A_2", "B_1")
SPACE = Space(NAMES, 1, 1, 1, ("Sum", "LinearGLU"))
NETWORKS = list(SPACE.genotypes())
TABLE = Truth(
    {"dataset": "mfeat", "space": asdict(SPACE)},
    None,
    2,
    {g: ((0.5 + 0.01 * i, 0.5 + 0.01 * i), (0.4 + 0.02 * i, 0.44 + 0.02 * i)) for i, g in enumerate(NETWORKS)},
)
BEST, WORST = NETWORKS[-1], NETWORKS[0]
BEST2 = next(Space(NAMES, 1, 2, 1, ("Attention",)).genotypes())
PATHS = [SearchPath("early <b>", ((2.5, WORST),)), SearchPath("late", ((1.0, NETWORKS[3]), (6.0, BEST)))]


def explorer():
    return TruthExplorer(truth_info(TABLE, PATHS, "a note", {"A": ("A_1", "A_2"), "B": ("B_1",)}))


def names_of(svg):
    return [part.attrib["data-name"] for part in ET.fromstring(svg).iter() if "data-name" in part.attrib]


def test_every_network_is_a_dot_by_rank():
    info = explorer().info
    assert info.genotypes[0] == BEST and info.place(WORST) == len(NETWORKS) - 1
    assert info.test[0] == pytest.approx(100 * (0.42 + 0.02 * 8)) and info.std[0] == pytest.approx(100 * 0.04 / 2**0.5)
    assert {str(i) for i in range(len(NETWORKS))} <= set(names_of(page(explorer().map())))
    assert info.place(next(Space(("A_1", "C_1"), 1, 1, 1, ("Sum",)).genotypes())) is None


def test_the_budget_moves_the_picks():
    view = explorer()
    assert TruthExplorer(view.info, 2).picks() == {"late": 5}
    assert view.budget == 6 and view.picks() == {"early <b>": 8, "late": 0}
    view.box()
    view.slider.value = 2
    assert view.picks() == {"late": 5}
    assert "Answers after 2 trainings" in view.picture.content and "early" not in view.picture.content
    view.slider.value = 3
    assert "early &lt;b&gt;" in view.picture.content and "early <b>" not in view.picture.content


def test_a_click_draws_the_network():
    view = explorer()
    view.box()
    before = view.drawing.content
    view.picture.click(str(len(NETWORKS) - 1))
    after = view.drawing.content
    assert view.chosen == len(NETWORKS) - 1 and after != before
    assert f"{len(NETWORKS)}: {WORST.describe().replace(chr(10), '; ')}" in " ".join(ET.fromstring(after).itertext())


def test_the_twin_is_the_same_without_a_watcher():
    view = explorer()
    shown = " ".join(ET.fromstring(page(view.twin())).itertext())
    assert "a note" in shown and "All 9 networks" in shown and "standard deviation of 2 seeds" in shown
    assert "rank 1 (diamond): late" in view.text() and view.text().count("Cell_1") == 9


def test_a_sample_says_that_it_is_one():
    sampled = replace(TABLE, sample={"networks": 9, "seed": 0})
    assert "A random sample of 9 networks" in page(TruthExplorer(truth_info(sampled)).map())


def test_a_band_lies_below_its_lines_and_within_the_axes():
    svg = page(chart([Line("mean", [0, 1], [1, 2], "#000000")], [], "t", "x", "y", bands=[
        Band("spread", [0, 1], [-5, 0], [3, 9], "#B9CCD9")]))  # fmt: skip
    ground = re.search(r'<polygon points="([^"]+)"', svg)
    assert ground and svg.index("<polygon") < svg.index("<polyline") and "spread" in svg
    heights = [float(point.split(",")[1]) for point in ground[1].split()]
    assert len(heights) == 4 and min(heights) > 0 and max(heights) < 280


def test_regret_stands_beside_random_search_of_the_same_cost():
    standings = standings_frame(TABLE, PATHS, {"late": 0.5})
    rows = searchers_table(standings).to_dict("records")
    ranks = [row["rank, or median rank"] for row in rows]
    assert ranks == ["9", "1"] and rows[1]["regret [points]"] == pytest.approx(0)
    assert rows[0]["random search of this cost: regret"] == pytest.approx(100 * random_regret(TABLE.frame(), 3).mean)
    assert math.isnan(rows[0]["tau of its ranking"])
    fig = regret_figure(TABLE.frame(), standings, note="a note")
    band, mean, *marks = fig.data
    assert list(mean.x)[0] == 1 and list(mean.x)[-1] == 9 and mean.y[-1] == pytest.approx(0)
    assert [(mark.x[0], mark.y[0]) for mark in marks] == [(2.5, pytest.approx(16)), (6.0, pytest.approx(0))]
    assert "a note" in fig.layout.title.subtitle.text


def path_of(name, seed=0):
    return trials_path(name, bench_trials(name, TABLE, seed, len(NETWORKS)))


def test_other_searchers_are_lines_with_their_intervals_in_the_table():
    standings = add_searchers(standings_frame(TABLE, PATHS), TABLE, ["random", "local_search"], range(5), 4)
    rows = searchers_table(standings).to_dict("records")
    assert [row["searches"] for row in rows] == [1, 1, 5, 5]
    assert [row["95 % interval"] for row in rows[:2]] == ["-", "-"]
    low, high = map(float, str(rows[2]["95 % interval"]).split(" to "))
    assert low <= round(rows[2]["regret [points]"], 2) <= high and rows[2]["trainings"] == 4
    searches = {name: [path_of(name, seed) for seed in range(3)] for name in ("random", "local_search")}
    curves = regret_curves(TABLE, searches, len(NETWORKS))
    drawn = {trace.name: trace for trace in regret_figure(TABLE.frame(), standings, curves=curves).data}
    assert list(drawn["local_search"].y) == pytest.approx(list(100 * curves["local_search"]))
    assert drawn["local_search"].mode == "lines" and drawn["late"].mode == "markers"
    assert drawn["random"].line.color != drawn["local_search"].line.color


def test_every_choice_has_a_row_with_the_seeds_that_agree():
    weights = architecture(("A_1", "A_2", "B_1"), N=1, M=2, seed=4)
    derived = derive(weights, 1)
    frame = decisions_table(weights, derived, [derived, derived, BEST2])
    made = decisions(weights, derived, [derived, derived, BEST2])
    assert len(frame) == len(made) == 5
    for row, decision in zip(frame.to_dict("records"), made.values(), strict=True):
        assert (row["of"], row["chosen"], row[""]) == (decision.place, decision.choice, decision.word)
        assert decision.agreement is not None and row["other seeds"] == f"{round(3 * decision.agreement)} of 3"
    assert "other seeds" not in decisions_table(weights, derived)


def test_the_picture_of_a_hypernet_counts_other_seeds():
    weights = architecture(("A_1", "A_2", "B_1"), N=1, M=2, seed=4)
    derived = derive(weights, 1)
    alone, apart = (str(hypernet_figure(weights, derived, others=o).to_json()) for o in ([], [BEST2] * 3))
    assert apart.count("undecided") > alone.count("undecided")


def test_an_answer_without_a_score_has_no_mark():
    lacking = next(Space(("A_1", "C_1"), 1, 1, 1, ("Sum",)).genotypes())
    standings = standings_frame(TABLE, [SearchPath("other", ((1.0, lacking),)), path_of("random")])
    assert [trace.name for trace in regret_figure(TABLE.frame(), standings).data][2:] == ["random"]
    assert list(searchers_table(standings)["rank, or median rank"])[0] == "-"


def bits(mean, half=0.1):
    return Bits(mean, mean - half, mean + half)


def diagnosis(modalities=("A", "B"), parts=True, use=None):
    own = {name: bits(1.0) for name in modalities}
    known = Knowledge(100, 2.0, own, bits(1.2), bits(1.9), bits(0.7), bits(0.2))
    merits = {"A_1": 1.5, "A_2": 1.4, "B_1": 1.0}
    likeness = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
    return Diagnosis(
        task="own",
        notes="<notes>",
        multilabel=False,
        knowledge=known,
        decomposition=Decomposition("A", "B", 0.4, 0.6, 0.6, 0.3) if parts else None,
        redundancy=RedundancyMap(NAMES, likeness, merits),
        use=use,
    )


def test_what_is_known_is_drawn_with_its_parts():
    fig = knowledge_figure(diagnosis())
    known, pieces = fig.data
    assert dict(zip(known.y, known.x, strict=True)) == {"A": 1.0, "B": 1.0, LATE: 1.2, JOINT: 1.9}
    assert list(known.error_x.array) == pytest.approx([0.1] * 4)
    assert dict(zip(pieces.y, pieces.x, strict=True)) == {
        "redundancy": 0.4,
        "only A": 0.6,
        "only B": 0.6,
        "synergy": 0.3,
    }
    assert "<notes>" not in str(fig.to_json()) and "H(Y) = 2.00" in fig.layout.title.subtitle.text
    frame = knowledge_table(diagnosis())
    assert list(frame["bits"]) == [1.0, 1.0, 1.2, 1.9, 0.7] and "headroom" in list(frame["source"])[-1]


def test_of_one_modality_there_is_its_own_bar_alone():
    (known,) = knowledge_figure(diagnosis(("A",), parts=False)).data
    assert list(known.y) == ["A"]


def test_the_map_marks_the_pair_of_eq_3():
    heat, merits = redundancy_figure(diagnosis().redundancy, note="n").data
    assert heat.z[0][1] == 0.9 and (heat.zmin, heat.zmax) == (0, 1)
    own = feature_colours(merits.y)
    marked = {name for name, colour in zip(merits.y, merits.marker.color, strict=True) if colour == own[name]}
    assert marked == {"A_1", "A_2"}
    aid = redundancy_figure(diagnosis().redundancy).layout.title.subtitle.text
    assert "CKA is 0.90" in aid.replace("<br>", " ")


@pytest.mark.parametrize("several", [True, False])
def test_the_use_of_modalities_is_drawn(several):
    names = ("A", "B") if several else ("A",)
    scores = dict.fromkeys(names, 0.5)
    use = ModalityUse("accuracy", 0.9, 50, 0.88, scores if several else {}, scores, scores, scores, 0.1)
    fig = use_figure(use, note="n")
    assert {trace.name for trace in fig.data} >= {"all", "without it", "it alone", "Shapley value"}
    assert any("EMAP" in trace.name for trace in fig.data) == several
    assert list(fig.data[0].y) == [90.0] * len(names)


def test_headroom_is_a_share_of_what_there_is_to_know():
    known = diagnosis().knowledge
    fig = headroom_figure({"own": known, "none": replace(known, headroom=bits(0.0, 0.01))}, note="n")
    (dots,) = fig.data
    assert list(dots.x) == pytest.approx([35, 0]) and list(dots.text) == ["can help", "cannot help"]
    assert fig.layout.shapes[0].x1 == pytest.approx(2)
