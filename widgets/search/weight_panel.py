"""The panel of alpha, beta or gamma: a line or a row of a heat map for every weight."""

from html import escape
from typing import Any

from bmnas.space.decisions import Decision, decisions
from widgets import style
from widgets.search.panel import HEAT, Panel, SearchView
from widgets.search.weight_figures import heat, line, line_colours
from widgets.search.weights import SAME_INPUT, SYMBOLS, WeightRow, WeightsInfo

HEADINGS = {"alpha": "α: node → Cell", "beta": "β: node → Step", "gamma": "γ: primitive"}
SPARSE = 5  # marks on a line that name its Step
PALE = 0.4  # opacity of the weights of an undecided choice
APART = 24  # rows of a heat map with white lines between them


class WeightPanel(Panel):
    """Shows the softmax weights of one kind.

    Colour names the node or primitive, dash the Cell and marks the Step; of one Cell alone, dash names the Step.

    Args:
        kind: "alpha", "beta" or "gamma".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.title = SYMBOLS[kind]

    def heading(self, view: SearchView) -> str:
        return f"<b>{HEADINGS[self.kind]}</b>"

    def _choices(self, view: SearchView) -> dict[str, Decision]:
        """Returns the choices that these weights make at the last epoch, by place."""
        if not view.events:
            return {}
        made = decisions(view.last.architecture, view.last.genotype)
        kind = "primitive" if self.kind == "gamma" else "inputs"
        cells = self.kind == "alpha"
        return {
            place: decision
            for (place, of), decision in made.items()
            if of == kind and ("." not in place) == cells and view.choice.cell in ("", place.partition(".")[0])
        }

    def traces(self, view: SearchView) -> list[dict[str, Any]]:
        info = view.weights[self.kind]
        if view.choice.picture == HEAT:
            labels = [escape(row.label if len(info.cells) > 1 else _within_cell(row)) for row in info.rows]
            axis = {"coloraxis": self.coloraxis, "ygap": 1 if len(labels) <= APART else 0, "showlegend": False}
            return [heat(list(info.rows), info.epochs, labels) | axis]
        colours, names, lines = line_colours(info, view.modalities), set[str](), []
        choices = self._choices(view)
        for row in info.rows:
            dash, mark = place_look(info, row)
            one = line(row, info.epochs, colours[row.name], dash)
            if mark:
                one |= {"mode": "lines+markers", "marker": {"size": 6, "symbol": mark, "maxdisplayed": SPARSE}}
            if row.place in choices and not choices[row.place].decided:
                one |= {"opacity": PALE}
            group = {"legendgroup": f"{self.kind} {row.name}", "showlegend": row.name not in names}
            lines.append(one | group)
            names.add(row.name)
        return lines

    def yaxis(self, view: SearchView) -> dict[str, Any]:
        if view.choice.picture == HEAT:
            return {"type": "category", "autorange": "reversed", "showgrid": False, "tickfont": {"size": 10}}
        return {"autorangeoptions": {"include": view.weights[self.kind].reach}}

    @property
    def coloraxis(self) -> str:
        """The colour scale of a heat map. Edges share one; that of primitives is undecided elsewhere."""
        return "coloraxis2" if self.kind == "gamma" else "coloraxis"

    def undecided(self, view: SearchView) -> float:
        """Returns the weight of a choice that has learnt nothing."""
        return view.weights[self.kind].undecided

    def aid(self, view: SearchView) -> str:
        info = view.weights[self.kind]
        parts = [self._decided_text(view)]
        if self.kind == "beta" and "x, y" in info.names:
            parts.append(f"β: {SAME_INPUT}")
        if self.kind == "gamma" and view.choice.picture != HEAT:
            parts.append(looks_text(info))
        return "; ".join(filter(None, parts))

    def _decided_text(self, view: SearchView) -> str:
        """Counts what is undecided, or says that nothing is chosen; a heading has no room for it on a narrow page."""
        made = self._choices(view).values()
        choices = [decision for decision in made if decision.word != "no choice"]
        if made and not choices:
            return f"{self.title}: no choice"
        undecided = sum(not decision.decided for decision in choices)
        return f"{self.title}: {undecided} of {len(choices)} undecided (pale)" if undecided else ""


def place_look(info: WeightsInfo, row: WeightRow) -> tuple[str, str]:
    """Returns the dash and the mark of a row's line, "" for no mark."""
    step = info.steps.index(row.step)
    if len(info.cells) == 1:
        return style.DASHES[step % len(style.DASHES)], ""
    return style.DASHES[info.cells.index(row.cell) % len(style.DASHES)], style.MARKS[step % len(style.MARKS)]


def looks_text(info: WeightsInfo) -> str:
    """Says what dashes and marks mean, of weights of Steps: `line: Cell_1 solid, Cell_2 dash; mark: Step_2 circle`."""
    dashed = info.steps if len(info.cells) == 1 else info.cells
    lines = [f"{name} {style.DASHES[i % len(style.DASHES)]}" for i, name in enumerate(dashed)]
    marks = [f"{step} {style.MARKS[i % len(style.MARKS)] or 'none'}" for i, step in enumerate(info.steps)]
    parts = [f"line: {', '.join(lines)}"] if len(lines) > 1 else []
    if len(info.cells) > 1 and len(marks) > 1:
        parts.append(f"mark: {', '.join(marks)}")
    return "; ".join(parts)


def _within_cell(row: WeightRow) -> str:
    """Shortens `Cell_1.Step_2: Sum` to `Step_2: Sum`, and `Cell_1 ← Image_3` to `Image_3`."""
    return row.label.removeprefix(f"{row.cell}.").removeprefix(f"{row.cell} ← ")
