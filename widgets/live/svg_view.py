"""A piece of HTML or SVG in JupyterLab that reports which of its parts was clicked; weighs nothing in a saved notebook.

A part is any element with the attribute `data-name`. Enter and the space bar click it too. The content travels in
messages, not in the widget's state, so that no saved notebook holds it.
"""

from collections.abc import Callable
from typing import Any

import anywidget

JAVASCRIPT = """
const USUAL = 1280;  // pixels of a window
function render({ model, el }) {
  const draw = message => {
    if (message.content === undefined) return;
    el.innerHTML = message.content;
    for (const svg of el.querySelectorAll(":scope > svg")) {  // on a window wider than usual it grows along
      const width = svg.getAttribute("width");
      svg.style.width = `min(100%, max(${width}px, ${(100 * width) / USUAL}vw))`;
    }
  };
  const report = event => {
    const part = event.target.closest && event.target.closest("[data-name]");
    if (part) { event.preventDefault(); model.send({ clicked: part.dataset.name }); }
  };
  const press = event => { if (event.key === "Enter" || event.key === " ") report(event); };
  model.on("msg:custom", draw);
  el.addEventListener("click", report);
  el.addEventListener("keydown", press);
  el.style.overflowX = "auto";
  model.send({ ready: true });
  return () => model.off("msg:custom", draw);
}
export default { render };
"""


class SvgView(anywidget.AnyWidget):
    """Shows trusted HTML or SVG of our own making (all text in it is escaped where it is made).

    Args:
        content: what is shown at first.
        on_click: called with the `data-name` of what was clicked.
    """

    _esm = JAVASCRIPT

    def __init__(self, content: str = "", on_click: Callable[[str], None] | None = None) -> None:
        super().__init__()
        self._content = content
        self._clicked = on_click
        self.on_msg(self._hear)

    @property
    def content(self) -> str:
        """What is shown."""
        return self._content

    @content.setter
    def content(self, content: str) -> None:
        if content != self._content:
            self._content = content
            self.send({"content": content})

    def click(self, name: str) -> None:
        """Does what a click on the part `name` does."""
        if self._clicked is not None:
            self._clicked(name)

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        if "ready" in message:  # a view has just been made in the browser
            self.send({"content": self._content})
        if "clicked" in message:
            self.click(str(message["clicked"]))
