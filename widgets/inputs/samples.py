"""What goes in: sample pictures and the shapes of the features."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.space.graph import Modalities, modality_of
from widgets import style
from widgets.colours import feature_colours

MAX_CHANNELS = 48
ASIDE = 70  # pixels for the names of modalities


class SampleRow(NamedTuple):
    """Pictures of one modality, one a sample: (n, height, width), scaled to 0..255."""

    name: str
    pictures: np.ndarray
    colourscale: str
    origin: str  # "upper" for images, "lower" for spectrograms


class FeatureRow(NamedTuple):
    """One feature: its modality and its shape without the samples."""

    name: str
    modality: str
    channels: int
    length: int  # 1 for a vector


def sample_rows(
    pictures: Mapping[str, np.ndarray], spectrograms: Sequence[str] = (), photographs: bool = False
) -> tuple[SampleRow, ...]:
    """Pictures (n, height, width) by modality; those named in `spectrograms` have their low frequencies below.

    Large numbers are dark, as ink is, or light in photographs.

    Raises:
        ValueError: an array is not (n, height, width), or the numbers of samples differ.
    """
    rows = []
    grey = "gray" if photographs else "Greys"
    for name, array in pictures.items():
        if array.ndim != 3:
            raise ValueError(f"{name}: shape {array.shape}; expected (samples, height, width)")
        is_sound = name in spectrograms
        rows.append(
            SampleRow(name, _to_bytes(array), style.HEAT if is_sound else grey, "lower" if is_sound else "upper")
        )
    if len({len(row.pictures) for row in rows}) > 1:
        raise ValueError(f"numbers of samples differ: { ({row.name: len(row.pictures) for row in rows}) }")
    return tuple(rows)


def sample_grid(
    rows: Sequence[SampleRow], labels: Sequence[str], title: str = "Samples", note: str = "", cell: int = 104
) -> go.Figure:
    """Draws a column a sample with its label above, a row a modality; pictures of at most `cell` pixels."""
    count = len(labels)
    cell = min(cell, max(48, (style.WIDTH - ASIDE) // max(1, count)))
    fig = make_subplots(
        len(rows), count, column_titles=[escape(str(label)) for label in labels],
        row_titles=[escape(row.name) for row in rows], horizontal_spacing=0.012, vertical_spacing=0.04,
    )  # fmt: skip
    for r, row in enumerate(rows, start=1):
        for c in range(count):
            heat = go.Heatmap(z=row.pictures[c], colorscale=row.colourscale, showscale=False, zmin=0, zmax=255,
                              hoverinfo="skip")  # fmt: skip
            fig.add_trace(heat, r, c + 1)
        fig.update_yaxes(autorange="reversed" if row.origin == "upper" else True, row=r)
    fig.update_layout(margin={"l": 16, "r": 40, "t": 30, "b": 16})
    style.finish(fig, title, note, height=cell * len(rows) + 54, width=max(style.NARROW, cell * count + ASIDE))
    fig.update_xaxes(visible=False)
    fig.update_yaxes(visible=False)
    return fig


def feature_rows(arrays: Mapping[str, np.ndarray], modalities: Modalities | None = None) -> tuple[FeatureRow, ...]:
    """Lists the shapes of features (n, C_in, L), or (n, C_in) for vectors."""
    return tuple(
        FeatureRow(name, modality_of(name, modalities), array.shape[1], array.shape[2] if array.ndim == 3 else 1)
        for name, array in arrays.items()
    )


def feature_bars(rows: Sequence[FeatureRow], title: str = "Features", note: str = "") -> go.Figure:
    """Draws a bar a feature: its channels, with its shape beside it."""
    modalities = {row.modality: [one.name for one in rows if one.modality == row.modality] for row in rows}
    colours = feature_colours([row.name for row in rows], modalities)
    fig = go.Figure(
        go.Bar(
            x=[row.channels for row in rows], y=[escape(row.name) for row in rows], orientation="h", width=0.6,
            marker_color=[colours[row.name] for row in rows], cliponaxis=False, textposition="outside",
            text=[_shape_text(row) for row in rows], hovertemplate="%{y}: %{x} channels<extra></extra>",
        )
    )  # fmt: skip
    fig.update_layout(margin={"l": 20, "r": 190, "t": 10, "b": 60})
    style.finish(fig, title, note, height=34 * len(rows) + 84)
    channels = [row.channels for row in rows]
    ends = [float(np.floor(np.log10(min(channels)) - 0.01)), float(np.log10(max(channels))) + 0.02]
    fig.update_xaxes(title_text="channels C_in (logarithmic)", type="log", dtick=1, range=ends)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig


def feature_maps(
    arrays: Mapping[str, np.ndarray], row: int, title: str = "Features of one sample", note: str = ""
) -> go.Figure:
    """Draws the features of a sample as pictures: channels down (at most 48, those that vary most), positions across.

    The colours of each go from its least value (dark) to its largest (bright), which stand beside its name.
    """
    columns = min(4, len(arrays))
    lines = -(-len(arrays) // columns)
    pictures = [
        _most_varying(np.atleast_3d(array[row : row + 1])[0], np.atleast_3d(array)) for array in arrays.values()
    ]
    named = [f"{escape(name)}: {x.min():.2g} to {x.max():.2g}" for name, x in zip(arrays, pictures, strict=True)]
    fig = make_subplots(
        lines, columns, subplot_titles=named, horizontal_spacing=0.06, vertical_spacing=min(0.3, 90 / (lines * 230)),
    )  # fmt: skip
    for i, picture in enumerate(pictures):
        heat = go.Heatmap(z=_to_bytes(picture[None])[0], colorscale=style.HEAT, showscale=False, hoverinfo="skip")
        line, column = i // columns + 1, i % columns + 1
        fig.add_trace(heat, line, column)
        fig.update_xaxes(dtick=max(1, picture.shape[1] // 4), row=line, col=column)
    fig.update_layout(margin={"l": 60, "r": 20, "t": 20, "b": 50})
    style.finish(fig, title, note, height=lines * 230 + 60)
    fig.update_xaxes(title_text="position", tickformat="d", showgrid=False)
    fig.update_yaxes(showticklabels=False, ticks="", showgrid=False)
    fig.update_yaxes(title_text="channel", col=1)
    return fig


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Scales pictures (n, h, w) to bytes, each from its own least to its own largest value."""
    data = np.asarray(array, dtype=np.float32)
    low, high = data.min(axis=(1, 2), keepdims=True), data.max(axis=(1, 2), keepdims=True)
    return np.round(255 * (data - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)


def _most_varying(picture: np.ndarray, array: np.ndarray) -> np.ndarray:
    """Chooses the channels of largest deviation over the samples, (C_in, L) -> (at most 48, L), in their order."""
    deviation = np.asarray(array[:256], dtype=np.float32).std(axis=(0, 2))
    return np.asarray(picture)[np.sort(np.argsort(-deviation, kind="stable")[:MAX_CHANNELS])]


def _shape_text(row: FeatureRow) -> str:
    return (
        f"{row.channels} channels, vector" if row.length == 1 else f"{row.channels} channels × {row.length} positions"
    )
