"""Weights and scores over the epochs: the records as the views read them, and that they draw."""

import math
from dataclasses import replace

import pytest

from bmnas.searching.trace import Trace
from tests.support.synthetic import NTU, events
from widgets.search.figure import search_figure
from widgets.search.scores import score_curves, scores_info
from widgets.search.weight_figures import weight_heatmap, weight_lines
from widgets.search.weights import weight_label, weights_info

KINDS = ("alpha", "beta", "gamma")


@pytest.fixture(scope="module")
def trace() -> Trace:
    return Trace(events())


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_of_every_epoch_is_there_by_name(trace: Trace, kind: str) -> None:
    info = weights_info(trace, kind, 7)
    assert info.epochs == tuple(range(1, 13)) and info.best_epoch == 7
    found = {(row.cell, row.step, row.name): row.values for row in info.rows}
    for i, event in enumerate(trace):
        expected = [row for row in event.architecture.rows() if row["kind"] == kind]
        assert len(expected) == len(found)
        for row in expected:
            assert found[row["cell"], row["step"], row["name"]][i] == row["weight"]


def test_labels_name_the_edge_or_the_choice() -> None:
    assert weight_label("alpha", "Cell_1", "", "Image_3") == "Cell_1 ← Image_3"
    assert weight_label("beta", "Cell_1", "Step_2", "x") == "Cell_1.Step_2 ← x"
    assert weight_label("gamma", "Cell_1", "Step_2", "Sum") == "Cell_1.Step_2: Sum"


def test_places_and_names_come_in_the_order_of_the_search_space(trace: Trace) -> None:
    info = weights_info(trace, "beta")
    assert info.cells == ["Cell_1", "Cell_2"]
    assert info.places == ["Cell_1.Step_1", "Cell_1.Step_2", "Cell_2.Step_1", "Cell_2.Step_2"]
    assert info.names == ["x", "y", "Step_1"]


def test_a_weight_that_an_epoch_lacks_is_a_gap_in_its_row() -> None:
    first, second = list(events(epochs=2))
    alpha = {
        cell: {n: w for n, w in nodes.items() if n != "Image_2"} for cell, nodes in second.architecture.alpha.items()
    }
    short = replace(second, architecture=replace(second.architecture, alpha=alpha))
    rows = {row.label: row.values for row in weights_info([first, short], "alpha").rows}
    assert math.isnan(rows["Cell_1 ← Image_2"][1]) and not any(map(math.isnan, rows["Cell_1 ← Image_1"]))


def test_an_unknown_kind_is_refused_by_name(trace: Trace) -> None:
    with pytest.raises(ValueError, match="'delta'; expected one of alpha, beta, gamma"):
        weights_info(trace, "delta")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", [((), 2, 2), (NTU, 4, 4), (NTU, 1, 1), (NTU, 3, 2)])
def test_every_row_is_drawn_once_with_its_values(kind: str, space: tuple) -> None:
    features, N, M = space
    info = weights_info(Trace(events(features or NTU, N, M, epochs=3)), kind)
    lines = weight_lines(info, note="<stand-in>")
    drawn = {trace.hovertemplate.split("<br>")[0]: tuple(trace.y) for trace in lines.data}
    assert drawn == {row.label: tuple(round(value, 4) for value in row.values) for row in info.rows}
    legend = [trace.name for trace in lines.data if trace.showlegend]
    assert sorted(legend) == sorted(info.names)
    looks = {(trace.name, trace.line.color, trace.line.dash) for trace in lines.data}
    assert len(looks) == len({look[1:] for look in looks}) == len(info.names)  # one look a name, no look twice
    heat = weight_heatmap(info, note="<stand-in>")
    assert sum(len(trace.y) for trace in heat.data) == len(info.rows)
    assert "&lt;stand-in&gt;" in str(heat.to_json()) and "<stand-in>" not in str(lines.to_json())


def test_one_cell_alone_has_the_rows_of_that_cell(trace: Trace) -> None:
    for kind in KINDS:
        rows = weights_info(trace, kind).rows
        assert weights_info(trace, kind, cell="Cell_2").rows == tuple(row for row in rows if row.cell == "Cell_2")


def test_x_and_y_are_joined_only_where_they_coincide(trace: Trace) -> None:
    info = weights_info(trace, "beta")
    assert info.joined == info  # a synthetic search, whose x and y go ways of their own
    rows = [row._replace(values=info.rows[0].values) if row.place == "Cell_1.Step_1" else row for row in info.rows]
    joined = info._replace(rows=tuple(rows)).joined
    assert [row.label for row in joined.rows if row.place == "Cell_1.Step_1"] == ["Cell_1.Step_1 ← x, y"]
    assert [row for row in joined.rows if row.place != "Cell_1.Step_1"] == [
        row for row in info.rows if row.place != "Cell_1.Step_1"
    ]


def test_the_first_best_epoch_is_marked_unless_told(trace: Trace) -> None:
    info = scores_info(trace, "accuracy")
    assert info.best_epoch == trace.best.epoch and info.best_score == trace.best.val_score
    assert info.val_loss == tuple(event.val_loss for event in trace)
    assert scores_info(trace, "accuracy", 2).best_score == trace.events[1].val_score
    with pytest.raises(ValueError, match="epochs 1 to 12"):
        scores_info(trace, best_epoch=13)
    with pytest.raises(ValueError, match="no epochs yet"):
        scores_info(Trace())


def test_scores_are_drawn_in_per_cent_with_units(trace: Trace) -> None:
    fig = score_curves(scores_info(trace, "weighted F1"))
    star = fig.data[-1]
    assert list(star.x) == [trace.best.epoch]
    assert list(star.y) == [pytest.approx(100 * trace.best.val_score)]
    assert fig.layout.yaxis2.title.text == "weighted F1 [%]" and fig.layout.xaxis.title.text == "epoch"


def test_the_figure_of_a_large_search_stays_small() -> None:
    fig = search_figure(Trace(events(NTU, 4, 2, epochs=30)), "Search", "stand-in")
    assert len(str(fig.to_json())) < 100_000
