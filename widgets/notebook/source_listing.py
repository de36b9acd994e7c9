"""The library's own source, shown under the formula that it implements."""

import inspect
import textwrap
from collections.abc import Callable
from html import escape
from typing import Any

from IPython.core.display import HTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

BOX = (
    "white-space:pre-wrap; word-break:normal; overflow-wrap:anywhere; padding:8px 12px; border:1px solid #D0D0D0; "
    "border-radius:4px; background:#FAFAFA; color:#222222; font-family:monospace; font-size:13px; line-height:1.4"
)


class Source(HTML):
    """Highlighted source; plain text for readers without HTML."""

    def __init__(self, text: str, where: str, formula: str) -> None:
        self.text = text
        self.where = where
        self.formula = formula
        lines = highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, nobackground=True, nowrap=True))
        head = f'<div style="font-size:13px; margin:4px 0"><code>{escape(where)}</code>'
        head += f" &nbsp; {escape(formula)}</div>" if formula else "</div>"
        super().__init__(f'{head}<pre style="{BOX}">{lines}</pre>')

    def __repr__(self) -> str:
        return f"# {self.where}\n{self.text}"


def show_source(thing: Callable[..., Any] | type, formula: str = "") -> Source:
    """Shows the source of a class or function of ours; the last line of a cell.

    Args:
        thing: a class, function or method.
        formula: shown beside its name; by default its own attribute `formula`, if it has one.
    """
    where = f"{thing.__module__}.{thing.__qualname__}"
    shown = formula or getattr(thing, "formula", "")
    return Source(textwrap.dedent(inspect.getsource(thing)), where, shown)
