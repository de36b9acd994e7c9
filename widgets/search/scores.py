"""Loss and score over the epochs: trace -> ScoresInfo -> figure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.searching.trace import EpochEvent
from widgets import style
from widgets.colours import BEST, TRAIN, VAL

COLUMNS = ("train_loss", "val_loss", "train_score", "val_score")


class ScoresInfo(NamedTuple):
    """Losses and scores (shares, 0 to 1) over the epochs, and the best epoch by validation."""

    epochs: tuple[int, ...]
    train_loss: tuple[float, ...]
    val_loss: tuple[float, ...]
    train_score: tuple[float, ...]
    val_score: tuple[float, ...]
    metric: str
    best_epoch: int
    best_score: float


def scores_info(trace: Iterable[EpochEvent], metric: str = "score", best_epoch: int | None = None) -> ScoresInfo:
    """Collects losses and scores from a trace.

    Args:
        trace: the events of a search.
        metric: the name of the score, for the axis.
        best_epoch: the epoch to mark; by default the first one with the best validation score.

    Raises:
        ValueError: the trace is empty, or has no such epoch.
    """
    events = list(trace)
    if not events:
        raise ValueError("the trace has no epochs yet; run the search first")
    epochs = tuple(event.epoch for event in events)
    columns = {name: tuple(getattr(event, name) for event in events) for name in COLUMNS}
    best = max(events, key=lambda event: event.val_score).epoch if best_epoch is None else best_epoch
    if best not in epochs:
        raise ValueError(f"best_epoch is {best}; the trace has the epochs {epochs[0]} to {epochs[-1]}")
    return ScoresInfo(
        epochs, **columns, metric=metric, best_epoch=best, best_score=columns["val_score"][epochs.index(best)]
    )


def score_curves(info: ScoresInfo, title: str = "", note: str = "") -> go.Figure:
    """Loss on the left, score on the right, the best epoch marked."""
    fig = make_subplots(1, 2, subplot_titles=("loss", info.metric), horizontal_spacing=0.12)
    for trace in loss_traces(info):
        fig.add_trace(trace, 1, 1)
    for trace in score_traces(info):
        fig.add_trace(trace, 1, 2)
    fig.update_layout(
        legend={"orientation": "h", "x": 0.5, "xanchor": "center", "y": -0.22, "yanchor": "top"},
        margin={"l": 70, "r": 30, "t": 24, "b": 100},
    )  # fmt: skip
    style.finish(fig, title or "Loss and score over the epochs", note, height=370)
    fig.update_xaxes(title_text="epoch", **style.epoch_ticks(len(info.epochs), 12))
    fig.update_yaxes(title_text="loss", col=1)
    fig.update_yaxes(title_text=f"{info.metric} [%]", col=2)
    return fig


def loss_traces(info: ScoresInfo) -> list[dict[str, Any]]:
    """Draws two lines: the loss on training and validation."""
    return [
        _line(info.epochs, info.train_loss, "train", TRAIN, "%{y:.4f}", legend=False),
        _line(info.epochs, info.val_loss, "val", VAL, "%{y:.4f}", legend=False),
    ]


def score_traces(info: ScoresInfo) -> list[dict[str, Any]]:
    """Draws two lines and a star: the score in per cent, and the best epoch."""
    return [
        _line(info.epochs, _percent(info.train_score), "train", TRAIN, "%{y:.2f} %"),
        _line(info.epochs, _percent(info.val_score), "val", VAL, "%{y:.2f} %"),
        star(
            info.best_epoch, 100 * info.best_score, f"best: epoch {info.best_epoch}, {100 * info.best_score:.1f} %",
            "%{y:.2f} %",
        ),
    ]  # fmt: skip


def star(epoch: int, value: float, name: str, form: str, unit: str = "epoch") -> dict[str, Any]:
    """Draws the mark of the best epoch, or of the best of what `unit` names."""
    return {
        "type": "scatter", "x": (epoch,), "y": (value,), "mode": "markers", "name": name,
        "marker": {"symbol": "star", "size": 14, "color": BEST, "line": {"color": style.INK, "width": 1}},
        "hovertemplate": f"best {unit} %{{x}}: {form}<extra></extra>",
    }  # fmt: skip


def _percent(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(100 * value, 3) for value in values)


def _line(
    x: tuple[int, ...], y: tuple[float, ...], name: str, colour: str, form: str, legend: bool = True
) -> dict[str, Any]:
    """Returns a plain dictionary: making it a plotly object costs a millisecond."""
    return {
        "type": "scatter", "x": x, "y": y, "name": name, "mode": "lines+markers", "showlegend": legend,
        "line": {"color": colour, "width": 2}, "marker": {"size": 5}, "legendgroup": name,
        "hovertemplate": f"{name}, epoch %{{x}}: {form}<extra></extra>",
    }  # fmt: skip
