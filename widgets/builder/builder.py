"""A genotype built by hand from menus that offer only what is valid: BuilderInfo -> menus, DAG, JSON and size."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as ipw

from bmnas.errors import BmnasError, RunError
from bmnas.searching.run_folder import Run
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype, cell_name, step_name
from bmnas.space.graph import genotype_graph
from widgets.builder.info import (
    BuilderInfo,
    input_choices,
    pair_choices,
    primitive_choices,
    started_from,
    with_primitive,
    with_size,
)
from widgets.builder.saved import save_genotype, saved_genotype, saved_names
from widgets.live.controls import close_all
from widgets.live.svg_view import SvgView
from widgets.networks.facts import genotype_facts
from widgets.networks.levels import dag_sheet
from widgets.sheets.sheet import Sheet, above, page, words

MOST = 4  # Cells, and Steps in a Cell
GIVEN = "as it was given"
JSON = "max-height:520px; overflow:auto; margin:0 0 0 24px; padding-right:12px; line-height:1.3"


class GenotypeBuilder:
    """Menus for every choice of a genotype, its DAG, JSON and size; `genotype` is what was built.

    Args:
        info: from `builder_info`.
        run: whose folder keeps the genotypes that are saved; without it none can be saved.
    """

    def __init__(self, info: BuilderInfo, run: Run | None = None) -> None:
        self.info = info
        self.run = run
        self._first = info.genotype
        self._box: ipw.VBox | None = None
        self._quiet = False

    @property
    def genotype(self) -> Genotype:
        """What was built, for `bmnas.evaluate`."""
        return self.info.genotype

    def save(self, name: str) -> Path:
        """Saves the genotype; see `save_genotype`.

        Raises:
            RunError: see there; or the builder has no run.
        """
        if self.run is None:
            raise RunError("the builder was made without a run; give it one, or use builder.genotype.save(path)")
        return save_genotype(self.run, name, self.genotype)

    def twin(self) -> Sheet:
        """Draws the genotype's DAG with every Cell open, and its size."""
        head = words([f"A genotype by hand: {self.info.parameters:,} parameters"], True, 15)
        return above(head, self._dag())

    def text(self) -> str:
        """Returns the genotype in words and its size."""
        return f"{self.genotype.describe()}\n{self.info.parameters:,} parameters"

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            self._box = self._build()
        return self._box

    def _dag(self) -> Sheet:
        facts = genotype_facts(self.genotype, self.info.shapes)
        graph = genotype_graph(self.genotype, self.info.modalities)
        return dag_sheet(graph, [cell_name(n + 1) for n in range(self.genotype.N)], facts.nodes)

    def _build(self) -> ipw.VBox:
        g = self.genotype
        self.N, self.M, self.r = (
            ipw.Dropdown(options=[now], description=what, layout=_width(128))
            for what, now in (("Cells N", g.N), ("Steps M", g.M), ("r", g.r))
        )
        self.start = ipw.Dropdown(options=self._starts(), description="start from", layout=_width(290))
        self.name = ipw.Text(placeholder="a name", description="name", layout=_width(290))
        self.button = ipw.Button(description="Save", icon="save", disabled=self.run is None)
        self.button.on_click(self._save)
        self.said = ipw.HTML()
        self.json = ipw.HTML()
        self.count = ipw.HTML(layout=ipw.Layout(margin="0 0 0 20px"))
        self.picture = SvgView()
        self.menus = ipw.VBox()
        for control in (self.N, self.M, self.r):
            control.observe(self._resize, "value")
        self.start.observe(self._restart, "value")
        self._draw()
        head = (self.start, self.N, self.M, self.r, self.count)
        lines = (head, (self.picture, self.json), (self.name, self.button, self.said))
        first, shown, last = (ipw.HBox(line) for line in lines)
        first.layout.flex_flow = last.layout.flex_flow = "row wrap"
        shown.layout.flex_flow = "row wrap"
        self.picture.layout = ipw.Layout(min_width="0", flex="1 1 300px")  # it shrinks beside the JSON, or stands above
        return ipw.VBox([first, self.menus, shown, last])

    def _starts(self) -> list[str]:
        return [GIVEN, *(saved_names(self.run) if self.run else [])]

    def _restart(self, _: Any) -> None:
        """Starts again from a saved genotype, or from the first one."""
        name = self.start.value
        if not self._quiet and name is not None:
            saved = name != GIVEN and self.run
            self._try(lambda: started_from(self.info, saved_genotype(saved, name) if saved else self._first))

    def _resize(self, _: Any) -> None:
        if not self._quiet:
            self._changed_by_hand()
            self._try(lambda: with_size(self.info, self.N.value, self.M.value, self.r.value))  # type: ignore[arg-type]

    def _changed_by_hand(self) -> None:
        """Empties the menu of saved genotypes, of which it is none any more."""
        self._quiet = True
        self.start.index = None
        self._quiet = False

    def _try(self, make: Callable[[], BuilderInfo]) -> None:
        """Takes what is made, or says why it cannot be."""
        try:
            self._take(make())
        except BmnasError as error:
            self._changed_by_hand()
            self._say(str(error))
            self._draw()

    def _choose(self, n: int, cell: CellGenotype) -> None:
        if self._quiet:
            return
        cells = (*self.genotype.cells[:n], cell, *self.genotype.cells[n + 1 :])
        self._changed_by_hand()
        self._take(self.info._replace(genotype=Genotype(cells, self.genotype.r)))

    def _take(self, info: BuilderInfo) -> None:
        self.info = info
        self._say("")
        self._draw()

    def _draw(self) -> None:
        """Draws everything again; the menus too, as each choice changes what the others offer."""
        self._quiet = True
        g = self.genotype
        for menu, most, now in ((self.N, MOST, g.N), (self.M, MOST, g.M), (self.r, g.M + 2, g.r)):
            menu.options = range(1, max(most, now) + 1)
            menu.value = now
        self._quiet = False
        old = self.menus.children
        self.menus.children = [self._cell_menus(n) for n in range(g.N)]
        for row in old:
            close_all(row)
        self.count.value = f"<b>{self.info.parameters:,} parameters</b>"
        self.json.value = f'<pre style="{JSON}">{escape(g.to_json())}</pre>'
        self.picture.content = page(self._dag())

    def _cell_menus(self, n: int) -> ipw.GridBox:
        """Makes the menus of a Cell's pair, and beside it a line for every Step."""
        cell = self.genotype.cells[n]
        space = self.info.space
        pairs = _options(pair_choices(space, self.genotype, n), cell.inputs, " and ")
        pair = ipw.Dropdown(options=pairs, value=cell.inputs, description=cell_name(n + 1), layout=_width(290))
        pair.observe(lambda change: self._choose(n, replace(cell, inputs=change["new"])), "value")
        steps = [menu for m in range(len(cell.steps)) for menu in self._step_menus(n, m)]
        for i, menu in enumerate(steps):
            menu.layout.grid_area = f"{1 + i // 2} / {2 + i % 2}"  # JupyterLab heeds no grid_column of ipywidgets
        return ipw.GridBox([pair, *steps], layout=ipw.Layout(grid_template_columns="repeat(3, max-content)"))

    def _step_menus(self, n: int, m: int) -> list[ipw.Dropdown]:
        cell = self.genotype.cells[n]
        space = self.info.space
        step = cell.steps[m]

        def take(new: StepGenotype) -> None:
            self._choose(n, replace(cell, steps=(*cell.steps[:m], new, *cell.steps[m + 1 :])))

        names = primitive_choices(space, m)
        names = names if step.primitive in names else [*names, step.primitive]
        kind = ipw.Dropdown(options=names, value=step.primitive, description=step_name(m + 1), layout=_width(196))
        kind.observe(lambda change: take(with_primitive(space, m, change["new"], step)), "value")
        options = _options(input_choices(space, m, step.primitive), step.inputs, ", ")
        near = {"description_width": "24px"}
        inputs = ipw.Dropdown(options=options, value=step.inputs, description="of", layout=_width(150), style=near)
        inputs.observe(lambda change: take(replace(step, inputs=change["new"])), "value")
        return [kind, inputs]

    def _save(self, _: Any) -> None:
        try:
            path = self.save(self.name.value)
            self._quiet = True
            self.start.options = self._starts()
            self.start.value = path.stem
            self._quiet = False
            self._say(f"saved: {path.parent.name}/{path.name} in {path.parent.parent.name}")
        except (BmnasError, OSError) as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self.said.value = escape(text)


def _options(choices: Sequence[tuple[str, ...]], now: tuple[str, ...], between: str) -> list[tuple[str, Any]]:
    """Returns menu entries; what the genotype has now is one of them even where the space is stricter."""
    options = choices if now in choices else [*choices, now]
    return [(between.join(choice), choice) for choice in options]


def _width(pixels: int) -> ipw.Layout:
    return ipw.Layout(width=f"{pixels}px")
