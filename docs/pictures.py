"""Makes the pictures of this folder: every view in a real JupyterLab, in its light and in its dark theme.

    .venv/bin/python docs/pictures.py                  all of them, into docs/pictures
    .venv/bin/python docs/pictures.py search builder   some
    .venv/bin/python docs/pictures.py --to /tmp/looks  elsewhere

Three searches on `mfeat` are run for it, evaluated and trained, in BMNAS_RUNS (what lies there is taken as it is), so
the first time takes some minutes. It needs a Chromium or Chrome, as `tests/browser/test_browser.py` does.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bmnas.machine import runs_root  # noqa: E402
from tests.browser.test_browser import Lab, open_notebook, write_notebook  # noqa: E402

LARGEST = 200_000  # bytes of a picture
SMALLEST = 2_000  # an empty one has fewer
THEMES = {"": "Light", "_dark": "Dark"}
SETTLED = 900  # milliseconds until a page has drawn
SETUP = """\
import tempfile, time
from pathlib import Path

import bmnas
from bmnas.machine import runs_root
from widgets import *
import widgets

task = bmnas.TASKS["mfeat"]
budget = task.eval_config.change(seeds=1)

def search(seed):
    config = task.search_config.change(seed=seed)
    run = bmnas.Run(runs_root() / bmnas.run_name("mfeat", config, features))
    for _ in bmnas.search(features, config, run):
        pass
    answer = bmnas.read_out(run, features)
    results = [*bmnas.baselines(features, config, budget, run),
               bmnas.evaluate(bmnas.SEARCHED, answer.chosen, features, config, budget, run)]
    bmnas.save_evaluation(run, results, features, budget)
    return run, answer

features = bmnas.prepare("mfeat", L=task.search_config.L)
runs, answers = zip(*map(search, range(3)))
run, answer, trace = runs[0], answers[0], runs[0].trace()
trained = bmnas.train_and_save(run, answer.chosen, features, run.config(), budget)
print("READY")
"""
LIVE = """\
fresh = bmnas.Run(Path(tempfile.mkdtemp()) / "shown")
with SearchDashboard("Search on mfeat", features.notes, fresh, features.modalities) as seen:
    def loop():
        for event in bmnas.search(features, task.search_config, fresh):
            seen.update(event)
            time.sleep(0.8)  # so that it can be paused where something is to be seen
            if seen.stopped:
                break
    await live(loop)
"""


class Picture(NamedTuple):
    """A cell of a notebook, and what is clicked before it is taken."""

    cell: str
    act: Callable[[Lab, Any], None] | None = None
    busy: bool = False  # whether it is taken while the cell works


def pause(lab: Lab, cell: Any, picture: str = "lines") -> None:
    """Pauses a search where something can be seen."""
    lab.until(lambda state: state["points"] >= 10, "ten epochs", 200)
    lab.click("Pause")
    lab.until(lambda state: state["paused"], "the pause")
    lab.click(picture)


def heat_maps(lab: Lab, cell: Any) -> None:
    """Shows the same as heat maps."""
    pause(lab, cell, "heat map")
    lab.until(lambda state: state["kind"] == "heatmap", "the heat maps")


def open_cell(lab: Lab, cell: Any) -> None:
    """Opens a Cell of the explorer, and a Step's explanation."""
    part(cell, "Cell_1").click()
    part(cell, "Cell_1.Step_1").click()


def choose_primitive(lab: Lab, cell: Any) -> None:
    """Chooses another primitive in the first Step."""
    cell.locator("select:has(option:text-is('ConcatFC'))").first.select_option(label="ConcatFC")


def linear_glu(lab: Lab, cell: Any) -> None:
    """Chooses a primitive with a gate."""
    cell.locator("select").first.select_option(label="LinearGLU")


def best_run(lab: Lab, cell: Any) -> None:
    """Sorts by score, and opens one run."""
    cell.locator("th:visible", has_text="search: val [%]").first.locator(".dt-column-order").click()
    cell.locator("circle[data-name], path[data-name]").last.click()  # the one on top


def halfway(lab: Lab, cell: Any) -> None:
    """Puts the slider in the middle."""
    handle = cell.locator(".widget-slider .noUi-handle").first
    handle.focus()
    handle.press("End")


def finished_run(lab: Lab, cell: Any) -> None:
    """Chooses a finished run in the app, on a page that is high enough for all of it."""
    lab.page.set_viewport_size({"width": 1300, "height": 2400})
    cell.locator("select").first.select_option(index=1)
    cell.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=60_000)


def part(cell: Any, name: str) -> Any:
    """Finds what is clickable by its name."""
    return cell.locator(f'[data-name="{name}"]').first


PICTURES = {
    "search": Picture(LIVE, pause, busy=True),
    "search_heat": Picture(LIVE, heat_maps, busy=True),
    "weights": Picture('show(weight_heatmap(weights_info(trace, "alpha", trace.best.epoch)), "w")'),
    "weight_lines": Picture('show(weight_lines(weights_info(trace, "gamma", trace.best.epoch)), "w")'),
    "scores": Picture('show(score_curves(scores_info(trace, task.metric)), "s")'),
    "hypernet": Picture(
        "best = trace.best\n"
        'show(hypernet_figure(best.architecture, best.genotype, f"Hypernet of epoch {best.epoch}", "", '
        'features.modalities), "h")'
    ),
    "genotype": Picture('show(genotype_figure(answer.chosen, "The chosen genotype", "", features.modalities), "g")'),
    "shortlist": Picture('show(candidate_figure(candidate_rows(answer), task.metric), "c")'),
    "explorer": Picture('view(GenotypeExplorer(explorer_info(run)), "e")', open_cell),
    "two_runs": Picture('view(GenotypeExplorer(explorer_info(runs[0]), explorer_info(runs[1])), "t")'),
    "builder": Picture(
        'view(GenotypeBuilder(builder_info(features, run.config(), run.genotype()), run), "b")', choose_primitive
    ),
    "browser": Picture('view(ResultsBrowser(browser_info()), "r")', best_run),
    "primitives": Picture('view(PrimitiveLab(), "p")', linear_glu),
    "gap": Picture('view(GapSlider(Gap.of(run, features)), "gap")', halfway),
    "wins": Picture(
        "from bmnas.tasks.real_data.sample_pictures import pictures_of\n"
        "only_fused = wins(trained, features)\n"
        "rows = [win.row for win in only_fused.samples[:8]]\n"
        "rows = sample_rows(pictures_of(task, features, rows, bmnas.machine.data_root()))\n"
        'show(sample_grid(rows, win_labels(only_fused), "What only the fusion gets right", features.notes), "wins")'
    ),
    "app": Picture("display(widgets.SearchApp().box)", finished_run),
}


def take(lab: Lab, number: int, name: str, folder: Path) -> None:
    """Runs a cell and takes its picture in both themes."""
    wanted = PICTURES[name]
    cell = lab.page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    lab.theme(THEMES[""])
    lab.run_cell(number)
    if not wanted.busy:
        lab.until(lambda state: not state["busy"], f"the end of the cell of {name}", 200)
    cell.locator(".jp-OutputArea-output svg:visible, .jp-OutputArea-output select").first.wait_for(timeout=60_000)
    if wanted.act:
        wanted.act(lab, cell)
    for ending, theme in THEMES.items():
        lab.theme(theme)
        fit(lab)
        path = folder / f"{name}{ending}.png"
        cell.scroll_into_view_if_needed()
        lab.page.mouse.move(2, 2)  # where it points at nothing
        lab.page.wait_for_timeout(SETTLED)
        cell.locator(".jp-OutputArea").first.screenshot(path=path)
        if path.stat().st_size > LARGEST:
            Image.open(path).convert("RGB").quantize(256).save(path, optimize=True)
        print(f"{path}  {path.stat().st_size:,} bytes", flush=True)
        assert SMALLEST < path.stat().st_size < LARGEST, f"{path}: not between {SMALLEST:,} and {LARGEST:,} bytes"
    if wanted.busy:
        lab.click("Stop")
        lab.until(lambda state: not state["busy"], f"the end of the cell of {name}")
    lab.command("notebook:clear-cell-output")


def fit(lab: Lab) -> None:
    """Changes the page's width and back: after a change of theme, a plotly figure is flat until its page is resized."""
    size = lab.page.viewport_size
    assert size is not None
    for width in (size["width"] + 1, size["width"]):
        lab.page.set_viewport_size({"width": width, "height": size["height"]})
        lab.page.wait_for_timeout(SETTLED // 3)


def main(words: list[str] | None = None) -> None:
    """Makes the pictures that are asked for."""
    parser = argparse.ArgumentParser(description="Makes pictures of the views.")
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(PICTURES)}; none: all")
    parser.add_argument("--to", type=Path, default=ROOT / "docs/pictures", help="the folder")
    options = parser.parse_args(words)
    names = options.names or list(PICTURES)
    if unknown := set(names) - set(PICTURES):
        parser.error(f"no picture is called {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    options.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        notebook = Path(place) / "pictures.ipynb"
        write_notebook(notebook, [SETUP, *(PICTURES[name].cell for name in names)])
        for lab in open_notebook(notebook.parent, notebook, runs_root()):
            lab.run_cell(0)
            lab.until(lambda state: "READY" in state["text"], "the searches", 1200)
            for number, name in enumerate(names, start=1):
                take(lab, number, name, options.to)


if __name__ == "__main__":
    main()
