"""The app: finished runs and a search by a button, without a browser; then for real, served by Voila."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest

import bmnas
from bmnas.errors import DataError
from bmnas.registry import TASKS
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import EpochEvent
from tests.browser.test_browser import CHROMIUM, FLAGS, LOCAL, PALE, ROOT
from tests.support.planted_search import PlantedSearch
from tests.support.processes import within
from tools.app_server import APP, served_notebook, voila_settings
from widgets.app import MARK, NEW, SearchApp
from widgets.networks.titles import CHOSEN
from widgets.search.dashboard import SearchDashboard
from widgets.static.display import IMAGES

SECONDS = 120
# Whether curves and network stand side by side, as wide as the page and no wider, and end on the screen.
LAID_OUT = """() => {
  const place = name => document.querySelector(name)?.getBoundingClientRect();
  const curves = place(".js-plotly-plot"), network = place("[data-scale]");
  const page = document.scrollingElement, plot = document.querySelector(".js-plotly-plot .main-svg");
  return Boolean(curves && network && plot) && curves.right <= network.left + 1 && page.scrollWidth <= innerWidth
    && network.right > 0.9 * innerWidth && Math.abs(plot.getBoundingClientRect().width - curves.width) < 3
    && Math.max(curves.bottom, network.bottom) <= innerHeight; }"""
GROUND = "() => Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs of its own, no pictures, no browser, and a search of three epochs."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(IMAGES, "problem", "the test wants none")
    monkeypatch.setattr("widgets.search.dashboard.PAINT", 0.0)  # no browser ever says that it has painted
    task = bmnas.TASKS["planted"]
    short = task.search_config.change(epochs=3, selection="algorithm1")
    monkeypatch.setitem(bmnas.TASKS, "planted", replace(task, search_config=short))
    return tmp_path / "runs"


def click_start(app: SearchApp) -> None:
    """A click on the button, as a kernel handles it: within a running loop that goes on afterwards."""

    async def session() -> None:
        app.start.click()
        assert app.start.disabled and app.task is not None
        await app.task

    asyncio.run(session())


def test_the_data_set_that_is_offered_first_needs_no_data(runs: Path) -> None:
    app = SearchApp()
    assert app.dataset.value == "mfeat"
    assert sorted(app.dataset.options) == sorted(bmnas.TASKS)


def test_a_search_starts_by_a_button_and_its_run_can_be_shown(runs: Path) -> None:
    app = SearchApp(["planted"])
    assert [name for name, _ in app.runs.options] == ["no run yet"]
    click_start(app)
    assert str(runs) in app.message.value and not app.start.disabled
    (made,) = bmnas.list_runs()
    assert len(made.trace()) == 3 and made.genotype() == made.trace().best.genotype
    assert [name for name, _ in app.runs.options] == [NEW, made.name]
    app.runs.value = made.name
    words, screen, answer = app.stage.children
    assert "epoch 3 of 3" in words.value
    assert "<svg" in answer.content and CHOSEN in answer.content
    app.runs.value = ""
    assert app.stage.children[0] is words  # nothing chosen is no reason to lose the pictures
    before = made.path("trace.jsonl").read_bytes()
    click_start(app)  # a finished search is shown again, not repeated
    assert made.path("trace.jsonl").read_bytes() == before and len(app.stage.children) == 3
    assert app.replay.disabled  # nothing is chosen
    later = SearchApp(["planted"])
    later.attach()  # a page that is loaded later shows what was searched last
    assert later.runs.value == made.name and not later.replay.disabled and len(later.stage.children) == 3


def test_an_evaluated_run_shows_its_leaderboard(runs: Path) -> None:
    app = SearchApp(["planted"])
    click_start(app)
    (made,) = bmnas.list_runs()
    results = [bmnas.Evaluation(name, "accuracy", (0.5, 0.6)) for name in (bmnas.SEARCHED, "GMU")]
    bmnas.save_evaluation(made, results, made.features(), bmnas.EvalConfig())
    app.runs.value = made.name
    assert len(app.stage.children) == 4
    _, bars, *_ = app.stage.children[-1].children
    assert "GMU" in bars.content and bmnas.SEARCHED in bars.content


def test_a_finished_run_is_replayed_and_another_search_can_follow(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = SearchApp(["planted"])
    click_start(app)
    (made,) = bmnas.list_runs()
    watched = []
    update = SearchDashboard.update

    def click_again(view: SearchDashboard, event: EpochEvent) -> None:
        assert isinstance(view.run, Run)
        watched.append((view.run.name, event.epoch))
        if len(watched) == 2:
            assert view._replay is not None
            view._replay.again.click()
        update(view, event)

    monkeypatch.setattr(SearchDashboard, "update", click_again)
    monkeypatch.setattr("widgets.search.replay.LONGEST", 0.2)

    async def session() -> None:
        app.runs.value = made.name
        app.replay.click()
        assert app.start.disabled and app.task is not None
        await app.task

    asyncio.run(session())
    (other,) = (run for run in bmnas.list_runs() if run.name != made.name)
    assert watched == [(run.name, epoch) for run in (made, other) for epoch in (1, 2, 3)]
    assert other.config().seed == 1 and not app.runs.disabled


def test_what_goes_wrong_is_said_and_another_search_may_start(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise DataError("no <data> here")

    monkeypatch.setattr(bmnas, "prepare", missing)
    app = SearchApp(["planted"])
    click_start(app)
    assert app.message.value == "no &lt;data&gt; here" and not app.start.disabled


def test_a_damaged_run_is_named(runs: Path) -> None:
    folder = runs / "broken"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "trace.jsonl").write_text("nonsense\n")
    app = SearchApp([])
    app.runs.value = "broken"
    assert "trace.jsonl" in app.message.value and app.stage.children == ()


@pytest.fixture
def other(runs: Path) -> Iterator[PlantedSearch]:
    """Another process at the same search, after its first epoch."""
    process = PlantedSearch(runs, MARK)
    yield process
    process.kill()


def at_epochs(monkeypatch: pytest.MonkeyPatch, react: Callable[[SearchDashboard, int], None]) -> list[int]:
    """Calls `react` after each epoch that a view shows -> their numbers."""
    shown: list[int] = []
    update = SearchDashboard.update

    def watched(view: SearchDashboard, event: EpochEvent) -> None:
        update(view, event)
        shown.append(event.epoch)
        react(view, event.epoch)

    monkeypatch.setattr(SearchDashboard, "update", watched)
    return shown


def attach(app: SearchApp) -> None:
    """What the app's notebook does when its page is loaded."""

    async def session() -> None:
        app.attach()
        if app.task is not None:
            await app.task

    asyncio.run(session())


def test_a_search_of_another_process_is_shown_as_it_goes(other: PlantedSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    app, messages = SearchApp(["planted"]), []

    def react(view: SearchDashboard, epoch: int) -> None:
        messages.append(app.message.value)
        other.go_on()

    shown = at_epochs(monkeypatch, react)
    click_start(app)
    assert shown == [1, 2, 3] and str(other.pid) in messages[0]
    assert other.end() == 0 and "Everything is in" in app.message.value and CHOSEN in app.stage.children[-1].content


def test_a_stop_ends_the_view_of_another_process_alone(other: PlantedSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def react(view: SearchDashboard, epoch: int) -> None:
        assert view._controls is not None
        view._controls.stop.click()

    shown, app = at_epochs(monkeypatch, react), SearchApp(["planted"])
    click_start(app)
    assert shown == [1] and str(other.pid) in app.message.value and other.alive


def test_a_page_that_is_loaded_again_takes_over_where_its_former_kernel_ends(
    other: PlantedSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def react(view: SearchDashboard, epoch: int) -> None:
        if epoch == 1 and other.alive:
            other.kill()

    shown, app = at_epochs(monkeypatch, react), SearchApp(["planted"])
    attach(app)
    (run,) = bmnas.list_runs()
    assert shown == [1, 1, 2, 3] and len(run.trace()) == 3 and run.genotype()
    assert not run.path(MARK).exists() and "Everything is in" in app.message.value
    shown.clear()
    attach(SearchApp(["planted"]))
    assert shown == []  # what is finished is nothing to come back to


def test_a_search_that_was_left_long_ago_is_not_resumed_by_itself(
    other: PlantedSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    other.kill()
    (run,) = bmnas.list_runs()
    for name in (MARK, "trace.jsonl"):
        os.utime(run.path(name), (0, 0))
    shown = at_epochs(monkeypatch, lambda view, epoch: None)
    attach(SearchApp(["planted"]))
    assert shown == []


def test_any_notebook_can_be_served_by_its_number() -> None:
    assert served_notebook([]) == (ROOT / "tools/app/app.ipynb", [])
    assert served_notebook(["--port=1"])[1] == ["--port=1"]
    for number in ("3", "03"):
        notebook, others = served_notebook([number, "--port=1"])
        assert (notebook, others) == (ROOT / "notebooks/03_derivation.ipynb", ["--port=1"])
        assert voila_settings(notebook)[0][0] == str(notebook)
    with pytest.raises(SystemExit, match="07.*01, 02"):
        served_notebook(["7"])


class Served(NamedTuple):
    """The app as `run.py app` serves it."""

    address: str
    server: "subprocess.Popen[bytes]"

    def kernels(self) -> list[str]:
        """The command lines of its kernels that are alive."""
        listed = subprocess.run(["ps", "-axo", "ppid=,args="], capture_output=True, text=True, check=True).stdout
        lines = [line.split(None, 1) for line in listed.splitlines()]
        return [args for ppid, args in lines if int(ppid) == self.server.pid and "ipykernel" in args]


WITHOUT_SHORTLIST = """
from dataclasses import replace
import bmnas
task = bmnas.TASKS["planted"]
bmnas.TASKS["planted"] = replace(task, search_config=task.search_config.change(selection="algorithm1"))
"""

SERVE = "import sys, pathlib, tools.app_server; tools.app_server.serve(pathlib.Path(sys.argv[1]), sys.argv[2:])"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """The app, at work; its searches on planted features end without the trainings of a shortlist."""
    pytest.importorskip("voila")
    app = nbformat.read(APP / "app.ipynb", 4)
    app.cells.insert(0, nbformat.v4.new_code_cell(WITHOUT_SHORTLIST))
    nbformat.write(app, tmp_path / "app.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")}
    settings = {"BMNAS_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **own, **settings}
    options = ["--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1"]
    command = [sys.executable, "-c", SERVE, str(tmp_path / "app.ipynb"), *options]
    address = f"http://127.0.0.1:{port}/"
    with open(tmp_path / "voila.log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{address}static/", timeout=2)
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert server.poll() is None and time.monotonic() < end, (tmp_path / "voila.log").read_text()[-2000:]
                time.sleep(0.25)
        yield Served(address, server)
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here")
@pytest.mark.timeout(300)
def test_the_app_in_a_browser(served: Served, tmp_path: Path) -> None:
    """One search: watched, paused, looked at from a second tab, and resumed by a reload."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 1900})
        page.on("pageerror", lambda error: problems.append(f"page error: {error}"))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: None if asked.url.startswith(LOCAL) else problems.append(asked.url))
        page.goto(served.address)
        page.locator("button", has_text="Start search").wait_for(timeout=SECONDS * 1000)
        assert page.locator(".jp-InputArea-editor, .input_area").count() == 0  # no code
        folder = start_planted(page, tmp_path / "runs", 1)
        page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=SECONDS * 1000)
        held = pause(page)
        for width, height in ((900, 1900), (1280, 800), (2000, 1000)):
            page.set_viewport_size({"width": width, "height": height})
            wait_until(lambda: page.evaluate(LAID_OUT), 20)
        page.set_viewport_size({"width": 1100, "height": 1900})
        page.locator("button", has_text="heat map").click()
        page.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.[0]?.type === 'heatmap'")
        page.screenshot(path=tmp_path / "app.png")
        second = browser.new_page(color_scheme="dark")
        second.goto(served.address)
        second.get_by_text("is at work on this search").wait_for(timeout=SECONDS * 1000)
        second.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=SECONDS * 1000)
        second.screenshot(path=tmp_path / "dark.png")
        assert second.evaluate(PALE) == [] and second.evaluate(GROUND) < 60
        second.close()
        assert page.get_by_text("paused after epoch").inner_text() == held
        page.reload()
        page.get_by_text("Everything is in").wait_for(timeout=SECONDS * 1000)
        assert check_whole(folder) == TASKS["planted"].search_config.epochs
        page.locator("select").nth(0).select_option(folder.name)
        page.locator(".widget-html b", has_text=folder.name).first.wait_for(timeout=SECONDS * 1000)
        page.get_by_text(CHOSEN).wait_for(timeout=SECONDS * 1000)
        page.screenshot(path=tmp_path / "shown.png")
        browser.close()
    assert problems == []


def pause(page: Any) -> str:
    """Pauses the search of a page -> where it stands."""
    page.locator("button", has_text="Pause").click()
    page.get_by_text("paused after epoch").wait_for(timeout=SECONDS * 1000)
    return page.get_by_text("paused after epoch").inner_text()


def start_planted(page: Any, runs: Path, epochs: int) -> Path:
    """Starts a search in the app and waits for so many epochs -> the run's folder."""
    page.locator("button", has_text="Start search").wait_for(timeout=SECONDS * 1000)
    page.locator("select").nth(1).select_option("planted")
    page.locator("button", has_text="Start search").click()
    wait_until(lambda: any(len(lines(path)) >= epochs for path in runs.glob("planted-*/trace.jsonl")))
    (folder,) = runs.glob("planted-*")
    return folder


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def wait_until(reached: Callable[[], bool], seconds: float = 60) -> None:
    assert within(seconds, reached)


def check_whole(folder: Path) -> int:
    """The epochs of a run whose record and checkpoint agree."""
    run = bmnas.Run(folder)
    state = run.load_checkpoint()
    assert state is not None and len(run.trace()) == state["epoch"]
    assert list(folder.glob("*.partial")) == []
    return state["epoch"]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here")
@pytest.mark.timeout(300)
def test_a_closed_page_and_a_stopped_server_leave_no_kernel_and_a_whole_run(served: Served, tmp_path: Path) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        opener = browser.new_page()
        with opener.expect_popup() as opened:  # what closes as the tab of a person does
            opener.evaluate("address => { window.other = window.open(address) }", served.address)
        folder = start_planted(opened.value, tmp_path / "runs", 2)
        assert len(served.kernels()) == 1
        pause(opened.value)
        opened.value.locator("button", has_text="Resume").click()
        opened.value.get_by_text("paused after epoch").wait_for(state="hidden", timeout=SECONDS * 1000)
        opener.evaluate("() => window.other.close()")
        wait_until(lambda: served.kernels() == [])
        epochs = check_whole(folder)
        page = browser.new_page()
        page.goto(served.address)
        more = min(epochs + 1, TASKS["planted"].search_config.epochs)  # on a slow machine the first one may be over
        wait_until(lambda: len(lines(folder / "trace.jsonl")) >= more)  # it resumes where it ended, by itself
        served.server.send_signal(signal.SIGINT)
        assert served.server.wait(30) == 0
        wait_until(lambda: served.kernels() == [])
        assert check_whole(folder) >= more
        browser.close()
