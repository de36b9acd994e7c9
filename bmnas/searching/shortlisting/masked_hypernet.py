"""A hypernet some of whose alternatives are removed: what DARTS-PT scores and tunes.

A removed alternative has the logit minus infinity. Its softmax weight is 0, and no gradient reaches it:

    alpha, beta   the logit of Identity on its edge; the weight of Zero is then 1
    gamma         the logit of the primitive
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, SearchDiverged
from bmnas.features.feature_set import FeatureSet
from bmnas.searching.algorithm1 import Algorithm1
from bmnas.searching.engine import SingleEngine
from bmnas.searching.inherited_score import batch_statistics
from bmnas.searching.seed_state import SeedState
from bmnas.searching.shortlisting.projection import PRIMITIVE, Merit, Remaining
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.finiteness import check_predictions
from bmnas.training.steps import finite

SLOWER = 10  # the learning rate of the weights is max_lr over this one, as in the authors' code


class MaskedHypernet(nn.Module):
    """A network of a hypernet without some alternatives; parameters, modes and state are the hypernet's own.

    Args:
        network: computes the hypernet: itself, or its `Algebra`.
        hypernet: whose choices are masked.
    """

    def __init__(self, network: nn.Module, hypernet: Hypernet) -> None:
        super().__init__()
        self.network = network
        self.hypernet = hypernet
        self.remaining: Remaining = offered_by(hypernet)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes) of a batch by what remains."""
        within = {parameter: name for name, parameter in self.network.named_parameters()}
        masked = {}
        for parameter, names, choice in choices_of(self.hypernet):
            removed = torch.tensor([name not in self.remaining[choice] for name in names], device=parameter.device)
            if parameter.dim() == 2:  # columns Zero and Identity
                removed = torch.stack([torch.zeros_like(removed), removed], dim=1)
            masked[within[parameter]] = parameter.masked_fill(removed, -torch.inf)
        return functional_call(self.network, masked, (batch,))


def choices_of(hypernet: Hypernet) -> list[tuple[nn.Parameter, tuple[str, ...], str]]:
    """Lists (logits, alternatives, name) of all choices, see `bmnas.searching.shortlisting.projection.Remaining`."""
    choices = []
    predecessors = hypernet.features
    for cell_key, cell in hypernet.named_cells().items():
        choices.append((cell.alpha, predecessors, cell_key))
        nodes = ("x", "y")
        for key, step in cell.named_steps().items():
            choices.append((step.beta, nodes, f"{cell_key}.{key}"))
            choices.append((step.gamma, tuple(step.primitives), f"{cell_key}.{key}{PRIMITIVE}"))
            nodes = (*nodes, key)
        predecessors = (*predecessors, cell_key)
    return choices


def offered_by(hypernet: Hypernet) -> dict[str, tuple[str, ...]]:
    """Returns choice -> all alternatives."""
    return {choice: names for _, names, choice in choices_of(hypernet)}


class MaskedEngine(SingleEngine):
    """The engine of Algorithm 1 on a masked hypernet."""

    network: MaskedHypernet

    def computed(self, hypernet: Hypernet) -> nn.Module:
        """Returns the masked network of the hypernet."""
        return MaskedHypernet(super().computed(hypernet), hypernet)


class TunedSupernet:
    """The hypernet of a finished search: scored without alternatives, and tuned by epochs of Algorithm 1.

    Weights are trained on train at a tenth of max_lr, then alpha, beta and gamma on val. As in the authors' code the
    rate is constant, the optimizers are new, and BatchNorm uses the statistics of the batch when scoring.

    Args:
        hypernet: is copied, not changed.
        features: of the search.
        config: of the search; a tuning has its `shortlist_epochs`.

    Raises:
        ConfigError: the relaxation is not "shared", so that a choice is no mixture of its alternatives alone.
    """

    def __init__(self, hypernet: Hypernet, features: FeatureSet, config: SearchConfig) -> None:
        if config.relaxation != "shared":
            raise ConfigError(
                f"selection is 'darts_pt' with relaxation = {config.relaxation!r}; it removes edges from one mixture "
                "of all nodes. Set relaxation = 'shared', or another selection"
            )
        rate = config.max_lr / SLOWER
        self.config = config.change(max_lr=rate, min_lr=rate)
        self.state = SeedState(features, self.config)
        self.state.hypernet.load_state_dict(hypernet.state_dict())
        self.engine = MaskedEngine(features, self.state)
        self.algorithm = Algorithm1([self.state], self.engine)
        self.epochs = 0  # tuned so far

    def merit(self, remaining: Remaining) -> Merit:
        """Returns score and negative loss of the validation split; dropout is off.

        Raises:
            PredictionError: outputs are NaN or infinite; names the rows.
        """
        hypernet = copy.deepcopy(self.state.hypernet)
        batch_statistics(hypernet)
        network = MaskedHypernet(hypernet, hypernet)
        network.remaining = remaining
        rows = self.engine.tensors.rows("val")
        batch, targets = self.engine.tensors.batch(rows)
        with torch.no_grad():
            logits = network(batch)  # (n, classes)
        check_predictions(logits, "val", rows)
        weights = self.engine.tensors.weights_of(rows)
        score = metrics.score(self.state.kind, logits, targets)
        return score, -metrics.loss(self.state.kind, logits, targets, weights).item()

    def tune(self, remaining: Remaining) -> None:
        """Trains `shortlist_epochs` epochs with these alternatives alone.

        Raises:
            SearchDiverged: a loss is NaN or infinite.
        """
        self.engine.network.remaining = remaining
        for _ in range(self.config.shortlist_epochs):
            self.epochs += 1
            ((loss, _),) = self.algorithm.update_weights(self.config.epochs + self.epochs)
            self.algorithm.update_architecture(self.config.epochs + self.epochs)
            if not finite(loss):
                raise SearchDiverged(
                    f"epoch {self.epochs} of DARTS-PT's tuning: the training loss is {loss}; lower max_lr, or take "
                    "another selection"
                )

    def state_dict(self) -> dict[str, Any]:
        """Returns the state between two decisions."""
        return {**self.state.state_dict(), "tuned": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where `state_dict` was taken."""
        self.state.load_state_dict(state)
        self.epochs = state["tuned"]
