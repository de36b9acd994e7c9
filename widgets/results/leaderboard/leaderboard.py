"""The leaderboard as a view: bars to sort and click, score against costs, and the network of the chosen method."""

from typing import Any

import ipywidgets as ipw

from bmnas.space.genotype import Genotype, cell_name
from bmnas.space.graph import genotype_graph
from widgets.live.svg_view import SvgView
from widgets.networks.levels import dag_sheet
from widgets.results.leaderboard.info import BEST_FIRST, COSTS, ORDERS, LeaderboardInfo
from widgets.results.leaderboard.sheets import bar_sheet, cost_sheet
from widgets.sheets.sheet import Sheet, above, beside, flow, page, words


class Leaderboard:
    """Shows every method of a table.

    Args:
        info: from `leaderboard_info`.
        modalities: modality -> its features, for the colours of a network; names tell them when None.
    """

    def __init__(self, info: LeaderboardInfo, modalities: dict[str, tuple[str, ...]] | None = None) -> None:
        self.info, self.modalities = info, modalities
        self.order = BEST_FIRST
        self.chosen = info.standings[0].name
        self._box: ipw.VBox | None = None

    def bars(self) -> Sheet:
        """Draws the methods in the order that was asked for."""
        return bar_sheet(self.info.sorted(self.order), self.info, self.chosen, self.modalities)

    def charts(self) -> list[Sheet]:
        """Draws score against each of `COSTS`."""
        return [cost_sheet(self.info, cost, self.chosen) for cost in COSTS]

    def network(self) -> Sheet:
        """Draws the network of the chosen method, or describes it where it is not that of a genotype."""
        one = self.info.get(self.chosen)
        head = above(words([f"{one.name}: {one.text}"], True, 15), words(list(one.about)))
        if one.genotype is None:
            return head
        genotype = Genotype.from_dict(one.genotype)
        cells = [cell_name(n + 1) for n in range(genotype.N)]
        return above(head, dag_sheet(genotype_graph(genotype, self.modalities), cells))

    def twin(self) -> Sheet:
        """Draws all of it, best first, with the network of the best method."""
        return above(self.bars(), beside(*self.charts()), self.network(), gap=16)

    def text(self) -> str:
        """Returns the bars in words."""
        return "\n".join(f"{one.name}: {one.text}" for one in self.info.sorted(self.order))

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            self.sorting = ipw.Dropdown(options=list(ORDERS), value=BEST_FIRST, description="sort")
            self.sorting.observe(self._sorted, "value")
            self.bar_view, self.chart_view = (SvgView(on_click=self.choose) for _ in range(2))
            self.drawing = SvgView()
            self._box = ipw.VBox([self.sorting, self.bar_view, self.chart_view, self.drawing])
            self._draw()
        return self._box

    def choose(self, name: str) -> None:
        """Shows the network of a method."""
        self.chosen = name
        if self._box is not None:
            self._draw()

    def _sorted(self, change: Any) -> None:
        self.order = change["new"]
        self._draw()

    def _draw(self) -> None:
        self.bar_view.content = page(self.bars())
        self.chart_view.content = flow([], self.charts())
        self.drawing.content = page(self.network())
