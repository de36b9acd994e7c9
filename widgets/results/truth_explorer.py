"""All networks of a space in the order of their test score: point at one, click it to see it, move the budget.

TruthInfo -> a chart and the DAG of a network. The slider's budget, in trainings, decides where each searcher stands.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import ipywidgets as ipw
import pandas as pd

from bmnas.registry import TASKS
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import Genotype, cell_name
from bmnas.space.graph import Modalities, genotype_graph
from bmnas.trust.search_paths import SearchPath
from bmnas.trust.truth_table import Truth
from widgets import style
from widgets.colours import INK, primitive_colours
from widgets.live.svg_view import SvgView
from widgets.networks.levels import dag_sheet
from widgets.sheets.chart import Band, Line, Point, chart
from widgets.sheets.sheet import Sheet, above, page, words

SIZE = (640, 400)
SPREAD = "#B9CCD9"  # the ground of the seeds' spread
COLUMNS = ["rank", "network", "test", "std", "val"]


class TruthInfo(NamedTuple):
    """What the explorer shows; scores in per cent, the best network first."""

    genotypes: tuple[Genotype, ...]
    test: tuple[float, ...]
    std: tuple[float, ...]
    val: tuple[float, ...]
    seeds: int
    exhaustive: bool
    paths: tuple[SearchPath, ...]
    metric: str
    notes: str
    modalities: Modalities

    def place(self, genotype: Genotype) -> int | None:
        """Returns the place of a network, 0 the best; None where the table does not hold it."""
        key = network_key(genotype)
        return next((i for i, other in enumerate(self.genotypes) if network_key(other) == key), None)


def truth_info(
    table: Truth, paths: Sequence[SearchPath] = (), notes: str = "", modalities: Modalities | None = None
) -> TruthInfo:
    """Gathers what is drawn.

    Args:
        table: all networks with their scores.
        paths: searchers, see `bmnas.trust.search_paths`.
        notes: of the features.
        modalities: modality -> features, for the colours.
    """
    frame = table.frame()
    return TruthInfo(
        genotypes=tuple(frame["genotype"]),
        test=tuple(100 * frame["test"]),
        std=tuple(100 * frame["test_std"]),
        val=tuple(100 * frame["val"]),
        seeds=table.seeds,
        exhaustive=table.sample is None,
        paths=tuple(paths),
        metric=TASKS[table.about["dataset"]].metric,
        notes=notes,
        modalities=modalities or {},
    )


class TruthExplorer:
    """A chart of all networks, a slider of the budget, and the network that was clicked.

    Args:
        info: from `truth_info`.
        budget: in trainings, at first; what the dearest answer costs when None.
    """

    def __init__(self, info: TruthInfo, budget: int | None = None) -> None:
        self.info, self.chosen = info, 0
        self.most = len(info.genotypes)
        costs = [path.cost for path in info.paths if path.cost <= self.most]
        dearest = math.ceil(max(costs, default=1.0))
        self.budget = min(self.most, max(1, dearest if budget is None else budget))
        self._box: ipw.VBox | None = None

    def picks(self) -> dict[str, int]:
        """Returns searcher -> the place of what it answers within the budget."""
        answers = {path.name: path.at(self.budget) for path in self.info.paths}
        places = {name: self.info.place(answer) for name, answer in answers.items() if answer is not None}
        return {name: place for name, place in places.items() if place is not None}

    def map(self) -> Sheet:
        """Draws all networks by rank, and the searchers' picks."""
        info = self.info
        ranks = range(1, len(info.genotypes) + 1)
        pool = list(dict.fromkeys(_primitive(genotype) for genotype in info.genotypes))
        colours = primitive_colours(pool)
        dots = [
            Point(rank, info.test[i], colours[_primitive(info.genotypes[i])], str(i), self._words(i), radius=4)
            for i, rank in enumerate(ranks)
        ]
        dots += [
            Point(place + 1, info.test[place], style.PALETTE[1], str(place), self._words(place), shape="diamond")
            for place in set(self.picks().values())
        ]
        dots.append(Point(self.chosen + 1, info.test[self.chosen], INK, shape="ring", radius=9))
        low = [mean - std for mean, std in zip(info.test, info.std, strict=True)]
        high = [mean + std for mean, std in zip(info.test, info.std, strict=True)]
        kind = "All" if info.exhaustive else "A random sample of"
        drawn = chart(
            [Line(f"first Step: {name}", (), (), colours[name]) for name in pool],
            dots,
            f"{kind} {len(info.genotypes):,} networks of this space",
            "rank by test score",
            f"{info.metric} on test [%]",
            SIZE,
            bands=[Band(f"± standard deviation of {info.seeds} seeds", list(ranks), low, high, SPREAD)],
        )
        return above(words(self._answers()), drawn, gap=8)

    def network(self) -> Sheet:
        """Draws the chosen network."""
        genotype = self.info.genotypes[self.chosen]
        cells = [cell_name(n) for n in range(1, genotype.N + 1)]
        return above(
            words([self._words(self.chosen)], True), dag_sheet(genotype_graph(genotype, self.info.modalities), cells)
        )

    def twin(self) -> Sheet:
        """Draws the chart and the best network."""
        notes = [words([self.info.notes], colour=style.NOTE_COLOUR)] if self.info.notes else []
        return above(*notes, self.map(), self.network(), gap=12)

    def text(self) -> str:
        """Returns the networks and the picks in words."""
        frame = pd.DataFrame(
            {
                "rank": range(1, len(self.info.genotypes) + 1),
                "network": [genotype.describe().replace("\n", "; ") for genotype in self.info.genotypes],
                "test": self.info.test,
                "std": self.info.std,
                "val": self.info.val,
            },
            columns=COLUMNS,
        )
        return "\n".join([frame.round(2).to_string(index=False), *self._answers()])

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            wide = ipw.Layout(width="480px", max_width="97%")
            self.slider = ipw.IntSlider(self.budget, 1, self.most, description="trainings", layout=wide)
            self.picture, self.drawing = SvgView(on_click=self._clicked), SvgView()
            self.slider.observe(self._moved, "value")
            self._box = ipw.VBox([self.slider, self.picture, self.drawing])
            self._draw()
        return self._box

    def _answers(self) -> list[str]:
        """Says in a line a network which searchers answer with it."""
        names: dict[int, list[str]] = {}
        for name, place in self.picks().items():
            names.setdefault(place, []).append(name)
        answers = [f"rank {place + 1} (diamond): {', '.join(names[place])}" for place in sorted(names)]
        return [f"Answers after {self.budget} trainings", *(answers or ["none yet"])] if self.info.paths else []

    def _words(self, place: int) -> str:
        info = self.info
        network = info.genotypes[place].describe().replace("\n", "; ")
        return f"{place + 1}: {network}, {info.test[place]:.1f} ± {info.std[place]:.1f} % (val {info.val[place]:.1f} %)"

    def _moved(self, _: object) -> None:
        self.budget = int(self.slider.value)
        self._draw()

    def _clicked(self, name: str) -> None:
        """Shows the network of a dot."""
        self.chosen = int(name)
        self._draw()

    def _draw(self) -> None:
        self.picture.content = page(self.map())
        self.drawing.content = page(self.network())


def _primitive(genotype: Genotype) -> str:
    """The primitive of the first Step, which colours a network's dot."""
    return genotype.cells[0].steps[0].primitive
