"""A finished run as widgets: how its search went, the network that was chosen, and what 04 tested beside it."""

from collections.abc import Callable
from html import escape
from typing import TypeVar

import ipywidgets as ipw

import bmnas
from bmnas.errors import BmnasError
from bmnas.evaluation.saved_results import EVALUATION
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.run_folder import Run
from bmnas.space.graph import genotype_graph
from widgets.live.svg_view import SvgView
from widgets.networks.dag import dag_panels
from widgets.networks.drawing import dag_flow
from widgets.networks.titles import CHOSEN
from widgets.results.leaderboard.info import leaderboard_info
from widgets.results.leaderboard.leaderboard import Leaderboard
from widgets.search.screen import Screen
from widgets.search.status import summary_text

T = TypeVar("T")
HEIGHT = 400  # pixels of the chosen network, at most


def search_figures(run: Run) -> list[ipw.Widget]:
    """Shows a run's search as it ended, with the choice of Cell and picture, its answer, and its rivals.

    Raises:
        BmnasError: the run is damaged.
    """
    trace = run.trace()
    features = optional(run.features)
    note, modalities = (features.notes, features.modalities) if features else ("", None)
    screen = Screen(f"Search on {run.dataset()}: {run.name}", note, modalities)
    for event in trace:
        screen.append(event)
    screen.draw()
    words = ipw.HTML(escape(summary_text(trace.events[-1])))
    return [words, screen.box, *answer_figures(run, features), *leaderboards(run, features)]


def answer_figures(run: Run, features: FeatureSet | None) -> list[ipw.Widget]:
    """Shows the network that was chosen; nothing before the search was read out."""
    genotype = optional(run.genotype)
    if genotype is None:
        return []
    graph = genotype_graph(genotype, features.modalities if features else None)
    return [SvgView(f"<b>{CHOSEN}</b>{dag_flow(dag_panels(graph), HEIGHT)}")]


def leaderboards(run: Run, features: FeatureSet | None) -> list[ipw.Widget]:
    """Shows the methods that 04 tested beside the searched network; nothing before that."""
    if not run.path(EVALUATION).exists():
        return []
    info = leaderboard_info(bmnas.load_evaluation(run))
    return [Leaderboard(info, features.modalities if features else None).box()]


def optional(read: Callable[[], T]) -> T | None:
    """Reads what a run may lack, such as features that were moved away: None then."""
    try:
        return read()
    except BmnasError:
        return None
