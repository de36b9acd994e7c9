"""The lab and the gap: the numbers shown are those of the primitives, of the search, and of the hypernet."""

import copy
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import RunError
from bmnas.searching.algorithm1 import Algorithm1, Search, search
from bmnas.searching.networks import build_hypernet
from bmnas.searching.run_folder import Run
from bmnas.space.derivation import derive
from bmnas.space.primitives import PRIMITIVES
from bmnas.storage.checkpoint import load_state
from bmnas.training import metrics
from bmnas.training.steps import seeded
from tests.support.synthetic import architecture
from tests.support.tiny import TWO_CELLS, multilabel_features, tiny_features
from widgets.labs.gap import Gap, GapSlider, between, gap_sheet, steer
from widgets.labs.primitive import WEIGHTS, PrimitiveLab, lab_info, lab_inputs, lab_sheet
from widgets.networks.titles import network_title
from widgets.sheets.chart import Line, Point, chart, log_ticks, ticks
from widgets.sheets.sheet import page
from widgets.sheets.tiles import grid

POOL = ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")
FEATURES = tiny_features()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "searched")
    list(search(FEATURES, TWO_CELLS, run))
    return run


@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize("name", POOL)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99))
def test_the_last_panel_is_the_primitives_own_forward(name: str, mode: str, seed: int) -> None:
    inputs = lab_inputs(2, seed)
    info = lab_info(name, inputs, seed, mode)
    with seeded((seed, WEIGHTS), torch.device("cpu")):
        module = PRIMITIVES[name](3, 4, 0.0, mode).eval()
    own = module(*(torch.tensor(part, dtype=torch.float32)[None] for part in inputs))[0].detach().numpy()
    assert np.array_equal(info.panels[-1].values, own) and np.array_equal(info.result, own)
    parts = {panel.title: panel.values.astype(float) for panel in info.panels}
    again = {  # the last step by hand, from the panels before it
        "Zero": lambda: 0 * parts["x"],
        "Sum": lambda: parts["x"] + parts["y"],
        "Attention": lambda: normalised((parts["softmax"] @ parts["y"].T).T),
        "LinearGLU": lambda: parts["value"] * parts["gate"],
        "ConcatFC": lambda: np.maximum(parts["linear"], 0),
    }[name]()
    assert np.allclose(again, own, atol=1e-5)


def normalised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / np.sqrt(values.var() + 1e-5)


def test_the_steps_of_attention_by_hand() -> None:
    x, y = lab_inputs(2, 3)
    parts = {panel.title: panel.values for panel in lab_info("Attention", [x, y]).panels}
    for i in range(4):
        scores = [sum(x[c, i] * y[c, j] for c in range(3)) / math.sqrt(3) for j in range(4)]
        assert parts["scores"][i] == pytest.approx(scores, abs=1e-6)
        shares = [math.exp(score) / sum(map(math.exp, scores)) for score in scores]
        assert parts["softmax"][i] == pytest.approx(shares, abs=1e-6)


def test_the_gate_follows_y_alone_in_the_papers_mode_only() -> None:
    x, y = lab_inputs(2)

    def gate(mode: str, x: np.ndarray) -> np.ndarray:
        return next(p.values for p in lab_info("LinearGLU", [x, y], 0, mode).panels if p.title == "gate")

    assert np.array_equal(gate("paper", x), gate("paper", x + 1))
    assert not np.allclose(gate("reference", x), gate("reference", x + 1))


def test_a_primitive_of_ones_own_shows_inputs_and_result(monkeypatch: pytest.MonkeyPatch) -> None:
    class Most(torch.nn.Module):
        arity, symmetric, formula = 3, True, "max <x, y, z>"

        def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
            super().__init__()

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return torch.stack(inputs).amax(0)

    monkeypatch.setitem(PRIMITIVES, "Most", Most)
    inputs = lab_inputs(3)
    info = lab_info("Most", inputs)
    assert [panel.title for panel in info.panels] == ["x", "y", "z", "result"]
    assert np.allclose(info.result, np.max(inputs, axis=0))
    svg = page(lab_sheet(info))
    assert "max <x" not in svg and "max <x, y, z>" in " ".join(ET.fromstring(svg).itertext())


def test_sliders_change_the_numbers() -> None:
    lab = PrimitiveLab()
    lab.box()
    lab.menu.value = "Sum"
    lab.which.value, lab.channel.value, lab.position.value = "y", 2, 1
    assert lab.value.value == pytest.approx(lab.inputs[1][2, 1])
    lab.value.value = 2.5
    lab.sizes[1].value = -2
    x, y = lab_inputs(2)
    assert lab.info().result[2, 1] == pytest.approx(x[2, 1] - 2 * 2.5)
    assert lab.info().result[0, 0] == pytest.approx(x[0, 0] - 2 * y[0, 0])
    assert f">{x[2, 1] - 5:.2f}<" in lab.picture.content
    before = lab.picture.content
    lab.menu.value = "LinearGLU"
    weights = lab.picture.content
    lab.weights.value = 4
    assert len({before, weights, lab.picture.content}) == 3


def test_numbers_of_a_grid_stand_out_from_every_colour_and_zero_has_no_sign() -> None:
    def light(colour: str) -> float:
        red, green, blue = (int(c, 16) / 255 for c in (colour[1:3], colour[3:5], colour[5:7]))
        shares = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
        return 0.2126 * shares[0] + 0.7152 * shares[1] + 0.0722 * shares[2]

    values = np.linspace(-1, 1, 41)[None]
    marks = ET.fromstring(f"<g>{grid(values, '', '', '', '').marks}</g>")
    fills = [rect.get("fill", "") for rect in marks.iter("rect")]
    inks = [text.get("fill", "") for text in marks.iter("text") if text.get("font-size") == "12"]
    grounds = ["#" + "".join(f"{int(c):02X}" for c in re.findall(r"\d+", fill)) for fill in fills]
    for ground, ink in zip(grounds, inks, strict=True):
        darker, lighter = sorted((light(ground), light(ink)))
        assert (lighter + 0.05) / (darker + 0.05) > 3.9, (ground, ink)
    assert ">0.00<" in grid(np.array([[-0.001, 1]]), "", "", "", "").marks


def test_the_lab_leaves_every_primitive() -> None:
    lab = PrimitiveLab()
    said = " ".join(ET.fromstring(page(lab.twin())).itertext())
    assert all(PRIMITIVES[name].formula in said and PRIMITIVES[name].formula in lab.text() for name in POOL)


# the gap


def test_the_way_begins_with_the_searchs_own_score_and_ends_with_the_one_hot_hypernets(run: Run) -> None:
    gap = Gap.of(run)
    info = gap.info()
    last = run.trace().events[-1]
    assert info.running[0] == last.val_score and info.network.startswith(network_title(last.epoch, last.best_epoch))
    assert info.running[-1] == one_hot_score(run)
    assert (len(info.shares), info.shares[0], info.shares[-1]) == (21, 0, 1)


def one_hot_score(run: Run) -> float:
    """The hypernet with its soft choices left out of the sums, written without the architecture weights."""
    hypernet, genotype = build_hypernet(FEATURES, run.config()), run.trace().events[-1].genotype
    hypernet.load_state_dict(load_state(run.path("checkpoint.safetensors"))["hypernet"])
    hypernet.eval()
    batch, targets = FEATURES.tensors("cpu").batch(torch.tensor(FEATURES.rows("val")))
    with torch.no_grad():
        nodes = {name: hypernet.reshape[name](batch[name]) for name in hypernet.features}
        for (name, cell), chosen in zip(hypernet.named_cells().items(), genotype.cells, strict=True):
            x = nodes[chosen.inputs[0]] + nodes[chosen.inputs[1]]
            states = {"x": x, "y": x}
            for (key, step), one in zip(cell.named_steps().items(), chosen.steps, strict=True):
                s = sum(states[node] for node in one.inputs)
                states[key] = step.primitives[one.primitive](s, s)
            nodes[name] = cell.output(list(states.values()))
        logits = hypernet.classifier([nodes[name] for name in hypernet.cells])
    return metrics.score(FEATURES.kind, logits, targets)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.floats(0, 1))
def test_between_is_a_straight_line_and_its_end_the_genotype(seed: int, share: float) -> None:
    soft = architecture(seed=seed)
    genotype = derive(soft, 2)
    assert between(soft, genotype, 0) == soft
    if share < 0.99:  # at the very end the order of equal weights is lost
        assert derive(between(soft, genotype, share), 2) == genotype
    end = {(r["kind"], r["cell"], r["step"], r["name"]): r["weight"] for r in between(soft, genotype, 1).rows()}
    assert set(end.values()) == {0.0, 1.0}
    begin = {(r["kind"], r["cell"], r["step"], r["name"]): r["weight"] for r in soft.rows()}
    for row in between(soft, genotype, share).rows():
        key = (row["kind"], row["cell"], row["step"], row["name"])
        assert row["weight"] == pytest.approx(begin[key] + share * (end[key] - begin[key]))


def test_steering_sets_the_softmax_weights_even_to_zero_and_one() -> None:
    hypernet = Search(FEATURES, TWO_CELLS).hypernet
    soft = hypernet.architecture()
    for share in (0.3, 1.0):
        wanted = between(soft, derive(soft, 2), share)
        steer(hypernet, wanted)
        moved = hypernet.architecture().distance(wanted)
        assert max(moved.values()) < 1e-6 if share < 1 else max(moved.values()) == 0


def test_the_gap_changes_neither_the_hypernet_nor_the_run(run: Run) -> None:
    hypernet = build_hypernet(FEATURES, TWO_CELLS)
    before = copy.deepcopy(hypernet.state_dict())
    Gap(hypernet, derive(hypernet.architecture(), 2), FEATURES).info(3)
    assert all(torch.equal(before[name], value) for name, value in hypernet.state_dict().items())
    times = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    Gap.of(run).info(3)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == times


def test_scores_do_not_depend_on_the_order_in_which_they_are_asked(run: Run) -> None:
    one, two = Gap.of(run), Gap.of(run)
    forth = [one.scores(share) for share in (0, 0.5, 1)]
    assert [two.scores(share) for share in (1, 0.5, 0)] == forth[::-1]


def test_a_multilabel_hypernet_has_a_gap_too() -> None:
    features = multilabel_features()
    state = Search(features, TWO_CELLS)
    info = Gap(state.hypernet, derive(state.hypernet.architecture(), 2), features).info(3)
    assert info.metric == "weighted F1" and all(0 <= score <= 1 for score in (*info.running, *info.batch))
    ((_, score),) = Algorithm1([state], state.engine).validate()
    assert info.running[0] == score


def test_the_slider_moves_score_and_graph(run: Run) -> None:
    view = GapSlider(Gap.of(run))
    view.box()
    soft = view.picture.content
    view.slider.value = 1.0
    assert "γ = 1.00" in view.picture.content and "γ = 1.00" not in soft
    assert f"{100 * view.info.running[-1]:.1f} %" in view.picture.content
    assert "From soft to one-hot" in page(gap_sheet(view.info)) and "one-hot" in view.text()
    assert len(page(view.twin())) < 200_000
    for stop in (0.05, 0.65, 0.95):  # where the slider stops the curve has a point, not a chord
        view.slider.value = stop
        assert view.gap.scores(stop) == (view.info.running[round(20 * stop)], view.info.batch[round(20 * stop)])
    view.picture.click("Cell_2")
    assert 'data-name="Cell_2.Step_1"' in view.picture.content
    view.picture.click("classifier")
    assert 'data-name="Cell_2.Step_1"' in view.picture.content


def test_a_run_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no finished epoch"):
        Gap.of(Run(tmp_path / "new"))


# charts


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_round_within_the_range_and_neither_few_nor_many(low: float, width: float) -> None:
    found = ticks(low, low + width)
    assert 1 <= len(found) <= 12
    assert all(low - 1e-6 * width <= tick <= low + width * (1 + 1e-6) for tick in found)


@given(st.floats(1e-2, 1e6), st.floats(1.2, 1e4))
def test_logarithmic_ticks_lie_within_the_range(low: float, factor: float) -> None:
    found = log_ticks(low, low * factor)
    assert found and all(low * 0.99 <= tick <= low * factor * 1.01 for tick in found)


def test_labels_of_points_do_not_overlap_and_points_can_be_clicked() -> None:
    points = [Point(1 + i / 100, 5 + i / 100, "#000000", f"run <{i}>", label=f"label {i}") for i in range(6)]
    svg = page(chart([Line("a & b", [1, 2], [5, math.nan], "#000000")], points, "t", "x", "y"))
    tree = ET.fromstring(svg)
    assert {e.get("data-name") for e in tree.iter() if e.get("data-name")} == {point.name for point in points}
    places = [(float(e.get("x", 0)), float(e.get("y", 0))) for e in tree.iter() if (e.text or "").startswith("label")]
    assert len(places) == 6
    for i, (x, y) in enumerate(places):
        assert all(abs(y - v) >= 14 or abs(x - u) > 50 for u, v in places[:i])
