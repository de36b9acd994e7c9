"""What mkdocs cannot do alone: pages from files outside docs/, tables and lists from code, formulas as MathML.

A page asks for what is made from code by a line such as `<!-- made: settings SearchConfig -->`.
"""

import ast
import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

import bmnas.config
from bmnas.config import EvalConfig, SearchConfig
from bmnas.registry import TASKS
from bmnas.rivals.networks import RIVALS
from bmnas.trust.truth_table import PUBLISHED, Truth
from tools import result_tables
from tools.cost_projection import cost_table
from tools.parameter_tables import notebook_tables, setting_rows, table
from tools.result_tables import pairs_table, results_table

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""File in the project's folder -> the page that it becomes."""
MADE = re.compile(r"^<!-- made: (\w+) ?(\w*) -->$", re.MULTILINE)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)
SECTION = re.compile(r"^# (.+)$")


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that lie outside docs/."""
    for name, page in OUTSIDE.items():
        files.append(File.generated(config, page, content=as_page((ROOT / name).read_text(encoding="utf-8"))))
    return files


def as_page(text: str) -> str:
    """Reads a file of the project's folder, with its links as they are within docs/."""
    text = text.replace("](docs/", "](").replace('src="docs/', 'src="')
    for name, page in OUTSIDE.items():
        text = text.replace(f"]({name}", f"]({page}")
    return text


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts in what is made from code."""
    return MADE.sub(lambda match: MAKERS[match[1]](*filter(None, [match[2]])), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Turns formulas into MathML, which browsers draw without a script; one that cannot be converted ends the build."""
    displays = {"div": "block", "span": "inline"}  # on lines of its own, or in a sentence
    return FORMULA.sub(lambda one: convert(html.unescape(one[2]).strip(), display=displays[one[1]]), content)


def settings_table(name: str) -> str:
    """Lists the fields of a configuration of `bmnas.config`."""
    return table(setting_rows(getattr(bmnas.config, name)))


def api_list(package: str) -> str:
    """Writes a heading for each comment in a package's table of contents, and the documentation of its names below."""
    return "\n\n".join(api_entries((ROOT / package / "__init__.py").read_text(encoding="utf-8")))


def api_entries(source: str) -> Iterator[str]:
    """Headings and mkdocstrings' directives, in the order of an `__init__.py`."""
    imports = {node.lineno: node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    for number, line in enumerate(source.splitlines(), start=1):
        if heading := SECTION.match(line):
            yield f"## {heading[1][0].upper()}{heading[1][1:]}"
        elif number in imports:
            names = [alias.name for alias in imports[number].names if alias.asname is None]
            yield from (f"::: {imports[number].module}.{name}" for name in names)


def task_list() -> str:
    """Lists all data sets in a table, each with a link to its page."""
    lines = ["| name | what | features | classes | source |", "|---|---|---|---|---|"]
    for name, task in sorted(TASKS.items()):
        features = f"{len(task.features)} of {len(task.modalities)} modalities"
        lines.append(f"| [`{name}`]({name}.md) | {task.title} | {features} | {len(task.classes)} | {task.source} |")
    return "\n".join(lines)


def truth_list() -> str:
    """Lists the truth tables of the package, with their best network's mean test score in per cent."""
    rows = []
    for path in sorted(PUBLISHED.glob("*.json")):
        truth = Truth.open(path)
        task = TASKS[truth.about["dataset"]]
        options = truth.about["options"]
        others = {name: options[name] for name, value in task.options.items() if options[name] != value}
        space = truth.about["space"]
        networks = f"{len(truth.networks)}, {'all' if truth.sample is None else 'a random sample'}"
        scores = 100 * truth.frame()["test"]
        rows.append([
            code(task.name), assignments(others) or "the defaults", f"{space['N']}, {space['M']}", networks,
            str(truth.seeds), f"{scores.max():.1f}, {scores.median():.1f}, {scores.min():.1f}",
        ])  # fmt: skip
    headings = ("data set", "options", "N, M", "networks", "seeds", "test score: best, median, worst")
    return result_tables.table(headings, rows)


def task_facts(name: str) -> str:
    """Lists a data set's features, options and presets."""
    task = TASKS[name]
    features = "; ".join(f"{each.name}: {', '.join(map(code, each.features))}" for each in task.modalities)
    return "\n".join([
        "| fact | as the code has it |",
        "|---|---|",
        f"| features | {features} |",
        f"| classes | {len(task.classes)}, {task.kind}; the score that counts: {task.metric} |",
        f"| options and their defaults | {assignments(task.options)} |",
        f"| settings of a search, other than the defaults | {changed(task.search_config)} |",
        f"| settings of an evaluation, other than the defaults | {changed(task.eval_config)} |",
    ])  # fmt: skip


def rival_list() -> str:
    """All rivals in a table, with what they cannot do on stored features."""
    lines = ["| rival | source | not on stored features |", "|---|---|---|"]
    for rival in RIVALS.values():
        source = f"<{rival.source}>" if rival.source.startswith("https") else rival.source
        lines.append(f"| {rival.name} | {source} | {rival.limits or '-'} |")
    return "\n".join(lines)


def changed(config: SearchConfig | EvalConfig) -> str:
    """Returns the settings of a preset that are not those of its class."""
    defaults = type(config)().to_dict()
    return assignments({name: value for name, value in config.to_dict().items() if value != defaults[name]}) or "none"


def assignments(values: Mapping[str, Any]) -> str:
    """Writes `a = 1`, `b = 2`."""
    return ", ".join(code(f"{name} = {value!r}") for name, value in values.items())


def code(text: str) -> str:
    """Writes text in a fixed-width font."""
    return f"`{text}`"


MAKERS = {
    "cost": cost_table,
    "settings": settings_table,
    "notebooks": notebook_tables,
    "api": api_list,
    "tasks": task_list,
    "task": task_facts,
    "truths": truth_list,
    "results": results_table,
    "pairs": pairs_table,
    "rivals": rival_list,
}
