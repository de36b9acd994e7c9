"""The explorer of epochs: what it says against the record, what its controls do, and how little it leaves."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import ipywidgets as ipw
import pytest

from bmnas.errors import RunError
from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import hypernet_graph
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import LinearGLU
from tests.support.synthetic import NTU, events
from tests.support.tiny import TWO_CELLS, tiny_features
from widgets import style
from widgets.explorer.choices import choice_counts, choice_sheet, choice_text, genotypes_of
from widgets.explorer.explorer import GenotypeExplorer
from widgets.explorer.info import ExplorerInfo, Stage, comparable_runs, explorer_info, headlines
from widgets.explorer.sheets import DERIVED, SOFT, score_sheet, stage_dag
from widgets.live.svg_view import SvgView
from widgets.networks.dag import CAPTION
from widgets.networks.facts import Shapes, genotype_facts
from widgets.networks.levels import UPPER, differences, levels
from widgets.sheets.sheet import LEAST, page
from widgets.static import static_twin

WORST = {"features": NTU, "N": 4, "M": 4}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A search that was stopped after three of four epochs."""
    run = Run(tmp_path_factory.mktemp("runs") / "stopped-s0")
    for event in search(tiny_features(), TWO_CELLS, run):
        if event.epoch == 3:
            break
    return run


def synthetic(seed: int = 0, **more: Any) -> ExplorerInfo:
    return ExplorerInfo(f"run <{seed}>", tuple(map(Stage.of_epoch, events(seed=seed, **more))), {}, None, "")


def texts(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


def is_shown(info: ExplorerInfo, epoch: int, said: str) -> bool:
    """Whether a picture names the network of an epoch, with its score and size."""
    return all(line in said for line in headlines(info, epoch))


def test_the_info_is_the_record(run: Run) -> None:
    info = explorer_info(run)
    recorded = [json.loads(line) for line in run.path("trace.jsonl").read_text().splitlines()]
    assert [stage.val_score for stage in info.stages] == [line["val_score"] for line in recorded]
    assert info.state == "stopped after epoch 3 of 4" and info.best.number == recorded[-1]["best_epoch"]
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    explorer_info(run)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_a_run_without_an_epoch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished epoch"):
        explorer_info(Run(tmp_path / "new"))


def test_a_run_whose_features_are_gone_is_shown_without_shapes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(self: Run) -> None:
        raise RunError("gone")

    monkeypatch.setattr(Run, "features", gone)
    info = explorer_info(run)
    assert info.shapes is None and "gone" in info.notes
    assert "Cell_1" in texts(page(GenotypeExplorer(info).twin()))


def test_facts_are_those_of_the_network() -> None:
    genotype = Genotype((CellGenotype(("A_1", "B_1"), (StepGenotype("LinearGLU", ("x", "y")),)),), 1)
    shapes = Shapes({"A_1": 6, "A_2": 9, "B_1": 300}, 5, 8, 4, vectors=frozenset({"B_1"}))
    facts = genotype_facts(genotype, shapes)
    network = FusionNetwork(genotype, shapes.channels, 5, 8, 4, vectors={"B_1"})
    assert facts.parameters == sum(p.numel() for p in network.parameters())
    assert facts.nodes["A_1"] == ("A_1: stored (6, 4), reshaped to (8, 4)", f"{6 * 8 + 8 + 16} parameters")
    assert facts.nodes["B_1"][0] == "B_1: stored (300, 1), reshaped to (8, 4)"
    assert facts.nodes["A_2"][1] == "not used by this genotype"
    step = facts.nodes["Cell_1.Step_1"]
    assert step[1] == LinearGLU.formula and step[3] == f"{2 * (8 * 8 + 8) + 32} parameters"


def test_hovering_tells_shapes_parameters_and_formula(run: Run) -> None:
    info = explorer_info(run)
    svg = page(stage_dag(info, 2, "Cell_2"))
    titles = [e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}title")]
    primitive = info.stage(2).genotype.cells[1].steps[0].primitive
    step = next(t for t in titles if t.startswith("Step_1 of Cell_2"))
    assert f"{primitive}(x, y) =" in step and "(4, 4)" in step and "parameters" in step
    assert any(title.startswith("A_1: stored") or "stored (6, 4)" in title for title in titles)


@pytest.mark.parametrize("mode", ["soft weights", "derived genotype"])
def test_every_node_is_there_once_and_only_the_opened_cell_is_open(mode: str) -> None:
    info = synthetic(**WORST)
    svg = page(stage_dag(info, 5, "Cell_3", mode))
    named = [e.get("data-name") for e in ET.fromstring(svg).iter() if e.get("data-name")]
    assert len(named) == len(set(named))
    inside = {name for name in named if name and "." in name}
    assert inside == {f"Cell_3.{part}" for part in ("x", "y", "Step_1", "Step_2", "Step_3", "Step_4", "output")}
    assert {"Cell_1", "Cell_2", "Cell_3", "Cell_4", "classifier"} <= set(named)


def test_levels_have_every_box_of_the_graph_and_no_two_overlap() -> None:
    graph = hypernet_graph((last := synthetic(**WORST).stages[-1]).architecture, last.genotype)
    parts = levels(graph)
    assert list(parts) == [UPPER, "Cell_1", "Cell_2", "Cell_3", "Cell_4"]
    assert sorted(box.node for part in parts.values() for box in part.boxes) == sorted(graph)
    assert sum(len(part.lines) for part in parts.values()) == graph.number_of_edges()
    for part in parts.values():
        for i, a in enumerate(part.boxes):
            assert a.y - a.height / 2 >= 0 and a.y + a.height / 2 <= part.height
            for b in part.boxes[:i]:
                apart = abs(a.x - b.x) >= (a.width + b.width) / 2 or abs(a.y - b.y) >= (a.height + b.height) / 2
                assert apart, (a.node, b.node)


def test_differences_are_what_one_has_and_the_other_lacks() -> None:
    def genotype(first: str, primitive: str) -> Genotype:
        step = StepGenotype(primitive, ("x", "y"))
        return Genotype((CellGenotype((first, "B"), (step,)), CellGenotype(("B", "Cell_1"), (step,))), 1)

    a, b, c = genotype("A", "Sum"), genotype("C", "Sum"), genotype("A", "ConcatFC")
    assert differences(a, a) == set()
    assert differences(a, b) == {"A", "Cell_1"} and differences(b, a) == {"C", "Cell_1"}
    assert differences(a, c) == {"Cell_1", "Cell_1.Step_1", "Cell_2", "Cell_2.Step_1"}
    assert differences(a, Genotype(a.cells[:1], 1)) == {"Cell_2", "Cell_2.Step_1"}


def test_two_runs_stand_side_by_side_with_their_differences_marked() -> None:
    one, two = synthetic(0), synthetic(5, epochs=4)
    explorer = GenotypeExplorer(one, two)
    svg = explorer.content(12)
    marks = sum(len(explorer.different(i, 12) & set(shown(explorer, i))) for i in (0, 1))
    assert texts(svg).count("≠") == marks > 0
    assert "run <0>, finished" in texts(svg) and is_shown(two, 4, texts(svg))  # the shorter one stays at its last
    assert "≠" not in GenotypeExplorer(one, one).content(3)
    for numbers in ("end", "middle"):  # of the scores, and of the epochs: they can be compared
        ticks = rf'text-anchor="{numbers}">([\d.]+)<'
        axes = [re.findall(ticks, score_sheet(info, 3, (one, two)).marks) for info in (one, two)]
        assert axes[0] == axes[1] and len(axes[0]) > 1


@pytest.mark.parametrize("mode", [SOFT, DERIVED])
def test_two_runs_fit_beside_each_other_and_what_belongs_together_is_in_line(mode: str) -> None:
    explorer = GenotypeExplorer(synthetic(0, M=1), synthetic(5, epochs=4, M=1))
    explorer.mode = mode
    svg = ET.fromstring(explorer.content(3))
    assert LEAST * float(svg.get("width", "inf")) <= style.WIDTH  # what a laptop has, without scrolling
    tops = {title: heights(svg, title) for title in ("Cell_1", "Score", "α: node → Cell_1", "γ: Step_1")}
    assert all(len(found) == 2 and len(set(found)) == 1 for found in tops.values()), tops
    assert texts(explorer.content(3)).count(CAPTION) == (mode == SOFT)


def heights(svg: ET.Element, title: str) -> list[float]:
    """How far down bold texts stand, the shifts of the groups that they are in added up."""
    found: list[float] = []

    def walk(element: ET.Element, y: float) -> None:
        shift = re.match(r"translate\([-\d.]+,([-\d.]+)\)", element.get("transform", ""))
        y += float(shift[1]) if shift else 0
        if element.text == title and element.get("font-weight") == "bold":
            found.append(round(y + float(element.get("y", 0)), 1))
        for child in element:
            walk(child, y)

    walk(svg, 0)
    return found


def test_two_runs_are_chosen_from_menus(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    longer = Run(run.folder.parent / "finished-s1")
    list(search(tiny_features(), TWO_CELLS.change(seed=1, N=1), longer))
    (run.folder.parent / "empty").mkdir(exist_ok=True)
    for name in ("broken", "other"):
        (run.folder.parent / name).mkdir(exist_ok=True)
        for file in ("config.json", "trace.jsonl"):
            (run.folder.parent / name / file).write_text('{"dataset": "other"}' if name == "other" else "{")
    monkeypatch.setenv("BMNAS_RUNS", str(run.folder.parent))
    runs = comparable_runs(run.dataset())
    assert [one.name for one in runs] == ["finished-s1", "stopped-s0"]
    explorer = GenotypeExplorer(explorer_info(run), runs=[*runs, Run(run.folder.parent / "empty")])
    explorer.box()
    explorer.cell.value = "Cell_2"
    explorer.other.value = "finished-s1"
    one, other = map(explorer_info, (run, longer))
    explorer.slider.value = 4
    assert (explorer.slider.max, explorer.play.max) == (4, 4)
    said = texts(explorer.picture.content)
    assert is_shown(one, 3, said) and is_shown(other, 4, said) and "≠" in said
    assert said.count("α: node → Cell_2") == 1  # the other run has one Cell
    explorer.run.value = "finished-s1"
    explorer.other.value = ""
    said = texts(explorer.picture.content)
    assert not is_shown(one, 3, said) and "α: node → Cell_1" in said and explorer.cell.options == ("Cell_1",)
    before = explorer.picture.content
    explorer.other.value = "empty"  # cannot be read: says so, and nothing changes
    assert "no finished epoch" in explorer.details.value and explorer.other.value == ""
    assert explorer.picture.content == before


def shown(explorer: GenotypeExplorer, i: int) -> list[str]:
    svg = page(stage_dag(explorer.infos[i], 12, "Cell_1"))
    return [e.get("data-name") or "" for e in ET.fromstring(svg).iter()]


def test_the_slider_moves_everything_together(run: Run) -> None:
    info = explorer_info(run)
    explorer = GenotypeExplorer(info)
    explorer.box()
    for epoch in (1, 3):
        explorer.slider.value = epoch
        said = texts(explorer.picture.content)
        assert is_shown(info, epoch, said)
        weights = info.stage(epoch).architecture
        assert weights is not None
        alpha = weights.alpha["Cell_1"]
        assert all(f"{weight:.2f}" in said for weight in alpha.values())
    assert (explorer.play.min, explorer.play.max) == (1, 3)


def test_clicks_open_cells_and_tell_facts(run: Run) -> None:
    explorer = GenotypeExplorer(explorer_info(run))
    explorer.box()
    explorer.picture.click("Cell_2")
    assert explorer.cell.value == "Cell_2" and "Cell_2.Step_1" in explorer.picture.content
    explorer.picture.click("Cell_2.Step_1")
    assert "Step_1 of Cell_2" in explorer.details.value and "<b>" not in explorer.details.value
    explorer.modes.value = DERIVED
    assert "γ = " not in explorer.picture.content


def test_the_twin_has_first_best_and_last_epoch_and_text_is_escaped() -> None:
    info = synthetic(**WORST)
    explorer = GenotypeExplorer(info)
    said = texts(page(explorer.twin()))
    for epoch in (1, info.best.number, 12):
        assert is_shown(info, epoch, said) and is_shown(info, epoch, explorer.text())
    assert "run <0>" in said and "run <0>" not in page(explorer.twin())
    assert len(page(explorer.twin())) < 400_000


def test_without_a_watcher_no_widget_is_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    displayed: list[dict[str, Any]] = []
    monkeypatch.setattr(static_twin, "display", lambda data, raw: displayed.append(data))
    monkeypatch.setenv("BMNAS_LIVE", "0")
    before = set(ipw.Widget.get_manager_state()["state"])
    static_twin.view(GenotypeExplorer(explorer_info(run)), "explorer", run)
    assert set(displayed[0]) == {"image/svg+xml", "text/plain"}
    assert set(ipw.Widget.get_manager_state()["state"]) == before
    assert run.path("figures/explorer.svg").read_text() == displayed[0]["image/svg+xml"]
    monkeypatch.setenv("BMNAS_LIVE", "1")
    static_twin.view(GenotypeExplorer(explorer_info(run)), "explorer")
    _, record, widget, picture = displayed
    assert static_twin.RECORD in record["text/html"] and set(widget) == {static_twin.VIEW, "text/plain"}
    assert picture == displayed[0]  # the twin has an output of its own: a reader without widgets sees it
    assert len(json.dumps(displayed)) < 400_000


def test_a_clickable_sends_its_content_to_every_new_view(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    heard: list[str] = []
    part = SvgView("<p>a</p>", heard.append)
    monkeypatch.setattr(part, "send", sent.append)
    part._hear(part, {"ready": True}, [])
    part.content = "<p>b</p>"
    part.content = "<p>b</p>"
    part._hear(part, {"clicked": "Cell_1"}, [])
    assert sent == [{"content": "<p>a</p>"}, {"content": "<p>b</p>"}] and heard == ["Cell_1"]
    assert "<p>" not in json.dumps(str(part.get_state()))


def test_choices_are_counted_by_run_and_by_step(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    sums, glu = StepGenotype("Sum", ("x", "y")), StepGenotype("LinearGLU", ("x", "y"))
    one = Genotype((CellGenotype(("A", "B"), (sums,)), CellGenotype(("A", "Cell_1"), (sums,))), 1)
    two = Genotype((CellGenotype(("B", "A"), (glu,)), CellGenotype(("B", "C"), (sums,))), 1)
    counts = choice_counts([one, two], ("A", "B", "C", "D"), ("Zero", "Sum"))
    assert (counts.runs, counts.steps) == (2, 4)
    assert counts.features == {"A": 2, "B": 2, "C": 1, "D": 0}
    assert counts.pairs == {"A + B": 2, "A + Cell_1": 1, "B + C": 1}
    assert counts.primitives == {"Zero": 0, "Sum": 3, "LinearGLU": 1}
    assert "2 finished runs, 4 Steps" in texts(page(choice_sheet(counts))) and "Sum 3" in choice_text(counts)
    one.save(run.path("genotype.json"))
    (run.folder.parent / "broken").mkdir(exist_ok=True)
    (run.folder.parent / "broken/config.json").write_text("{")
    monkeypatch.setenv("BMNAS_RUNS", str(run.folder.parent))
    assert genotypes_of(run.dataset()) == [one] and genotypes_of("other") == []
