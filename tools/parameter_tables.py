"""Tables of all settings and parameters for the documentation, made from the code that defines them.

Fields of a configuration come with the docstring below them; parameters of a notebook with the comment beside them.
"""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


class Row(NamedTuple):
    """One setting or parameter."""

    name: str
    type: str
    default: str
    meaning: str


def field_docs(settings: type) -> dict[str, str]:
    """Returns field -> the string below it in the source of its class, or of one that the class inherits from."""
    docs: dict[str, str] = {}
    for each in reversed([base for base in settings.__mro__ if is_dataclass(base)]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for field, below in zip(definition.body, definition.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                if isinstance(below.value, ast.Constant) and isinstance(below.value.value, str):
                    docs[ast.unparse(field.target)] = " ".join(below.value.value.split())
    return docs


def setting_rows(settings: type) -> Iterator[Row]:
    """Lists the fields of a configuration in order; those of a group of settings stand in its place."""
    docs = field_docs(settings)
    types = get_type_hints(settings)
    for field in fields(settings):
        kind = types[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from setting_rows(kind)
        else:
            yield Row(field.name, type_words(kind), _default(field), docs.get(field.name, ""))


def type_words(kind: Any) -> str:
    """Names a type as a reader expects it: `int | float` is a number, a `Literal` its values, `None` stays."""
    members = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(map(repr, members))
    if get_origin(kind) in (Union, UnionType):
        numbers = {int, float} <= set(members)
        words = [type_words(each) for each in members if not (numbers and each in (int, float))]
        return " or ".join(["number"] * numbers + words)
    if get_origin(kind) is dict:
        return f"a {type_words(members[1])} for each name"
    if get_origin(kind) is tuple:
        return f"list of {type_words(members[0])}"
    return {int: "whole number", float: "number", str: "text", bool: "True or False", NoneType: "None"}[kind]


def _default(field: "Field[Any]") -> str:
    if field.default is not MISSING:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory is not MISSING else ""


def parameter_rows(notebook: Path) -> Iterator[Row]:
    """Lists the parameters of a notebook, in the order of its cell tagged `parameters`."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    (cell,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    source = "".join(cell["source"])
    for statement in ast.parse(source).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
        target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
        comment = source.splitlines()[statement.lineno - 1].rpartition("  # ")[2]
        kind, _, meaning = comment.partition(": ")
        yield Row(ast.unparse(target), kind, ast.unparse(statement.value), meaning)


def table(rows: Iterator[Row]) -> str:
    """Writes a Markdown table."""
    lines = ["| name | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | {_cell(r.type)} | `{r.default}` | {_cell(r.meaning)} |" for r in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Writes text as it stands in a cell of a Markdown table."""
    return re.sub(r"([|*_<])", r"\\\1", text) if "`" not in text else text.replace("|", "\\|")


def notebook_tables() -> str:
    """Writes one section a notebook."""
    parts = [f"### {path.stem}\n\n{table(parameter_rows(path))}" for path in sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))]
    return "\n\n".join(parts)
