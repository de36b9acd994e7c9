"""The table of all runs: to search, sort and click in a browser, and as it stays in a saved notebook."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from itables.widget import ITable
from pandas.io.formats.style import Styler

from widgets.runs.rows import RunRow
from widgets.static.html_table import table

COLUMNS = {
    "name": "run",
    "dataset": "data set",
    "seed": "seed",
    "epochs": "epochs",
    "val": "search: val [%]",
    "test": "test [%]",
    "std": "std",
    "parameters": "parameters",
    "seconds": "search [s]",
    "state": "state",
    "searcher": "searcher",
    "problem": "problem",
}
"""Field of a run -> heading."""
LOOK = "table-layout:auto; width:auto; margin:auto; font-size:11.5px"  # small enough for a page of 1100 pixels
UNKNOWN_IF_DAMAGED = [heading for field, heading in COLUMNS.items() if field not in ("name", "state", "searcher", "problem")]


def runs_frame(rows: Sequence[RunRow]) -> pd.DataFrame:
    """Makes a row a run; what is not known is missing.

    There is a column of problems where a run is damaged, and one of searchers where Algorithm 1 is not the only one.
    """
    others = any(row.searcher not in ("", "algorithm1") for row in rows)
    shown = {"problem": any(row.problem for row in rows), "searcher": others}
    fields = [field for field in COLUMNS if shown.get(field, True)]
    values = [[getattr(row, field) for field in fields] for row in rows]
    frame = pd.DataFrame(values, columns=[COLUMNS[field] for field in fields]).astype(
        {"seed": "Int64", "epochs": "Int64"}
    )
    frame["parameters"] = frame["parameters"].astype(float).round().astype("Int64")
    damaged = np.array([bool(row.problem) for row in rows], dtype=bool)
    frame.loc[damaged, UNKNOWN_IF_DAMAGED] = pd.NA
    return frame.round(2)


def runs_table(rows: Sequence[RunRow]) -> Styler:
    """Makes the table that stays."""
    return table(runs_frame(rows))


def live_table(rows: Sequence[RunRow], chosen: Callable[[str], None]) -> ITable:
    """Makes a table that is searched and sorted in the browser.

    Args:
        rows: the runs.
        chosen: called with the name of the run whose row is clicked.
    """
    frame = runs_frame(rows).astype(object)
    content = frame.where(frame.notna(), "")
    widget = ITable(content, select="single", showIndex=False, classes="display compact", style=LOOK)

    def click(change: dict[str, list[int]]) -> None:
        for place in change["new"]:
            chosen(rows[place].name)

    widget.observe(click, "selected_rows")
    return widget
