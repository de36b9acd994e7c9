"""How every table looks."""

import re
import shutil
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

NUMBER = re.compile(r"-?\d.*|-|nan|None", re.DOTALL)  # "0.98 M" and "90.48 ± 0.24" too; "-" for what is not known
SHORT = 26  # letters that stay in one line beside a sentence, which would else take their place
LONG = 60  # letters from which on a column is a sentence
LEAST = {SHORT: "15em", LONG: "24em"}  # more letters than that -> least width; else rows grow tall beside full columns


class Table(Styler):
    """A table that is one in a terminal, too, and in what a notebook keeps for readers without HTML.

    Args:
        frame: what to show.
        words: a line above the text, "" for none.
        digits: after the decimal point.
    """

    def __init__(self, frame: pd.DataFrame, words: str = "", digits: int = 2) -> None:
        super().__init__(frame)
        self.frame, self.words, self.digits = frame, words, digits

    def __repr__(self) -> str:
        text = self.frame.to_string(
            index=False,
            na_rep="-",
            float_format=lambda number: f"{number:,.{self.digits}f}",
            line_width=shutil.get_terminal_size().columns,
        )
        return f"{self.words}\n{text}" if self.words else text


def table(frame: pd.DataFrame, caption: str = "", best: str | None = None, digits: int = 2) -> Table:
    """Shows a data frame without its index, numbers rounded and in line, the best value of a column in bold.

    Args:
        frame: what to show; text is escaped, that of the headings too.
        caption: a line above.
        best: the column whose largest value is bold.
        digits: after the decimal point.
    """
    styler = Table(frame, caption, digits)
    styler.hide(axis="index")
    styler.format(precision=digits, na_rep="-", escape="html", thousands=",")
    styler.format_index(escape="html", axis="columns")
    looks: list[Any] = [
        {"selector": "caption", "props": "caption-side: top; text-align: left; font-weight: bold"},
        {"selector": "th, td", "props": "text-align: left; padding: 3px 8px 3px 4px"},
    ]
    columns = [[str(value) for value in values] for _, values in frame.items()]
    beside_sentence = any(len(text) > LONG for texts in columns for text in texts)
    for i, texts in enumerate(columns):
        looks.append({"selector": f".col{i}", "props": _look(texts, beside_sentence)})
        looks.append({"selector": f"th.col{i}", "props": "white-space: normal; vertical-align: bottom"})
    styler.set_table_styles(looks)
    if caption:
        styler.set_caption(escape(caption))
    if best is not None:
        styler.highlight_max(subset=[best], props="font-weight: bold")
    return styler


def _look(texts: Sequence[str], beside_sentence: bool) -> str:
    """Styles a column by the texts of its cells, as headings break between words: numbers end at the same place.

    Without a sentence in the table, a text breaks only where the page is too narrow for one line.
    """
    longest = max(map(len, texts), default=0)
    if not beside_sentence:
        wrap = "normal"
    elif longest <= SHORT:
        wrap = "nowrap"
    else:
        wrap = f"normal; min-width: {LEAST[LONG if longest > LONG else SHORT]}"
    if texts and all(map(NUMBER.fullmatch, texts)):
        return f"text-align: right; font-variant-numeric: tabular-nums; white-space: {wrap}"
    return f"white-space: {wrap}"
