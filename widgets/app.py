"""A view for demos, without code: finished runs at once, and a search that starts by a button.

    app = SearchApp()
    display(app.box)

It calls what notebook 02 calls, with the data sets' own settings, so its runs are the notebook's runs and the other
way round. Where the page is closed its kernel ends; the next start of the same search resumes after the last epoch. A
page that is loaded again resumes the search that it showed. A search that another process is at work on is shown as it
goes, and a finished one is replayed.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from html import escape
from typing import Any

import ipywidgets as ipw

import bmnas
from bmnas.config import SearchConfig
from bmnas.errors import BmnasError, RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.subsets import Names
from bmnas.machine import runs_root
from bmnas.searching.other_process import follow, is_searched, process_at_work, wait_for
from bmnas.searching.run_folder import TRACE, Run
from bmnas.searching.searchers.recorded_search import TRIALS
from bmnas.searching.trace import EpochEvent
from bmnas.tasks import EMBEDDED
from widgets.explorer.explorer import GenotypeExplorer
from widgets.explorer.info import explorer_info, has_stages
from widgets.live.cell import live
from widgets.live.controls import close_all
from widgets.runs.run_figures import answer_figures, leaderboards, optional, search_figures
from widgets.search.dashboard import SearchDashboard

NEW = "choose a run"
MARK = "in_app"  # in the folder of a run while the app is at work on it
RECENT = 600.0  # seconds; a page that is loaded later starts anew


class SearchApp:
    """Two lines of controls in `box`, and below them a run's figures or a search.

    Args:
        datasets: names of data sets that a search can be started on; by default all that are registered, those that
            need no data first.
    """

    def __init__(self, datasets: Sequence[str] | None = None) -> None:
        self.stage = ipw.VBox()
        self.message = ipw.HTML()
        names = [*EMBEDDED, *sorted(set(bmnas.TASKS) - set(EMBEDDED))] if datasets is None else list(datasets)
        self.runs = _dropdown("Finished run", [])
        self.dataset = _dropdown("Data set", names)
        self.seed = ipw.BoundedIntText(0, 0, 2**31 - 1, description="Seed", layout=ipw.Layout(width="170px"))
        self.modalities = ipw.Text(
            description="Modalities", placeholder="all, or: Image, Text", style={"description_width": "90px"}
        )
        self.start = ipw.Button(description="Start search", icon="play", button_style="primary")
        self.replay = ipw.Button(description="Replay", icon="film", tooltip="Show the run as if its search were live")
        self.runs.observe(lambda change: self._choose(change.new), "value")
        self.start.on_click(lambda _: self.begin())
        self.replay.on_click(lambda _: self._replay(str(self.runs.value)))
        wrap = ipw.Layout(flex_flow="row wrap", align_items="center")
        line = ipw.HBox([self.dataset, self.seed, self.modalities, self.start], layout=wrap)
        self.box = ipw.VBox([ipw.HBox([self.runs, self.replay, self.message], layout=wrap), line, self.stage])
        self.task: asyncio.Task[None] | None = None
        self.explorer: GenotypeExplorer | None = None  # of a run of another searcher than Algorithm 1
        self.refresh()

    def refresh(self) -> None:
        """Lists the runs that have the record of a search; nothing is chosen."""
        names = [run.name for run in bmnas.list_runs() if has_stages(run)]
        self.runs.options = [(NEW if names else "no run yet", ""), *((name, name) for name in names)]
        self.runs.value = ""
        self.replay.disabled = True

    def _choose(self, name: str) -> None:
        self.replay.disabled = not name
        if name:
            self.show(name)

    def show(self, name: str) -> None:
        """Shows the figures of a run: how its search went, and the network that was chosen."""
        try:
            run = bmnas.open_run(name, "")
            self._clear()
            self.explorer = None if run.trace().events else GenotypeExplorer(explorer_info(run))
            self.stage.children = search_figures(run) if self.explorer is None else _trainings(run, self.explorer)
            self.message.value = ""
        except BmnasError as error:
            self.message.value = escape(str(error))

    def attach(self) -> None:
        """Shows the search that the app was at work on a moment ago: the page was loaded again, or a second time.

        Without one, the newest run is shown.
        """
        recent = [(_last_change(run), run) for run in bmnas.list_runs() if run.path(MARK).exists()]
        changed, run = max(recent, key=lambda each: each[0], default=(0.0, None))
        if run is not None and datetime.now(UTC).timestamp() - changed < RECENT:
            self._start(self._resume(run))
            return
        newest = max(filter(has_stages, bmnas.list_runs()), key=_last_change, default=None)
        self.runs.value = newest.name if newest else ""

    def begin(self) -> None:
        """Starts a search beside the kernel's main thread, which continues to handle clicks."""
        self._start(self._search(str(self.dataset.value), int(self.seed.value or 0), self.modalities.value or None))

    def _replay(self, name: str) -> None:
        """Shows a run of the menu as if its search were live; one of another searcher training by training."""
        if not name:
            return
        if bmnas.open_run(name, "").path(TRACE).exists():
            self._start(self._watch_again(name))
            return
        self.show(name)
        if self.explorer is not None:
            self.explorer.replay()

    def _start(self, work: Coroutine[Any, Any, str]) -> None:
        for control in self._controls:
            control.disabled = True
        self.task = asyncio.ensure_future(self._watched(work))

    async def _watched(self, work: Coroutine[Any, Any, str]) -> None:
        """Shows what the work says at its end, or what went wrong: nobody awaits this task."""
        try:
            self.message.value = escape(await work)
        except BmnasError as error:
            self.message.value = escape(str(error))
        except Exception as error:
            self.message.value = escape(f"{type(error).__name__}: {error}")
        finally:
            for control in self._controls:
                control.disabled = False
            self.refresh()

    async def _search(self, dataset: str, seed: int, modalities: Names = None, features: Names = None) -> str:
        config = bmnas.TASKS[dataset].search_config.change(seed=seed)
        subset = {"modalities": modalities, "features": features}
        stored = await live(partial(bmnas.prepare, dataset, L=config.L, progress=self._tell, **subset))
        run = Run(runs_root() / bmnas.run_name(dataset, config, stored))
        return await self._search_in(run, stored, config)

    async def _resume(self, run: Run) -> str:
        self.seed.value = run.config().seed
        if run.dataset() in self.dataset.options:
            self.dataset.value = run.dataset()
        return await self._search_in(run, run.features(), run.config())

    async def _search_in(self, run: Run, features: FeatureSet, config: SearchConfig) -> str:
        """Searches in a folder, or follows the process that does so, and shows the answer."""
        try:
            view = await self._search_or_follow(run, features, config)
            if view.stopped and process_at_work(run) is not None:
                return f"The search continues in process {process_at_work(run)}."
            await live(partial(wait_for, run))  # it may hold on for a moment after its last epoch
            await live(partial(bmnas.read_out, run, features, self._tell))
        except Exception:
            run.path(MARK).unlink(missing_ok=True)
            raise
        run.path(MARK).unlink(missing_ok=True)
        self.stage.children = [*self.stage.children, *answer_figures(run, features)]
        if view.next_seed is None:
            return f"Everything is in {run.folder}; notebooks 03 to 05 use it."
        self.seed.value = view.next_seed
        return await self._search(run.dataset(), view.next_seed, features=features.chosen if features else None)

    async def _search_or_follow(self, run: Run, features: FeatureSet, config: SearchConfig) -> SearchDashboard:
        """Shows a search to its end or to a Stop; takes it over where the process that it follows ends before."""
        while True:
            process = process_at_work(run)
            if process is None:
                words, events = "", bmnas.search(features, config, run)
            else:
                words = (
                    f"Process {process} is at work on this search, which is shown as it goes. Stop ends the view alone."
                )
                events = follow(run)
            try:
                view = await self._watch(run, features, features.task, events, words, marked=process is None)
            except RunError:
                if process_at_work(run) is None:
                    raise
                continue  # another process was faster
            if view.stopped or is_searched(run):
                return view

    async def _watch_again(self, name: str) -> str:
        run = bmnas.open_run(name, "")
        features = optional(run.features)
        view = await self._watch(run, features, run.dataset(), run.trace())
        self.stage.children = [*self.stage.children, *answer_figures(run, features)]
        if view.next_seed is None:
            return ""
        self.seed.value = view.next_seed
        return await self._search(run.dataset(), view.next_seed, features=features.chosen if features else None)

    async def _watch(
        self,
        run: Run,
        features: FeatureSet | None,
        dataset: str,
        events: Iterable[EpochEvent],
        words: str = "",
        marked: bool = False,
    ) -> SearchDashboard:
        """Shows a search, live or recorded, to its end or to a Stop.

        Args:
            words: above the view.
            marked: whether the folder says from the first epoch on that the app is at work on it.
        """
        self.message.value = escape(words)
        self._clear()
        note, modalities = (features.notes, features.modalities) if features else ("", None)
        view = SearchDashboard(f"Search on {dataset}: {run.name}", note, run, modalities, place=self.stage)

        def loop() -> None:
            with view:
                for event in events:
                    if marked:
                        run.path(MARK).touch()
                    view.update(event)
                    if view.stopped:
                        break

        await live(loop)
        return view

    @property
    def _controls(self) -> tuple[ipw.Button | ipw.Dropdown, ...]:
        """What waits while a search is shown."""
        return self.start, self.replay, self.runs

    def _clear(self) -> None:
        """Ends what was shown before, in the browser too."""
        if self.explorer is not None:
            self.explorer.box()
            self.explorer.play.playing = False  # a browser would go on playing a closed one
        old, self.stage.children = self.stage.children, ()
        close_all(*old)

    def _tell(self, what: str, done: int, of: int) -> None:
        self.message.value = escape(f"{what}: {done} of {of}")


def _last_change(run: Run) -> float:
    return max(run.path(name).stat().st_mtime for name in (MARK, TRACE, TRIALS) if run.path(name).exists())


def _dropdown(label: str, options: Sequence[str]) -> ipw.Dropdown:
    layout = ipw.Layout(width="340px")
    return ipw.Dropdown(options=options, description=label, layout=layout, style={"description_width": "90px"})


def _trainings(run: Run, explorer: GenotypeExplorer) -> list[ipw.Widget]:
    """Shows the short trainings of another searcher than Algorithm 1, and its answer."""
    features = optional(run.features)
    return [explorer.box(), *answer_figures(run, features), *leaderboards(run, features)]
