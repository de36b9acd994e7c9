"""The discretisation gap: the hypernet's validation score on the way from its soft weights to the derived one-hot ones.

Share 0 is the hypernet as it was searched; at share 1 every alpha, beta and gamma is 0 or 1, as the genotype says. The
hypernet still feeds the sum of a Cell's pair to both x and y there; the genotype's own network feeds them apart. Its
score with the same weights is the last step of the way.
"""

import copy
from typing import Any, NamedTuple

import ipywidgets as ipw
import networkx as nx
import torch
from torch import Tensor

from bmnas.features.feature_set import FeatureSet
from bmnas.machine import resolve_device
from bmnas.searching.filling import objective_of
from bmnas.searching.inherited_score import InheritedScore, batch_statistics
from bmnas.searching.networks import build_hypernet
from bmnas.searching.run_folder import Run
from bmnas.space.architecture import Architecture
from bmnas.space.genotype import Genotype, step_name
from bmnas.space.graph import Modalities, hypernet_graph
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.objective import Objective, plain_objective
from bmnas.training.steps import predict
from widgets.colours import BEST, GREY, INK
from widgets.live.svg_view import SvgView
from widgets.networks.dag import CAPTION, DOTTED
from widgets.networks.levels import dag_sheet, dag_sheets
from widgets.networks.titles import network_title
from widgets.sheets.chart import Line, Point, chart
from widgets.sheets.sheet import Sheet, above, flow, words

TITLE = "From soft to one-hot weights of the last epoch"
POINTS = 21  # of the curve; the slider stops at each of them, so that its marks lie on the lines


class GapInfo(NamedTuple):
    """Validation scores (shares of 1) along the way, and of the genotype's own network."""

    shares: tuple[float, ...]
    running: tuple[float, ...]  # BatchNorm with the running statistics of the search, as its own score has
    batch: tuple[float, ...]  # BatchNorm with the statistics of the validation split
    inherited: float  # the genotype's network with the hypernet's weights, statistics of the validation split
    metric: str
    network: str  # whose it is
    genotype: Genotype
    notes: str


def between(soft: Architecture, genotype: Genotype, share: float) -> Architecture:
    """Mixes (1 - share) of the soft weights with `share` of the genotype's one-hot ones."""

    def mix(weights: dict[str, float], chosen: tuple[str, ...]) -> dict[str, float]:
        return {name: (1 - share) * weight + share * (name in chosen) for name, weight in weights.items()}

    alpha, beta, gamma = {}, {}, {}
    for (cell, edges), choice in zip(soft.alpha.items(), genotype.cells, strict=True):
        steps = {step_name(m): step for m, step in enumerate(choice.steps, start=1)}
        alpha[cell] = mix(edges, choice.inputs)
        beta[cell] = {key: mix(weights, steps[key].inputs) for key, weights in soft.beta[cell].items()}
        gamma[cell] = {key: mix(weights, (steps[key].primitive,)) for key, weights in soft.gamma[cell].items()}
    return Architecture(alpha, beta, gamma)


@torch.no_grad()
def steer(hypernet: Hypernet, weights: Architecture) -> None:
    """Sets alpha, beta and gamma so that their softmax is `weights`; 0 and 1 become exact (a logit of -inf)."""
    for cell, module in hypernet.named_cells().items():
        module.alpha.copy_(_edge_logits(weights.alpha[cell]))
        for step, part in module.named_steps().items():
            part.beta.copy_(_edge_logits(weights.beta[cell][step]))
            part.gamma.copy_(torch.tensor(list(weights.gamma[cell][step].values())).log())


class Gap:
    """Scores of a hypernet on the validation split at any share of the way to a genotype.

    Args:
        hypernet: trained; it is copied, not changed.
        genotype: where the way leads.
        features: of the search.
        epoch: whose weights these are.
        device: where it computes.
        best_epoch: the epoch of the best validation score.
        objective: whose score is shown; that of the kind of task when None.
    """

    def __init__(
        self,
        hypernet: Hypernet,
        genotype: Genotype,
        features: FeatureSet,
        epoch: int = 0,
        device: str = "cpu",
        best_epoch: int = 0,
        objective: Objective | None = None,
    ) -> None:
        self.objective = objective or plain_objective(features.kind)
        self.genotype = genotype
        self.features = features
        other = "" if epoch == best_epoch else f", the last; Algorithm 1's is of epoch {best_epoch}"
        self.network = f"{network_title(epoch, best_epoch)}{other}"
        self.tensors = features.tensors(device)
        self.own = copy.deepcopy(hypernet).to(self.tensors.device)
        self.soft = self.own.architecture()
        self.running = copy.deepcopy(self.own)
        self.batch = copy.deepcopy(self.own)
        batch_statistics(self.batch)
        self.modalities: Modalities = features.modalities
        self._scores: dict[float, tuple[float, float]] = {}

    @classmethod
    def of(cls, run: Run, features: FeatureSet | None = None) -> "Gap":
        """Reads the hypernet of a run's last epoch and the genotype derived from it.

        Raises:
            RunError: no epoch was finished, the record is damaged, or a primitive was edited since.
        """
        state = run.last_state()
        features = features or run.features()
        config = run.config()
        run.check_same(config, features)
        hypernet = build_hypernet(features, config)
        hypernet.load_state_dict(state["hypernet"])
        event = run.trace().at(state["epoch"])
        device = str(resolve_device(config.device))
        objective = objective_of(features, config)
        return cls(hypernet, event.genotype, features, event.epoch, device, event.best_epoch, objective)

    def weights(self, share: float) -> Architecture:
        """Returns the weights at a share."""
        return between(self.soft, self.genotype, share)

    def scores(self, share: float) -> tuple[float, float]:
        """Computes the validation scores with running statistics and with those of the split, once a share."""
        share = round(share, 4)
        if share not in self._scores:
            self._scores[share] = self._score(share)
        return self._scores[share]

    def info(self, points: int = POINTS) -> GapInfo:
        """Returns the scores at equal distances."""
        shares = tuple(i / (points - 1) for i in range(points))
        running, batch = zip(*map(self.scores, shares), strict=True)
        inherited = InheritedScore(self.own, self.tensors, self.objective)(self.genotype)
        metric = self.objective.metric
        return GapInfo(shares, running, batch, inherited, metric, self.network, self.genotype, self.features.notes)

    @torch.no_grad()
    def _score(self, share: float) -> tuple[float, float]:
        rows = self.tensors.rows("val")
        if share == 0:  # the logits themselves, so that the score is the search's own to the last bit
            for net in (self.running, self.batch):
                pairs = zip(self.own.architecture_parameters(), net.architecture_parameters(), strict=True)
                for old, new in pairs:
                    new.copy_(old)
        else:
            for net in (self.running, self.batch):
                steer(net, self.weights(share))
        features, targets = self.tensors.batch(rows)
        return (
            metrics.score(self.objective, *predict(self.running, self.tensors, rows)),
            metrics.score(self.objective, self.batch(features), targets),
        )


def gap_sheet(info: GapInfo, share: float | None = None, now: tuple[float, float] | None = None) -> Sheet:
    """Draws the score along the way, with statistics of both kinds, and the genotype's own network at its end."""
    looks = ((INK, ""), (GREY, "6 4"))
    names = ("hypernet, BatchNorm statistics of the search", "hypernet, BatchNorm statistics of the validation split")
    rows = zip(names, (info.running, info.batch), looks, strict=True)
    lines = [Line(name, info.shares, [100 * v for v in values], *look) for name, values, look in rows]
    label = f"derived network: {_percent(info.inherited)}"
    points = [Point(1, 100 * info.inherited, BEST, hover=label, label=label, shape="diamond")]
    if share is not None and now is not None:
        marks = zip(now, looks, strict=True)
        points += [Point(share, 100 * value, look[0], hover=_percent(value), shape="ring") for value, look in marks]
    y_title = f"{info.metric} on val [%]"
    return chart(lines, points, TITLE, "share of the way: 0 soft, 1 one-hot", y_title, (620, 360), at=share)


class GapSlider:
    """A slider from soft to one-hot: the hypernet's weights as a graph, and its validation score.

    Args:
        gap: what computes the scores.
    """

    def __init__(self, gap: Gap) -> None:
        self.gap = gap
        self.info = gap.info()
        self.share = 0.0
        self.opened = "Cell_1"
        self._box: ipw.VBox | None = None

    def content(self) -> str:
        """Draws scores and graph at the share as HTML."""
        now = self.gap.scores(self.share)
        scores = f"share {self.share:.2f}: {_percent(now[0])} with the BatchNorm statistics of the search, "
        scores += f"{_percent(now[1])} with those of the validation split"
        network = dag_sheets(self._graph(self.share), [self.opened], caption=False)
        return flow(
            [self.info.network, scores], [gap_sheet(self.info, self.share, now)], network, aid=f"{CAPTION}; {DOTTED}"
        )

    def twin(self) -> Sheet:
        """Draws the curve, and the graph at its start, middle and end."""
        shares = (0, 0.5, 1)
        parts = [above(words([f"share {s:g}"], True), dag_sheet(self._graph(s), [self.opened])) for s in shares]
        return above(words([self.info.network], True), gap_sheet(self.info), *parts)

    def text(self) -> str:
        """Returns the scores in words."""
        info = self.info
        ends = f"soft {_percent(info.running[0])}, one-hot {_percent(info.running[-1])} (statistics of the search) or "
        ends += f"{_percent(info.batch[-1])} (of the validation split), derived network {_percent(info.inherited)}"
        return f"{TITLE}. {info.network}; {info.metric} on val: {ends}"

    def box(self) -> ipw.VBox:
        """Makes the live controls, once."""
        if self._box is None:
            step = 1 / (POINTS - 1)
            wide = ipw.Layout(width="420px", max_width="97%")
            self.slider = ipw.FloatSlider(value=0, min=0, max=1, step=step, description="one-hot", layout=wide)
            self.picture = SvgView(self.content(), self._clicked)
            self.slider.observe(self._changed, "value")
            self._box = ipw.VBox([self.slider, self.picture])
        return self._box

    def _changed(self, _: Any) -> None:
        self.share = float(self.slider.value)
        self.picture.content = self.content()

    def _clicked(self, node: str) -> None:
        """Opens a Cell."""
        if node in self.gap.soft.alpha:
            self.opened = node
            self.picture.content = self.content()

    def _graph(self, share: float) -> nx.DiGraph:
        return hypernet_graph(self.gap.weights(share), self.gap.genotype, self.gap.modalities)


def _edge_logits(weights: dict[str, float]) -> Tensor:
    """Returns (edges, 2), logits of Zero and Identity whose softmax is (1 - weight, weight)."""
    identity = torch.tensor(list(weights.values()))  # (edges,)
    return torch.stack([1 - identity, identity], dim=-1).log()  # (edges, 2)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
