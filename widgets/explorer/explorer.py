"""A search stage by stage: ExplorerInfo -> a slider over DAG, weights and score, one run or two from a menu.

A stage is an epoch of Algorithm 1, or a short training of another searcher, which has no weights.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import ipywidgets as ipw

from bmnas.errors import BmnasError
from bmnas.searching.run_folder import Run
from widgets.explorer.info import EPOCH, ExplorerInfo, explorer_info, headline, headlines
from widgets.explorer.sheets import DERIVED, SOFT, TRAINED, score_sheet, stage_dag, stage_dags, weight_sheets
from widgets.live.svg_view import SvgView
from widgets.networks.dag import CAPTION, DOTTED
from widgets.networks.facts import Facts
from widgets.networks.levels import differences
from widgets.sheets.sheet import Sheet, above, beside, flow, page, rows, words

ASIDE = 400.0  # pixels of a run beside another, at least
TWO = "a dashed frame: the other run has it otherwise"
NOTHING = Sheet("", 0, 0)
PARAGRAPH = '<p style="line-height:1.4; margin:6px 0">{}</p>'
NONE = ("no other run", "")


class GenotypeExplorer:
    """A slider and a play button over the epochs or short trainings of a run, or of two runs side by side.

    Args:
        info: from `explorer_info`.
        other: a second run; what differs between the two genotypes of a stage is marked.
        runs: offered by two menus; a run is read when it is chosen.
    """

    def __init__(self, info: ExplorerInfo, other: ExplorerInfo | None = None, runs: Iterable[Run] = ()) -> None:
        self.infos = [info] if other is None else [info, other]
        self.runs = {run.name: run for run in runs}
        self.number = info.best.number
        self.opened = "Cell_1"
        self.mode = SOFT
        self._info_of = {one.name: one for one in self.infos}
        self._box: ipw.VBox | None = None
        self._quiet = False

    @property
    def most(self) -> int:
        """How many stages the longer search has."""
        return max(len(info.stages) for info in self.infos)

    @property
    def has_weights(self) -> bool:
        """Whether a run that is shown has soft weights."""
        return any(info.unit == EPOCH for info in self.infos)

    @property
    def cells(self) -> list[str]:
        """The Cells of all runs that are shown."""
        return list(dict.fromkeys(cell for info in self.infos for cell in info.cells))

    def choose(self, name: str, other: str = "") -> None:
        """Shows other runs of the menus; nothing changes where one cannot be read.

        Raises:
            BmnasError: one has no finished epoch or short training, or is damaged.
        """
        self.infos = [self._info(one) for one in (name, other) if one]

    def content(self, number: int) -> str:
        """Draws DAG, weights and score of a stage as HTML; two runs in two columns."""
        if len(self.infos) == 1:
            return self._single(number)
        caption = f"{self._caption}; {TWO}" if self._caption else TWO
        return page(above(words([caption]), beside(*self._columns(number))))

    def twin(self) -> Sheet:
        """Draws first, best and last stage with every Cell open, the weights of the best one, and the scores."""
        columns = []
        for i, info in enumerate(self.infos):
            best = info.best.number
            parts = [words([f"{info.name}, {info.state}"], True, 15)]
            for number in info.landmarks:
                head = words([headline(info, number)], True)
                parts += [head, stage_dag(info, number, "all", SOFT, self.different(i, number))]
            if info.unit == EPOCH:
                parts.append(words([f"weights of epoch {best}"], True))
                parts += [rows(weight_sheets(info, best, cell)) for cell in info.cells]
            columns.append(above(*parts, score_sheet(info, best, self.infos)))
        return beside(*columns, gap=30)

    def text(self) -> str:
        """Returns first, best and last stage in words."""
        lines = []
        for info in self.infos:
            lines.append(f"{info.name}, {info.state}")
            for number in info.landmarks:
                lines += [headline(info, number), info.stage(number).genotype.describe()]
        return "\n".join(lines)

    def different(self, i: int, number: int) -> set[str]:
        """Returns the nodes of run i that the other run has otherwise at this stage; nothing with a single run."""
        if len(self.infos) == 1:
            return set()
        return differences(self.infos[i].stage(number).genotype, self.infos[1 - i].stage(number).genotype)

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            self._box = self._build()
            self._draw()
        return self._box

    def replay(self) -> None:
        """Plays the live controls from the first stage on."""
        self.box()
        self.slider.value = 1
        self.play.playing = True

    def _info(self, name: str) -> ExplorerInfo:
        if name not in self._info_of:
            self._info_of[name] = explorer_info(self.runs[name])
        return self._info_of[name]

    @property
    def _caption(self) -> str:
        """Says how the lines of soft weights are read; "" where there are none."""
        return f"{CAPTION}; {DOTTED}" if self.mode == SOFT and self.has_weights else ""

    def _single(self, number: int) -> str:
        """Draws a run that has all the room."""
        (info,) = self.infos
        upper, *inside = stage_dags(info, number, self.opened, self.mode, caption=False)
        head = [f"{info.name}, {info.state}", headline(info, number)]
        return flow(head, [upper], [*inside, *self._below(info, number)], aid=self._caption)

    def _columns(self, number: int) -> list[Sheet]:
        """Draws two runs, whose parts take equal room, so that what belongs together stands in line."""
        dags = [
            stage_dags(info, number, self.opened, self.mode, self.different(i, number), caption=False)
            for i, info in enumerate(self.infos)
        ]
        width = max([ASIDE, *(upper.width for upper, *_ in dags)])
        columns = []
        for info, (upper, *inside) in zip(self.infos, dags, strict=True):
            head = words([f"{info.name}, {info.state}", *headlines(info, number)], True)
            columns.append([head, upper, *(inside or [NOTHING]), rows(self._below(info, number), width)])
        heights = [max(part.height for part in parts) for parts in zip(*columns, strict=True)]
        level = [[part._replace(height=h) for part, h in zip(parts, heights, strict=True)] for parts in columns]
        return [column._replace(width=max(width, column.width)) for column in (above(*parts) for parts in level)]

    def _below(self, info: ExplorerInfo, number: int) -> list[Sheet]:
        """Draws score and weights of the opened Cell."""
        return [score_sheet(info, number, self.infos), *weight_sheets(info, number, self.opened)]

    def _build(self) -> ipw.VBox:
        self.play = ipw.Play(value=self.number, min=1, max=self.most, interval=700, show_repeat=False)
        self.slider = ipw.IntSlider(value=self.number, min=1, max=self.most)
        ipw.link((self.play, "value"), (self.slider, "value"))  # in Python: a link in the browser is never closed
        self.cell = ipw.Dropdown(options=self.cells, value=self.opened, description="open")
        self.modes = ipw.ToggleButtons(options=[SOFT, DERIVED], value=self.mode)
        self._name_controls()
        self.picture = SvgView(on_click=self._clicked)
        self.details = ipw.HTML()
        for control in (self.slider, self.cell, self.modes):
            control.observe(self._changed, "value")
        wrap = ipw.Layout(flex_flow="row wrap")
        head = ipw.HBox([self.play, self.slider, self.cell], layout=wrap)
        return ipw.VBox([*self._menus(wrap), head, self.modes, self.picture, self.details])

    def _menus(self, wrap: ipw.Layout) -> list[ipw.Widget]:
        """Makes the menus of runs; none where there is nothing to choose from."""
        shown = [info.name for info in self.infos]
        names = list(dict.fromkeys((*shown, *self.runs)))
        self.run = ipw.Dropdown(options=names, value=shown[0], description="run")
        self.other = ipw.Dropdown(options=[NONE, *((name, name) for name in names)], description="beside")
        self.other.value = shown[1] if len(shown) > 1 else ""
        for menu in (self.run, self.other):
            menu.observe(self._choose, "value")
        return [ipw.HBox([self.run, self.other], layout=wrap)] if self.runs else []

    def _choose(self, change: Any) -> None:
        if self._quiet:
            return
        try:
            self.choose(str(self.run.value), str(self.other.value))
        except BmnasError as error:
            self._quietly(change["owner"], value=change["old"])
            self.details.value = f"<p>{escape(str(error))}</p>"
            return
        self._quietly(self.play, max=self.most)
        self._quietly(self.slider, max=self.most)
        self._name_controls()
        opened = self.opened if self.opened in self.cells else self.cells[0]
        self._quietly(self.cell, options=self.cells, value=opened)
        self.details.value = ""
        self._changed(change)

    def _name_controls(self) -> None:
        """Names what the slider moves over, and offers soft weights where there are any."""
        self.slider.description = self.infos[0].unit
        self.modes.layout.display = "" if self.has_weights else "none"

    def _quietly(self, control: ipw.Widget, **values: Any) -> None:
        """Sets traits of a control without drawing again."""
        self._quiet = True
        for name, value in values.items():
            setattr(control, name, value)
        self._quiet = False

    def _changed(self, _: Any) -> None:
        if not self._quiet:
            self.number = self.slider.value
            self.opened = str(self.cell.value)
            self.mode = str(self.modes.value)
            self._draw()

    def _clicked(self, node: str) -> None:
        """Opens a Cell, moves to a short training, or shows the facts of another node below the picture."""
        if node.startswith(TRAINED):
            self.slider.value = int(node.removeprefix(TRAINED))
            return
        if node in self.cell.options:
            self.cell.value = node
        self.details.value = facts_html([info.facts(info.stage(self.number).genotype) for info in self.infos], node)

    def _draw(self) -> None:
        self.picture.content = self.content(self.number)


def facts_html(facts: Sequence[Facts | None], node: str) -> str:
    """Returns the facts of a node, one paragraph a run."""
    paragraphs = [one.nodes.get(node, ()) for one in facts if one is not None]
    return "".join(PARAGRAPH.format("<br>".join(map(escape, lines))) for lines in paragraphs if lines)
