"""The panels beside the weights: how undecided the search is, its score and its loss."""

from html import escape
from typing import Any

from widgets.colours import TRAIN
from widgets.search.panel import Panel, SearchView
from widgets.search.scores import loss_traces, score_traces, scores_info, star
from widgets.search.weights import SYMBOLS
from widgets.style import DASHES, INK

TRAIN_AND_VAL = f'<span style="color:{TRAIN}">━ train</span> ━ val'
LINES = ("━", "╍", "┈")  # DASHES in a heading
MARKED = 24  # epochs with a mark of their own; hundreds of marks would weigh more than all lines


class EntropyPanel(Panel):
    """Shows the mean entropy of the choices of each kind, from 1 (undecided) to 0 (decided).

    A kind of weights without a choice has no line.
    """

    def heading(self, view: SearchView) -> str:
        entropy = view.last.architecture.entropy() if view.events else dict.fromkeys(SYMBOLS, 1.0)
        looks = zip(SYMBOLS.items(), LINES, strict=True)
        lines = [f"{symbol} {line}" for (kind, symbol), line in looks if entropy[kind] is not None]
        return " ".join(["<b>entropy</b>", *lines])

    def traces(self, view: SearchView) -> list[dict[str, Any]]:
        entropies = [event.architecture.entropy() for event in view.events]
        lines = []
        for (kind, symbol), dash in zip(SYMBOLS.items(), DASHES, strict=False):
            if values := [round(mean, 4) for one in entropies if (mean := one[kind]) is not None]:
                lines.append({
                    "type": "scatter", "x": view.epochs, "y": values, "name": symbol,
                    "mode": "lines+markers" if len(values) == 1 else "lines", "marker": {"size": 5},
                    "line": {"color": INK, "dash": dash, "width": 2}, "legendgroup": f"entropy {kind}",
                    "hovertemplate": f"entropy of {kind}<br>epoch %{{x}}: %{{y:.3f}}<extra></extra>",
                })  # fmt: skip
        return lines

    def yaxis(self, view: SearchView) -> dict[str, Any]:
        return {"autorangeoptions": {"include": [0.9, 1.005]}}

    def aid(self, view: SearchView) -> str:
        return "entropy: the mean of all choices, 1 is undecided, 0 is decided"


class ScorePanel(Panel):
    """Shows the scores of training and validation in per cent, and the best epoch."""

    def heading(self, view: SearchView) -> str:
        metric = escape(view.last.metric) if view.events else "score"
        return f"<b>{metric} [%]</b>"

    def traces(self, view: SearchView) -> list[dict[str, Any]]:
        info = scores_info(view.events, view.last.metric, view.last.best_epoch)
        *lines, best = score_traces(info)
        return [*map(_curve, lines), best | {"showlegend": False}]

    def aid(self, view: SearchView) -> str:
        return f"star: best epoch ({view.last.best_epoch}, {100 * view.last.best_score:.1f} %)"


class LossPanel(Panel):
    """Shows the losses of training and validation, and the best epoch."""

    def heading(self, view: SearchView) -> str:
        return f"<b>loss</b> {TRAIN_AND_VAL}"

    def traces(self, view: SearchView) -> list[dict[str, Any]]:
        info = scores_info(view.events, view.last.metric, view.last.best_epoch)
        best = star(info.best_epoch, round(view.best.val_loss, 4), "best epoch", "%{y:.4f}")
        return [*map(_curve, loss_traces(info)), best | {"showlegend": False}]


def _curve(line: dict[str, Any]) -> dict[str, Any]:
    mode = "lines+markers" if len(line["x"]) <= MARKED else "lines"
    return line | {"mode": mode, "showlegend": False, "y": [round(value, 4) for value in line["y"]]}
