"""What a primitive computes, step by step, on a small tensor: primitive and inputs -> LabInfo -> grids of numbers."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import ipywidgets as ipw
import numpy as np
import torch
from torch import Tensor, nn

from bmnas.registry import PRIMITIVES
from bmnas.space.primitives import PAPER_PRIMITIVES, Attention, ConcatFC, LinearGLU
from bmnas.training.steps import seeded
from widgets.live.svg_view import SvgView
from widgets.sheets.sheet import Sheet, above, flow, rows, words
from widgets.sheets.tiles import grid

C, L = 3, 4  # of the small tensor
WEIGHTS, INPUTS = 20, 21  # what a random stream is for
WIDEST = 900.0  # pixels


class Panel(NamedTuple):
    """One intermediate result: what it is, how it came about, its axes, and its numbers (rows, columns)."""

    title: str
    formula: str
    down: str
    across: str
    values: np.ndarray


class LabInfo(NamedTuple):
    """A primitive on one sample: inputs, intermediate results, and what its own `forward` gives."""

    primitive: str
    formula: str
    panels: tuple[Panel, ...]
    result: np.ndarray  # (C, L)


def lab_inputs(count: int = 2, seed: int = 0) -> list[np.ndarray]:
    """Makes small inputs (C, L) with one decimal, so that they can be followed by hand."""
    with seeded((seed, INPUTS), torch.device("cpu")):
        return [np.round(torch.randn(C, L).numpy() * 10) / 10 for _ in range(count)]


def lab_info(primitive: str, inputs: Sequence[np.ndarray], seed: int = 0, mode: str = "paper") -> LabInfo:
    """Computes what a primitive does with inputs (C, L) in eval mode: no dropout, BatchNorm with mean 0, variance 1.

    Args:
        primitive: a name in `PRIMITIVES`; one's own is shown with its inputs and its result.
        inputs: as many as it takes.
        seed: of its weights.
        mode: "paper" or "reference".
    """
    kind = PRIMITIVES[primitive]
    (channels, length) = inputs[0].shape
    with seeded((seed, WEIGHTS), torch.device("cpu")):
        module = kind(channels, length, 0.0, mode).eval()
    tensors = [torch.tensor(part, dtype=torch.float32)[None] for part in inputs]  # (1, C, L)
    with torch.no_grad():
        result = module(*tensors)[0].numpy()
        between = [panel for cls, steps in STEPS.items() if type(module) is cls for panel in steps(module, *tensors)]
    names = [name for name, _ in zip(("x", "y", "z", *"abcdefgh"), inputs, strict=False)]
    panels = [Panel(name, "input", "channel", "position", part) for name, part in zip(names, inputs, strict=True)]
    last = Panel("result", LAST.get(primitive, "what its forward gives"), "channel", "position", result)
    formula = getattr(kind, "formula", primitive)
    return LabInfo(primitive, formula, (*panels, *between, last), result)


def attention_steps(module: Attention, x: Tensor, y: Tensor) -> list[Panel]:
    """Follows Eq. 6: scores, softmax, attended values."""
    scores = x[0].T @ y[0] / math.sqrt(x.shape[1])  # (L, L)
    shares = scores.softmax(-1)  # (L, L)
    attended = (shares @ y[0].T).T  # (C, L)
    return [
        _panel("scores", "x yᵀ / √C", scores, "position of x", "position of y"),
        _panel("softmax", "each row sums to 1", shares, "position of x", "position of y"),
        _panel("attended", "softmax · y", attended),
    ]


def glu_steps(module: LinearGLU, x: Tensor, y: Tensor) -> list[Panel]:
    """Follows Eq. 7: value, gate."""
    both = module.norm(module.conv(torch.cat([x, y], 1)))[0]  # (2C, L)
    value, before = both.chunk(2)  # (C, L) each
    return [
        _panel("value", "x W₁ + b₁", value),
        _panel("before the gate", "y W₂ + b₂", before),
        _panel("gate", "σ(y W₂ + b₂), from 0 to 1", before.sigmoid()),
    ]


def concat_steps(module: ConcatFC, x: Tensor, y: Tensor) -> list[Panel]:
    """Follows Eq. 8: concatenation, linear map."""
    both = torch.cat([x, y], 1)  # (1, 2C, L)
    return [
        _panel("concatenated", "[x; y]", both[0]),
        _panel("linear", "[x; y] W + b", module.norm(module.conv(both))[0]),
    ]


STEPS: dict[type[nn.Module], Any] = {Attention: attention_steps, LinearGLU: glu_steps, ConcatFC: concat_steps}
LAST = {
    "Zero": "0, whatever x and y are",
    "Sum": "x + y",
    "Attention": "LayerNorm(attended)",
    "LinearGLU": "value ⊙ gate",
    "ConcatFC": "ReLU(linear)",
}


def lab_grids(info: LabInfo) -> list[Sheet]:
    """Draws a grid of numbers a panel, in the order of the computation; one colour scale for all."""
    limit = max(1.0, max(float(np.abs(panel.values).max()) for panel in info.panels))
    return [grid(p.values, p.title, p.formula, p.down, p.across, limit) for p in info.panels]


def lab_sheet(info: LabInfo) -> Sheet:
    """Draws the grids below the formula."""
    return above(words([info.formula], True, 15), rows(lab_grids(info), WIDEST))


class PrimitiveLab:
    """Menus and sliders over a primitive and its small inputs.

    Args:
        primitives: what the menu offers.
        mode: "paper" or "reference".
    """

    def __init__(self, primitives: Sequence[str] = PAPER_PRIMITIVES, mode: str = "paper") -> None:
        self.primitives = tuple(primitives)
        self.mode = mode
        self.primitive = "Attention" if "Attention" in self.primitives else self.primitives[0]
        self.inputs = lab_inputs(max(PRIMITIVES[name].arity for name in self.primitives))
        self.seed = 0
        self.scales = [1.0] * len(self.inputs)
        self._box: ipw.VBox | None = None
        self._quiet = False

    def info(self, primitive: str | None = None) -> LabInfo:
        """Computes what the primitive does with the inputs as they are now."""
        name = primitive or self.primitive
        scaled = [scale * part for scale, part in zip(self.scales, self.inputs, strict=True)]
        return lab_info(name, scaled[: PRIMITIVES[name].arity], self.seed, self.mode)

    def twin(self) -> Sheet:
        """Draws every primitive on the inputs as they are now."""
        return above(*(lab_sheet(self.info(name)) for name in self.primitives), gap=18)

    def text(self) -> str:
        """Formulas and results in words."""
        infos = [self.info(name) for name in self.primitives]
        return "\n\n".join(f"{info.formula}\n{np.array2string(info.result, precision=3)}" for info in infos)

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            self._box = self._build()
            self._draw()
        return self._box

    def _build(self) -> ipw.VBox:
        self.menu = ipw.Dropdown(options=self.primitives, value=self.primitive, description="primitive")
        self.weights = ipw.IntSlider(value=0, min=0, max=9, description="weights")
        wide = ipw.Layout(width="260px")
        self.sizes = [
            ipw.FloatSlider(value=1, min=-3, max=3, step=0.1, description=f"scale of {name}", layout=wide)
            for name in "xyzabcdefgh"[: len(self.inputs)]
        ]
        self.which = ipw.Dropdown(options=list("xyzabcdefgh"[: len(self.inputs)]), description="number in")
        self.channel = ipw.IntSlider(value=0, min=0, max=C - 1, description="channel")
        self.position = ipw.IntSlider(value=0, min=0, max=L - 1, description="position")
        self.value = ipw.FloatSlider(value=self.inputs[0][0, 0], min=-3, max=3, step=0.1, description="is")
        self.picture = SvgView()
        for control in (self.menu, self.weights, *self.sizes):
            control.observe(self._changed, "value")
        for control in (self.which, self.channel, self.position):
            control.observe(self._moved, "value")
        self.value.observe(self._set, "value")
        wrap = ipw.Layout(flex_flow="row wrap")
        rows = ([self.menu, self.weights], self.sizes, [self.which, self.channel, self.position, self.value])
        return ipw.VBox([*(ipw.HBox(row, layout=wrap) for row in rows), self.picture])

    def _changed(self, _: Any) -> None:
        self.primitive = str(self.menu.value)
        self.seed = int(self.weights.value)
        self.scales = [float(slider.value) for slider in self.sizes]
        self._draw()

    def _at(self) -> tuple[np.ndarray, tuple[int, int]]:
        return self.inputs[int(self.which.index or 0)], (int(self.channel.value), int(self.position.value))

    def _moved(self, _: Any) -> None:
        """Moves the slider to another number that is looked at."""
        part, place = self._at()
        self._quiet = True
        self.value.value = float(part[place])
        self._quiet = False

    def _set(self, _: Any) -> None:
        if not self._quiet:
            part, place = self._at()
            part[place] = self.value.value
            self._draw()

    def _draw(self) -> None:
        info = self.info()
        self.picture.content = flow([info.formula], lab_grids(info))


def _panel(title: str, formula: str, values: Tensor, down: str = "channel", across: str = "position") -> Panel:
    return Panel(title, formula, down, across, values.numpy())
