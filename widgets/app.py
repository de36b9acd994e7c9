"""A view for demos, without code: finished runs at once, and a search that starts by a button.

    app = SearchApp()
    display(app.box)

It calls what notebook 02 calls, with the data sets' own settings, so its runs are the notebook's runs and the other
way round. Where the page is closed its kernel ends; the next start of the same search goes on after the last epoch.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from typing import TypeVar

import ipywidgets as ipw

import bmnas
from bmnas.errors import BmnasError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import runs_root
from bmnas.searching.run_folder import Run
from bmnas.space.graph import genotype_graph
from widgets.live.cell import live
from widgets.live.controls import close_all
from widgets.networks.dag import dag_drawing
from widgets.networks.drawing import dag_svg
from widgets.networks.titles import CHOSEN
from widgets.search.dashboard import SearchDashboard
from widgets.search.screen import Screen
from widgets.search.status import summary_text

T = TypeVar("T")
NEW = "choose a run"
OFFLINE = ("digits", "planted")  # what a first click may start: no data is looked for, nothing is downloaded


class SearchApp:
    """Two lines of controls in `box`, and below them a run's figures or a search.

    Args:
        datasets: names of data sets that a search can be started on; by default all that are registered, those that
            need no data first.
    """

    def __init__(self, datasets: Sequence[str] | None = None) -> None:
        self.stage, self.message = ipw.VBox(), ipw.HTML()
        names = [*OFFLINE, *sorted(set(bmnas.TASKS) - set(OFFLINE))] if datasets is None else list(datasets)
        self.runs, self.dataset = _dropdown("Finished run", []), _dropdown("Data set", names)
        self.seed = ipw.BoundedIntText(0, 0, 2**31 - 1, description="Seed", layout=ipw.Layout(width="170px"))
        self.start = ipw.Button(description="Start search", icon="play", button_style="primary")
        self.runs.observe(lambda change: self.show(change.new) if change.new else None, "value")
        self.start.on_click(lambda _: self.begin())
        line = ipw.HBox([self.dataset, self.seed, self.start], layout=ipw.Layout(flex_flow="row wrap"))
        self.box = ipw.VBox([self.runs, line, self.message, self.stage])
        self.task: asyncio.Task[None] | None = None
        self.refresh()

    def refresh(self) -> None:
        """Lists the runs that have a trace; nothing is chosen."""
        names = [run.name for run in bmnas.list_runs() if run.path("trace.jsonl").exists()]
        self.runs.options = [(NEW if names else "no run yet", ""), *((name, name) for name in names)]
        self.runs.value = ""

    def show(self, name: str) -> None:
        """The figures of a run: how its search went, and the network that was chosen."""
        try:
            run = bmnas.open_run(name, "")
            self._clear()
            self.stage.children = _pictures(run)
            self.message.value = ""
        except BmnasError as error:
            self.message.value = escape(str(error))

    def begin(self) -> None:
        """Starts a search beside the kernel's main thread, which goes on handling clicks."""
        for control in (self.start, self.runs):
            control.disabled = True
        self.task = asyncio.ensure_future(self._search(str(self.dataset.value), int(self.seed.value or 0)))

    async def _search(self, dataset: str, seed: int) -> None:
        try:
            run = await self._run(dataset, seed)
            self.message.value = f"Everything is in {escape(str(run.folder))}; notebooks 03 to 05 go on from there."
        except BmnasError as error:
            self.message.value = escape(str(error))
        except Exception as error:  # nobody awaits this task: what is not shown here would be lost
            self.message.value = escape(f"{type(error).__name__}: {error}")
        finally:
            for control in (self.start, self.runs):
                control.disabled = False
            self.refresh()

    async def _run(self, dataset: str, seed: int) -> Run:
        config = bmnas.TASKS[dataset].search_config.change(seed=seed)
        features = await live(partial(bmnas.prepare, dataset, L=config.L, progress=self._tell))
        run = Run(runs_root() / bmnas.run_name(dataset, config, features))
        self.message.value = ""
        self._clear()
        view = SearchDashboard(f"Search on {dataset}", features.notes, run, features.modalities, place=self.stage)

        def loop() -> None:
            with view:
                for event in bmnas.search(features, config, run):
                    view.update(event)
                    if view.stopped:
                        break

        await live(loop)
        await live(partial(bmnas.read_out, run, features, self._tell))
        self.stage.children = [*self.stage.children, *_answer(run, features)]
        return run

    def _clear(self) -> None:
        """Ends what was shown before, in the browser too."""
        old, self.stage.children = self.stage.children, ()
        close_all(*old)

    def _tell(self, what: str, done: int, of: int) -> None:
        self.message.value = escape(f"{what}: {done} of {of}")


def _dropdown(label: str, options: Sequence[str]) -> ipw.Dropdown:
    layout = ipw.Layout(width="340px")
    return ipw.Dropdown(options=options, description=label, layout=layout, style={"description_width": "90px"})


def _pictures(run: Run) -> list[ipw.Widget]:
    """A run's search as it ended, with the choice of Cell and picture, and its answer.

    Raises:
        BmnasError: the run is damaged.
    """
    trace, features = run.trace(), _optional(run.features)
    if not trace.events:
        return [ipw.HTML(f"{escape(run.name)} has no finished epoch yet")]
    note, modalities = (features.notes, features.modalities) if features else ("", None)
    screen = Screen(f"Search on {run.dataset()}: {run.name}", note, modalities)
    for event in trace:
        screen.append(event)
    screen.draw()
    words = ipw.HTML(escape(summary_text(trace.events[-1])))
    return [words, screen.box, *_answer(run, features)]


def _answer(run: Run, features: FeatureSet | None) -> list[ipw.Widget]:
    """The network that was chosen; nothing before the search was read out."""
    genotype = _optional(run.genotype)
    if genotype is None:
        return []
    drawing = dag_drawing(genotype_graph(genotype, features.modalities if features else None))
    return [ipw.HTML(f"<b>{CHOSEN}</b>{dag_svg(drawing)}")]


def _optional(read: Callable[[], T]) -> T | None:
    """What a run may lack, such as features that were moved away: None then."""
    try:
        return read()
    except BmnasError:
        return None
