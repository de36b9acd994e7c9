"""A genotype built by hand from menus that offer only what is valid: BuilderInfo -> menus, DAG, JSON and size."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import ipywidgets as ipw

from bmnas.config import SearchConfig
from bmnas.derivation import PAIR_RULES
from bmnas.errors import BmnasError, RunError
from bmnas.features import FeatureSet
from bmnas.genotype import CELL_NAME, CellGenotype, Genotype, StepGenotype, cell_name, step_name
from bmnas.graph import genotype_graph
from bmnas.registry import PRIMITIVES
from bmnas.runs import RUN_NAME, Run
from bmnas.space import Space
from widgets.clickable import Clickable
from widgets.facts import Shapes, genotype_facts
from widgets.levels import dag_sheet
from widgets.sheet import Sheet, above, page, words

MOST = 4  # Cells, and Steps in a Cell
Pair = tuple[str, str]


class BuilderInfo(NamedTuple):
    """A genotype, its parameter count, and what may be chosen."""

    genotype: Genotype
    shapes: Shapes
    space: Space
    modalities: dict[str, tuple[str, ...]]

    @property
    def parameters(self) -> int:
        """The trainable scalars of its network."""
        return genotype_facts(self.genotype, self.shapes).parameters


def builder_info(features: FeatureSet, config: SearchConfig, start: Genotype | None = None) -> BuilderInfo:
    """The space of a configuration, and a genotype to start from (the first of the space when None).

    Raises:
        GenotypeError: the start uses other features.
    """
    space = Space.of(features.names, config)
    genotype = next(space.genotypes()) if start is None else start
    genotype.check(features.names)
    return BuilderInfo(genotype, Shapes.of(features, config), space, dict(features.modalities))


def pair_choices(space: Space, genotype: Genotype, n: int) -> list[Pair]:
    """The pairs that Cell n (from 0) may take so that the pair rule holds for it and every later Cell."""
    before = [cell_name(i) for i in range(1, n + 1)] if space.cells_as_inputs else []
    pairs = [cell.inputs for cell in genotype.cells]
    rule = PAIR_RULES[space.pair_rule]
    choices = []
    for pair in combinations((*space.features, *before), 2):
        tried = [*pairs[:n], pair, *pairs[n + 1 :]]
        if all(rule(one, tried[:i]) for i, one in enumerate(tried) if i >= n):
            choices.append(pair)
    return choices


def input_choices(space: Space, m: int, primitive: str) -> list[tuple[str, ...]]:
    """The inputs that Step m (from 0) may have with a primitive."""
    return [step.inputs for step in space.step_choices(m) if step.primitive == primitive]


def primitive_choices(space: Space, m: int) -> list[str]:
    """The primitives that Step m (from 0) has enough earlier nodes for."""
    return list(dict.fromkeys(step.primitive for step in space.step_choices(m)))


def with_size(info: BuilderInfo, N: int, M: int, r: int) -> BuilderInfo:
    """The same genotype cut or lengthened to N Cells of M Steps; r at most M + 2.

    Raises:
        RunError: the features have too few pairs for so many Cells.
    """
    space = replace(info.space, N=N, M=M, r=min(r, M + 2))
    cells: list[CellGenotype] = []
    for n in range(N):
        old = info.genotype.cells[n] if n < info.genotype.N else None
        steps = tuple(
            old.steps[m] if old is not None and m < len(old.steps) else _first_step(space, m) for m in range(M)
        )
        cells.append(CellGenotype(old.inputs if old is not None else _free_pair(space, cells), steps))
    return info._replace(genotype=Genotype(tuple(cells), space.r), space=space)


def save_genotype(run: Run, name: str, genotype: Genotype) -> Path:
    """Writes `genotypes/<name>.json` into the run folder; the same genotype under the same name is left as it is.

    Raises:
        RunError: the name is no file name, or belongs to another genotype; nothing is overwritten.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunError(f"the name is {name!r}; expected letters, digits, '.', '-' and '_'")
    path = run.path("genotypes") / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(genotype.to_json() + "\n")
    except FileExistsError:
        if Genotype.load(path) != genotype:
            raise RunError(f"{path} holds another genotype; choose another name. Nothing was changed") from None
    return path


class GenotypeBuilder:
    """Menus for every choice of a genotype, its DAG, JSON and size; `genotype` is what was built.

    Args:
        info: from `builder_info`.
        run: whose folder keeps the genotypes that are saved; without it none can be saved.
    """

    def __init__(self, info: BuilderInfo, run: Run | None = None) -> None:
        self.info, self.run = info, run
        self._box: ipw.VBox | None = None
        self._quiet = False

    @property
    def genotype(self) -> Genotype:
        """What was built, for `bmnas.evaluate`."""
        return self.info.genotype

    def save(self, name: str) -> Path:
        """See `save_genotype`.

        Raises:
            RunError: see there; or the builder has no run.
        """
        if self.run is None:
            raise RunError("the builder was made without a run; give it one, or use builder.genotype.save(path)")
        return save_genotype(self.run, name, self.genotype)

    def twin(self) -> Sheet:
        """The genotype's DAG with every Cell open, and its size."""
        head = words([f"A genotype by hand: {self.info.parameters:,} parameters"], True, 15)
        return above(head, self._dag())

    def text(self) -> str:
        """The genotype in words and its size."""
        return f"{self.genotype.describe()}\n{self.info.parameters:,} parameters"

    def box(self) -> ipw.VBox:
        """The live controls, made once."""
        if self._box is None:
            self._box = self._build()
        return self._box

    def _dag(self) -> Sheet:
        facts = genotype_facts(self.genotype, self.info.shapes)
        graph = genotype_graph(self.genotype, self.info.modalities)
        return dag_sheet(graph, [cell_name(n + 1) for n in range(self.genotype.N)], facts.nodes)

    def _build(self) -> ipw.VBox:
        g = self.genotype
        sizes = (("Cells N", MOST, g.N), ("Steps M", MOST, g.M), ("r", MOST + 2, g.r))
        self.N, self.M, self.r = (
            ipw.Dropdown(options=range(1, max(most, now) + 1), value=now, description=what, layout=_width(140))
            for what, most, now in sizes
        )
        self.name = ipw.Text(placeholder="a name", description="name", layout=_width(260))
        self.button = ipw.Button(description="Save", icon="save", disabled=self.run is None)
        self.button.on_click(self._save)
        self.said, self.json, self.count = ipw.HTML(), ipw.HTML(), ipw.HTML()
        self.picture, self.menus = Clickable(), ipw.VBox()
        for control in (self.N, self.M, self.r):
            control.observe(self._resize, "value")
        self._draw()
        head = ipw.HBox([self.N, self.M, self.r, self.count], layout=ipw.Layout(flex_flow="row wrap"))
        foot = ipw.HBox([self.name, self.button, self.said], layout=ipw.Layout(flex_flow="row wrap"))
        return ipw.VBox([head, self.menus, self.picture, foot, self.json])

    def _resize(self, _: Any) -> None:
        if self._quiet:
            return
        try:
            self._take(with_size(self.info, self.N.value, self.M.value, self.r.value))  # type: ignore[arg-type]
        except BmnasError as error:
            self._say(str(error))
            self._draw()

    def _choose(self, n: int, cell: CellGenotype) -> None:
        if self._quiet:
            return
        cells = (*self.genotype.cells[:n], cell, *self.genotype.cells[n + 1 :])
        self._take(self.info._replace(genotype=Genotype(cells, self.genotype.r)))

    def _take(self, info: BuilderInfo) -> None:
        self.info = info
        self._say("")
        self._draw()

    def _draw(self) -> None:
        """Everything follows the genotype; the menus are made anew, as each choice changes what the others offer."""
        self._quiet = True
        g = self.genotype
        self.r.options = range(1, g.M + 3)
        self.N.value, self.M.value, self.r.value = g.N, g.M, g.r
        self._quiet = False
        old = self.menus.children
        self.menus.children = [self._cell_menus(n) for n in range(g.N)]
        for row in old:
            _close(row)
        self.count.value = f"<b>{self.info.parameters:,} parameters</b>"
        self.json.value = f"<pre>{escape(g.to_json())}</pre>"
        self.picture.content = page(self._dag())

    def _cell_menus(self, n: int) -> ipw.HBox:
        cell, space = self.genotype.cells[n], self.info.space
        pairs = _options(pair_choices(space, self.genotype, n), cell.inputs, " and ")
        pair = ipw.Dropdown(options=pairs, value=cell.inputs, description=cell_name(n + 1), layout=_width(260))
        pair.observe(lambda change: self._choose(n, replace(cell, inputs=change["new"])), "value")
        steps = [menu for m in range(len(cell.steps)) for menu in self._step_menus(n, m)]
        return ipw.HBox([pair, *steps], layout=ipw.Layout(flex_flow="row wrap"))

    def _step_menus(self, n: int, m: int) -> list[ipw.Dropdown]:
        cell, space = self.genotype.cells[n], self.info.space
        step = cell.steps[m]

        def take(new: StepGenotype) -> None:
            self._choose(n, replace(cell, steps=(*cell.steps[:m], new, *cell.steps[m + 1 :])))

        names = primitive_choices(space, m)
        names = names if step.primitive in names else [*names, step.primitive]
        kind = ipw.Dropdown(options=names, value=step.primitive, description=step_name(m + 1), layout=_width(210))
        kind.observe(lambda change: take(_with_primitive(space, m, change["new"], step)), "value")
        known = _options(input_choices(space, m, step.primitive), step.inputs, ", ")
        inputs = ipw.Dropdown(options=known, value=step.inputs, description="of", layout=_width(210))
        inputs.observe(lambda change: take(replace(step, inputs=change["new"])), "value")
        return [kind, inputs]

    def _save(self, _: Any) -> None:
        try:
            path = self.save(self.name.value)
            self._say(f"saved: {path.parent.name}/{path.name} in {path.parent.parent.name}")
        except (BmnasError, OSError) as error:
            self._say(str(error))

    def _say(self, text: str) -> None:
        self.said.value = escape(text)


def _with_primitive(space: Space, m: int, primitive: str, old: StepGenotype) -> StepGenotype:
    """The Step with another primitive, its inputs kept where that takes them."""
    known = input_choices(space, m, primitive)
    same = [inputs for inputs in known if inputs == old.inputs or set(inputs) == set(old.inputs)]
    return StepGenotype(primitive, (same or known)[0])


def _first_step(space: Space, m: int) -> StepGenotype:
    """A new Step: the first choice that passes something on."""
    choices = space.step_choices(m)
    return next((step for step in choices if not getattr(PRIMITIVES[step.primitive], "constant", False)), choices[0])


def _free_pair(space: Space, cells: Sequence[CellGenotype]) -> Pair:
    """The first pair of features that the rule leaves to the next Cell, of features and earlier Cells if need be."""
    taken = [cell.inputs for cell in cells]
    before = [cell_name(i + 1) for i in range(len(cells))] if space.cells_as_inputs else []
    pairs = [pair for pair in combinations((*space.features, *before), 2) if PAIR_RULES[space.pair_rule](pair, taken)]
    if not pairs:
        raise RunError(f"no pair is left for {cell_name(len(cells) + 1)} under the rule {space.pair_rule!r}")
    return next((pair for pair in pairs if not any(map(CELL_NAME.fullmatch, pair))), pairs[0])


def _options(choices: Sequence[tuple[str, ...]], now: tuple[str, ...], between: str) -> list[tuple[str, Any]]:
    """Menu entries; what the genotype has now is one of them even where the space is stricter."""
    known = choices if now in choices else [*choices, now]
    return [(between.join(choice), choice) for choice in known]


def _width(pixels: int) -> ipw.Layout:
    return ipw.Layout(width=f"{pixels}px")


def _close(widget: ipw.Widget) -> None:
    for child in getattr(widget, "children", ()):
        _close(child)
    widget.close()
