"""All runs of a folder: run folders -> BrowserInfo -> a table to sort, and score against size and search time."""

import math
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as ipw

from bmnas.ablation import SEARCHED
from bmnas.errors import BmnasError, RunError
from bmnas.features import FeatureSet
from bmnas.genotype import Genotype, cell_name
from bmnas.graph import genotype_graph
from bmnas.paths import runs_root
from bmnas.runs import Run
from widgets import style
from widgets.chart import Line, Point, chart
from widgets.clickable import Clickable
from widgets.facts import Shapes, genotype_facts
from widgets.levels import dag_sheet
from widgets.sheet import CHARACTER, Sheet, above, beside, page, words

NAN = float("nan")
DAMAGED = "damaged"
CELL = "padding:3px 10px 3px 4px; text-align:left; border-bottom:1px solid rgba(128,128,128,0.35)"


class RunRow(NamedTuple):
    """One run folder; what is not known is NaN or ""."""

    name: str
    state: str  # finished, searched, stopped or damaged
    dataset: str = ""
    seed: int = 0
    epochs: int = 0
    val: float = NAN  # per cent
    test: float = NAN  # per cent, mean over seeds
    std: float = NAN
    parameters: float = NAN
    seconds: float = NAN  # of the search
    genotype: Genotype | None = None
    problem: str = ""  # why it is damaged

    @property
    def score(self) -> float:
        """The test score where there is one, otherwise the validation score of the search."""
        return self.test if math.isfinite(self.test) else self.val


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


class BrowserInfo(NamedTuple):
    """All runs under a root, in the order of their names."""

    root: str
    rows: tuple[RunRow, ...]

    @property
    def datasets(self) -> list[str]:
        """The data sets of the runs that can be read."""
        return list(dict.fromkeys(row.dataset for row in self.rows if row.dataset))

    def of(self, dataset: str) -> list[RunRow]:
        """The readable runs of a data set that have a score."""
        return [row for row in self.rows if row.dataset == dataset and math.isfinite(row.score)]

    def get(self, name: str) -> RunRow:
        """A run by name."""
        return next(row for row in self.rows if row.name == name)


def browser_info(root: str | Path | None = None) -> BrowserInfo:
    """Reads every run folder under the root (`bmnas.runs_root()` when None); only reads.

    A folder that begins with "_" or "." is none. A run that cannot be read is listed as damaged, with the reason.
    """
    place = runs_root() if root is None else Path(root)
    folders = sorted(place.iterdir()) if place.is_dir() else []
    return BrowserInfo(str(place), tuple(run_row(f) for f in folders if f.is_dir() and f.name[0] not in "_."))


def run_row(folder: Path) -> RunRow:
    """One run folder, damaged or not."""
    try:
        return _read(Run(folder))
    except (BmnasError, OSError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return RunRow(folder.name, DAMAGED, problem=str(error).replace(f"{folder}{os.sep}", "") or type(error).__name__)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of the points (cost, score) that no other beats: none has less cost and at least the score, or more
    score and at most the cost. In the order of cost; points without both numbers are left out.
    """
    known = [i for i, point in enumerate(points) if all(map(math.isfinite, point))]
    front: list[int] = []
    best = -math.inf
    for i in sorted(known, key=lambda i: (points[i][0], -points[i][1])):
        twin = bool(front) and points[front[-1]] == points[i]
        if points[i][1] > best or twin:
            front.append(i)
            best = points[i][1]
    return front


def sort_rows(rows: Sequence[RunRow], column: str, down: bool) -> list[RunRow]:
    """By a column; what is not known comes last."""

    def missing(row: RunRow) -> bool:
        value = getattr(row, column)
        return value == "" or (isinstance(value, float) and math.isnan(value))

    known = sorted((row for row in rows if not missing(row)), key=lambda row: getattr(row, column), reverse=down)
    return known + [row for row in rows if missing(row)]


def score_chart(info: BrowserInfo, dataset: str, cost: str, chosen: str = "") -> Sheet:
    """Score against "parameters" or "seconds", the Pareto front joined."""
    rows = [row for row in info.of(dataset) if math.isfinite(getattr(row, cost)) and getattr(row, cost) > 0]
    points = [(getattr(row, cost), row.score) for row in rows]
    front = pareto(points)
    best = [points[i] for i in front]
    line = Line("Pareto front", [cost for cost, _ in best], [score for _, score in best], style.PALETTE[5])
    marks = [_point(row, points[i], i in front, row.name == chosen) for i, row in enumerate(rows)]
    title = "Score against size" if cost == "parameters" else "Score against search time"
    unit = "parameters (logarithmic)" if cost == "parameters" else "seconds of the search (logarithmic)"
    kinds = {"test" if math.isfinite(row.test) else "val" for row in rows}
    return chart([line] if front else [], marks, title, unit, f"{' / '.join(sorted(kinds)) or 'test'} score [%]",
                 (420, 320), log_x=True)  # fmt: skip


def table_html(rows: Sequence[RunRow], sorted_by: str = "name", down: bool = False, chosen: str = "") -> str:
    """The runs as a table; headings and names can be clicked (`sort:<column>`, the run's name)."""
    mark = {True: " ▼", False: " ▲"}[down]
    heads = "".join(
        f'<th style="{CELL}; cursor:pointer" tabindex="0" role="button" data-name="sort:{key}">'
        f"{escape(head)}{mark if key == sorted_by else ''}</th>"
        for key, (head, _) in COLUMNS.items()
    )
    body = "".join(_table_row(row, row.name == chosen) for row in rows)
    return f'<table style="border-collapse:collapse; font-size:13px; color:inherit"><tr>{heads}</tr>{body}</table>'


class ResultsBrowser:
    """A table to sort, two charts to click, and the DAG of the chosen run.

    Args:
        info: from `browser_info`.
    """

    def __init__(self, info: BrowserInfo) -> None:
        self.info = info
        scored = [row for name in info.datasets for row in info.of(name)]
        best = max(scored, key=lambda row: row.score, default=None)
        self.chosen = best.name if best else ""
        self.dataset = best.dataset if best else (info.datasets or [""])[0]
        self.sorted_by, self.down = "name", False
        self._box: ipw.VBox | None = None

    def rows(self) -> list[RunRow]:
        """The runs as they are sorted now."""
        return sort_rows(self.info.rows, self.sorted_by, self.down)

    def charts(self) -> Sheet:
        """Score against size and against search time."""
        head = words([f"{self.dataset}: {len(self.info.of(self.dataset))} scored runs"], True, 15)
        both = [score_chart(self.info, self.dataset, cost, self.chosen) for cost in ("parameters", "seconds")]
        return above(head, beside(*both))

    def dag(self) -> Sheet:
        """The genotype of the chosen run."""
        row = self.info.get(self.chosen) if self.chosen else None
        if row is None or row.genotype is None:
            return words([f"{row.name}: {row.problem or 'no genotype yet'}" if row else "no run is chosen"])
        cells = [cell_name(n + 1) for n in range(row.genotype.N)]
        score = f", {row.score:.2f} %" if math.isfinite(row.score) else ""
        return above(words([f"{row.name}{score}"], True, 15), dag_sheet(genotype_graph(row.genotype), cells))

    def twin(self) -> Sheet:
        """The table, the charts, and the DAG of the best run."""
        return above(table_sheet(self.rows()), self.charts(), self.dag(), gap=16)

    def text(self) -> str:
        """The table in words."""
        return "\n".join("  ".join(_values(row)) + (f"  {row.problem}" if row.problem else "") for row in self.rows())

    def box(self) -> ipw.VBox:
        """The live controls, made once."""
        if self._box is None:
            self.table = Clickable(on_click=self._clicked)
            self.picture = Clickable(on_click=self._clicked)
            self.network = Clickable()
            self.menu = ipw.Dropdown(options=self.info.datasets or [""], value=self.dataset, description="data set")
            names = [row.name for row in self.info.rows] or [""]
            self.run = ipw.Dropdown(options=names, value=self.chosen or names[0], description="run")
            self.menu.observe(self._changed, "value")
            self.run.observe(self._changed, "value")
            head = ipw.HBox([self.menu, self.run], layout=ipw.Layout(flex_flow="row wrap"))
            self._box = ipw.VBox([self.table, head, self.picture, self.network])
            self._draw()
        return self._box

    def _clicked(self, name: str) -> None:
        if name.startswith("sort:"):
            column = name.removeprefix("sort:")
            self.down = not self.down if column == self.sorted_by else column not in ("name", "dataset", "state")
            self.sorted_by = column
            self._draw()
        else:
            self.run.value = name

    def _changed(self, change: Any) -> None:
        self.dataset, self.chosen = str(self.menu.value), str(self.run.value)
        of = self.info.get(self.chosen).dataset if change["owner"] is self.run else ""
        if of and of != self.dataset:
            self.menu.value = of  # draws
        else:
            self._draw()

    def _draw(self) -> None:
        self.table.content = table_html(self.rows(), self.sorted_by, self.down, self.chosen)
        self.picture.content = page(self.charts())
        self.network.content = page(self.dag())


def table_sheet(rows: Sequence[RunRow]) -> Sheet:
    """The table as a picture; a damaged run has its reason below it."""
    cells = [[head for head, _ in COLUMNS.values()], *map(_values, rows)]
    widths = [CHARACTER * max(len(line[i]) for line in cells) + 14 for i in range(len(COLUMNS))]
    marks, y = [], 16.0
    for row, line in zip([None, *rows], cells, strict=True):
        x, weight = 4.0, ' font-weight="bold"' if row is None else ""
        for text, width in zip(line, widths, strict=True):
            marks.append(f'<text x="{x:.1f}" y="{y:.1f}"{weight}>{escape(text)}</text>')
            x += width
        if row is not None and row.problem:
            y += 17
            marks.append(f'<text x="24" y="{y:.1f}" fill="#A23B00">{escape(_shortened(row.problem))}</text>')
        y += 19
    return Sheet("".join(marks), sum(widths), y)


def _read(run: Run) -> RunRow:
    """Raises whatever a damaged run makes it raise."""
    about = run.load_json("config.json")
    events = run.trace().events
    config, dataset = run.config(), str(run.dataset())
    if not events:
        return RunRow(run.name, "stopped", dataset, config.seed)
    best, last = events[-1], events[-1].epoch
    path = run.path("genotype.json")
    genotype = Genotype.load(path) if path.exists() else run.trace().best.genotype
    state = "stopped" if last < best.epochs else "searched"
    seconds = sum(event.seconds for event in events) or NAN
    row = RunRow(run.name, state, dataset, config.seed, last, 100 * best.best_score, seconds=seconds, genotype=genotype)
    row = row._replace(parameters=_size(run, genotype))
    if not run.path("evaluation.json").exists():
        return row
    method = next((m for m in run.load_json("evaluation.json")["methods"] if m["name"] == SEARCHED), None)
    if method is None:
        raise RunError(f"{run.path('evaluation.json')} has no row {SEARCHED!r} (schema {about.get('schema')})")
    scores = {"test": 100 * float(method["mean"]), "std": 100 * float(method["std"])}
    return row._replace(state="finished", parameters=float(method["parameters"]), **scores)


def _size(run: Run, genotype: Genotype) -> float:
    """The parameters of a run that was not evaluated; NaN where its features are gone. Only shapes are read."""
    try:
        features = FeatureSet.open(run.folder / str(run.load_json("features.json")["folder"]), verify=False)
        return float(genotype_facts(genotype, Shapes.of(features, run.config())).parameters)
    except BmnasError:  # the search can be listed without its features
        return NAN


def _point(row: RunRow, at: tuple[float, float], on_front: bool, chosen: bool) -> Point:
    hover = f"{row.name}: {row.score:.2f} %, {row.parameters:,.0f} parameters, {row.seconds:.1f} s of search"
    colour = style.PALETTE[5] if on_front else style.PALETTE[0]
    return Point(*at, colour, row.name, hover, row.name if chosen else "", "diamond" if chosen else "circle")


def _values(row: RunRow) -> list[str]:
    known: list[str] = []
    for key, (_, form) in COLUMNS.items():
        value = getattr(row, key)
        unknown = (isinstance(value, float) and math.isnan(value)) or (row.problem and key not in ("name", "state"))
        known.append("-" if unknown else form.format(value))
    return known


def _table_row(row: RunRow, chosen: bool) -> str:
    look = f"{CELL}; font-weight:bold" if chosen or row.problem else CELL
    cells = "".join(f'<td style="{look}">{escape(text)}</td>' for text in _values(row))
    reason = f'<tr><td colspan="{len(COLUMNS)}" style="{CELL}; padding-left:24px">{escape(row.problem)}</td></tr>'
    head = f'<tr style="cursor:pointer" tabindex="0" role="button" data-name="{escape(row.name)}">{cells}</tr>'
    return head + (reason if row.problem else "")


def _shortened(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
