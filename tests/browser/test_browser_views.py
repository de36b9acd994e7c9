"""Explorer, builder, results browser and labs in a real JupyterLab: slid, played, clicked; all stays on the machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmnas.config import SearchConfig
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.tasks.planted import planted_features
from tests.browser.test_browser import CHROMIUM, PALE, Lab, open_notebook, write_notebook

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here"),
]

CELLS = [
    "import bmnas\n"
    "from widgets import Gap, GapSlider, GenotypeBuilder, GenotypeExplorer, PrimitiveLab, ResultsBrowser\n"
    "from widgets import ablation_view, browser_info, builder_info, by_hand_rows\n"
    "from widgets import comparable_runs, explorer_info, view\n"
    'one = bmnas.open_run("seed-0", "planted")\n'
    "features, config = one.features(), one.config()\nprint('READY')",
    'view(GenotypeExplorer(explorer_info(one), runs=comparable_runs("planted")), "explorer", one)',
    'builder = GenotypeBuilder(builder_info(features, config, one.genotype()), one)\nview(builder, "by_hand", one)',
    'view(ResultsBrowser(browser_info()), "runs", one)',
    'view(PrimitiveLab(), "primitives", one)',
    'view(GapSlider(Gap.of(one)), "gap", one)',
    "budget = bmnas.EvalConfig(epochs=1, seeds=1)\n"
    "rows = by_hand_rows(one, builder.genotype)\n"
    "done = bmnas.ablate(rows, one.genotype(), features, config, budget, one)\n"
    "print('EVALUATED', list(ablation_view(done)['row']), builder.genotype.cells[0].steps[0].primitive)",
]
NO_SESSION = "Cannot read properties of null (reading 'kernel')"  # of ipywidgets, for any widget without a kernel
# What of a view is wider than the page leaves it, so that it must be scrolled to be seen.
TOO_WIDE = """view => [...view.querySelectorAll('*')]
  .filter(e => e.scrollWidth > e.clientWidth + 1 && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
  .map(e => [e.tagName, e.className, e.clientWidth, e.scrollWidth])"""
BESIDE = """view => view.querySelector('svg[style*=background]').getBoundingClientRect().right
  <= view.querySelector('.widget-html-content pre').getBoundingClientRect().left"""
ON_TILES = "rgb(255, 255, 255)"  # numbers of the primitive lab, whose dark tiles PALE does not see
SHEET = "svg[style*=background]"  # ours, not an icon of JupyterLab
EXPLORER, BUILDER, BROWSER, PRIMITIVE, GAP, EVALUATED = range(1, 7)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three searches with 2 Cells of 2 Steps on 6 features, and a damaged run."""
    root = tmp_path_factory.mktemp("views") / "runs"
    features = planted_features(6, 2, 0, 128, channels=8)
    for seed in (0, 1, 2):
        config = SearchConfig(
            C=8 * (1 + seed), L=4, N=2, M=2, epochs=6, batch_size=32, max_lr=3e-3, arch_lr=3e-2, seed=seed,
            shortlist_size=1, shortlist_epochs=1, selection="algorithm1", device="cpu", threads=1,
        )  # fmt: skip
        run = Run(root / f"seed-{seed}")
        list(search(features, config, run))
        read_out(run, features)
    (root / "broken").mkdir()
    (root / "broken/config.json").write_text("{")
    return root


@pytest.fixture
def lab(tmp_path: Path, runs: Path) -> Iterator[Lab]:
    shutil.copytree(runs, tmp_path / "runs")
    notebook = tmp_path / "views.ipynb"
    write_notebook(notebook, CELLS)
    yield from open_notebook(tmp_path, notebook)


def cell(lab: Lab, number: int) -> Any:
    return lab.page.locator(".jp-Notebook .jp-CodeCell").nth(number)


def show(lab: Lab, number: int) -> Any:
    """Runs a cell and waits for its widget."""
    lab.run_cell(number)
    lab.until(lambda state: not state["busy"], f"the end of cell {number}")
    found = cell(lab, number)
    found.locator(SHEET).first.wait_for(timeout=60_000)
    return found


def wait_for(lab: Lab, found: Any, words: str) -> None:
    """Until the words can be read (hover texts, which cannot, are left out)."""
    seen = found.locator("p, text, pre, td, th, b, .widget-html-content").filter(has_text=words)
    seen.first.wait_for(timeout=30_000)


def check_fits(found: Any) -> None:
    """All of a view is seen without scrolling to the right."""
    assert found.locator(".jp-OutputArea").first.evaluate(TOO_WIDE) == []


def slide(found: Any, number: int, key: str, times: int = 1) -> None:
    handle = found.locator(".widget-slider .noUi-handle").nth(number)
    handle.focus()
    for _ in range(times):
        handle.press(key)


def part(found: Any, name: str) -> Any:
    return found.locator(f'[data-name="{name}"]').first


@pytest.mark.timeout(400)
def test_all_views_move_in_jupyterlab(lab: Lab) -> None:
    lab.run_cell(0)
    lab.until(lambda state: "READY" in state["text"], "the imports")
    explorer = show(lab, EXPLORER)
    slide(explorer, 0, "Home")
    wait_for(lab, explorer, "epoch 1")
    explorer.locator(".widget-play button").first.click()
    wait_for(lab, explorer, "epoch 6")  # it has played to the end
    part(explorer, "Cell_2").click()
    part(explorer, "Cell_2.Step_2").wait_for(timeout=30_000)
    part(explorer, "Cell_2.Step_2").click()
    wait_for(lab, explorer, "Step_2 of Cell_2")
    assert "parameters" in (part(explorer, "Cell_2.Step_1").locator("title").text_content() or "")
    explorer.locator("select").nth(1).select_option(label="seed-2")
    wait_for(lab, explorer, "≠")
    wait_for(lab, explorer, "seed-2, finished")
    check_fits(explorer)  # two runs

    builder = show(lab, BUILDER)
    builder.locator("select").nth(5).select_option(label="ConcatFC")
    wait_for(lab, builder, '"primitive": "ConcatFC"')
    builder.locator("input[type=text]").first.fill("by-hand")
    builder.locator("button", has_text="Save").click()
    wait_for(lab, builder, "saved:")
    check_fits(builder)
    assert builder.evaluate(BESIDE)  # graph and JSON are seen at once

    browser = show(lab, BROWSER)
    wait_for(lab, browser, "config.json")  # why one is damaged
    browser.locator("th:visible", has_text="search: val [%]").first.locator(".dt-column-order").click()
    browser.locator("th.dt-ordering-asc", has_text="search: val [%]").first.wait_for(timeout=30_000)
    check_fits(browser)
    browser.locator('circle[data-name="seed-1"], path[data-name="seed-1"]').first.click()
    wait_for(lab, browser, "seed-1, ")

    primitive = show(lab, PRIMITIVE)
    primitive.locator("select").first.select_option(label="LinearGLU")
    wait_for(lab, primitive, "value ⊙ gate")
    before = primitive.locator(SHEET).first.inner_html()
    slide(primitive, 1, "ArrowRight", 5)
    lab.page.wait_for_timeout(1000)
    assert primitive.locator(SHEET).first.inner_html() != before

    gap = show(lab, GAP)
    slide(gap, 0, "End")
    wait_for(lab, gap, "share 1.00")
    wait_for(lab, gap, "γ = 1.00")

    part(gap, "Cell_2").click()
    part(gap, "Cell_2.Step_1").wait_for(timeout=30_000)
    lab.run_cell(EVALUATED)  # what was built and saved has a row of its own
    lab.until(lambda state: "EVALUATED ['by hand: by-hand'] ConcatFC" in state["text"], "the evaluation by name")

    lab.theme("Dark")
    explorer.locator("select").nth(1).select_option(index=0)  # one run again; two need more than 1100 pixels
    lab.page.set_viewport_size({"width": 1100, "height": 1900})
    lab.page.wait_for_timeout(900)
    for found in (explorer, builder, primitive, gap):
        check_fits(found)
    lab.page.set_viewport_size({"width": 900, "height": 1900})  # with the list of files open
    lab.page.wait_for_timeout(900)
    for found in (explorer, primitive, gap):
        check_fits(found)
    pale = lab.page.evaluate(PALE)
    assert [words for _, words, colour in pale if colour != ON_TILES] == []
    assert lab.page.locator(".jp-RenderedSVG:visible").count() == 0  # no picture beside its widget
    assert [o for c in lab.saved().cells for o in c.outputs if o.output_type == "error"] == []
    assert lab.notebook.stat().st_size < 2_000_000
    assert "widgets" not in lab.saved().metadata
    assert (lab.left, lab.problems) == ([], [])
    reopen_without_kernel(lab)
    for number in range(EXPLORER, EVALUATED):
        output = cell(lab, number).locator(".jp-OutputArea").first
        output.scroll_into_view_if_needed()
        output.locator(".jp-RenderedSVG img").wait_for(timeout=30_000)
        assert output.locator(".jp-RenderedSVG img").bounding_box()["height"] > 200
        words = output.inner_text().strip()
        assert ("seed-1" in words and "Loading" not in words) if number == BROWSER else words == ""
    assert lab.left == [] and [problem for problem in lab.problems if NO_SESSION not in problem] == []


def reopen_without_kernel(lab: Lab) -> None:
    """Closes the notebook, ends its kernel, and opens the saved file without one."""
    lab.command("docmanager:save")
    lab.page.evaluate(
        """async path => {
        const { commands, serviceManager, shell } = window.jupyterapp;
        await commands.execute('application:close');
        await serviceManager.sessions.shutdownAll();
        const kernelPreference = { shouldStart: false, canStart: false, autoStartDefault: false };
        const opened = await commands.execute('docmanager:open', { path, factory: 'Notebook', kernelPreference });
        await opened.context.ready;
        if (opened.sessionContext.session) throw new Error('there is a kernel');
    }""",
        lab.notebook.name,
    )
