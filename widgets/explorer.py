"""A search epoch by epoch: run -> ExplorerInfo -> a slider over DAG, weights and score, one run or two."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import ipywidgets as ipw

from bmnas.errors import BmnasError, RunError
from bmnas.genotype import Genotype
from bmnas.graph import Modalities, genotype_graph, hypernet_graph, modality_of
from bmnas.registry import PRIMITIVES
from bmnas.runs import Run
from bmnas.trace import EpochEvent, Trace
from widgets import style
from widgets.chart import Line, Point, bars, chart
from widgets.clickable import Clickable
from widgets.facts import Facts, Shapes, genotype_facts
from widgets.levels import dag_sheet, differences
from widgets.sheet import Sheet, above, beside, page, rows, words

SOFT, DERIVED = "soft weights", "derived genotype"
ASIDE = 380.0  # pixels of a run beside another


class ExplorerInfo(NamedTuple):
    """A search: every epoch's weights, genotype and score, and what is needed to tell shapes and sizes."""

    name: str
    events: tuple[EpochEvent, ...]
    modalities: dict[str, tuple[str, ...]]
    shapes: Shapes | None  # None where the features are gone
    notes: str

    @property
    def best(self) -> EpochEvent:
        """The best epoch."""
        return Trace(self.events).best

    @property
    def state(self) -> str:
        """Whether the search came to its end."""
        last = self.events[-1]
        return "finished" if last.epoch == last.epochs else f"stopped after epoch {last.epoch} of {last.epochs}"

    def event(self, epoch: int) -> EpochEvent:
        """The event of an epoch; of a later one than the last, the last."""
        return self.events[min(max(epoch, 1), len(self.events)) - 1]

    def facts(self, genotype: Genotype) -> Facts | None:
        """The facts of its nodes, None where the features are gone."""
        return None if self.shapes is None else genotype_facts(genotype, self.shapes)


def explorer_info(run: Run) -> ExplorerInfo:
    """A finished or interrupted run; only reads.

    Raises:
        RunError: no epoch was finished, or the record is damaged.
    """
    events = tuple(run.trace().events)
    if not events:
        raise RunError(f"{run.folder} has no finished epoch yet; run notebook 02 for it first")
    try:
        features = run.features()
    except BmnasError as error:  # the record can be looked at without them
        return ExplorerInfo(run.name, events, {}, None, f"no shapes: {error}")
    shapes = Shapes.of(features, run.config())
    return ExplorerInfo(run.name, events, dict(features.modalities), shapes, features.notes)


def headline(info: ExplorerInfo, epoch: int) -> str:
    """`epoch 3: accuracy 83.2 % on val (best)`, and the size of the genotype."""
    event = info.event(epoch)
    facts = info.facts(event.genotype)
    size = f"; its genotype has {facts.parameters:,} parameters" if facts else ""
    best = " (best)" if event.epoch == info.best.epoch else ""
    return f"epoch {event.epoch}: {event.metric} {100 * event.val_score:.1f} % on val{best}{size}"


def epoch_dag(
    info: ExplorerInfo, epoch: int, opened: str = "", mode: str = SOFT, different: Sequence[str] | set[str] = ()
) -> Sheet:
    """The network at an epoch: its upper level and the opened Cell ("all" opens every one)."""
    event = info.event(epoch)
    facts = info.facts(event.genotype)
    modalities: Modalities | None = info.modalities or None
    if mode == SOFT:
        graph = hypernet_graph(event.architecture, event.genotype, modalities)
    else:
        graph = genotype_graph(event.genotype, modalities)
    cells = list(event.architecture.alpha) if opened == "all" else [opened]
    return dag_sheet(graph, cells, facts.nodes if facts else None, different)


def score_sheet(info: ExplorerInfo, epoch: int, width: float = 400) -> Sheet:
    """The scores of all epochs, and where the epoch is."""
    event, epochs = info.event(epoch), [e.epoch for e in info.events]
    lines = [
        Line("train", epochs, [100 * e.train_score for e in info.events], style.PALETTE[0]),
        Line(
            f"val (diamond: best epoch, {info.best.epoch})",
            epochs,
            [100 * e.val_score for e in info.events],
            style.PALETTE[5],
            "6 4",
        ),
    ]
    best = info.best
    points = [
        Point(best.epoch, 100 * best.val_score, style.PALETTE[5], hover="best epoch", shape="diamond"),
        Point(event.epoch, 100 * event.val_score, style.INK, hover=headline(info, epoch)),
    ]
    return chart(lines, points, "Score", "epoch", f"{event.metric} [%]", (width, 280), at=event.epoch)


def weight_sheets(info: ExplorerInfo, epoch: int, opened: str) -> list[Sheet]:
    """Bars of alpha of the opened Cell, and of beta and gamma of its Steps; the derived choice is strong."""
    event = info.event(epoch)
    cells = list(event.architecture.alpha)
    cell = opened if opened in cells else cells[0]
    chosen = event.genotype.cells[cells.index(cell)]
    alpha = event.architecture.alpha[cell]
    groups = list(info.modalities) or list(dict.fromkeys(modality_of(name) for name in alpha))
    shades = style.modality_colours(groups)
    found = [shades.get(modality_of(name, info.modalities), style.CELL_COLOUR) for name in alpha]
    sheets = [bars(list(alpha), list(alpha.values()), found, f"α: node → {cell}", strong=_is_in(alpha, chosen.inputs))]
    primitives = style.primitive_colours(PRIMITIVES)
    for (step, beta), taken in zip(event.architecture.beta[cell].items(), chosen.steps, strict=True):
        gamma = event.architecture.gamma[cell][step]
        plain = [style.GREY] * len(beta)
        sheets.append(bars(list(beta), list(beta.values()), plain, f"β: → {step}", strong=_is_in(beta, taken.inputs)))
        colours = [primitives.get(name, style.GREY) for name in gamma]
        strong = _is_in(gamma, [taken.primitive])
        sheets.append(bars(list(gamma), list(gamma.values()), colours, f"γ: {step}", strong=strong))
    return sheets


def _is_in(names: Any, chosen: Sequence[str]) -> list[bool]:
    return [name in chosen for name in names]


class GenotypeExplorer:
    """A slider and a play button over the epochs of a run, or of two runs side by side.

    Args:
        info: from `explorer_info`.
        other: a second run; what differs between the two genotypes of an epoch is marked.
    """

    def __init__(self, info: ExplorerInfo, other: ExplorerInfo | None = None) -> None:
        self.infos = [info] if other is None else [info, other]
        self.epoch, self.opened, self.mode = info.best.epoch, "Cell_1", SOFT
        self._box: ipw.VBox | None = None

    @property
    def epochs(self) -> int:
        """How many epochs the longer search has."""
        return max(len(info.events) for info in self.infos)

    def sheet(self, epoch: int) -> Sheet:
        """DAG, weights and score of an epoch; two runs in two columns."""
        return beside(*(self._column(i, epoch, self.opened) for i in range(len(self.infos))), gap=30)

    def twin(self) -> Sheet:
        """First, best and last epoch one below the other, with every Cell open, and the scores."""
        columns = []
        for i, info in enumerate(self.infos):
            epochs = dict.fromkeys((1, info.best.epoch, len(info.events)))
            parts = [words([f"{info.name}, {info.state}"], True, 15)]
            for epoch in epochs:
                head = words([headline(info, epoch)], True)
                parts += [head, epoch_dag(info, epoch, "all", SOFT, self.different(i, epoch))]
            columns.append(above(*parts, score_sheet(info, info.best.epoch)))
        return beside(*columns, gap=30)

    def text(self) -> str:
        """First, best and last epoch in words."""
        lines = []
        for info in self.infos:
            lines.append(f"{info.name}, {info.state}")
            for epoch in dict.fromkeys((1, info.best.epoch, len(info.events))):
                lines += [headline(info, epoch), info.event(epoch).genotype.describe()]
        return "\n".join(lines)

    def different(self, i: int, epoch: int) -> set[str]:
        """The nodes of run i that the other run has otherwise at this epoch; nothing with a single run."""
        if len(self.infos) == 1:
            return set()
        return differences(self.infos[i].event(epoch).genotype, self.infos[1 - i].event(epoch).genotype)

    def box(self) -> ipw.VBox:
        """The live controls, made once."""
        if self._box is None:
            self._box = self._build()
            self._draw()
        return self._box

    def _column(self, i: int, epoch: int, opened: str) -> Sheet:
        info = self.infos[i]
        head = words([f"{info.name}, {info.state}", headline(info, epoch)], True)
        dag = epoch_dag(info, epoch, opened, self.mode, self.different(i, epoch))
        width = style.WIDTH if len(self.infos) == 1 else max(ASIDE, dag.width)
        return above(head, dag, rows([*weight_sheets(info, epoch, opened), score_sheet(info, epoch)], width))

    def _build(self) -> ipw.VBox:
        self.play = ipw.Play(value=self.epoch, min=1, max=self.epochs, interval=700, show_repeat=False)
        self.slider = ipw.IntSlider(
            value=self.epoch, min=1, max=self.epochs, description="epoch", continuous_update=True
        )
        ipw.jslink((self.play, "value"), (self.slider, "value"))
        cells = list(dict.fromkeys(cell for info in self.infos for cell in info.events[0].architecture.alpha))
        self.cell = ipw.Dropdown(options=cells, value=self.opened, description="open")
        self.modes = ipw.ToggleButtons(options=[SOFT, DERIVED], value=self.mode)
        self.picture = Clickable(on_click=self._clicked)
        self.details = ipw.HTML()
        for control in (self.slider, self.cell, self.modes):
            control.observe(self._changed, "value")
        head = ipw.HBox([self.play, self.slider, self.cell], layout=ipw.Layout(flex_flow="row wrap"))
        return ipw.VBox([head, self.modes, self.picture, self.details])

    def _changed(self, _: Any) -> None:
        self.epoch, self.opened, self.mode = self.slider.value, str(self.cell.value), str(self.modes.value)
        self._draw()

    def _clicked(self, node: str) -> None:
        """A Cell opens; any other node shows its facts below the picture."""
        if node in self.cell.options:
            self.cell.value = node
        self.details.value = facts_html([info.facts(info.event(self.epoch).genotype) for info in self.infos], node)

    def _draw(self) -> None:
        self.picture.content = page(self.sheet(self.epoch))


def facts_html(facts: Sequence[Facts | None], node: str) -> str:
    """The facts of a node, one paragraph a run."""
    known = [one.nodes.get(node, ()) for one in facts if one is not None]
    return "".join(f"<p>{'<br>'.join(map(escape, lines))}</p>" for lines in known if lines)
