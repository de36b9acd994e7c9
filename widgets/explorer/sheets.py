"""An epoch of a search as pictures: its DAG, its weights, and where it stands among the scores."""

from collections.abc import Iterable, Sequence
from typing import Any

from bmnas.space.graph import Modalities, genotype_graph, hypernet_graph
from widgets.colours import BEST, GREY, INK, TRAIN, VAL, node_colours, primitive_colours
from widgets.explorer.info import ExplorerInfo, headline
from widgets.networks.levels import dag_sheets
from widgets.sheets.chart import Line, Point, bars, chart
from widgets.sheets.sheet import Sheet, above, rows

SOFT, DERIVED = "soft weights", "derived genotype"


def epoch_dag(
    info: ExplorerInfo, epoch: int, opened: str = "", mode: str = SOFT, different: Iterable[str] = ()
) -> Sheet:
    """Draws the network at an epoch: its upper level, and below it the opened Cell ("all" opens every one)."""
    upper, *cells = epoch_dags(info, epoch, opened, mode, different)
    return above(upper, rows(cells)) if cells else upper


def epoch_dags(
    info: ExplorerInfo,
    epoch: int,
    opened: str = "",
    mode: str = SOFT,
    different: Iterable[str] = (),
    caption: bool = True,
) -> list[Sheet]:
    """Draws the upper level of the network at an epoch, and the insides of the opened Cells."""
    event = info.event(epoch)
    facts = info.facts(event.genotype)
    modalities: Modalities | None = info.modalities or None
    if mode == SOFT:
        graph = hypernet_graph(event.architecture, event.genotype, modalities)
    else:
        graph = genotype_graph(event.genotype, modalities)
    cells = list(event.architecture.alpha) if opened == "all" else [opened]
    return dag_sheets(graph, cells, facts.nodes if facts else None, different, caption)


def score_sheet(info: ExplorerInfo, epoch: int, others: Iterable[ExplorerInfo] = ()) -> Sheet:
    """Draws the scores of all epochs, and where the epoch is, on axes that would hold the scores of the others too."""
    event = info.event(epoch)
    epochs = [e.epoch for e in info.events]
    lines = [
        Line("train", epochs, [100 * e.train_score for e in info.events], TRAIN),
        Line(
            f"val (diamond: best epoch, {info.best.epoch})",
            epochs,
            [100 * e.val_score for e in info.events],
            VAL,
            "6 4",
        ),
    ]
    best = info.best
    points = [
        Point(best.epoch, 100 * best.val_score, BEST, hover="best epoch", shape="diamond"),
        Point(event.epoch, 100 * event.val_score, INK, hover=headline(info, epoch)),
    ]
    holds = [(e.epoch, 100 * score) for one in others for e in one.events for score in (e.train_score, e.val_score)]
    y_title = f"{event.metric} [%]"
    return chart(lines, points, "Score", "epoch", y_title, (400, 280), at=event.epoch, holds=holds)


def weight_sheets(info: ExplorerInfo, epoch: int, opened: str) -> list[Sheet]:
    """Bars of alpha of the opened Cell, and of beta and gamma of its Steps; the derived choice is strong.

    Nothing where the run has no such Cell.
    """
    event = info.event(epoch)
    cells = list(event.architecture.alpha)
    if (cell := opened) not in cells:
        return []
    chosen = event.genotype.cells[cells.index(cell)]
    alpha = event.architecture.alpha[cell]
    nodes = node_colours(alpha, info.modalities)
    shades = [nodes[name] for name in alpha]
    sheets = [bars(list(alpha), list(alpha.values()), shades, f"α: node → {cell}", strong=_is_in(alpha, chosen.inputs))]
    primitives = primitive_colours()
    for (step, beta), choice in zip(event.architecture.beta[cell].items(), chosen.steps, strict=True):
        gamma = event.architecture.gamma[cell][step]
        plain = list(node_colours(beta).values())
        sheets.append(bars(list(beta), list(beta.values()), plain, f"β: → {step}", strong=_is_in(beta, choice.inputs)))
        colours = [primitives.get(name, GREY) for name in gamma]
        strong = _is_in(gamma, [choice.primitive])
        sheets.append(bars(list(gamma), list(gamma.values()), colours, f"γ: {step}", strong=strong))
    return sheets


def _is_in(names: Any, chosen: Sequence[str]) -> list[bool]:
    return [name in chosen for name in names]
