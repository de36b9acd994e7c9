"""The figure of a search, the records behind it, and the marks of what changed."""

from dataclasses import replace

import pytest

from bmnas.searching.trace import Trace
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import hypernet_graph
from tests.support.synthetic import FEATURES, NTU, architecture, events
from widgets import style
from widgets.networks.changes import HALO, changes, changes_html, mark
from widgets.networks.dag import dag_drawing
from widgets.networks.drawing import dag_svg
from widgets.search.figure import search_figure, search_traces
from widgets.search.history import History
from widgets.search.panels import Choice, heat_labels
from widgets.search.places import BOTTOM, HEIGHT, PANELS, top
from widgets.search.scores import scores_info
from widgets.search.weights import weights_info
from widgets.style import FIXED, UNDECIDED


def test_records_grown_by_events_are_those_of_the_finished_trace() -> None:
    trace = Trace(events(epochs=7))
    history = History(trace)
    for kind in ("alpha", "beta", "gamma"):
        ours, theirs = history.weights(kind), weights_info(trace, kind, trace.best.epoch)
        assert ours._replace(rows=()) == theirs._replace(rows=())
        for a, b in zip(ours.rows, theirs.rows, strict=True):
            assert a[:4] == b[:4] and a.values == pytest.approx(b.values, abs=1e-4)
        one = history.weights(kind, "Cell_2").rows
        assert one == tuple(row for row in ours.rows if row.cell == "Cell_2")
    assert history.scores() == scores_info(trace, "accuracy", trace.best.epoch)
    for kind, values in history.entropy().values.items():
        assert values == pytest.approx([event.architecture.entropy()[kind] for event in trace], abs=1e-4)


@pytest.mark.parametrize("picture", ["lines", "heat map"])
@pytest.mark.parametrize("cell", ["", "Cell_3"])
def test_every_weight_of_the_choice_is_drawn_once(picture: str, cell: str) -> None:
    trace = Trace(events(NTU, 4, 4, epochs=5))
    data = search_figure(trace, "Search", "note", Choice(cell, picture)).to_dict()["data"]
    wanted = [row for row in trace.events[-1].architecture.rows() if cell in ("", row["cell"])]
    for kind, axis in (("alpha", "y"), ("beta", "y2"), ("gamma", "y3")):
        drawn = [one for one in data if one["yaxis"] == axis]
        rows = drawn[0]["z"] if picture == "heat map" else [one["y"] for one in drawn]
        weights = [row["weight"] for row in wanted if row["kind"] == kind]
        assert [row[-1] for row in rows] == pytest.approx(weights, abs=1e-4)
    assert len([one for one in data if one["yaxis"] == "y4"]) == 3  # entropy


def test_a_long_note_has_lines_that_fit_and_room_above_the_panels() -> None:
    note = "STAND-IN FEATURES, NOT REAL DATA: " + "a note as long as those of stand-ins are " * 5
    layout = search_figure(events(epochs=2), "Search", note).to_dict()["layout"]
    (shown,) = [word for word in layout["annotations"] if "STAND-IN" in word["text"]]
    lines = shown["text"].split("<br>")
    assert len(lines) == 2 and " ".join(lines) == note.strip()
    assert max(map(len, lines)) * style.NOTE_CHARACTER <= layout["width"]
    above = shown["yshift"] + len(lines) * 1.3 * shown["font"]["size"]
    assert above < layout["margin"]["t"] - layout["title"]["pad"]["t"] - layout["title"]["font"]["size"]


def test_x_is_seen_although_y_lies_upon_it() -> None:
    lines = [one for one in search_traces(History(events(NTU, 4, 4, epochs=3))) if one["yaxis"] == "y2"]
    x, y = ([one["line"] for one in lines if one["name"] == name] for name in "xy")
    assert all(a["width"] > 2 * b["width"] for a, b in zip(x, y, strict=True))
    assert [a["dash"] for a in x][:3] == ["solid"] * 3  # a Cell's
    assert {a["dash"] for a in x} == {"solid", *list(FIXED.values())[:3]}  # as long as those of y, wide as it is
    words = [word.text for word in search_figure(events(epochs=3), "Search").layout.annotations]
    assert any("x is wide below y" in text for text in words)


@pytest.mark.parametrize("choice", [Choice(), Choice("Cell_2", "lines"), Choice("", "heat map")])
def test_traces_keep_their_order_while_a_search_goes_on(choice: Choice) -> None:
    record = list(events())
    first, last = search_traces(History(record[:1]), choice), search_traces(History(record), choice)
    assert [trace["hovertemplate"] for trace in first] == [trace["hovertemplate"] for trace in last]
    assert {len(trace["x"]) for trace in last if trace.get("mode") != "markers"} == {12}
    assert search_traces(History(), choice) == []


@pytest.mark.parametrize(("features", "N", "M"), [(FEATURES, 1, 1), (FEATURES, 2, 2), (NTU, 4, 4)])
@pytest.mark.parametrize("cell", ["", "Cell_1"])
def test_names_of_heat_maps_do_not_overlap(features: tuple[str, ...], N: int, M: int, cell: str) -> None:
    history = History(events(features, N, M, epochs=2))
    layout = search_figure(history.events, "Search", "note", Choice(cell, "heat map")).to_dict()["layout"]
    for kind, number in (("alpha", ""), ("beta", "2"), ("gamma", "3")):
        info, axis = history.weights(kind, cell), layout[f"yaxis{number}"]
        low, high = PANELS[kind][1]
        room = (HEIGHT - top(True) - BOTTOM) * (high - low)
        labels = [row.label for row in info.rows]
        places = [labels.index(label) * room / len(labels) for label in axis["tickvals"]]
        assert all(b - a >= axis["tickfont"]["size"] for a, b in zip(places, places[1:], strict=False))
        named = heat_labels(info, room)[1]
        assert axis["ticktext"] == named and len(set(named)) == len(named)


@pytest.mark.parametrize("cell", ["", "Cell_2"])
def test_every_line_of_a_step_can_be_told_apart(cell: str) -> None:
    """Colour, dash and mark of beta and gamma are those of one weight only, and the figure says what they mean."""
    fig = search_figure(events(NTU, 4, 4, epochs=5), "Search", choice=Choice(cell)).to_dict()
    for axis in ("y2", "y3"):
        lines = [one for one in fig["data"] if one["yaxis"] == axis]
        looks = {
            (one["line"]["color"], one["line"]["dash"], one["marker"].get("symbol") if "markers" in one["mode"] else "")
            for one in lines
        }
        assert len(looks) == len(lines) == (4 if cell == "" else 1) * (20 if axis == "y3" else 14)
    aid = next(note["text"] for note in fig["layout"]["annotations"] if "star: best" in note["text"])
    assert ("Step_3 dot" if cell else "mark: Step_1 none, Step_2 circle, Step_3 square, Step_4 diamond") in aid


def test_axes_wait_for_planned_epochs_and_end_with_the_last_one() -> None:
    record = list(events(epochs=100))[:7]
    for ended, last in ((False, 100.5), (True, 7.5)):
        layout = search_figure(record, "Search", ended=ended).to_dict()["layout"]
        assert {layout[f"xaxis{i}"]["range"][1] for i in ("", 2, 3, 4, 5, 6)} == {last}


def test_colours_tell_decisions_and_are_pale_where_nothing_is_decided() -> None:
    layout = search_figure(events(epochs=2), "Search", choice=Choice("", "heat map")).to_dict()["layout"]
    for axis, undecided in (("coloraxis", 1 / 2), ("coloraxis2", 1 / 5)):
        colours = layout[axis]
        assert (colours["cmin"], colours["cmax"]) == (0, 1)
        assert colours["colorscale"][1] == [undecided, UNDECIDED]
        assert undecided in colours["colorbar"]["tickvals"]
    traces = {trace["yaxis"]: trace for trace in search_traces(History(events(epochs=2)), Choice("", "heat map"))}
    assert [traces[axis]["coloraxis"] for axis in ("y", "y2", "y3")] == ["coloraxis", "coloraxis", "coloraxis2"]


def test_axes_of_lines_are_not_narrower_than_a_tenth() -> None:
    layout = search_figure(events(epochs=2), "Search").to_dict()["layout"]
    for axis, low, high in (("", 0.45, 0.55), ("2", 0.45, 0.55), ("3", 0.15, 0.25)):
        assert layout[f"yaxis{axis}"]["autorangeoptions"]["include"] == pytest.approx((low, high))


def test_a_figure_without_events_says_that_it_waits() -> None:
    layout = search_figure([], "Search").to_dict()["layout"]
    assert any("waiting" in note["text"] for note in layout["annotations"])


def genotype(x: str, primitive: str, step_inputs: tuple[str, str] = ("x", "y")) -> Genotype:
    return Genotype((CellGenotype((x, "Audio_1"), (StepGenotype(primitive, step_inputs),)),), 1)


def test_changes_are_what_entered_left_or_has_another_primitive() -> None:
    found = changes(genotype("Image_1", "Sum"), genotype("Image_2", "Attention"))
    assert found.entered == {("Image_2", "Cell_1")} and found.left == {("Image_1", "Cell_1")}
    assert found.primitives == {"Cell_1.Step_1": ("Sum", "Attention")}
    words = changes_html(found, 4)
    assert words.startswith("since epoch 4: ")
    for part in ("Image_2 → Cell_1", "Image_1 → Cell_1", "Cell_1.Step_1: Sum → Attention"):
        assert part in words
    assert not changes(None, genotype("Image_1", "Sum"))
    same = changes(genotype("Image_1", "Sum"), genotype("Image_1", "Sum"))
    assert not same and "unchanged since epoch 4" in changes_html(same, 4)


def test_changes_are_marked_on_the_drawing() -> None:
    record = architecture(FEATURES, 1, 1)
    now = derive(record, 1)
    (cell,) = now.cells
    absent = next(name for name in FEATURES if name not in cell.inputs)
    old_step = replace(cell.steps[0], primitive="Sum" if cell.steps[0].primitive != "Sum" else "Zero")
    before = Genotype((CellGenotype((absent, cell.inputs[1]), (old_step,)),), 1)
    plain = dag_drawing(hypernet_graph(record, now))
    marked = mark(plain, changes(before, now))
    assert [line.edge for line in marked.lines if line.colour == HALO] == [
        ("Cell_1.Step_1", "Cell_1.Step_1"),
        (cell.inputs[0], "Cell_1"),
    ]
    assert [line.dash for line in marked.lines if line.edge == (absent, "Cell_1")] == ["dash"]
    assert (marked.boxes, marked.texts) == (plain.boxes, plain.texts)
    assert HALO in dag_svg(marked) and HALO not in dag_svg(plain)
    assert mark(plain, changes(now, now)) == plain
