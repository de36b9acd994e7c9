"""The table of all runs: to click in a browser, and as a picture."""

import math
from collections.abc import Sequence
from html import escape

from widgets.runs.rows import RunRow
from widgets.sheets.sheet import BOLD, CHARACTER, Sheet

WHY = "padding:3px 10px 3px 24px; text-align:left; border-bottom:1px solid rgba(128,128,128,0.35)"
CELL = "padding:3px 6px 3px 4px; border-bottom:1px solid rgba(128,128,128,0.35); white-space:nowrap"
GAP = 16.0  # pixels between two columns
NUMBERS = {"seed", "epochs", "val", "test", "std", "parameters", "seconds"}
COLUMNS: dict[str, tuple[str, str]] = {
    "name": ("run", "{}"),
    "dataset": ("data set", "{}"),
    "seed": ("seed", "{}"),
    "epochs": ("epochs", "{}"),
    "val": ("search: val [%]", "{:.2f}"),
    "test": ("test [%]", "{:.2f}"),
    "std": ("std", "{:.2f}"),
    "parameters": ("parameters", "{:,.0f}"),
    "seconds": ("search [s]", "{:.1f}"),
    "state": ("state", "{}"),
}
RIGHT = "text-align:right; font-variant-numeric:tabular-nums"
LOOKS = {key: f"{CELL}; {RIGHT if key in NUMBERS else 'text-align:left'}" for key in COLUMNS}


def table_html(rows: Sequence[RunRow], sorted_by: str = "name", down: bool = False, chosen: str = "") -> str:
    """The runs as a table; headings and names can be clicked (`sort:<column>`, the run's name)."""
    mark = {True: " ▼", False: " ▲"}[down]
    heads = "".join(
        f'<th style="{LOOKS[key]}; cursor:pointer" tabindex="0" role="button" data-name="sort:{key}">'
        f"{escape(head)}{mark if key == sorted_by else ''}</th>"
        for key, (head, _) in COLUMNS.items()
    )
    body = "".join(_table_row(row, row.name == chosen) for row in rows)
    return f'<table style="border-collapse:collapse; font-size:13px; color:inherit"><tr>{heads}</tr>{body}</table>'


def table_text(rows: Sequence[RunRow]) -> str:
    """The table in words, a line a run."""
    return "\n".join("  ".join(_values(row)) + (f"  {row.problem}" if row.problem else "") for row in rows)


def table_sheet(rows: Sequence[RunRow]) -> Sheet:
    """The table as a picture; a damaged run has its reason below it."""
    lines = [[head for head, _ in COLUMNS.values()], *map(_values, rows)]
    widths = [
        CHARACTER * max(len(line[i]) * (BOLD if line is lines[0] else 1) for line in lines) for i in range(len(COLUMNS))
    ]
    marks, y = [], 16.0
    for row, line in zip([None, *rows], lines, strict=True):
        marks.append(_line(line, widths, y, row is None))
        if row is not None and row.problem:
            y += 17
            marks.append(f'<text x="24" y="{y:.1f}" fill="#A23B00">{escape(_shortened(row.problem))}</text>')
        y += 19
    return Sheet("".join(marks), sum(widths) + GAP * len(widths), y)


def _line(texts: Sequence[str], widths: Sequence[float], y: float, bold: bool) -> str:
    """Numbers end, and text begins, at the same place in every line."""
    marks, x, weight = "", 4.0, ' font-weight="bold"' if bold else ""
    for key, text, width in zip(COLUMNS, texts, widths, strict=True):
        at, anchor = (x + width, ' text-anchor="end"') if key in NUMBERS else (x, "")
        marks += f'<text x="{at:.1f}" y="{y:.1f}"{anchor}{weight}>{escape(text)}</text>'
        x += width + GAP
    return marks


def _values(row: RunRow) -> list[str]:
    known: list[str] = []
    for key, (_, form) in COLUMNS.items():
        value = getattr(row, key)
        unknown = (isinstance(value, float) and math.isnan(value)) or (row.problem and key not in ("name", "state"))
        known.append("-" if unknown else form.format(value))
    return known


def _table_row(row: RunRow, chosen: bool) -> str:
    bold = "; font-weight:bold" if chosen or row.problem else ""
    texts = zip(COLUMNS, _values(row), strict=True)
    cells = "".join(f'<td style="{LOOKS[key]}{bold}">{escape(text)}</td>' for key, text in texts)
    reason = f'<tr><td colspan="{len(COLUMNS)}" style="{WHY}">{escape(row.problem)}</td></tr>'
    head = f'<tr style="cursor:pointer" tabindex="0" role="button" data-name="{escape(row.name)}">{cells}</tr>'
    return head + (reason if row.problem else "")


def _shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
