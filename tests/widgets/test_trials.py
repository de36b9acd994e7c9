"""Searches by short trainings: the figure, the view while it works, the explorer, the app and the table of all runs."""

import asyncio
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from bmnas.errors import RunError
from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials, search_trials
from bmnas.searching.searchers.trials import Trial
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from tests.support.tiny import TWO_CELLS, tiny_features
from widgets.app import SearchApp
from widgets.explorer.explorer import GenotypeExplorer
from widgets.explorer.info import NO_WEIGHTS, ExplorerInfo, Stage, comparable_runs, explorer_info, headlines
from widgets.explorer.sheets import DERIVED, SOFT, TRAINED
from widgets.networks.titles import CHOSEN, trained_title
from widgets.runs.rows import browser_info
from widgets.runs.table import runs_frame
from widgets.search import trials as module
from widgets.search.trials import TrialsView, trials_figure
from widgets.sheets.sheet import page
from widgets.static.display import IMAGES

RANDOM = TWO_CELLS.change(searcher="random", budget=4)
PLOTLY = "application/vnd.plotly.v1+json"
SCORES = (0.5, 0.4, 0.7, 0.6)


def genotype(cells: int = 1, primitive: str = "Sum") -> Genotype:
    pairs = [("<A>", "B"), ("B", "Cell_1")]
    return Genotype(tuple(CellGenotype(pair, (StepGenotype(primitive, ("x", "y")),)) for pair in pairs[:cells]), 1)


def synthetic() -> list[Trial]:
    """Four trainings by hand, of networks of one Cell and of two; the third is the best."""
    leaders = (1, 1, 3, 3)
    return [
        Trial(n, genotype(1 + n % 2), score, best, SCORES[best - 1], 0.5)
        for n, (score, best) in enumerate(zip(SCORES, leaders, strict=True), start=1)
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of random search and one of Algorithm 1."""
    root = tmp_path_factory.mktemp("runs")
    list(search_trials(tiny_features(), RANDOM, Run(root / "random-s0")))
    list(search(tiny_features(), TWO_CELLS, Run(root / "algorithm1-s0")))
    return root


@pytest.fixture
def run(root: Path) -> Run:
    return Run(root / "random-s0")


def texts(svg: str) -> str:
    return " ".join(ET.fromstring(svg).itertext())


# the figure


def test_every_training_is_a_dot_under_the_best_so_far() -> None:
    best, dots, star = trials_figure(synthetic(), "macro <F1>", "title", "a <note>").data
    assert list(dots.x) == [1, 2, 3, 4] and list(dots.y) == pytest.approx([50, 40, 70, 60])
    assert list(best.y) == pytest.approx([50, 50, 70, 70]) and best.line.shape == "hv"
    assert (list(star.x), list(star.y)) == ([3], [70]) and "number 3" in star.name


def test_names_in_the_figure_are_escaped() -> None:
    figure = trials_figure(synthetic(), "macro <F1>", "title", "a <note>")
    written = str(figure.to_json())
    assert "<A>" not in written and "<F1>" not in written and "<note>" not in written
    assert "&lt;A&gt;" in figure.data[1].hovertext[0] and "Step_1 = Sum" in figure.data[1].hovertext[0]


# the view while a search works


class Handle:
    """In the place of IPython's handle of an output: what was shown in it, in order."""

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def display(self, data: Any, raw: bool = False) -> None:
        if raw:  # a widget is none of the outputs that stay
            self.shown.append(data)

    update = display


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """The two outputs of a view; every trial is drawn, and no picture is made."""
    made: list[Handle] = []

    def handle() -> Handle:
        made.append(Handle())
        return made[-1]

    monkeypatch.setattr(module, "DisplayHandle", handle)
    monkeypatch.setattr(module, "REDRAW", 0.0)
    monkeypatch.setattr(IMAGES, "problem", "the test wants none")
    return made


def watch(trials: list[Trial]) -> None:
    with TrialsView("random on planted", "accuracy", "a note") as view:
        for trial in trials:
            view.update(trial)


def test_without_a_watcher_a_line_moves_and_figures_stay(handles: list[Handle], monkeypatch: Any) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "0")
    watch(synthetic())
    top, below = handles
    *lines, figure = top.shown
    assert [set(line) for line in lines] == [{"text/plain"}] * 5
    assert "2 networks scored, last 40.0 %" in lines[2]["text/plain"] and "(network 1)" in lines[2]["text/plain"]
    assert len(figure[PLOTLY]["data"][1]["x"]) == 4
    assert trained_title(3, 3) in str(below.shown[-1][PLOTLY]["layout"]["title"])


def test_somebody_who_watches_sees_dots_and_the_best_network_come(handles: list[Handle], monkeypatch: Any) -> None:
    """In widgets: JupyterLab draws plotly's JSON once, and ignores what an output is updated with."""
    monkeypatch.setenv("BMNAS_LIVE", "1")
    with TrialsView("random on planted", "accuracy", "a note") as view:
        screen = view._screen
        assert screen is not None
        for n, (trial, best) in enumerate(zip(synthetic(), (1, 1, 3, 3), strict=True), start=1):
            view.update(trial)
            assert len(screen.figure.figure["data"][1]["x"]) == n
            assert trained_title(best, best) in screen.network.content
            assert f"{n} networks" in screen.controls.label.value
        assert not view.stopped
        screen.controls.stop.click()
        assert view.stopped
    top, below = handles
    assert [PLOTLY in one for one in top.shown] == [True] and len(top.shown[-1][PLOTLY]["data"][1]["x"]) == 4
    assert trained_title(3, 3) in str(below.shown[-1][PLOTLY]["layout"]["title"])


def test_what_is_recorded_is_replayed_and_another_seed_can_follow(
    run: Run, handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    monkeypatch.setattr("widgets.search.replay.LONGEST", 0.1)
    monkeypatch.setattr(module, "REDRAW", 1e6)
    start = time.monotonic()
    with TrialsView("random on planted", "accuracy", run=run) as view:
        screen, replay = view._screen, view._replay
        assert screen is not None and replay is not None and replay.steps == 4
        for trial in recorded_trials(run):
            view.update(trial)
            assert len(screen.figure.figure["data"][1]["x"]) == trial.trial  # every one is seen
        assert time.monotonic() - start > 0.35
        replay.again.click()
    assert view.next_seed == 1 + run.config().seed


def test_between_two_drawings_nothing_is_drawn(handles: list[Handle], monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "REDRAW", 1e6)
    watch(synthetic())
    assert len(handles[0].shown) == 3  # that it waits, the first training, and what stays


def test_a_search_that_trained_nothing_says_so(handles: list[Handle]) -> None:
    with pytest.raises(RunError), TrialsView("random on planted", "accuracy") as view:
        _ = view.best
    assert "no network" in handles[0].shown[-1]["text/plain"]


# the explorer


def explored(trials: list[Trial]) -> GenotypeExplorer:
    stages = tuple(Stage.of_trial(trial, "accuracy") for trial in trials)
    return GenotypeExplorer(ExplorerInfo("run <0>", stages, {}, None, ""))


def test_the_explorer_shows_the_record_of_a_run(run: Run) -> None:
    info, trials = explorer_info(run), recorded_trials(run)
    assert [(stage.genotype, stage.val_score) for stage in info.stages] == [(t.genotype, t.score) for t in trials]
    assert info.best.number == trials[-1].best_trial and NO_WEIGHTS in info.state
    assert info.stages[0].metric == "accuracy" and "parameters" in headlines(info, 2)[1]


def test_the_slider_shows_each_trained_network_without_weights(run: Run) -> None:
    explorer = GenotypeExplorer(info := explorer_info(run))
    explorer.box()
    assert explorer.slider.max == 4 and explorer.slider.description == "training"
    assert explorer.modes.layout.display == "none"
    for number in (1, 4):
        explorer.slider.value = number
        said = texts(explorer.picture.content)
        assert all(line in said for line in headlines(info, number))
        assert all(feature in said for feature in info.stage(number).genotype.features)
        assert not any(words in said for words in ("α: node", "β: →", "γ: Step", "γ = "))


def test_a_click_on_a_dot_moves_to_its_network(run: Run) -> None:
    explorer = GenotypeExplorer(explorer_info(run))
    explorer.box()
    explorer.picture.click(f"{TRAINED}2")
    assert explorer.slider.value == 2 and trained_title(2, explorer.infos[0].best.number) in explorer.picture.content
    explorer.replay()
    assert explorer.number == 1 and explorer.play.playing


def test_networks_of_fewer_cells_are_drawn_with_what_they_have() -> None:
    explorer = explored(synthetic())
    assert explorer.cells == ["Cell_1", "Cell_2"]
    explorer.opened = "Cell_2"
    assert "Cell_2" in texts(explorer.content(1)) and "Cell_2" not in texts(explorer.content(2))
    said = texts(page(explorer.twin()))
    assert said.count(trained_title(3, 3)) >= 1 and "weights of" not in said and "run <0>" in said
    assert explorer.text().count("Cell_1(") == 3  # of the first, the best and the last


def test_it_stands_beside_a_run_of_algorithm_1(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_RUNS", str(root))
    runs = comparable_runs(run.dataset())
    assert {one.name for one in runs} == {"random-s0", "algorithm1-s0"}
    explorer = GenotypeExplorer(explorer_info(run), runs=runs)
    explorer.box()
    explorer.other.value = "algorithm1-s0"
    assert explorer.modes.layout.display == "" and explorer.modes.options == (SOFT, DERIVED)
    said = texts(explorer.picture.content)
    assert NO_WEIGHTS in said and "α: node → Cell_1" in said and "Algorithm 1's network" in said


# the app and the table of all runs


def test_the_app_shows_and_replays_it(root: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_RUNS", str(root))
    app = SearchApp(["planted"])
    assert "random-s0" in [value for _, value in app.runs.options]
    app.runs.value = "random-s0"
    explorer, answer = app.stage.children
    assert app.explorer is not None and explorer is app.explorer.box() and CHOSEN in answer.content
    assert app.message.value == ""

    async def click() -> None:
        app.replay.click()

    asyncio.run(click())
    assert app.explorer.number == 1 and app.explorer.play.playing and app.task is None
    played = app.explorer.play
    app.runs.value = "algorithm1-s0"
    assert not played.playing  # a browser would go on, and send to what is closed
    assert app.explorer is None and len(app.stage.children) == 2


def test_the_table_of_all_runs_has_its_score_and_its_searcher(root: Path, run: Run) -> None:
    trials = recorded_trials(run)
    row = browser_info(root).get("random-s0")
    assert row.state == "searched" and row.val == pytest.approx(100 * trials[-1].best_score)
    assert row.genotype == run.genotype() and row.seconds == pytest.approx(sum(trial.seconds for trial in trials))
    frame = runs_frame(browser_info(root).rows).set_index("run")
    assert dict(frame["searcher"]) == {"random-s0": "random", "algorithm1-s0": "algorithm1"}
    assert frame["epochs"].isna().to_dict() == {"random-s0": True, "algorithm1-s0": False}
    alone = [row for row in browser_info(root).rows if row.searcher == "algorithm1"]
    assert "searcher" not in runs_frame(alone).columns
