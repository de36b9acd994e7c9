"""The live view in a real JupyterLab and a real, headless Chromium, with everything outside the machine blocked."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from plotly.offline import get_plotlyjs

from bmnas.searching.trace import Trace
from bmnas.space.graph import hypernet_graph
from tests.support.synthetic import NTU, events
from widgets.explorer.explorer import GenotypeExplorer
from widgets.explorer.info import ExplorerInfo, Stage
from widgets.networks.dag import dag_drawing, genotype_figure, hypernet_figure
from widgets.networks.drawing import dag_svg
from widgets.networks.facts import Shapes
from widgets.search.figure import search_figure
from widgets.search.panel import HEAT, LINES, Choice
from widgets.search.weight_figures import weight_heatmap, weight_lines
from widgets.search.weights import weights_info
from widgets.sheets.sheet import page as sheet_svg

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--no-first-run"]  # fmt: skip
LOCAL = ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:", "file:", "about:", "chrome-extension:")
PLOTLY = "application/vnd.plotly.v1+json"
FIRST_PAINT = 10_000  # milliseconds until a watcher sees the figure
EPOCHS = 100  # of the search on the embedded data: more than pass until Stop is clicked
SHAPES = Shapes(dict.fromkeys(NTU, 512), 60, 128, 8)  # of NTU

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium or Chrome here (looked for {', '.join(NAMES)})"),
]

SETUP = """\
import asyncio, threading, time
from tests.support.synthetic import events
from widgets import SearchDashboard, live, prepare_images

prepare_images()

def slowly(view, epochs, seconds):
    for event in events(epochs=epochs):
        view.update(event)
        if view.stopped:
            return
        time.sleep(seconds)

print("READY")
"""
STOPPED = """\
with SearchDashboard("A synthetic search", note="nothing was trained") as view:
    await live(slowly, view, 400, 0.6)
print("RESULT1", "stopped", view.stopped, "epochs", len(view.trace), "draws", view.pace.draws, "errors", view.errors)
"""
INTERRUPTED = """\
try:
    with SearchDashboard("Another one") as view:  # to be interrupted while it is paused
        await live(slowly, view, 400, 0.6)
except (KeyboardInterrupt, asyncio.CancelledError) as error:
    names = [thread.name for thread in threading.enumerate()]
    print("RESULT2", "stopped", view.stopped, "early", len(view.trace) < 400, "errors", view.errors)
"""
# What the page shows: whether a cell is busy, how many epochs the figure and the progress line have come to.
STATE = """() => {
  const plot = document.querySelector('.js-plotly-plot'), hit = document.body.innerText.match(/epoch (\\d+) of/);
  return {
    busy: [...document.querySelectorAll('.jp-InputPrompt')].some(e => e.textContent.includes('*')),
    epoch: hit ? Number(hit[1]) : 0,
    points: plot && plot.data && plot.data.length ? (plot.data[0].z ? plot.data[0].x : plot.data[0].y)?.length || 0 : 0,
    kind: plot && plot.data && plot.data.length ? plot.data[0].type : '',
    paused: document.body.innerText.includes('paused after epoch'),
    graph: [...document.querySelectorAll('.widget-html svg, .jupyter-widgets svg')].map(e => e.outerHTML.length).join(),
    text: [...document.querySelectorAll('.jp-OutputArea-output')].map(e => e.innerText).join('\\n'),
  } }"""

# Whether so many figures of ours are seen, interactive or as a picture.
SHOWN = """wanted => [...document.querySelectorAll('.jp-RenderedPlotly')].filter(
  e => [...e.querySelectorAll('.main-svg, img')].some(p => p.getBoundingClientRect().height > 100)).length === wanted"""
# Words of our own on a page (buttons that wait are dimmed) whose colour is too near to that of their ground.
PALE = """() => {
  const numbers = colour => (colour.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) {
      if ((e.tagName === 'svg' && e.style.background) || e.matches('.js-plotly-plot')) return [255, 255, 255];
      const found = numbers(getComputedStyle(e).backgroundColor);
      if (found.length < 4 || found[3] > 0.5) return found; }
    return [255, 255, 255]; };
  return [...document.querySelectorAll('.jp-OutputArea-output *')].filter(e => e.childElementCount === 0)
    .filter(e => e.textContent.trim() && e.getBoundingClientRect().width && !e.closest('[disabled], title, style'))
    .map(e => { const own = getComputedStyle(e), svg = e.closest('svg');
      const colour = svg ? own.fill : own.color, ink = light(numbers(colour)), back = light(ground(e));
      return [(Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05), e.textContent.trim(), colour]; })
    .filter(([contrast]) => contrast < 3) }"""
HEIGHTS = "() => [...document.querySelectorAll('.jp-RenderedPlotly')].map(e => e.clientHeight)"
# Where the lines of a figure's title and notes end on the right, start and end.
HEADINGS = """() => [...document.querySelectorAll('.g-gtitle tspan.line')].map(e => e.getBoundingClientRect())
  .map(box => [box.right, box.top, box.bottom])"""
# Pairs of words in a picture that lie upon each other, and words that leave it.
COLLISIONS = """() => {
  const picture = e => { while (e.ownerSVGElement) e = e.ownerSVGElement; return e.getBoundingClientRect(); };
  const words = [...document.querySelectorAll('svg text')].filter(e => e.textContent.trim())
    .map(e => [e.textContent, e.getBoundingClientRect(), picture(e)]).filter(([, box]) => box.width && box.height);
  const found = words.filter(([, a, page]) => a.left < page.left - 1 || a.right > page.right + 1 ||
    a.top < page.top - 1 || a.bottom > page.bottom + 1).map(([text]) => [text, 'leaves the picture']);
  words.forEach(([one, a], i) => words.slice(i + 1).forEach(([other, b]) => {
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 4) found.push([one, other]); }));
  return found }"""


class Lab:
    """A page with a notebook open in JupyterLab, and what went wrong on it."""

    def __init__(self, browser: Any, port: int, notebook: Path) -> None:
        self.browser, self.port, self.notebook = browser, port, notebook
        self.problems: list[str] = []
        self.left: list[str] = []
        self.open()

    def open(self) -> None:
        """A new page with the notebook, its kernel (the same one, where there is one) ready."""
        self.page = self.browser.new_page(viewport={"width": 1300, "height": 1900})
        self._watch()
        self.page.goto(f"http://127.0.0.1:{self.port}/lab/tree/{self.notebook.name}?token=test&reset")
        self.page.locator(".jp-Notebook").wait_for(timeout=90_000)
        self.page.wait_for_function(
            "() => ['idle', 'busy'].includes("
            "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status)",
            timeout=90_000,
        )

    def click(self, words: str) -> None:
        self.page.locator("button.jupyter-button", has_text=words).first.click()

    def _watch(self) -> None:
        self.page.on("pageerror", lambda error: self.problems.append(f"page error: {error}"))
        self.page.on("console", self._console)
        self.page.route(lambda url: not url.startswith(LOCAL), self._refuse)

    def _console(self, message: Any) -> None:
        refused = message.location.get("url") in self.left  # which the route has named
        if message.type == "error" and not refused:
            self.problems.append(f"console: {message.text} {message.location}")

    def _refuse(self, route: Any) -> None:
        self.left.append(route.request.url)
        route.abort()

    def command(self, name: str) -> None:
        self.page.evaluate("name => window.jupyterapp.commands.execute(name)", name)

    def run_cell(self, number: int) -> None:
        """Starts a cell and returns at once."""
        self.page.evaluate(
            "i => { const notebook = window.jupyterapp.shell.currentWidget.content; notebook.activeCellIndex = i;"
            " notebook.deselectAll(); notebook.scrollToItem(i, 'start');"
            " window.jupyterapp.commands.execute('notebook:run-cell') }",
            number,
        )

    def theme(self, name: str) -> None:
        """Light or Dark."""
        theme = f"JupyterLab {name}"
        self.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
        self.page.wait_for_timeout(900)  # until it has drawn

    def until(self, reached: Callable[[dict[str, Any]], bool], what: str, seconds: float = 90) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            state = self.page.evaluate(STATE)
            if reached(state):
                return state
            time.sleep(0.1)
        self.page.screenshot(path=self.notebook.with_name("failed.png"))
        raise AssertionError(f"waited {seconds} s for {what}; problems: {self.problems}; saw {state}")

    def saved(self) -> Any:
        """The notebook as JupyterLab saves it."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(self.notebook, 4)


def write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, path)


def start_jupyterlab(folder: Path, runs: Path | None = None) -> tuple[subprocess.Popen[bytes], int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = folder / "config"
    settings = own / "settings/@jupyterlab/apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "JUPYTER_CONFIG_DIR": str(own),
        "JUPYTER_DATA_DIR": str(own / "data"), "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
        "IPYTHONDIR": str(own / "ipython"), "BMNAS_RUNS": str(runs or folder / "runs"),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--allow-root",
        "--ServerApp.port_retries=0", "--IdentityProvider.token=test", f"--ServerApp.root_dir={folder}",
        "--expose-app-in-browser", "--LabApp.extension_manager=readonly",
        "--ServerApp.jpserver_extensions=tools.saving=True",
    ]  # fmt: skip
    with open(folder / "lab.log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    for _ in range(240):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status?token=test", timeout=2)
            return server, port
        except OSError:
            time.sleep(0.25)
        if server.poll() is not None:
            break
    raise RuntimeError((folder / "lab.log").read_text()[-2000:])


def open_notebook(folder: Path, notebook: Path, runs: Path | None = None) -> Iterator[Lab]:
    """A notebook in JupyterLab in Chromium, its kernel ready; its runs are in `folder`, or where they are wanted."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    server, port = start_jupyterlab(folder, runs)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            lab = Lab(browser, port, notebook)
            yield lab
            if not lab.page.is_closed():
                lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
            browser.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def check_static(outputs: list[Any]) -> None:
    """Figures of a finished view: plotly JSON and SVG, no widgets, not large."""
    figures = [output.data for output in outputs if output.output_type == "display_data" and PLOTLY in output.data]
    assert len(figures) == 2
    for data in figures:
        assert set(data) == {PLOTLY, "image/svg+xml", "text/plain"}  # JupyterLab's PNG was taken out as it was saved
        assert len(json.dumps(data)) < 400_000
    assert not any("widget" in kind for output in outputs for kind in output.get("data", {}))


@pytest.fixture
def lab_search(tmp_path: Path) -> Iterator[Lab]:
    """The search notebook with a few more epochs than usual, and without the trainings of a shortlist."""
    notebook = tmp_path / "02_search.ipynb"
    source = (ROOT / "notebooks" / notebook.name).read_text(encoding="utf-8")
    for default, short in (
        ("epochs = None ", f"epochs = {EPOCHS} "),
        ("selection = None ", "selection = 'algorithm1' "),
    ):
        assert source.count(f'"{default}') == 1
        source = source.replace(f'"{default}', f'"{short}')
    notebook.write_text(source, encoding="utf-8")
    yield from open_notebook(tmp_path, notebook)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    notebook = tmp_path / "live.ipynb"
    write_notebook(notebook, [SETUP, STOPPED, INTERRUPTED])
    yield from open_notebook(tmp_path, notebook)


def watch(lab: Lab, what: str) -> None:
    """Waits for five states of the figure, and of the graph, while a cell is busy."""
    points, graphs = set(), set()

    def seen_enough(state: dict[str, Any]) -> bool:
        if state["busy"] and state["points"]:
            points.add(state["points"])
            graphs.add(state["graph"])
        return len(points) >= 5 and len(graphs) >= 5

    lab.until(seen_enough, f"five states of {what} while the cell is busy")


@pytest.mark.timeout(300)
def test_a_watched_search_moves_pauses_stops_and_leaves_static_figures(lab: Lab) -> None:
    lab.run_cell(0)
    lab.until(lambda state: "READY" in state["text"], "the imports")
    lab.run_cell(1)
    lab.page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=FIRST_PAINT)
    watch(lab, "a synthetic search")

    lab.click("heat map")
    lab.click("Cell_2")
    first = lab.until(lambda state: state["busy"] and state["kind"] == "heatmap", "the heat maps")
    lab.until(lambda state: state["busy"] and state["points"] > first["points"] > 0, "heat maps that move on")
    lab.page.screenshot(path=lab.notebook.with_name("live.png"))

    lab.click("Pause")
    held = lab.until(lambda state: state["paused"], "the pause")
    lab.page.wait_for_timeout(1500)
    state = lab.page.evaluate(STATE)
    assert (state["busy"], state["epoch"]) == (True, held["epoch"])
    for theme in ("Dark", "Light"):
        lab.theme(theme)
        assert lab.page.evaluate(PALE) == [], theme
        lab.page.screenshot(path=lab.notebook.with_name(f"paused-{theme}.png"))
    lab.click("lines")
    lab.until(lambda state: state["paused"] and state["kind"] == "scatter", "other pictures during the pause")
    lab.click("Resume")
    lab.until(lambda state: not state["paused"] and state["epoch"] > held["epoch"], "the search after the pause")

    lab.click("Stop")
    state = lab.until(lambda state: "RESULT1" in state["text"], "the end after Stop")
    result = re.search(r"RESULT1 stopped True epochs (\d+) draws (\d+) errors \[\]", state["text"])
    assert result and held["epoch"] < int(result[1]) < 400 and int(result[2]) >= 5, state["text"]
    assert re.search(r"\d+ of \d+ epochs were drawn, which took [\d.]+ s of the [\d.]+ s \([\d.]+ %\)", state["text"])

    lab.run_cell(2)
    lab.until(lambda state: state["busy"] and "Another one" in state["text"], "the second search")
    lab.click("Pause")
    lab.until(lambda state: state["paused"], "the second pause")
    lab.command("notebook:interrupt-kernel")
    state = lab.until(lambda state: "RESULT2" in state["text"], "the end after an interrupt")
    assert "RESULT2 stopped True early True errors []" in state["text"]

    lab.page.wait_for_timeout(1500)
    notebook = lab.saved()
    for cell in notebook.cells[1:]:
        check_static(cell.outputs)
    assert "widgets" not in notebook.metadata
    lab.page.close()
    lab.open()
    lab.page.wait_for_function(SHOWN, arg=4, timeout=60_000)
    lab.page.screenshot(path=lab.notebook.with_name("final.png"))
    heights = lab.page.evaluate(HEIGHTS)
    for width in (900, 1300, 900, 1300):  # the figures follow, and neither collapse nor grow
        lab.page.set_viewport_size({"width": width, "height": 1900})
        lab.page.wait_for_timeout(700)
        assert lab.page.evaluate(HEIGHTS) == heights
    assert lab.left == []
    assert lab.problems == []


@pytest.mark.timeout(400)
def test_a_search_that_was_stopped_goes_on_even_where_nobody_watches(lab_search: Lab, tmp_path: Path) -> None:
    lab = lab_search
    cells = nbformat.read(lab.notebook, 4).cells
    search = next(i for i, cell in enumerate(cells) if "SearchDashboard(" in cell.source and "with" in cell.source)
    code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
    for i in code[: code.index(search)]:
        lab.run_cell(i)
        lab.until(lambda state: not state["busy"], f"the end of cell {i}", 200)
    lab.run_cell(search)
    watch(lab, "the search on the embedded data")
    lab.click("Stop")
    lab.until(lambda state: not state["busy"], "the end of the search")
    (record,) = (tmp_path / "runs").glob("*/trace.jsonl")
    stopped = len(record.read_text(encoding="utf-8").splitlines())
    assert 5 <= stopped < EPOCHS

    for i in code[code.index(search) + 1 :]:  # what follows works with the epochs that there are
        lab.run_cell(i)
        lab.until(lambda state: not state["busy"], f"the end of cell {i}")
    assert errors(lab.saved()) == []
    assert (record.parent / "genotype.json").exists()

    lab.run_cell(search)  # goes on
    lab.until(lambda state: state["busy"] and state["points"] > stopped, "the epochs after those of the first time")
    lab.page.close()
    end = time.monotonic() + 120
    while len(record.read_text(encoding="utf-8").splitlines()) < EPOCHS:
        assert time.monotonic() < end, "the search did not go on without a page"
        time.sleep(0.5)
    end = time.monotonic() + 60
    wanted = ("config.json", "checkpoint.safetensors", "features.json", "figures/search.svg", "figures/hypernet.png")
    while missing := [name for name in wanted if not (record.parent / name).exists()]:
        assert time.monotonic() < end, f"the run folder is not complete: {missing}"
        time.sleep(0.5)
    lab.open()
    lab.until(lambda state: not state["busy"], "a free kernel")
    lab.run_cell(search)
    lab.until(lambda state: state["busy"], "the begin of the replay")
    lab.until(lambda state: not state["busy"], "the end of the replay")
    lab.page.wait_for_timeout(1500)
    done = lab.saved()
    assert errors(done) == []
    assert lab.notebook.stat().st_size < 1_000_000
    check_static(done.cells[search].outputs)
    assert f"epoch {EPOCHS} of {EPOCHS}" in json.dumps(done.cells[search].outputs)
    assert (lab.left, lab.problems) == ([], [])


@pytest.mark.timeout(200)
def test_no_words_lie_upon_each_other_with_8_features_4_cells_and_4_steps(tmp_path: Path) -> None:
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    record = list(events(NTU, 4, 4, epochs=30))
    last = record[-1]
    pictures: dict[str, Any] = {
        f"{choice.picture} {choice.cell}": search_figure(record, "Search", "stand-in features", choice)
        for choice in (Choice(cell, picture) for cell in ("", "Cell_4") for picture in (LINES, HEAT))
    }
    for kind in ("alpha", "beta", "gamma"):
        info = weights_info(Trace(record), kind, 7)
        pictures |= {f"{kind} heat map": weight_heatmap(info), f"{kind} lines": weight_lines(info)}
    pictures["hypernet"] = hypernet_figure(last.architecture, last.genotype)
    pictures["genotype"] = genotype_figure(last.genotype)
    one, two = (
        ExplorerInfo(f"run-{k}", tuple(map(Stage.of_epoch, events(NTU, 4, 4, 20, k))), {}, SHAPES, "") for k in (0, 1)
    )
    pictures["explorer"] = GenotypeExplorer(one).content(7)
    pictures["two runs"] = GenotypeExplorer(one, two).content(7)
    pictures["every Cell"] = sheet_svg(GenotypeExplorer(one).twin())
    pictures["live hypernet"] = dag_svg(dag_drawing(hypernet_graph(last.architecture, last.genotype)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 1600})
        page.set_content("<div id=picture style='display:inline-block; min-width:860px'></div>")
        page.add_script_tag(content=get_plotlyjs())
        found = {}
        for name, figure in pictures.items():
            if isinstance(figure, str):
                page.evaluate(
                    "svg => document.querySelector('#picture').outerHTML = `<div id=picture>${svg}</div>`", figure
                )
            else:
                page.evaluate(
                    "figure => Plotly.react('picture', figure.data, figure.layout)", json.loads(figure.to_json())
                )
            page.screenshot(path=tmp_path / f"{name}.png")
            found[name] = page.evaluate(COLLISIONS)
        browser.close()
    assert {name: pairs for name, pairs in found.items() if pairs} == {}


@pytest.mark.timeout(100)
def test_headings_fit_the_narrowest_page() -> None:
    """Beside the list of files, a window of 900 pixels leaves 453: long titles and notes break, and stay apart."""
    sync_playwright = pytest.importorskip("playwright.sync_api").sync_playwright
    record = list(events(NTU, 2, 2, epochs=3))
    note = "STAND-IN FEATURES, NOT REAL DATA: " + "a note as long as those of stand-ins are " * 4
    figures = [
        search_figure(record, "Search on a data set with a long name, with a run and its seed", note),
        weight_lines(weights_info(Trace(record), "alpha", 2), "A title that is far longer than the page is wide", note),
        hypernet_figure(record[-1].architecture, record[-1].genotype, "The network of the last epoch in its hypernet"),
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 453, "height": 900})
        page.set_content("<body style='margin:0'><div id=picture></div></body>")
        page.add_script_tag(content=get_plotlyjs())
        for figure in figures:
            page.evaluate("figure => Plotly.react('picture', figure.data, figure.layout)", json.loads(figure.to_json()))
            ends = page.evaluate(HEADINGS)
            assert len(ends) > 1 and max(right for right, _, _ in ends) <= 453
            tools = page.evaluate("() => document.querySelector('.modebar').getBoundingClientRect().bottom")
            assert min(top for _, top, _ in ends) >= tools
            assert max(bottom for _, _, bottom in ends) <= figure.layout.margin.t
        browser.close()


def errors(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"]
