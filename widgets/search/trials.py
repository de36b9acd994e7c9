"""A search that proposes networks: the validation score of each, and the best so far."""

import time
from collections.abc import Sequence
from html import escape
from types import TracebackType

import plotly.graph_objects as go
from IPython.display import DisplayHandle

from bmnas.errors import RunError
from bmnas.searching.searchers.trials import Trial
from bmnas.space.graph import Modalities, genotype_graph
from widgets import style
from widgets.colours import VAL
from widgets.live.cell import TICK, is_live, stop_requested
from widgets.live.controls import close_all
from widgets.networks.dag import genotype_figure
from widgets.networks.titles import trained_title
from widgets.search.replay import Replay, trials_replay
from widgets.search.scores import star
from widgets.search.trials_screen import TrialsScreen
from widgets.static.display import IMAGES, HasFolder, static

REDRAW = 1.0  # seconds between two drawings at least


def trials_figure(trials: Sequence[Trial], metric: str, title: str, note: str = "") -> go.Figure:
    """Draws a dot a network, the best so far as a line, and a star at the best, over the networks scored so far."""
    cost = [trial.trial for trial in trials]
    best = trials[trials[-1].best_trial - 1]
    fig = go.Figure()
    fig.add_scatter(
        x=cost, y=[100 * trial.best_score for trial in trials], mode="lines", name="best so far", hoverinfo="skip",
        line={"shape": "hv", "color": VAL, "width": 2, "dash": "dash"},
    )  # fmt: skip
    fig.add_scatter(
        x=cost, y=[100 * trial.score for trial in trials], mode="markers", name="network",
        hovertext=[escape(trial.genotype.describe()).replace("\n", "<br>") for trial in trials],
        hovertemplate="number %{x}: %{y:.2f} %<br>%{hovertext}<extra></extra>", marker={"size": 7, "color": VAL},
    )  # fmt: skip
    words = f"best: number {best.trial}, {100 * best.score:.1f} %"
    mark = star(best.trial, 100 * best.score, words, "%{y:.2f} %<br>%{hovertext}", "number")
    fig.add_trace(mark | {"hovertext": [escape(best.genotype.describe()).replace("\n", "<br>")]})
    fig.update_layout(
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.22, "yanchor": "top"},
        margin={"l": 70, "r": 30, "t": 0, "b": 100},
    )
    style.finish(fig, title, note, height=370)
    fig.update_xaxes(title_text="networks scored so far", **style.epoch_ticks(len(trials), 12))
    fig.update_yaxes(title_text=f"{escape(metric)} on val [%]")
    return fig


def trial_text(trial: Trial) -> str:
    """Says in one line where a search stands."""
    return (
        f"{trial.trial} networks scored, last {100 * trial.score:.1f} % on val; best {100 * trial.best_score:.1f} % "
        f"(network {trial.best_trial})"
    )


class TrialsView:
    """Shows a search by short trainings while it runs, and leaves static figures behind; what is recorded is replayed.

    Args:
        title, metric, note: of the figure.
        run: whose folder gets the pictures `figures/search.*` and `figures/network.*`.
        modalities: modality -> features, for colours.
    """

    def __init__(
        self,
        title: str,
        metric: str,
        note: str = "",
        run: HasFolder | None = None,
        modalities: Modalities | None = None,
    ) -> None:
        self.title, self.metric, self.note = title, metric, note
        self.run, self.modalities = run, modalities
        self.trials: list[Trial] = []
        self._drawn = float("-inf")
        self._replay: Replay | None = None
        self._screen: TrialsScreen | None = None
        IMAGES.start()
        self._top, self._below = DisplayHandle(), DisplayHandle()
        if is_live():
            self._replay = trials_replay(run)
            self._screen = TrialsScreen(self._replay.controls if self._replay else ())
            self._top.display(self._screen.box)
        else:
            self._top.display({"text/plain": "waiting for the first network"}, raw=True)
        self._below.display({"text/plain": ""}, raw=True)

    @property
    def stopped(self) -> bool:
        """Whether Stop was clicked or the cell interrupted."""
        return stop_requested() or (self._screen is not None and self._screen.controls.stopped.is_set())

    @property
    def next_seed(self) -> int | None:
        """The seed of the next search, if a click during a replay asked for one."""
        return self._replay.next_seed if self._replay else None

    @property
    def best(self) -> Trial:
        """The best trial so far.

        Raises:
            RunError: no network is trained yet.
        """
        if not self.trials:
            raise RunError("the search has trained no network yet; run notebook 02 for it")
        return self.trials[self.trials[-1].best_trial - 1]

    def update(self, trial: Trial) -> None:
        """Takes note of a trial, draws it if the last drawing is a second ago, and waits as Pause or a replay asks."""
        self.trials.append(trial)
        replay = self._replay if self._replay and trial.trial <= self._replay.steps else None
        if (replay and not replay.skipped) or time.monotonic() - self._drawn >= REDRAW:
            self._drawn = time.monotonic()
            self._draw(trial_text(trial))
        if replay:
            replay.wait(lambda: self.stopped or self._paused)
        if self._paused:
            self._draw(f"paused: {trial_text(trial)}")
        while self._paused and not self.stopped and not (replay and replay.skipped):
            time.sleep(TICK / 4)

    @property
    def _paused(self) -> bool:
        return self._screen is not None and self._screen.controls.paused.is_set()

    def _draw(self, text: str) -> None:
        if self._screen:
            best = self.best
            title = trained_title(best.trial, best.trial)
            self._screen.draw(text, self._figure(), title, genotype_graph(best.genotype, self.modalities))
        else:
            self._top.update({"text/plain": text}, raw=True)
            self._below.update({"text/plain": self.best.genotype.describe()}, raw=True)

    def _figure(self) -> go.Figure:
        return trials_figure(self.trials, self.metric, self.title, self.note)

    def _network(self) -> go.Figure:
        title = trained_title(self.best.trial, self.best.trial)
        return genotype_figure(self.best.genotype, title, self.note, self.modalities)

    def __enter__(self) -> "TrialsView":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Replaces what is live by static figures."""
        if self.trials:
            self._top.update(static(self._figure(), "search", self.run, trial_text(self.trials[-1])), raw=True)
            self._below.update(static(self._network(), "network", self.run, self.best.genotype.describe()), raw=True)
        else:
            self._top.update({"text/plain": "no network was trained"}, raw=True)
        if self._screen:
            close_all(self._screen.box)
