"""The table of the field in a notebook: row by row while it is trained, and whole at its end."""

from collections.abc import Iterable, Sequence

import pandas as pd
from IPython.display import DisplayHandle
from pandas.io.formats.style import Styler

from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation
from bmnas.rivals.field.table import field_table
from widgets.results.methods import score_frame, scores_of_methods
from widgets.static.html_table import table

ORIGIN = ("run", "command")
SOURCES = ("source", "not on stored features", "published in")


def as_they_come(results: Iterable[Evaluation]) -> list[Evaluation]:
    """Collects results, and shows a table that grows by a line with each; a saved notebook holds the last one."""
    handle, collected = DisplayHandle(), []
    for result in results:
        collected.append(result)
        styler = table(score_frame(scores_of_methods(collected)), "Test scores so far")
        show = handle.display if len(collected) == 1 else handle.update
        show(styler)
    return collected


def field_styler(results: Sequence[Evaluation], task: str, caption: str, name: str = SEARCHED) -> Styler:
    """Makes the table of the field; columns with nothing in them, and an origin that all rows share, are left out.

    It fits a page of 1100 pixels: where a method is from is another table, see `sources_styler`.

    Args:
        task: whose published scores are shown.
        caption: a line above.
        name: of the method that is compared with every other.
    """
    frame = field_table(results, task, name).drop(columns=list(SOURCES))
    if len(frame[list(ORIGIN)].dropna().drop_duplicates()) < 2:
        frame = frame.drop(columns=list(ORIGIN))
    frame, filled = _without_empty(frame)
    texts = {name: filled[name] for name in frame.columns if not pd.api.types.is_numeric_dtype(frame[name])}
    measured = next(column for column in frame if str(column).endswith("[%]"))  # the first one in per cent
    return table(frame.assign(**texts), caption, best=measured)


def sources_styler(results: Sequence[Evaluation], task: str, caption: str = "Where the methods are from") -> Styler:
    """Makes the table of sources: of each method, what it lacks on stored features, and of published scores."""
    _, filled = _without_empty(field_table(results, task).reindex(columns=["method", *SOURCES]))
    return table(filled, caption)


def _without_empty(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the columns with something in them, and the same with texts that are empty where nothing is known."""
    filled = frame.astype(object).where(frame.notna(), "")
    columns = [column for column in frame.columns if set(filled[column]) != {""}]
    return frame.reindex(columns=columns), filled.reindex(columns=columns)
