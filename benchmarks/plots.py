"""Static pictures of what the benchmarks wrote, by plotly; without a Chromium or Chrome there are none.

python benchmarks/plots.py benchmarks/results docs/pictures
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
import plotly.io as pio
from plotly.subplots import make_subplots

COLOURS = {"release style": "#D55E00", "formula": "#0072B2", "algebra": "#009E73"}
GREY = "#888888"
FONT = {"family": "sans-serif", "size": 13}
UNITS = {"samples": "training samples (epoch)", "B": "B (samples in a batch)", "K": "K (features)"}


def scaling(results: dict) -> go.Figure:
    """Draws one panel a size: CPU time over that of the smallest value, both axes by powers of two."""
    sizes = results["sizes"]
    fig = make_subplots(2, 4, subplot_titles=[UNITS.get(size, size) for size in sizes], vertical_spacing=0.16)
    for place, rows in enumerate(sizes.values()):
        row = place // 4 + 1
        column = place % 4 + 1
        values = [int(value) for value in rows]
        for name, colour in COLOURS.items():
            grown = [variants[name]["times the smallest"] for variants in rows.values() if name in variants]
            if grown:
                _line(fig, values, grown, name, colour, place == 0, row, column)
        linear = [value / values[0] for value in values]
        line = {"x": values, "y": linear, "name": "in proportion", "line": {"color": GREY, "dash": "dot", "width": 1}}
        fig.add_trace(go.Scatter(**line, mode="lines", showlegend=place == 0), row, column)
        fig.update_xaxes(type="log", tickvals=values, ticktext=[str(v) for v in values], row=row, col=column)
    ticks = [1, 2, 4, 8, 16]
    fig.update_yaxes(type="log", tickvals=ticks, ticktext=[f"{t}x" for t in ticks], range=[-0.1, 1.2])
    _finished(fig, "Time of a search step, times that of the smallest size (quartiles as bars)", 620)
    return fig.update_layout(legend={"orientation": "v", "x": 0.82, "y": 0.3, "xanchor": "left", "yanchor": "middle"})


def _line(
    fig: go.Figure, x: list[int], grown: list[dict], name: str, colour: str, legend: bool, row: int, column: int
) -> None:
    y = [one["median"] for one in grown]
    bars = {
        "array": [one["high"] - one["median"] for one in grown],
        "arrayminus": [one["median"] - one["low"] for one in grown],
        "thickness": 1,
    }
    line = go.Scatter(x=x, y=y, error_y=bars, name=name, line={"color": colour}, showlegend=legend, legendgroup=name)
    fig.add_trace(line, row, column)


def step(results: dict) -> go.Figure:
    """Draws release style over each variant, by case and kind of step; quartiles as bars."""
    fig = go.Figure()
    shown = {"formula": "reference, formula", "algebra": "reference, algebra"}
    for name, variant in shown.items():
        labels, middles, low, high = [], [], [], []
        for case, about in results["cases"].items():
            for kind, row in about["cpu"][variant].items():
                labels.append(f"{case}, {kind}")
                middles.append(row["ratio"])
                low.append(row["ratio"] - row["ratio_quartiles"][0])
                high.append(row["ratio_quartiles"][1] - row["ratio"])
        bars = {"array": high, "arrayminus": low, "thickness": 1}
        fig.add_trace(go.Bar(x=labels, y=middles, error_y=bars, name=name, marker_color=COLOURS[name]))
    fig.update_yaxes(title="release style / it")
    return _finished(fig, "How many times faster a search step is than the release's style, its pooling included", 420)


def seeds(results: dict) -> go.Figure:
    """Draws an epoch of S seeds at once, over an epoch of one."""
    rows = {int(count): row["at once / one"] for count, row in results["seeds"].items() if "at once / one" in row}
    x = [1, *rows]
    y = [1.0, *(row["median"] for row in rows.values())]
    bars = {
        "array": [0, *(row["high"] - row["median"] for row in rows.values())],
        "arrayminus": [0, *(row["median"] - row["low"] for row in rows.values())],
    }
    fig = go.Figure(go.Scatter(x=x, y=y, error_y=bars, name="at once", line={"color": COLOURS["algebra"]}))
    fig.add_trace(go.Scatter(x=x, y=x, name="one after another", line={"color": GREY, "dash": "dot"}))
    fig.update_xaxes(title="S (seeds)", type="log", tickvals=x)
    fig.update_yaxes(title="times an epoch of one seed", type="log", tickvals=x)
    return _finished(fig, "Time of an epoch of several seeds, times that of one (digits)", 420)


def workers(results: dict) -> go.Figure:
    """Draws the time of the same jobs by several workers, over that of one."""
    rows = {int(count): row["of one worker"] for count, row in results["workers"].items()}
    x = list(rows)
    bars = {
        "array": [row["high"] - row["median"] for row in rows.values()],
        "arrayminus": [row["median"] - row["low"] for row in rows.values()],
    }
    y = [row["median"] for row in rows.values()]
    fig = go.Figure(go.Scatter(x=x, y=y, error_y=bars, name="measured", line={"color": COLOURS["algebra"]}))
    proportion = [1 / count for count in x]
    fig.add_trace(go.Scatter(x=x, y=proportion, name="in proportion", line={"color": GREY, "dash": "dot"}))
    fig.update_xaxes(title="workers", type="log", tickvals=x)
    fig.update_yaxes(title="share of one worker's time", range=[0, 1.1])
    return _finished(fig, f"Wall time of {results['jobs']} trainings by several workers (digits)", 380)


def memory(results: dict) -> go.Figure:
    """Draws measured and foreseen peaks."""
    rows = results["settings"]
    fig = go.Figure()
    for name, field, colour in (("measured", "measured_mb", "#0072B2"), ("foreseen", "foreseen_mb", "#E69F00")):
        fig.add_trace(go.Bar(x=list(rows), y=[row[field] for row in rows.values()], name=name, marker_color=colour))
    fig.update_yaxes(title="MB")
    return _finished(fig, "Memory of a search at NTU 1's shapes: largest resident set in an epoch", 420)


def extraction(results: dict) -> go.Figure:
    """Draws the share of the bare backbone's pace."""
    rows = results["backbones"]
    share = [row["share"]["median"] if isinstance(row["share"], dict) else row["share"] for row in rows.values()]
    text = [f"{value:.2f}" for value in share]
    fig = go.Figure(go.Bar(x=list(rows), y=share, text=text, marker_color="#0072B2"))
    fig.update_yaxes(title="share of the bare pace", range=[0, 1.1])
    return _finished(fig, "Pace of an extraction, as a share of the bare backbone's", 380)


def _finished(fig: go.Figure, title: str, height: int) -> go.Figure:
    fig.update_layout(
        title=title, template="plotly_white", font=FONT, width=1000, height=height, margin={"l": 60, "r": 20, "b": 50},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )  # fmt: skip
    return fig


PLOTS: dict[str, Callable[[dict], go.Figure]] = {
    "scaling": scaling, "step": step, "seeds": seeds, "workers": workers, "memory": memory, "extraction": extraction,
}  # fmt: skip


def draw(results: Path, pictures: Path) -> list[Path]:
    """Draws a picture bench_<name>.png of each file of results that is there; one browser makes them all."""
    drawn = {
        pictures / f"bench_{name}.png": plot(json.loads(source.read_text(encoding="utf-8")))
        for name, plot in PLOTS.items()
        if (source := results / f"{name}.json").exists()
    }
    if not drawn:
        return []
    pictures.mkdir(parents=True, exist_ok=True)
    try:
        layouts = [fig.to_dict()["layout"] for fig in drawn.values()]
        width, height = ([layout[side] for layout in layouts] for side in ("width", "height"))
        pio.write_images(list(drawn.values()), list(drawn), width=width, height=height)  # else all are 700 by 500
    except Exception as error:  # kaleido names no exceptions of its own; the numbers are there without it
        print(f"no pictures: no Chromium or Chrome was found or it did not start ({type(error).__name__})")
        return []
    print(*drawn, sep="\n", flush=True)
    return list(drawn)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
