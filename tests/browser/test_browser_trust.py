"""The truth of 06 and the short trainings of 03 in a real JupyterLab: pointed at, clicked, slid; all stays here."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bmnas.searching.run_folder import Run
from bmnas.searching.searchers.recorded_search import recorded_trials, search_trials
from bmnas.trust.benchmark import bench_trials
from bmnas.trust.search_paths import trials_path
from bmnas.trust.truth_table import find_truth
from tests.browser.test_browser import CHROMIUM, Lab, open_notebook, write_notebook
from tests.browser.test_browser_views import check_fits, part, show, slide, wait_for
from tests.support.tiny import TWO_CELLS, tiny_features
from widgets.explorer.sheets import TRAINED
from widgets.networks.titles import trained_title
from widgets.results.truth_explorer import TruthExplorer, TruthInfo, truth_info

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome here"),
]

BUDGET, SEEDS = 10, {"random": 3, "local_search": 1}  # other seeds than 06 has, so that the two differ early
CELLS = [
    "import bmnas\n"
    "from bmnas.trust.benchmark import bench_trials\n"
    "from bmnas.trust.search_paths import trials_path\n"
    "from bmnas.trust.truth_table import find_truth\n"
    "from widgets import GenotypeExplorer, TruthExplorer, explorer_info, truth_info, view\n"
    'table = find_truth("mfeat")\n'
    f"paths = [trials_path(name, bench_trials(name, table, seed, 60)) for name, seed in {SEEDS}.items()]\n"
    "print('READY')",
    f'view(TruthExplorer(truth_info(table, paths), {BUDGET}), "truth")',
    'view(GenotypeExplorer(explorer_info(bmnas.open_run("random-s0", "planted"))), "explorer")',
]
TRUTH, TRAININGS = 1, 2
DOT, CLICKED = 40, "41: Cell_1"  # a place that no searcher answers, and how the words on its network begin
# What the pointer would read at the middle of an element: the title of whatever lies on top there.
READ = """dot => { const box = dot.getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return top.querySelector('title')?.textContent || ''; }"""


@pytest.fixture(scope="module")
def info() -> TruthInfo:
    table = find_truth("mfeat")
    paths = [trials_path(name, bench_trials(name, table, seed, 60)) for name, seed in SEEDS.items()]
    return truth_info(table, paths)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    list(
        search_trials(tiny_features(), TWO_CELLS.change(searcher="random", budget=6), Run(tmp_path / "runs/random-s0"))
    )
    notebook = tmp_path / "trust.ipynb"
    write_notebook(notebook, CELLS)
    yield from open_notebook(tmp_path, notebook)


def check_picks(lab: Lab, truth: Any, info: TruthInfo, budget: int) -> None:
    """The page says what each searcher answers after a budget, and marks these networks, as the record has it."""
    expected = TruthExplorer(info, budget)
    for line in expected._answers():
        wait_for(lab, truth, line)
    diamonds = truth.locator("path[data-name]").evaluate_all("marks => marks.map(mark => mark.dataset.name)")
    assert set(diamonds) == {str(place) for place in expected.picks().values()}


@pytest.mark.timeout(300)
def test_the_truth_and_short_trainings_are_explored_in_jupyterlab(lab: Lab, info: TruthInfo) -> None:
    assert len({tuple(TruthExplorer(info, n).picks().items()) for n in (1, BUDGET, 60)}) == 3  # there is what moves
    lab.run_cell(0)
    lab.until(lambda state: "READY" in state["text"], "the imports")
    truth = show(lab, TRUTH)
    check_picks(lab, truth, info, BUDGET)
    dot = truth.locator(f'circle[data-name="{DOT}"]').first
    dot.scroll_into_view_if_needed()
    dot.hover()
    assert dot.evaluate(READ).startswith(CLICKED)  # nothing lies over it
    wait_for(lab, truth, "1: Cell_1")
    dot.click()
    wait_for(lab, truth, CLICKED)
    for feature in info.genotypes[DOT].features:
        part(truth, feature).wait_for(timeout=30_000)
    for key, budget in (("Home", 1), ("End", 60)):
        slide(truth, 0, key)
        check_picks(lab, truth, info, budget)
    wait_for(lab, truth, CLICKED)  # the slider leaves the network that was clicked
    check_fits(truth)

    explorer = show(lab, TRAININGS)
    trials = recorded_trials(Run(lab.notebook.parent / "runs/random-s0"))
    other = next(trial for trial in trials if not trial.is_best)
    part(explorer, f"{TRAINED}{other.trial}").click()
    wait_for(lab, explorer, trained_title(other.trial, trials[-1].best_trial))
    wait_for(lab, explorer, f"{100 * other.score:.1f} %")
    part(explorer, "Cell_2").click()
    part(explorer, "Cell_2.Step_2").wait_for(timeout=30_000)
    explorer.locator(".widget-play button").first.click()
    wait_for(lab, explorer, trained_title(6, trials[-1].best_trial))
    assert explorer.locator(".widget-toggle-buttons").first.is_hidden()  # there are no soft weights
    check_fits(explorer)

    lab.theme("Dark")
    assert lab.page.locator(".jp-RenderedSVG:visible").count() == 0  # no picture beside its widget
    assert [o for c in lab.saved().cells for o in c.outputs if o.output_type == "error"] == []
    assert (lab.left, lab.problems) == ([], [])
