"""An executed notebook as one HTML file without internet: `python -m widgets.notebook.export out.ipynb [out.html]`.

Figures stay interactive: the installed package's own plotly.js is written into the page once. Formulas become MathML,
which browsers read without help. Nothing is loaded from anywhere, whatever the page is opened with.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from plotly.offline import get_plotlyjs

from bmnas.errors import DataError
from bmnas.storage.paths import given_path
from bmnas.storage.reading import read_text
from bmnas.storage.whole_files import keep_others, write_text

PLOTLY = "application/vnd.plotly.v1+json"
HEAD = """<script>{plotly}</script>
<style>math {{ font-size: 1.1em }} math[display="block"] {{ margin: 0.8em 0 }}
.jp-OutputArea-output .bmnas-figure {{ overflow-x: auto }}
.jp-InputArea-editor pre {{ white-space: pre-wrap; overflow-wrap: anywhere }}</style>
"""
FIGURE = """<div class="bmnas-figure"><div id="{id}" role="img" aria-label="{label}"></div></div>
<script>Plotly.newPlot({id_json}, {data}, {layout}, {{displaylogo: false, showLink: false}});</script>"""


def export_html(notebook: str | Path, target: str | Path | None = None) -> Path:
    """Writes the notebook as HTML, by default beside it; a page that lies there is replaced, any other file is not.

    Raises:
        DataError: there is no such notebook, or it is none.
        RunError: the page cannot be written, or the file that is there is no page.
    """
    source = given_path("notebook", notebook)
    page = source.with_suffix(".html") if target is None else given_path("target", target)
    text = read_text(source, DataError, "give the path of an executed notebook")
    try:
        content = nbformat.reads(text, 4)
    except Exception as error:  # of another's many kinds, for what may be any JSON
        raise DataError(f"{source} is not a notebook: {error}; give the path of an executed one") from error
    keep_others(page, "HTML page", _is_page)
    write_text(page, to_html(content, source.stem))
    return page


def _is_page(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(200).lstrip().lower().startswith((b"<!doctype html", b"<html"))


def to_html(notebook: NotebookNode, title: str = "Notebook") -> str:
    """Makes the page."""
    notebook = copy.deepcopy(notebook)  # the caller's stays as it is
    notebook.metadata.pop("widgets", None)
    figures = 0
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PLOTLY in output.get("data", {}):
                figures += 1
                output.data = nbformat.from_dict({"text/html": _figure(output.data, f"figure-{figures}")})
    exporter = _OfflineExporter(mathjax_url="", require_js_url="", jquery_url="")
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    head = HEAD.format(plotly=get_plotlyjs() if figures else "")
    return page.replace("</head>", head + "</head>", 1)


def mathml(latex: str, display: str) -> str:
    """Makes a formula as MathML; one that cannot be converted stays as it is written.

    Args:
        latex: without dollar signs.
        display: "inline" or "block".
    """
    formula = latex.strip().replace("{aligned}", "{split}")  # which the converter lays out in the same way
    try:
        return convert(formula, display=display)
    except Exception:  # the converter names no exceptions of its own; the source of a formula is readable too
        return f"<code>{escape(latex)}</code>"


class _Renderer(IPythonRenderer):
    """Markdown with its formulas as MathML."""

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


class _OfflineExporter(HTMLExporter):
    """nbconvert's HTML without anything that would be loaded."""

    def default_filters(self) -> Iterator[tuple[str, Callable[..., str]]]:
        yield from super().default_filters()
        yield "markdown2html", lambda source: MarkdownWithMath(renderer=_Renderer(escape=False)).render(source)


def _figure(data: dict[str, Any], name: str) -> str:
    figure = data[PLOTLY]
    label = "".join(data.get("text/plain", "figure"))
    parts = {"data": figure["data"], "layout": figure["layout"]}
    scripts = {key: json.dumps(value).replace("<", "\\u003c") for key, value in parts.items()}  # ends and opens no tag
    return FIGURE.format(id=name, id_json=json.dumps(name), label=escape(label), **scripts)


def main(arguments: list[str]) -> int:
    """Runs the command line."""
    if len(arguments) not in (1, 2):
        print("usage: python -m widgets.notebook.export NOTEBOOK [HTML]", file=sys.stderr)
        return 2
    try:
        print(export_html(*arguments))
    except (OSError, ValueError) as error:
        print(f"widgets.notebook.export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
