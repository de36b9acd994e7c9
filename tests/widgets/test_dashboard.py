"""The figure of a search, its panels, and the marks of what changed."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.architecture import Architecture
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import hypernet_graph
from tests.support.synthetic import FEATURES, NTU, architecture, events
from widgets import style
from widgets.networks.changes import HALO, changes, changes_html, mark
from widgets.networks.dag import dag_drawing, dag_panels
from widgets.networks.drawing import dag_svg
from widgets.search.curve_panels import EntropyPanel
from widgets.search.figure import HEIGHT, PANELS, search_figure, search_layout, search_traces
from widgets.search.panel import Choice, SearchView
from widgets.search.screen import Screen
from widgets.search.weight_panel import WeightPanel
from widgets.style import UNDECIDED

AXES = {getattr(panel, "kind", type(panel).__name__): str(i + 1 if i else "") for i, panel in enumerate(PANELS)}


def drawn(data: Any, panel: str) -> list[Any]:
    """The traces on a panel's axes."""
    return [one for one in data if one["yaxis"] == f"y{AXES[panel]}"]


def as_searched(record: list[EpochEvent]) -> list[EpochEvent]:
    """The same with beta as a search has it: x and y differ by their initial noise alone."""
    found = []
    for event in record:
        plain = event.architecture.to_dict()
        for steps in plain["beta"].values():
            for weights in steps.values():
                weights["y"] = weights["x"] + 0.0004
        found.append(replace(event, architecture=Architecture.from_dict(plain)))
    return found


@pytest.mark.parametrize("picture", ["lines", "heat map"])
@pytest.mark.parametrize("cell", ["", "Cell_3"])
def test_every_weight_of_the_choice_is_drawn_once(picture: str, cell: str) -> None:
    trace = Trace(events(NTU, 4, 4, epochs=5))
    data = search_figure(trace, "Search", "note", Choice(cell, picture)).to_dict()["data"]
    wanted = [row for row in trace.events[-1].architecture.rows() if cell in ("", row["cell"])]
    for kind in ("alpha", "beta", "gamma"):
        traces = drawn(data, kind)
        rows = traces[0]["z"] if picture == "heat map" else [one["y"] for one in traces]
        weights = [row["weight"] for row in wanted if row["kind"] == kind]
        assert [row[-1] for row in rows] == pytest.approx(weights, abs=1e-4)


def test_entropy_scores_and_losses_are_those_of_the_trace() -> None:
    trace = Trace(events(epochs=7))
    data = search_figure(trace, "Search").to_dict()["data"]
    for line, kind in zip(drawn(data, "EntropyPanel"), ("alpha", "beta", "gamma"), strict=True):
        assert line["y"] == pytest.approx([event.architecture.entropy()[kind] for event in trace], abs=1e-4)
    for panel, scale, names in (("ScorePanel", 100, "score"), ("LossPanel", 1, "loss")):
        train, val, star = drawn(data, panel)
        for line, split in ((train, "train"), (val, "val")):
            wanted = [scale * getattr(event, f"{split}_{names}") for event in trace]
            assert line["y"] == pytest.approx(wanted, abs=1e-3)
        assert list(star["x"]) == [trace.best.epoch] and star["y"][0] == pytest.approx(
            val["y"][trace.best.epoch - 1], abs=1e-3
        )


def test_a_kind_without_a_choice_has_no_entropy_and_says_so() -> None:
    """With one Step, beta weighs x and y, and both are taken."""
    fig = search_figure(events(M=1, epochs=3), "Search").to_dict()
    assert [line["name"] for line in drawn(fig["data"], "EntropyPanel")] == ["α", "γ"]
    headings = [one["text"] for one in fig["layout"]["annotations"]]
    assert re.findall(r"(\w):\s+no\s+choice", fig["layout"]["title"]["subtitle"]["text"].replace("<br>", " ")) == ["β"]
    assert not any("β" in heading for heading in headings if "entropy" in heading)


def test_a_heading_starts_with_its_panel_and_leaves_counts_to_the_words_below() -> None:
    fig = search_figure(events(NTU, 2, 2, epochs=1), "Search").to_dict()
    layout = fig["layout"]
    headings = layout["annotations"][: len(PANELS)]
    for number, heading in zip(AXES.values(), headings, strict=True):
        assert (heading["x"], heading["xanchor"]) == (layout[f"xaxis{number}"]["domain"][0], "left")
    assert not any("undecided" in heading["text"] for heading in headings)
    assert "α: 1 of 2 undecided" in layout["title"]["subtitle"]["text"]


def test_a_network_stands_below_the_curves_where_it_would_be_too_small_beside_them() -> None:
    basis = []
    for names in (NTU[:3], [f"{name}_{i}" for name in NTU for i in (1, 2)]):
        screen = Screen("Search")
        screen.append(next(iter(events(names, 2, 1, epochs=1))))
        screen.draw()
        last = screen.view.last
        widest = max(panel.width for panel in dag_panels(hypernet_graph(last.architecture, last.genotype)))
        basis.append(float(screen.graph.layout.flex.split()[-1].removesuffix("px")))
        assert basis[-1] >= 0.6 * widest  # of its size, else the row wraps
    assert basis[0] < basis[1]


def test_a_long_note_has_lines_that_fit_and_room_above_the_panels() -> None:
    note = "STAND-IN FEATURES, NOT REAL DATA: " + "a note as long as those of stand-ins are " * 5
    layout = search_figure(events(epochs=2), "Search", note).to_dict()["layout"]
    words = re.sub(r"</?span[^>]*>", "", layout["title"]["subtitle"]["text"])
    lines = words.split("<br>")
    assert words.replace("<br>", " ").startswith(note.strip())
    assert max(map(len, lines)) * style.NOTE_CHARACTER <= style.NARROW
    assert layout["margin"]["t"] >= 30 + len(lines) * 1.3 * layout["title"]["subtitle"]["font"]["size"]


@pytest.mark.parametrize("picture", ["lines", "heat map"])
def test_x_and_y_are_one_line_where_they_coincide_and_the_figure_says_why(picture: str) -> None:
    record = as_searched(list(events(NTU, 2, 2, epochs=3)))
    fig = search_figure(record, "Search", choice=Choice("", picture)).to_dict()
    traces = drawn(fig["data"], "beta")
    rows = len(traces[0]["z"]) if picture == "heat map" else len(traces)
    assert rows == 2 * (1 + 2)  # a Cell: x and y of Step_1; x and y, and Step_1, of Step_2
    said = "coincide"
    assert said in fig["layout"]["title"]["subtitle"]["text"]
    apart = search_figure(events(NTU, 2, 2, epochs=3), "Search", choice=Choice("", picture)).to_dict()
    assert said not in apart["layout"]["title"]["subtitle"]["text"]


@pytest.mark.parametrize("choice", [Choice(), Choice("Cell_2", "lines"), Choice("", "heat map")])
def test_traces_keep_their_order_while_a_search_goes_on(choice: Choice) -> None:
    record = tuple(events())
    first, last = (search_traces(SearchView(record[:n], choice)) for n in (1, len(record)))
    assert [trace.get("hovertemplate") for trace in first] == [trace.get("hovertemplate") for trace in last]
    assert {len(trace["x"]) for trace in last if trace.get("mode") != "markers"} == {12}
    assert search_traces(SearchView((), choice)) == []


@pytest.mark.parametrize("cell", ["", "Cell_2"])
def test_every_line_of_a_step_can_be_told_apart(cell: str) -> None:
    """Colour, dash and mark of beta and gamma are those of one weight only, and the figure says what they mean."""
    fig = search_figure(events(NTU, 4, 4, epochs=5), "Search", choice=Choice(cell)).to_dict()
    for kind in ("beta", "gamma"):
        lines = drawn(fig["data"], kind)
        looks = {
            (one["line"]["color"], one["line"]["dash"], one["marker"].get("symbol") if "marker" in one else "")
            for one in lines
        }
        assert len(looks) == len(lines) == (4 if cell == "" else 1) * (20 if kind == "gamma" else 14)
    aid = fig["layout"]["title"]["subtitle"]["text"].replace("<br>", " ")
    assert ("Step_3 dot" if cell else "mark: Step_1 none, Step_2 circle, Step_3 square, Step_4 diamond") in aid


@given(st.integers(1, 500), st.integers(3, 12))
def test_numbers_of_epochs_are_whole_and_none_stands_twice(epochs: int, most: int) -> None:
    ticks = style.epoch_ticks(epochs, most)
    assert ticks["dtick"] == 1 and epochs <= most if "dtick" in ticks else epochs / ticks["nticks"] > 1


@pytest.mark.parametrize("epochs", [1, 7, 60])
def test_axes_follow_the_epochs_so_far(epochs: int) -> None:
    layout = search_layout(SearchView(tuple(events(epochs=100))[:epochs]))
    assert {tuple(layout[f"xaxis{number}"]["range"]) for number in AXES.values()} == {(0.5, epochs + 0.5)}


def test_a_figure_follows_the_width_of_its_page_and_fits_a_screen() -> None:
    layout = search_figure(events(epochs=2), "Search", "a note").to_dict()["layout"]
    assert layout["autosize"] and "width" not in layout and layout["height"] <= HEIGHT + 150


def test_a_panel_more_is_a_class_and_a_line_in_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    class LearningRatePanel(EntropyPanel):
        def traces(self, view: SearchView) -> list[dict[str, Any]]:
            return [{"type": "scatter", "x": view.epochs, "y": [event.lr for event in view.events]}]

    monkeypatch.setattr("widgets.search.figure.PANELS", (*PANELS, LearningRatePanel()))
    record = list(events(epochs=3))
    fig = search_figure(record, "Search")
    line = fig.data[-1]
    number = len(PANELS) + 1
    assert line.yaxis == f"y{number}" and list(line.y) == [event.lr for event in record]
    domains = [tuple(fig.layout[f"yaxis{n}"].domain) for n in ("", *range(3, number + 1, 2))]
    assert all(above[0] > below[1] for above, below in zip(domains, domains[1:], strict=False))


def test_colours_tell_decisions_and_are_pale_where_nothing_is_decided() -> None:
    fig = search_figure(events(epochs=2), "Search", choice=Choice("", "heat map")).to_dict()
    for axis, undecided in (("coloraxis", 1 / 2), ("coloraxis2", 1 / 5)):
        colours = fig["layout"][axis]
        assert (colours["cmin"], colours["cmax"]) == (0, 1)
        assert colours["colorscale"][1] == [undecided, UNDECIDED]
        assert undecided in colours["colorbar"]["tickvals"]
    axes = [drawn(fig["data"], kind)[0]["coloraxis"] for kind in ("alpha", "beta", "gamma")]
    assert axes == ["coloraxis", "coloraxis", "coloraxis2"]


def test_axes_of_lines_are_not_narrower_than_a_tenth() -> None:
    view = SearchView(tuple(events(epochs=2)))
    for kind, low, high in (("alpha", 0.45, 0.55), ("beta", 0.45, 0.55), ("gamma", 0.15, 0.25)):
        assert WeightPanel(kind).yaxis(view)["autorangeoptions"]["include"] == pytest.approx((low, high))


def test_a_figure_without_events_says_that_it_waits() -> None:
    layout = search_figure([], "Search").to_dict()["layout"]
    assert "waiting" in layout["title"]["subtitle"]["text"]


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
