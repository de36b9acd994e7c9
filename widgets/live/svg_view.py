"""A piece of HTML or SVG in JupyterLab that reports which of its parts was clicked; weighs nothing in a saved notebook.

A part is any element with the attribute `data-name`. Enter and the space bar click it too. The content travels in
messages, not in the widget's state, so that no saved notebook holds it.
"""

import threading
from collections.abc import Callable
from typing import Any

import anywidget

SCALE = "scale"  # in content: <div data-scale="height in pixels">, whose parts have widths of so many var(--scale)
JAVASCRIPT = """
const USUAL = 1280;  // pixels of a window
const LARGEST = 1.3, SMALLEST = 0.75, STEP = 0.05;
function scale(part) {  // the largest at which its parts fit its width and height
  let size = LARGEST + STEP;
  const tooLarge = () => part.scrollHeight > Number(part.dataset.scale) ||
    [...part.children].some(child => child.clientWidth >= part.clientWidth);
  do { size -= STEP; part.style.setProperty("--scale", size); } while (size > SMALLEST && tooLarge());
}
function render({ model, el }) {
  const fit = () => { if (el.clientWidth) for (const part of el.querySelectorAll("[data-scale]")) scale(part); };
  const widen = new ResizeObserver(fit);
  const draw = message => {
    if (message.content === undefined) return;
    el.innerHTML = message.content;
    for (const svg of el.querySelectorAll("svg[width]")) {  // on a window wider than usual it grows along
      const width = svg.getAttribute("width");
      svg.style.width = `min(100%, max(${width}px, ${(100 * width) / USUAL}vw))`;
    }
    if (el.querySelector("[data-scale]")) el.style.width = "100%";
    fit();
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
  widen.observe(el);
  model.send({ ready: true });
  return () => { model.off("msg:custom", draw); widen.disconnect(); };
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
        self._lock = threading.Lock()
        self.on_msg(self._hear)

    @property
    def content(self) -> str:
        """What is shown."""
        return self._content

    @content.setter
    def content(self, content: str) -> None:
        with self._lock:  # so that the last one sent is the last one given, whatever thread it comes from
            if content != self._content:
                self._content = content
                self.send({"content": content})

    def click(self, name: str) -> None:
        """Does what a click on the part `name` does."""
        if self._clicked is not None:
            self._clicked(name)

    def _hear(self, _: Any, message: Any, __: Any) -> None:
        if "ready" in message:  # a view has just been made in the browser
            with self._lock:
                self.send({"content": self._content})
        if "clicked" in message:
            self.click(str(message["clicked"]))
