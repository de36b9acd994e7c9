"""What the first cells of every notebook use: the check of its parameters, a progress bar, a banner."""

import ast
import time
from collections.abc import Callable, Sequence
from html import escape

from IPython.core.display import HTML
from IPython.display import DisplayHandle
from tqdm import tqdm

from bmnas.features.feature_set import FeatureSet
from bmnas.registry import unknown

INJECTED = "# Parameters"  # the first line of the cell that papermill adds
TAGGED = "# Parameters of this notebook"  # the first line of our own cell with the tag `parameters`
REDRAW = 0.5  # seconds between two drawings of a progress bar at least
BANNER = "padding:10px 14px; border-left:6px solid {colour}; background:{back}; color:#222222; font-size:14px"


def check_parameters(cells: Sequence[str]) -> None:
    """Refuses a parameter that papermill injected and the notebook does not know (papermill only logs it).

    Args:
        cells: the sources of the cells executed so far, IPython's `In`.

    Raises:
        UnknownNameError: lists the parameters there are, nearest first.
    """
    known: set[str] = set()
    for source in cells:
        first = source.split("\n", 1)[0].strip()
        if first.startswith(TAGGED):
            known |= set(assigned(source))
        elif first == INJECTED:
            for name in assigned(source):
                if name not in known:
                    raise unknown("parameter", name, sorted(known))


def assigned(source: str) -> list[str]:
    """The names that a cell assigns at its top level."""
    names = []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        names += [target.id for target in targets if isinstance(target, ast.Name)]
    return names


def progress_bar() -> Callable[[str, int, int], None]:
    """A function progress(what, done, of) that draws a line for each `what`, with a bar and the time left.

    The lines are one output that is replaced twice a second at most, so that a saved notebook holds the last ones only.
    """
    handle, lines = DisplayHandle(), {}
    started: dict[str, float] = {}
    drawn = 0.0

    def progress(what: str, done: int, of: int) -> None:
        nonlocal drawn
        now = time.monotonic()
        since = started.setdefault(what, now)
        lines[what] = tqdm.format_meter(done, of, now - since, ncols=100, prefix=what)
        if now - drawn < REDRAW and done != of:
            return
        show = handle.update if drawn else handle.display
        show({"text/plain": "\n".join(lines.values())}, raw=True)
        drawn = now

    return progress


def banner(features: FeatureSet) -> HTML:
    """What the features are, in a coloured box: loud where they are stand-ins for data that is not here."""
    loud = features.source == "stand-in"
    style = BANNER.format(colour="#D55E00" if loud else "#0072B2", back="#FFF1E6" if loud else "#EEF6FB")
    head = "STAND-IN FEATURES, NOT REAL DATA" if loud else f"Data set {features.task} ({features.source})"
    sizes = " / ".join(str(len(features.splits[name])) for name in ("train", "val", "test"))
    facts = (
        f"{len(features.names)} features of {len(features.modalities)} modalities, L = {features.L}; "
        f"{len(features.classes)} classes, {features.kind}; train / val / test = {sizes}"
    )
    return HTML(f'<div style="{style}"><b>{escape(head)}</b><br>{escape(features.notes)}<br>{escape(facts)}</div>')
