"""The widgets of a live search by short trainings: buttons, a dot a network, and the best network beside them.

JupyterLab draws plotly's JSON once and ignores later updates of the same output, so what moves is a widget.
"""

import json
from collections.abc import Sequence
from html import escape

import ipywidgets as ipw
import networkx as nx
import plotly.graph_objects as go

from bmnas.space.graph import cell_names
from widgets.live.controls import Controls
from widgets.live.plotly_view import PlotlyView
from widgets.live.svg_view import SvgView
from widgets.networks.levels import dag_sheets
from widgets.sheets.sheet import flow


class TrialsScreen:
    """Figure and network in `box`, side by side where there is room.

    Args:
        others: further widgets beside the buttons.
    """

    def __init__(self, others: Sequence[ipw.Widget] = ()) -> None:
        self.controls = Controls(others, step="network")
        self.controls.bar.layout.display = "none"
        self.figure = PlotlyView((), {"height": 60})
        self.network = SvgView()
        figure = ipw.VBox([self.figure], layout=ipw.Layout(flex="3 1 400px", min_width="0", overflow="hidden"))
        network = ipw.VBox([self.network], layout=ipw.Layout(flex="2 1 300px", min_width="0"))
        beside = ipw.HBox([figure, network], layout=ipw.Layout(flex_flow="row wrap", align_items="flex-start"))
        self.box = ipw.VBox([self.controls.box, beside])

    def draw(self, text: str, figure: go.Figure, title: str, graph: nx.DiGraph) -> None:
        """Moves everything to the last network."""
        self.controls.show(escape(text))
        content = json.loads(str(figure.to_json()))
        self.figure.layout.min_height = f"{content['layout']['height']}px"
        self.figure.draw(content["data"], content["layout"])
        upper, *cells = dag_sheets(graph, cell_names(graph))
        self.network.content = flow([title], [upper, *cells])
