"""A stage of a search as pictures: its DAG, its weights, and where it stands among the scores."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from bmnas.space.graph import Modalities, genotype_graph, hypernet_graph
from widgets.colours import BEST, GREY, INK, TRAIN, VAL, node_colours, primitive_colours
from widgets.explorer.info import EPOCH, ExplorerInfo, headline
from widgets.networks.levels import dag_sheets
from widgets.sheets.chart import Line, Point, bars, chart
from widgets.sheets.sheet import Sheet, above, rows

SOFT, DERIVED = "soft weights", "derived genotype"
TRAINED = "training "  # what a click on the dot of a short training reports, before its number


def stage_dag(
    info: ExplorerInfo, number: int, opened: str = "", mode: str = SOFT, different: Iterable[str] = ()
) -> Sheet:
    """Draws the network of a stage: its upper level, and below it the opened Cell ("all" opens every one)."""
    upper, *cells = stage_dags(info, number, opened, mode, different)
    return above(upper, rows(cells)) if cells else upper


def stage_dags(
    info: ExplorerInfo,
    number: int,
    opened: str = "",
    mode: str = SOFT,
    different: Iterable[str] = (),
    caption: bool = True,
) -> list[Sheet]:
    """Draws the upper level of the network of a stage, and the insides of the opened Cells.

    A stage without soft weights has its genotype alone.
    """
    stage = info.stage(number)
    facts = info.facts(stage.genotype)
    modalities: Modalities | None = info.modalities or None
    if mode == SOFT and stage.architecture is not None:
        graph = hypernet_graph(stage.architecture, stage.genotype, modalities)
    else:
        graph = genotype_graph(stage.genotype, modalities)
    cells = info.cells if opened == "all" else [opened]
    return dag_sheets(graph, cells, facts.nodes if facts else None, different, caption)


def score_sheet(info: ExplorerInfo, number: int, others: Iterable[ExplorerInfo] = ()) -> Sheet:
    """Draws the scores of all stages, and where the stage is, on axes that would hold the scores of the others too.

    A click on the dot of a short training names it.
    """
    stage, best = info.stage(number), info.best
    scores = _epoch_scores if info.unit == EPOCH else _training_scores
    lines, points = scores(info)
    here = {"shape": "ring", "radius": 9} if points else {}  # around its dot
    points += [
        Point(best.number, 100 * best.val_score, BEST, hover=f"best {info.unit}", shape="diamond"),
        Point(stage.number, 100 * stage.val_score, INK, hover=headline(info, number), **here),
    ]
    holds = [
        (one.number, 100 * score)
        for other in others
        for one in other.stages
        for score in (one.train_score, one.val_score)
        if math.isfinite(score)
    ]
    x_title = "epoch" if info.unit == EPOCH else "short trainings so far"
    y_title = f"{stage.metric} [%]"
    return chart(lines, points, "Score", x_title, y_title, (400, 280), at=stage.number, holds=holds)


def _epoch_scores(info: ExplorerInfo) -> tuple[list[Line], list[Point]]:
    epochs = [stage.number for stage in info.stages]
    val = f"val (diamond: best epoch, {info.best.number})"
    train_scores = [100 * stage.train_score for stage in info.stages]
    val_scores = [100 * stage.val_score for stage in info.stages]
    return [Line("train", epochs, train_scores, TRAIN), Line(val, epochs, val_scores, VAL, "6 4")], []


def _training_scores(info: ExplorerInfo) -> tuple[list[Line], list[Point]]:
    """A dot a network, which is no curve; and the best so far as steps."""
    corners = [(stage.number, 100 * info.stage(stage.best).val_score) for stage in info.stages]
    later = [(number, before) for (_, before), (number, _) in pairwise(corners)]
    steps = sorted([*later, *corners], key=lambda corner: corner[0])  # at a number the old height comes first
    best = f"best so far on val (diamond: training {info.best.number})"
    dots = [
        Point(s.number, 100 * s.val_score, VAL, f"{TRAINED}{s.number}", headline(info, s.number), radius=4)
        for s in info.stages
    ]
    return [Line(best, [x for x, _ in steps], [y for _, y in steps], VAL, "6 4")], dots


def weight_sheets(info: ExplorerInfo, number: int, opened: str) -> list[Sheet]:
    """Bars of alpha of the opened Cell, and of beta and gamma of its Steps; the derived choice is strong.

    Nothing where the run has no such Cell, or no weights.
    """
    stage, weights = info.stage(number), info.stage(number).architecture
    if weights is None or (cell := opened) not in weights.alpha:
        return []
    chosen = stage.genotype.cells[list(weights.alpha).index(cell)]
    alpha = weights.alpha[cell]
    nodes = node_colours(alpha, info.modalities)
    shades = [nodes[name] for name in alpha]
    sheets = [bars(list(alpha), list(alpha.values()), shades, f"α: node → {cell}", strong=_is_in(alpha, chosen.inputs))]
    primitives = primitive_colours()
    for (step, beta), choice in zip(weights.beta[cell].items(), chosen.steps, strict=True):
        gamma = weights.gamma[cell][step]
        plain = list(node_colours(beta).values())
        sheets.append(bars(list(beta), list(beta.values()), plain, f"β: → {step}", strong=_is_in(beta, choice.inputs)))
        colours = [primitives.get(name, GREY) for name in gamma]
        strong = _is_in(gamma, [choice.primitive])
        sheets.append(bars(list(gamma), list(gamma.values()), colours, f"γ: {step}", strong=strong))
    return sheets


def _is_in(names: Any, chosen: Sequence[str]) -> list[bool]:
    return [name in chosen for name in names]
