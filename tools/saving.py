"""A part of `run.py lab`'s server: saved notebooks go without the PNG that JupyterLab adds to every figure.

It holds what the figure's SVG shows already, and made up more than half of 02 as it was saved from the browser. Without
it a figure is interactive at once when the notebook is opened again.
"""

from typing import Any

PLOTLY, SVG, PNG = "application/vnd.plotly.v1+json", "image/svg+xml", "image/png"


def without_copies(model: dict[str, Any], **_: Any) -> None:
    """Takes the PNG out of every output that is a figure with its SVG, before a notebook is written."""
    if model["type"] != "notebook" or not model.get("content"):
        return
    for cell in model["content"]["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY in data and SVG in data:
                data.pop(PNG, None)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    server.contents_manager.register_pre_save_hook(without_copies)
