"""The diagnosis as pictures: what modalities know, which features are alike, and how a network uses its modalities."""

from collections.abc import Mapping
from html import escape

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from bmnas.space.graph import Modalities
from bmnas.trust.diagnosis import Diagnosis
from bmnas.trust.knowledge import Bits, Knowledge
from bmnas.trust.modality_use import ModalityUse
from bmnas.trust.redundancy import RedundancyMap
from widgets import style
from widgets.colours import GREY, INK, feature_colours, modality_colours, tint

ROW = 34  # pixels a row of bars
LATE, JOINT = "tuned late fusion", "fused features"
MOST_LABELS = 12  # features of which the map prints its numbers


def knowledge_table(diagnosis: Diagnosis) -> pd.DataFrame:
    """Makes a row a modality, late fusion and the joint probe: the bits that each knows, with their 95 % intervals."""
    rows = [_row(name, bits) for name, bits in _known(diagnosis.knowledge).items()]
    rows.append(_row("headroom: fused features beyond late fusion", diagnosis.knowledge.headroom))
    return pd.DataFrame(rows)


def knowledge_figure(diagnosis: Diagnosis, title: str = "What is known of the targets") -> go.Figure:
    """Draws what each modality knows and what they know together, and how that comes apart."""
    measures = _known(diagnosis.knowledge)
    parts = diagnosis.decomposition
    colours = modality_colours(diagnosis.knowledge.own)
    look = {**colours, LATE: GREY, JOINT: INK}
    pieces = parts.parts() if parts else {}
    titles = ["what each knows", f"{parts.first} and {parts.second}" if parts else ""]
    fig = make_subplots(1, 2 if parts else 1, column_widths=[0.62, 0.38] if parts else None,
                        horizontal_spacing=0.2, subplot_titles=titles[: 2 if parts else 1])  # fmt: skip
    fig.add_bar(
        x=[bits.mean for bits in measures.values()], y=list(measures), orientation="h", width=0.62, row=1, col=1,
        marker_color=[tint(look[name], 0.55) for name in measures],
        error_x={
            "array": [bits.high - bits.mean for bits in measures.values()],
            "arrayminus": [bits.mean - bits.low for bits in measures.values()],
            "color": INK, "thickness": 1.5, "width": 5,
        },
        hovertext=[f"{escape(name)}: {bits}" for name, bits in measures.items()], hoverinfo="text",
    )  # fmt: skip
    if parts:
        fig.add_bar(
            x=list(pieces.values()), y=list(pieces), orientation="h", width=0.62, row=1, col=2,
            marker_color=[tint(colour, 0.7) for colour in (GREY, *style.PALETTE[2:5])],
            text=[f" {bits:.2f}" for bits in pieces.values()], textposition="outside", cliponaxis=False,
            hovertext=[f"{escape(name)}: {bits:.3f} bits" for name, bits in pieces.items()], hoverinfo="text",
        )  # fmt: skip
        fig.update_xaxes(range=[0, 1.25 * max([*pieces.values(), 0.1])], row=1, col=2)
    unit = "bits a label" if diagnosis.multilabel else "bits"
    entropy = diagnosis.knowledge.entropy
    fig.add_vline(x=entropy, line={"color": GREY, "dash": "dot"}, row=1, col=1)  # type: ignore[arg-type]
    fig.update_layout(showlegend=False, margin={"l": 20, "r": 30, "t": 20, "b": 50})
    aid = f"bars: {unit}, with 95 % intervals; dotted: H(Y) = {entropy:.2f}, all there is to know"
    style.finish(fig, title, diagnosis.notes, aid, height=ROW * max(len(measures), 4) + 100)
    fig.update_xaxes(title_text=unit)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    return fig


def redundancy_figure(
    redundancy: RedundancyMap,
    title: str = "Which features say the same",
    note: str = "",
    modalities: Modalities | None = None,
) -> go.Figure:
    """Draws the CKA of all pairs of features, beside what each of them knows alone."""
    names, pair = list(redundancy.names), redundancy.best_product
    titles = ["linear CKA:<br>0 unlike, 1 the same", "merit: bits that<br>it knows alone"]
    fig = make_subplots(1, 2, column_widths=[0.66, 0.34], shared_yaxes=True, subplot_titles=titles)
    numbers = redundancy.similarity
    fig.add_heatmap(
        z=numbers, x=names, y=names, zmin=0, zmax=1, colorscale="Greys", showscale=False, row=1, col=1,
        texttemplate="%{z:.2f}" if len(names) <= MOST_LABELS else None, textfont={"size": 11},
        hovertemplate="%{x}, %{y}: CKA %{z:.2f}<extra></extra>",
    )  # fmt: skip
    of_pair = set(pair or ())
    looks = feature_colours(names, modalities)
    fig.add_bar(
        x=[redundancy.merits[name] for name in names], y=names, orientation="h", width=0.62, row=1, col=2,
        marker_color=[looks[name] if name in of_pair else tint(looks[name], 0.35) for name in names],
        hovertemplate="%{y}: %{x:.2f} bits<extra></extra>",
    )  # fmt: skip
    words = "in full colour: the pair of the largest product of these bits; its CKA is"
    aid = f"{words} {redundancy.of(*pair):.2f}" if pair else ""
    fig.update_layout(showlegend=False, margin={"l": 20, "r": 30, "t": 36, "b": 50})
    style.finish(fig, title, note, aid, height=30 * len(names) + 136)
    fig.update_yaxes(autorange="reversed", showgrid=False)
    fig.update_xaxes(tickangle=-35, row=1, col=1)
    return fig


def use_figure(use: ModalityUse, title: str = "How the network uses its modalities", note: str = "") -> go.Figure:
    """Draws the score of the network, without each modality, with each alone, and of its additive projection."""
    kinds = {
        "all": [use.score] * len(use.without),
        "without it": list(use.without.values()),
        "it alone": list(use.alone.values()),
        "Shapley value": list(use.shapley.values()),
    }
    if use.additive_scores:
        kinds["without its interaction (EMAP)"] = [use.additive_scores[name] for name in use.without]
    names = list(use.without)
    fig = go.Figure()
    for (kind, scores), colour in zip(kinds.items(), (GREY, *style.PALETTE[:4]), strict=False):
        fig.add_bar(
            x=names, y=[100 * score for score in scores], name=kind, marker_color=tint(colour, 0.75),
            text=[f"{100 * score:.0f}" for score in scores], textposition="outside", cliponaxis=False,
            hovertemplate=f"{kind}, %{{x}}: %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    fig.add_hline(y=100 * use.empty, line={"color": INK, "dash": "dot"})
    aid = f"dotted: {100 * use.empty:.0f} %, all modalities replaced by their means"
    if use.additive_scores:
        aid += f"; EMAP on {use.paired_rows} rows, of which the network has {100 * use.paired_score:.1f} %"
    fig.update_layout(
        barmode="group", bargap=0.25, margin={"l": 60, "r": 20, "t": 10, "b": 50},
        legend=style.BELOW,
    )  # fmt: skip
    style.finish(fig, title, note, aid, height=400)
    fig.update_yaxes(title_text=f"{escape(use.metric)} [%]", rangemode="tozero")
    return fig


def headroom_figure(
    measures: Mapping[str, Knowledge], title: str = "Headroom over tuned late fusion", note: str = ""
) -> go.Figure:
    """Draws the headroom of several feature sets as shares of H(Y), with the margin below which it does not matter."""
    names = list(measures)
    shares = [_share(one) for one in measures.values()]
    look = {"can help": style.PALETTE[2], "cannot help": GREY, "undecided": style.PALETTE[1]}
    fig = go.Figure(
        go.Scatter(
            x=[share.mean for share in shares], y=names, mode="markers+text", textposition="top center",
            text=[one.verdict for one in measures.values()], cliponaxis=False,
            marker={"size": 11, "color": [look[one.verdict] for one in measures.values()]},
            error_x={
                "array": [share.high - share.mean for share in shares],
                "arrayminus": [share.mean - share.low for share in shares], "thickness": 1.5, "width": 5, "color": INK,
            },
            hovertext=[escape(one.sentence()) for one in measures.values()], hoverinfo="text",
        )
    )  # fmt: skip
    margin = 100 * next(iter(measures.values())).margin / next(iter(measures.values())).entropy
    fig.add_vrect(x0=-margin, x1=margin, fillcolor="#DDE6EC", opacity=0.6, line_width=0, layer="below")
    aid = f"95 % intervals; grey ground: less than {margin:.0f} % of H(Y), which does not matter"
    fig.update_layout(showlegend=False, margin={"l": 20, "r": 40, "t": 0, "b": 55})
    style.finish(fig, title, note, aid, height=58 * len(names) + 80)
    fig.update_xaxes(title_text="bits that fused features know beyond late fusion [% of H(Y)]")
    fig.update_yaxes(range=[len(names) - 0.5, -0.7], showgrid=False)
    return fig


def _known(knowledge: Knowledge) -> dict[str, Bits]:
    several = len(knowledge.own) > 1
    return {**knowledge.own, **({LATE: knowledge.late, JOINT: knowledge.joint} if several else {})}


def _row(name: str, bits: Bits) -> dict[str, object]:
    return {"source": name, "bits": bits.mean, "from": bits.low, "to": bits.high}


def _share(knowledge: Knowledge) -> Bits:
    """The headroom in per cent of H(Y)."""
    scale = 100 / knowledge.entropy
    h = knowledge.headroom
    return Bits(scale * h.mean, scale * h.low, scale * h.high)
