"""What a saved notebook goes without: the PNG that JupyterLab adds to a figure that has its SVG."""

import copy
from typing import Any

from tools.saving import PLOTLY, PNG, SVG, without_copies


def model(*outputs: dict[str, str]) -> dict[str, Any]:
    cells = [{"cell_type": "markdown"}, {"cell_type": "code", "outputs": [{"data": data} for data in outputs]}]
    cells[1]["outputs"].append({"output_type": "stream", "text": "words"})  # type: ignore[attr-defined]
    return {"type": "notebook", "content": {"cells": cells}}


def test_only_a_picture_that_is_there_twice_is_left_out() -> None:
    figure, alone, photograph = {PLOTLY: "{}", SVG: "<svg/>", PNG: "A"}, {PLOTLY: "{}", PNG: "A"}, {PNG: "A"}
    saved = model(figure, alone, photograph)
    without_copies(saved)
    assert saved == model({PLOTLY: "{}", SVG: "<svg/>"}, alone, photograph)


def test_what_is_no_notebook_stays_as_it_is() -> None:
    for given in ({"type": "file", "content": "text"}, {"type": "notebook", "content": None}):
        kept = copy.deepcopy(given)
        without_copies(given)
        assert given == kept
