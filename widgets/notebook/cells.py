"""What the first cells of every notebook use: the check of its parameters, a progress bar, a banner."""

import ast
import re
import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from IPython.core.display import HTML
from IPython.display import DisplayHandle
from tqdm import tqdm

from bmnas.errors import ConfigError
from bmnas.features.feature_set import FeatureSet
from bmnas.registry import unknown
from widgets.colours import LOUD
from widgets.live.cell import interrupt_briefly

INJECTED = "# Parameters"  # the first line of the cell that papermill adds
TAGGED = "# Parameters of this notebook"  # the first line of our own cell with the tag `parameters`
TYPES = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str, int, float),  # papermill -p makes a number of the digits in a name
    "dict": (dict,),
    "list of str": (str, list, tuple),  # as one text, '["Sum", "Zero"]', papermill -p gives it
}
"""How a parameter's comment declares its type -> what may be given."""
PLAIN = (bool, int, float, str, dict, list, tuple)
_TYPE = f"(?:{'|'.join(TYPES)})"
DECLARATION = re.compile(rf"^(?P<name>\w+) = .*  # (?P<types>{_TYPE}(?: or {_TYPE})*)\b", re.MULTILINE)
"""A line of a notebook's first cell, such as `seed = 0  # int: seed of the search`."""
COLUMNS = 76  # of a progress bar: what a page of 1100 pixels shows without a break
REDRAW = 0.5  # seconds between two drawings of a progress bar at least
BANNER = "padding:10px 14px; border-left:6px solid {colour}; background:{back}; color:#222222; font-size:14px"


def check_parameters(cells: Sequence[str], namespace: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a notebook's parameters, of the types that the comments of its first cell declare.

    None passes as a value of every type. papermill itself only logs an unknown parameter. An interrupt of a later cell
    shows one line, and no traceback.

    Args:
        cells: the sources of the cells executed so far, IPython's `In`.
        namespace: where they were executed, `globals()`.

    Raises:
        UnknownNameError: papermill injected a parameter that the notebook does not have; lists those there are.
        ConfigError: a value has another type than declared.
    """
    interrupt_briefly()
    tagged = [cell for cell in cells if _first_line(cell).startswith(TAGGED)]
    given = [cell for cell in cells if _first_line(cell).startswith(INJECTED)]
    parameters = {name: _value(name, namespace, given) for cell in tagged for name in assigned(cell)}
    for cell in cells:
        for name in assigned(cell) if _first_line(cell) == INJECTED else ():
            if name not in parameters:
                raise unknown("parameter", name, parameters)
    for cell in tagged:
        check_types(cell, parameters)
    return parameters


def _value(name: str, namespace: Mapping[str, Any], cells: Sequence[str]) -> Any:
    """Returns a parameter's value; the last cell's where a later cell gave the name to a result, as of `features`."""
    value = namespace[name]
    if value is None or isinstance(value, PLAIN):
        return value
    lines = [line for cell in cells for line in ast.parse(cell).body if isinstance(line, ast.Assign)]
    (*_, last) = (line.value for line in lines if getattr(line.targets[0], "id", None) == name)
    return ast.literal_eval(last)


def check_types(cell: str, values: Mapping[str, Any]) -> None:
    """Makes sure that values are of the types that the comments of a cell of parameters declare.

    Raises:
        ConfigError: names the parameter, its value and its type.
    """
    for declaration in DECLARATION.finditer(cell):
        _check_type(declaration["name"], values.get(declaration["name"]), declaration["types"])


def assigned(source: str) -> list[str]:
    """Returns the names that a cell assigns at its top level."""
    names = []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def _first_line(cell: str) -> str:
    return cell.split("\n", 1)[0].strip()


def _check_type(name: str, value: Any, declared: str) -> None:
    types = tuple(kind for option in declared.split(" or ") for kind in TYPES[option])
    if value is None or (isinstance(value, types) and (bool in types or not isinstance(value, bool))):
        return
    like = ", such as {'name': 'value'}" if "dict" in declared else ""
    raise ConfigError(
        f"{name} is {value!r}; expected {declared}{like}, as the notebook's first cell declares. Leave it out to take "
        "the notebook's own value"
    )


def command(notebook: str, cells: Sequence[str], parameters: Mapping[str, Any], **decided: Any) -> str:
    """Returns the command that makes the results of a notebook again.

    Args:
        notebook: its number.
        cells, parameters: given to `check_parameters`, and returned by it; what the notebook has itself is left out.
        decided: parameters that the notebook chose, the name of the run among them: it says the data set too.
    """
    (cell,) = (cell for cell in cells if _first_line(cell).startswith(TAGGED))
    own = {line.targets[0].id: ast.literal_eval(line.value) for line in ast.parse(cell).body}  # pyright: ignore
    values = {name: value for name, value in parameters.items() if name != "dataset" and value != own.get(name)}
    options = (f"-p {name} {value}" for name, value in {**values, **decided}.items())
    return " ".join(["python3 run.py notebook", notebook, *options])


def progress_bar() -> Callable[[str, int, int], None]:
    """Makes a function progress(what, done, of) that draws a line for each `what`, with a bar and the time left.

    The lines are one output that is replaced twice a second at most, so that a saved notebook holds the last ones only.
    """
    handle = DisplayHandle()
    lines = {}
    started: dict[str, float] = {}
    drawn = 0.0

    def progress(what: str, done: int, of: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        since = started.setdefault(what, now)
        lines[what] = tqdm.format_meter(done, of, now - since, ncols=COLUMNS, prefix=what)
        if now - drawn < REDRAW and done != of:
            return
        show = handle.update if drawn else handle.display
        show({"text/plain": "\n".join(lines.values())}, raw=True)
        drawn = now

    return progress


class Banner(HTML):
    """A coloured box of lines, the first in bold; plain lines where no HTML is shown.

    Args:
        lines: as plain text.
        style: of the box.
    """

    def __init__(self, lines: Sequence[str], style: str) -> None:
        head, *others = map(escape, lines)
        super().__init__(f'<div style="{style}">{"<br>".join([f"<b>{head}</b>", *others])}</div>')
        self.lines = lines

    def __repr__(self) -> str:
        return "\n".join(self.lines)


def banner(features: FeatureSet) -> Banner:
    """Shows what the features are, in a coloured box: loud where they are stand-ins for data that is not here."""
    loud = features.source == "stand-in"
    style = BANNER.format(colour=LOUD if loud else "#0072B2", back="#FFF1E6" if loud else "#EEF6FB")
    head = "STAND-IN FEATURES, NOT REAL DATA" if loud else f"Data set {features.task} ({features.source})"
    sizes = " / ".join(str(len(features.splits[name])) for name in ("train", "val", "test"))
    facts = (
        f"{len(features.names)} features of {len(features.modalities)} modalities, L = {features.L}; "
        f"{len(features.classes)} classes, {features.kind}; train / val / test = {sizes}"
    )
    return Banner([head, features.notes, facts], style)
