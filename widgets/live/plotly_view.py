"""A plotly figure that moves in the browser: every drawing sends all of it, and plotly.js finds out what is new.

It is as wide as its place, also when that changes.

It is not plotly's own FigureWidget, which brings plotly.js, 5 MB, with every figure. Where the browser takes more than
two seconds to load that (a cold page, a busy machine), anywidget drops all that is sent to the figure from then on, and
it stays empty. This one is a few lines that are there at once; they ask for plotly.js where their page has none yet.
"""

import threading
from collections.abc import Sequence
from typing import Any

import anywidget
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from widgets import style

JAVASCRIPT = """
const page = globalThis.bmnasPlotly ??= {};  // one for all figures of a page
function load(text) {
  const module = { exports: {} };
  new Function("module", text)(module);
  page.plotly ??= module.exports;
}
function render({ model, el }) {
  const widen = new ResizeObserver(() => { if (el.data && el.clientWidth) page.plotly.Plots.resize(el); });
  el.style.width = "100%";
  const draw = async message => {
    if (message.plotly) load(message.plotly);
    if (!message.figure) return;
    const { data, layout, config } = JSON.parse(message.figure);
    await page.plotly.react(el, data, layout, config);
    widen.observe(el);
    if (message.asked) model.send({ painted: true });
  };
  model.on("msg:custom", draw);
  model.send({ ready: true, plotly: Boolean(page.plotly) });
  return () => { model.off("msg:custom", draw); widen.disconnect(); page.plotly?.purge(el); };
}
export default { render };
"""


class PlotlyView(anywidget.AnyWidget):
    """A figure of plain dictionaries. Nothing is sent before a browser asks; one that asks gets it as it is now.

    Attributes:
        figure: what is shown: "data", a list of traces, and "layout".
        painted: set once a browser has drawn it.
    """

    _esm = JAVASCRIPT

    def __init__(self, data: Sequence[dict[str, Any]], layout: dict[str, Any]) -> None:
        super().__init__()
        self.figure = {"data": list(data), "layout": layout}
        self.painted = threading.Event()
        self._has_asked = False
        self._lock = threading.Lock()
        self.on_msg(self._hear)

    def draw(self, data: Sequence[dict[str, Any]], layout: dict[str, Any]) -> None:
        """Shows other traces and another layout; what is zoomed or hidden stays where its `uirevision` stays."""
        with self._lock:  # so that the last one sent is the last one drawn
            self.figure = {"data": list(data), "layout": layout}
            if self._has_asked:
                self.send({"figure": self._packed()})

    def _packed(self) -> str:
        """As JSON, with null for what is no number."""
        layout = {name: value for name, value in self.figure["layout"].items() if name != "template"}  # "none"
        return str(to_json_plotly({"data": self.figure["data"], "layout": layout, "config": style.LIVE_CONFIG}))

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        if "ready" in message:  # a view has just been made in the browser
            with self._lock:
                self._has_asked = True
                if not message["plotly"]:
                    self.send({"plotly": get_plotlyjs()})
                self.send({"figure": self._packed(), "asked": True})
        if "painted" in message:
            self.painted.set()
