"""Pictures in files and pages: what `show` leaves in notebook and run folder, and HTML that loads nothing."""

import asyncio
import importlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import plotly.graph_objects as go
import pytest

from tests.browser.test_browser import CHROMIUM, FLAGS
from widgets.notebook.export import export_html, main, mathml, to_html

show_module = importlib.import_module("widgets.static.display")  # `widgets.show` itself is the function
PLOTLY = "application/vnd.plotly.v1+json"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here, so no pictures")


def figure(title: str = "a </script><b>title") -> go.Figure:
    return go.Figure(go.Scatter(y=[1, 3, 2], name="line"), layout={"title": {"text": title}})


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(show_module, "display", lambda data, raw: bundles.append(data))
    return bundles


@pytest.fixture
def images(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A browser of the test's own, ended with it."""
    own = show_module.Images()
    monkeypatch.setattr(show_module, "IMAGES", own)
    monkeypatch.setattr(show_module, "_said", set())
    yield own
    own.stop()


@pytest.mark.browser
@needs_browser
def test_a_figure_is_json_and_svg_in_the_notebook_and_files_in_the_run(
    shown: list[dict[str, Any]], images: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show_module.prepare_images()
    show_module.show(figure("Loss"), "loss", SimpleNamespace(folder=tmp_path))
    (data,) = shown
    assert set(data) == {PLOTLY, "image/svg+xml", "text/plain"}
    assert data["text/plain"] == "[figure loss: Loss]"
    assert data["image/svg+xml"].startswith("<svg") and "Loss" in data["image/svg+xml"]
    assert len(json.dumps(data)) < 60_000
    files = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert files == ["loss.png", "loss.svg"]
    assert (tmp_path / "figures/loss.svg").read_text() == data["image/svg+xml"]
    assert (tmp_path / "figures/loss.png").read_bytes().startswith(b"\x89PNG")
    assert images.problem == "" and capsys.readouterr().out == ""


def test_without_a_browser_the_figure_stays_and_one_line_says_what_is_missing(
    shown: list[dict[str, Any]],
    images: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kaleido = pytest.importorskip("kaleido")

    def refuse(**_: Any) -> None:
        raise FileNotFoundError("no Chrome")

    monkeypatch.setattr(kaleido, "Kaleido", refuse)
    for _ in range(2):
        show_module.show(figure(), "loss", SimpleNamespace(folder=tmp_path))
    assert [set(data) for data in shown] == [{PLOTLY, "text/plain"}] * 2
    assert list(tmp_path.iterdir()) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert "SVG and PNG" in line and "Chromium" in line


class Flaky:
    """A stand-in for kaleido's browser, which fails as often as it is told."""

    begun = 0

    def __init__(self, failures: int, when: str) -> None:
        self.failures, self.when = failures, when

    def __call__(self, **_: Any) -> "Flaky":
        self.begun += 1
        return self

    def fail(self, when: str) -> None:
        if when == self.when and self.begun <= self.failures:
            raise ConnectionResetError("gone")

    async def open(self) -> None:
        self.fail("open")

    async def calc_fig(self, *_: Any, **__: Any) -> bytes:
        self.fail("calc_fig")
        return b"<svg/>"

    async def close(self) -> None:
        self.fail("close")


@pytest.mark.parametrize("when", ["open", "calc_fig"])
def test_a_browser_that_fails_is_started_anew(
    when: str, shown: list[dict[str, Any]], images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky = Flaky(show_module.TRIES - 1, when)
    monkeypatch.setattr("kaleido.Kaleido", flaky)
    for _ in range(2):
        show_module.show(figure(), "loss")
    assert [data["image/svg+xml"] for data in shown] == ["<svg/>"] * 2
    assert flaky.begun == show_module.TRIES and images.problem == ""


@pytest.mark.parametrize("when", ["open", "calc_fig"])
def test_a_browser_that_always_fails_costs_the_pictures_and_not_the_figure(
    when: str, shown: list[dict[str, Any]], images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky = Flaky(100, when)
    monkeypatch.setattr("kaleido.Kaleido", flaky)
    for _ in range(2):
        show_module.show(figure(), "loss")
    assert [set(data) for data in shown] == [{PLOTLY, "text/plain"}] * 2
    assert "ConnectionResetError: gone" in images.problem
    assert flaky.begun == show_module.TRIES


def test_a_browser_that_does_not_answer_is_given_up(images: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silent(Flaky):
        async def open(self) -> None:
            await asyncio.sleep(60)

    monkeypatch.setattr("kaleido.Kaleido", Silent(0, ""))
    monkeypatch.setattr(show_module, "START_SECONDS", 0.05)
    assert images.render(figure(), "svg") is None
    assert images.problem == "the browser failed (TimeoutError: it did not start within 0 s)"


def notebook() -> nbformat.NotebookNode:
    """Two figures, a table and formulas."""
    bundle = {PLOTLY: json.loads(str(figure().to_json())), "text/plain": "[figure]", "image/svg+xml": "<svg/>"}
    outputs = [nbformat.v4.new_output("display_data", bundle) for _ in range(2)]
    outputs.append(nbformat.v4.new_output("display_data", {"text/html": "<table><tr><td>cell</td></tr></table>"}))
    text = "# Title\n\nEq. 1: $\\alpha_{ij} < b$.\n\n"
    text += "$$\\begin{aligned} s &= \\frac{a}{\\sqrt{C}} \\\\ t &= b \\end{aligned}$$"
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell("show(fig)", outputs=outputs)]
    return nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {"state": {}}})


def test_the_page_holds_one_plotly_and_names_no_script_elsewhere() -> None:
    given = notebook()
    page = to_html(given)
    assert page.count("Plotly.newPlot(") - page.count("Plotly.newPlot()") >= 2
    assert page.count("* plotly.js v") == 1
    assert re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>", page) == []
    assert PLOTLY in given.cells[1].outputs[0].data  # the notebook given stays as it is
    assert "plotly.js v" not in to_html(nbformat.v4.new_notebook(cells=given.cells[:1]))


def test_names_in_figures_cannot_end_the_script() -> None:
    assert "a </script><b>title" not in to_html(notebook())


@pytest.mark.parametrize(
    ("latex", "parts"),
    [("a < b", "<mi>a</mi>"), ("\\frac{1}{2}", "<mfrac>"), ("\\begin{aligned} a &= b \\end{aligned}", "<mtable")],
)
def test_formulas_become_mathml(latex: str, parts: str) -> None:
    found = mathml(latex, "block")
    assert found.startswith("<math") and parts in found and 'display="block"' in found


def test_a_formula_that_cannot_be_converted_stays_readable() -> None:
    assert mathml("a < x_", "inline") == "<code>a &lt; x_</code>"


def test_the_command_line_writes_beside_the_notebook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "out.ipynb"
    nbformat.write(notebook(), source)
    assert main([str(source)]) == 0 and capsys.readouterr().out.strip() == str(tmp_path / "out.html")
    assert main([str(source), str(tmp_path / "other.html")]) == 0
    assert (tmp_path / "other.html").read_text().startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.html", "out.html", "out.ipynb"]


@pytest.mark.parametrize(("content", "words"), [(None, "is missing"), ("{", "is not a notebook"), ("{}", "is not a")])
def test_what_is_no_notebook_is_refused(
    content: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "out.ipynb"
    if content is not None:
        source.write_text(content)
    assert main([str(source)]) == 1 and words in capsys.readouterr().err
    assert not (tmp_path / "out.html").exists()
    assert main([]) == 2


@pytest.mark.browser
@needs_browser
def test_the_page_opens_without_internet_and_shows_every_figure(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    source = tmp_path / "out.ipynb"
    nbformat.write(notebook(), source)
    page_file = export_html(source)
    asked: list[str] = []
    problems: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.route(lambda url: not url.startswith(("file:", "data:")), lambda route: route.abort())
        page.goto(page_file.as_uri())
        page.locator(".js-plotly-plot .scatterlayer .js-line").nth(1).wait_for(state="attached", timeout=30_000)
        assert page.locator(".js-plotly-plot").count() == 2
        assert page.locator("math").count() == 2 and page.locator("math mfrac").bounding_box()["height"] > 10
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert problems == []


def test_the_line_of_text_is_plain(shown: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show_module.IMAGES, "render", lambda *_: None)
    show_module.show(figure("the Step&#x27;s primitive &amp;<br><b>more</b>"), "name")
    assert " ".join(shown[0]["text/plain"].split()) == "[figure name: the Step's primitive & more ]"
