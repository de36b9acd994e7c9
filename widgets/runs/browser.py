"""All runs of a folder: BrowserInfo -> a table, score against size and search time, and the DAG of a run."""

import math
from typing import Any

import ipywidgets as ipw
from pandas.io.formats.style import Styler

from bmnas.space.genotype import cell_name
from bmnas.space.graph import genotype_graph
from widgets.live.svg_view import SvgView
from widgets.networks.levels import dag_sheet
from widgets.runs.rows import SCORES, TEST, VAL, BrowserInfo
from widgets.runs.table import live_table, runs_frame, runs_table
from widgets.sheets.sheet import Sheet, above, beside, flow, page, words
from widgets.runs.tradeoff import score_chart


class ResultsBrowser:
    """A table to sort, two charts to click, and the DAG of the chosen run.

    Args:
        info: from `browser_info`.
    """

    def __init__(self, info: BrowserInfo) -> None:
        self.info = info
        tested = [row for row in info.rows if math.isfinite(row.test)]
        first = next(iter(tested or [row for row in info.rows if row.dataset]), None)
        self.dataset = first.dataset if first else ""
        self.kind = TEST if tested else VAL
        best = max(info.of(self.dataset, self.kind), key=lambda row: row.score(self.kind), default=None)
        self.chosen = best.name if best else ""
        self._box: ipw.VBox | None = None

    def charts(self) -> list[Sheet]:
        """Draws the score against size and against search time."""
        costs = ("parameters", "seconds")
        return [score_chart(self.info, self.dataset, self.kind, cost, self.chosen) for cost in costs]

    def counted(self) -> str:
        """Says how many runs the charts show."""
        of = len([row for row in self.info.rows if row.dataset == self.dataset])
        scored = len(self.info.of(self.dataset, self.kind))
        return f"{self.dataset}: {scored} of {of} runs have a {SCORES[self.kind]}"

    def dag(self) -> Sheet:
        """Draws the genotype of the chosen run."""
        row = self.info.get(self.chosen) if self.chosen else None
        if row is None or row.genotype is None:
            return words([f"{row.name}: {row.problem or 'no genotype yet'}" if row else "no run is chosen"])
        cells = [cell_name(n + 1) for n in range(row.genotype.N)]
        scores = [f"{SCORES[kind]} {row.score(kind):.2f} %" for kind in SCORES if math.isfinite(row.score(kind))]
        return above(
            words([", ".join([row.name, *scores])], True, 15),
            dag_sheet(genotype_graph(row.genotype, row.modalities), cells),
        )

    def twin(self) -> Sheet:
        """Draws the charts, and the DAG of the best run."""
        return above(words([self.counted()], True, 15), beside(*self.charts()), self.dag(), gap=16)

    def table(self) -> Styler:
        """Makes the table of all runs."""
        return runs_table(self.info.rows)

    def text(self) -> str:
        """Returns the table in words."""
        return runs_frame(self.info.rows).to_string(index=False, float_format="%.2f")

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            self.runs = live_table(self.info.rows, self._clicked)
            self.picture = SvgView(on_click=self._clicked)
            self.network = SvgView()
            self.menu = ipw.Dropdown(options=self.info.datasets or [""], value=self.dataset, description="data set")
            names = [row.name for row in self.info.rows] or [""]
            self.run = ipw.Dropdown(options=names, value=self.chosen or names[0], description="run")
            kinds = [(words, kind) for kind, words in SCORES.items()]
            self.kinds = ipw.Dropdown(options=kinds, value=self.kind, description="score")
            for control in (self.menu, self.run, self.kinds):
                control.observe(self._changed, "value")
            head = ipw.HBox([self.menu, self.kinds, self.run], layout=ipw.Layout(flex_flow="row wrap"))
            self._box = ipw.VBox([self.runs, head, self.picture, self.network])
            self._draw()
        return self._box

    def _clicked(self, name: str) -> None:
        """Chooses a run."""
        self.run.value = name

    def _changed(self, change: Any) -> None:
        self.dataset = str(self.menu.value)
        self.kind = str(self.kinds.value)
        self.chosen = str(self.run.value)
        of = self.info.get(self.chosen).dataset if change["owner"] is self.run else ""
        if of and of != self.dataset:
            self.menu.value = of  # draws
        else:
            self._draw()

    def _draw(self) -> None:
        self.picture.content = flow([self.counted()], self.charts())
        self.network.content = page(self.dag())
