"""The live view without a kernel: threads, throttling, errors, and what stays behind."""

import asyncio
import importlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ipywidgets as ipw
import plotly.graph_objects as go
import pytest

from bmnas.searching.algorithm1 import search
from bmnas.searching.run_folder import Run
from tests.support.synthetic import events
from tests.support.tiny import CONFIG, tiny_features
from widgets.live.cell import is_live, live, stop_requested
from widgets.live.controls import close_all
from widgets.live.plotly_view import PlotlyView
from widgets.search.dashboard import SearchDashboard
from widgets.search.figure import search_figure
from widgets.search.panel import Choice
from widgets.search.status import progress_text, summary_text

watching_module = importlib.import_module("widgets.search.dashboard")
replay_module = importlib.import_module("widgets.search.replay")
pace_module = importlib.import_module("widgets.live.pace")
screen_module = importlib.import_module("widgets.search.screen")
show_module = importlib.import_module("widgets.static.display")
PLOTLY = "application/vnd.plotly.v1+json"


class Handle:
    """Stands for IPython's display handle and remembers what it was given."""

    made: list["Handle"] = []

    def __init__(self) -> None:
        self.shown: list[Any] = []
        Handle.made.append(self)

    def display(self, thing: Any, raw: bool = False) -> None:
        self.shown.append(thing)

    update = display


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """No kernel, no browser, no waiting."""
    Handle.made = []
    monkeypatch.setattr(watching_module, "DisplayHandle", Handle)
    monkeypatch.setattr(watching_module, "PAINT", 0.0)
    monkeypatch.setattr(pace_module, "EARLY", 0.0)
    monkeypatch.setattr(show_module.IMAGES, "problem", "the test wants none")
    return Handle.made


@pytest.fixture(params=["live", "headless"])
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("BMNAS_LIVE", "1" if request.param == "live" else "0")
    return request.param


@pytest.mark.parametrize(
    ("chosen", "session", "expected"),
    [("", "a.ipynb", True), ("", None, False), ("0", "a.ipynb", False), ("1", None, True)],
)
def test_live_is_where_a_server_started_the_kernel_unless_told(
    chosen: str, session: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", chosen)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    if session:
        monkeypatch.setenv("JPY_SESSION_NAME", session)
    assert is_live() is expected


def test_live_works_in_another_thread_and_passes_results_on() -> None:
    main = threading.get_ident()
    assert asyncio.run(live(lambda a, b: (threading.get_ident() != main, a + b), 1, 2)) == (True, 3)


def test_exceptions_of_the_function_come_out_of_live() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(live(lambda: 1 / 0))


def test_an_interrupt_stops_the_function_and_waits_for_its_end() -> None:
    ended = threading.Event()
    running = threading.Event()

    def work() -> None:
        running.set()
        while not stop_requested():
            time.sleep(0.01)
        ended.set()

    async def cell() -> None:
        task = asyncio.ensure_future(live(work))
        await asyncio.to_thread(running.wait)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    assert ended.is_set() and not stop_requested()


def test_a_view_leaves_two_static_figures(mode: str, handles: list[Handle], capsys: pytest.CaptureFixture[str]) -> None:
    before = set(ipw.Widget.get_manager_state()["state"])
    with SearchDashboard("Search", "a note") as view:
        for event in events(epochs=5):
            view.update(event)
    assert view.pace.draws == 5 and not view.stopped
    assert "5 of 5" in capsys.readouterr().out
    for handle, words in zip(handles, ("epoch 5 of 5", "Cell_1(x = "), strict=True):
        assert set(handle.shown[-1]) == {PLOTLY, "text/plain"} and words in handle.shown[-1]["text/plain"]
    if mode == "live":
        assert isinstance(handles[0].shown[0], ipw.VBox)
    else:
        texts = [shown["text/plain"] for shown in handles[0].shown[1:-1]]
        assert texts == [progress_text(event) for event in events(epochs=5)]
    assert set(ipw.Widget.get_manager_state()["state"]) <= before


def test_what_is_late_is_skipped(mode: str, handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "EARLY", 3600.0)
    view = SearchDashboard("Search")
    for event in events(epochs=6):
        view.update(event)
    assert view.pace.draws == 1 and len(view.trace) == 6
    view.finish()
    assert "epoch 6 of 6" in handles[0].shown[-1]["text/plain"]


def parts(view: SearchDashboard) -> tuple[Any, Any]:
    """Its buttons with bar and text, and its figure with the choosers."""
    return view._controls, view._screen


def buttons(view: SearchDashboard) -> dict[str, ipw.Button]:
    controls, _ = parts(view)
    return {button.description: button for button in controls.box.children if isinstance(button, ipw.Button)}


def test_stop_ends_the_loop(handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    with SearchDashboard("Search") as view:
        assert handles[0].shown[0].children[0] is parts(view)[0].box
        for event in events(epochs=9):
            view.update(event)
            if event.epoch == 3:
                buttons(view)["Stop"].click()
            if view.stopped:
                break
    assert len(view.trace) == 3


@pytest.mark.parametrize("end", ["Resume", "Stop"])
def test_pause_holds_the_loop_between_epochs(end: str, handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    view = SearchDashboard("Search")
    button, reached = buttons(view), threading.Event()

    def loop() -> None:
        for event in events(epochs=6):
            if event.epoch == 3:
                button["Pause"].click()
                reached.set()
            view.update(event)
            if view.stopped:
                return

    thread = threading.Thread(target=loop)
    thread.start()
    assert reached.wait(20)
    thread.join(0.5)
    assert thread.is_alive() and len(view.trace) == 3  # however long it waits, no further epoch comes
    assert "paused after epoch 3 of 6" in parts(view)[0].label.value
    assert button["Pause"].disabled and not button["Resume"].disabled
    button[end].click()
    thread.join(20)
    assert not thread.is_alive() and len(view.trace) == (6 if end == "Resume" else 3)
    view.finish()


def test_an_interrupt_ends_a_pause(handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    view = SearchDashboard("Search")

    def loop() -> None:
        buttons(view)["Pause"].click()
        view.update(next(events()))

    async def cell() -> None:
        task = asyncio.ensure_future(live(loop))
        while not len(view.trace):
            await asyncio.sleep(0.01)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cell())
    assert view.stopped and len(view.trace) == 1
    view.finish()


def test_a_choice_gives_another_figure_that_moves_on(handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    record = list(events(epochs=4))
    view = SearchDashboard("Search")
    view.update(record[0])
    screen = view._screen
    assert screen is not None and list(screen.cell.buttons) == ["", "Cell_1", "Cell_2"]
    screen.cell.buttons["Cell_2"].click()
    screen.picture.buttons["heat map"].click()
    for event in record[1:]:
        view.update(event)
    heat = {trace["xaxis"]: trace for trace in screen.figure.figure["data"] if trace["type"] == "heatmap"}
    assert len(heat) == 3 and all(len(trace["x"]) == 4 for trace in heat.values())
    weights = record[-1].architecture.alpha["Cell_2"]
    assert [row[-1] for row in heat["x"]["z"]] == pytest.approx(list(weights.values()), abs=1e-4)
    assert list(heat["x"]["y"]) == list(weights)
    view.finish()
    assert {trace["type"] for trace in handles[0].shown[-1][PLOTLY]["data"]} == {"scatter"}  # the record shows all


def test_in_a_place_of_its_own_a_view_stays_and_can_still_be_asked(handles: list[Handle]) -> None:
    place = ipw.VBox()
    with SearchDashboard("Search", place=place) as view:
        for event in events(epochs=3):
            view.update(event)
    assert handles[0].shown == [] and len(place.children) == 2
    controls, screen = parts(view)
    assert "epoch 3 of 3" in controls.label.value and "epochs were drawn" in controls.label.value
    assert all(button.disabled for button in buttons(view).values())
    screen.cell.buttons["Cell_1"].click()
    assert len(screen.figure.figure["data"][0]["y"]) == 3
    close_all(place)


def test_errors_of_drawing_wait_for_the_end_and_are_not_lost(
    mode: str, handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("cannot draw")

    view = SearchDashboard("Search")
    if mode == "live":
        monkeypatch.setattr(screen_module, "search_traces", fail)
    else:
        monkeypatch.setattr(watching_module, "progress_text", fail)
    for event in events(epochs=4):
        view.update(event)
    assert len(view.trace) == 4 and len(view.errors) == 1
    with pytest.raises(RuntimeError, match="cannot draw"):
        view.finish()
    assert PLOTLY in handles[0].shown[-1]
    view.finish()  # twice is once


def test_what_ended_the_search_goes_before_an_error_of_drawing(
    handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "0")
    with pytest.raises(KeyboardInterrupt) as caught, SearchDashboard("Search") as view:
        view.update(next(events()))
        view.errors.append(RuntimeError("cannot draw"))
        raise KeyboardInterrupt
    assert any("cannot draw" in note for note in caught.value.__notes__)
    assert PLOTLY in handles[0].shown[-1]


def test_a_search_without_an_epoch_says_so(mode: str, handles: list[Handle]) -> None:
    SearchDashboard("Search").finish()
    assert handles[0].shown[-1] == {"text/plain": "no epoch was finished"}


def test_the_progress_line_has_score_and_time_left() -> None:
    first, *_, last = events(epochs=300)
    assert progress_text(first) == summary_text(first) + ", about 5 min left"
    assert progress_text(last) == summary_text(last)
    assert f"best {100 * last.best_score:.1f} % in epoch {last.best_epoch}" in summary_text(last)


def test_without_a_browser_one_line_says_what_is_missing(
    handles: list[Handle], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "0")
    monkeypatch.setattr(show_module, "_said", set())
    for _ in range(2):
        with SearchDashboard("Search", run=SimpleNamespace(folder=tmp_path)) as view:
            view.update(next(events()))
    assert capsys.readouterr().out.count("SVG and PNG were left out: the test wants none") == 1
    assert not (tmp_path / "figures").exists()


def test_a_search_waits_for_the_browser_once_and_not_for_ever(
    handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    asked: list[float] = []
    monkeypatch.setattr(screen_module.Screen, "wait", lambda self, seconds, given_up: asked.append(seconds))
    view = SearchDashboard("Search")

    def loop() -> None:
        for event in events(epochs=3):
            view.update(event)

    loop()
    assert asked == []  # a plain loop keeps the main thread, and no browser could answer
    view = SearchDashboard("Search")
    asyncio.run(live(loop))
    assert asked == [watching_module.PAINT]
    monkeypatch.undo()
    assert view._screen is not None
    view._screen.figure._hear(None, {"painted": True}, [])
    view._screen.wait(3600.0, lambda: False)


def finished_run(folder: Path, epochs: int) -> Run:
    """A run of the tiny search, of which so many epochs were made."""
    run = Run(folder)
    for event in search(tiny_features(), CONFIG, run):
        if event.epoch == epochs:
            break
    return run


def test_a_finished_search_is_replayed_epoch_by_epoch(
    tmp_path: Path, handles: list[Handle], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    monkeypatch.setattr(pace_module, "EARLY", 3600.0)  # a live search would draw the first epoch alone
    run = finished_run(tmp_path / "run", CONFIG.epochs)
    with SearchDashboard("Search", run=run) as view:
        assert view._replay is not None and "Stop" not in buttons(view)
        assert view._replay.pause * CONFIG.epochs <= replay_module.WHOLE
        start = time.monotonic()
        for event in run.trace():
            view.update(event)
            if event.epoch == 2:
                assert time.monotonic() - start >= 1.9 * view._replay.pause
                view._replay.speed.choose("16")
    assert view.pace.draws == len(view.trace) == CONFIG.epochs
    assert view.next_seed is None and "replayed" in capsys.readouterr().out


@pytest.mark.parametrize("button", ["To the end", "Search again, seed 1"])
def test_a_click_ends_the_wait_of_a_replay_and_its_pause(
    button: str, tmp_path: Path, handles: list[Handle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BMNAS_LIVE", "1")
    run = finished_run(tmp_path / "run", CONFIG.epochs)
    monkeypatch.setattr(replay_module, "SHORTEST", 3600.0)
    monkeypatch.setattr(replay_module, "LONGEST", 3600.0)
    view = SearchDashboard("Search", run=run)
    thread = threading.Thread(target=lambda: [view.update(event) for event in run.trace()])
    thread.start()
    buttons(view)["Pause"].click()
    thread.join(0.5)
    assert thread.is_alive() and len(view.trace) == 1
    buttons(view)[button].click()
    thread.join(20)
    assert not thread.is_alive() and len(view.trace) == CONFIG.epochs and not view.stopped
    view.finish()
    assert view.next_seed == (1 if "again" in button else None)


def test_nothing_else_is_replayed(tmp_path: Path, handles: list[Handle], monkeypatch: pytest.MonkeyPatch) -> None:
    done, stopped = finished_run(tmp_path / "done", CONFIG.epochs), finished_run(tmp_path / "stopped", 2)
    monkeypatch.setenv("BMNAS_LIVE", "0")
    assert SearchDashboard("Search", run=done)._replay is None  # nobody watches
    monkeypatch.setenv("BMNAS_LIVE", "1")
    for run in (stopped, Run(tmp_path / "new"), SimpleNamespace(folder=tmp_path)):
        assert SearchDashboard("Search", run=run)._replay is None
    (done.folder / "config.json").write_text("{")
    assert SearchDashboard("Search", run=done)._replay is None  # the search itself names the damage


class Clock:
    """Time that moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("cost", [0.02, 0.2, 1.5])
def test_drawings_keep_to_their_share_of_the_time(cost: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(pace_module, "time", clock)
    pace = pace_module.Pace()
    clock.now += 9.0  # a browser was waited for
    pace.start()
    drawn = []
    for _ in range(4000):
        clock.now += 0.1
        if pace.due():
            drawn.append(clock.now)
            with pace.drawing():
                clock.now += cost
    gaps = [b - a for a, b in zip(drawn, drawn[1:], strict=False)]
    early = pace_module.EARLY_DRAWS
    assert min(gaps[: early - 1]) >= pace_module.EARLY
    assert len(gaps) > early and min(gaps[early - 1 :]) >= pace_module.REDRAW
    pace.end()
    wall = clock.now - 109.0
    assert pace.spent == pytest.approx(cost * len(drawn)) and pace.spent <= pace_module.SHARE * wall
    if cost == 0.02:
        assert max(gaps) < 1.3  # what costs little is drawn every second
    share = 100 * pace.spent / wall
    words = f"{len(drawn)} of 4000 epochs were drawn, which took {pace.spent:.2f} s of the {wall:.1f} s ({share:.1f} %)"
    assert pace.text(4000, 1.0).startswith(words)
    pace.add(wall)  # asked for by clicks: told, but no reason to wait
    clock.now += pace_module.REDRAW + cost / pace_module.SHARE
    assert pace.due() and pace.spent > wall
    pace.add(-wall)
    pace.leave_out(wall / 2)
    assert f"({2 * share:.1f} %)" in pace.text(4000, 1.0)


@pytest.mark.parametrize("picture", ["lines", "heat map"])
def test_a_figure_that_moves_is_the_figure_that_stays(picture: str) -> None:
    record = list(events(epochs=6))
    screen = screen_module.Screen("Search", "note")
    screen.view = replace(screen.view, choice=Choice("", picture))
    for event in record[:4]:
        screen.append(event)
        screen.draw()
    shown = go.Figure(screen.figure.figure["data"], screen.figure.figure["layout"])
    stays = search_figure(record[:4], "Search", "note", screen.view.choice)
    assert shown.data == stays.data
    for name in [name for name in stays.layout if "axis" in name]:
        assert shown.layout[name] == stays.layout[name]
    underscored = {name for name in names(screen.figure.figure) if "_" in name}
    assert underscored == {"paper_bgcolor", "plot_bgcolor"}  # title_text is a word of plotly.py, not of plotly.js
    screen.close()


def names(part: Any) -> set[str]:
    """All keys of nested dictionaries and lists."""
    if isinstance(part, dict):
        return set(part) | {name for value in part.values() for name in names(value)}
    return {name for value in part for name in names(value)} if isinstance(part, list) else set()


def test_a_live_figure_is_whole_for_every_page_however_late_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    figure = PlotlyView([], {"template": "none", "title": {"text": "so far"}})
    monkeypatch.setattr(figure, "send", sent.append)
    for n in range(3):
        figure.draw([{"type": "scatter", "y": (float("nan"), n)}], {"title": {"text": str(n)}})
    assert sent == [] and not figure.painted.is_set()  # nobody would hear it
    figure._hear(figure, {"ready": True, "plotly": False}, [])  # a slow page, long after the first drawing
    library, whole = sent
    assert "plotly.js v" in library["plotly"][:100] and whole["asked"]
    shown = json.loads(whole["figure"])
    assert shown["data"] == [{"type": "scatter", "y": [None, 2]}] and shown["layout"] == {"title": {"text": "2"}}
    figure._hear(figure, {"painted": True}, [])
    assert figure.painted.is_set()
    figure.draw([], {"template": "none"})
    assert json.loads(sent[2]["figure"])["layout"] == {} and "asked" not in sent[2]
    figure._hear(figure, {"ready": True, "plotly": True}, [])  # another view on a page that has plotly.js
    assert len(sent) == 4 and json.loads(sent[3]["figure"])["data"] == []
    state = len(json.dumps(str(figure.get_state())))
    assert state < 10_000  # holds neither: it loads in less than the two seconds that anywidget grants, and saves small
