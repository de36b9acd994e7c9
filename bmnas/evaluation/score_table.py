"""Tables of scores that show their scores in a plain terminal: pandas leaves the middle columns out of a wide table."""

import shutil
from textwrap import fill

import pandas as pd

SHORTEST = 20  # characters of a text that are shown at least
GAP = 8  # characters between columns, and of the row's number


class ScoreTable(pd.DataFrame):
    """A data frame that prints as many of its first columns as fit the terminal, and names the others below.

    Names of methods stay whole where a number fits beside them. Other texts are cut to two fifths of the width;
    genotypes, whose text is long, are not printed. All else is pandas's.
    """

    @property
    def _constructor(self) -> type["ScoreTable"]:
        return ScoreTable  # of what `head`, `sort_values` and the like return

    def __repr__(self) -> str:
        width = shutil.get_terminal_size().columns
        plain = pd.DataFrame(self)
        texts = {name for name in plain if pd.api.types.is_string_dtype(plain[name])}
        shown = [name for name in plain if name in texts or plain[name].dtype != object]
        for count in range(len(shown), 0, -1):
            text = _text(plain.reindex(columns=shown[:count]), width)
            if count == 1 or len(text.splitlines()[0]) <= width:
                rest = [str(name) for name in plain if name not in shown[:count]]
                others = f"; not shown: {', '.join(rest)}" if rest else ""
                return f"{text}\n{fill(f'[{len(plain)} rows x {len(plain.columns)} columns{others}]', width)}"
        return super().__repr__()


def _text(frame: pd.DataFrame, width: int) -> str:
    beside = max((len(str(name)) for name in frame.columns[1:2]), default=0)
    shown = frame.copy()
    for place, name in enumerate(frame.columns):
        limit = max(SHORTEST, width - beside - GAP if name == "method" else 2 * width // 5)
        if pd.api.types.is_string_dtype(frame[name]):
            shown.isetitem(place, [_cut(text, limit) for text in frame[name]])
    return shown.to_string(
        max_rows=pd.get_option("display.max_rows"),
        min_rows=pd.get_option("display.min_rows"),
        max_colwidth=None,
        float_format=lambda value: f"{value:.4f}",
    )


def _cut(text: object, limit: int) -> object:
    return f"{text[: limit - 3]}..." if isinstance(text, str) and len(text) > limit else text
