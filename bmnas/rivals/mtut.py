"""MTUT (Abavisani, Joze, Patel, https://arxiv.org/abs/1812.06145): its loss, on heads of frozen modalities.

    f_k = ReLU(W_k x_k + b_k),    z_k = V_k dropout(f_k) + c_k,    logits = (1 / K) sum_k z_k
    loss = sum_k [CE(z_k) + weight sum_{n != k} rho_kn mean((R_k - R_n)^2)],    R_k = F_k F_k^T
    rho_kn = max(0, exp(slope (CE(z_k) - CE(z_n))) - 1)

Each modality has a network of its own, trained alone but drawn towards those that are better now: rho is 0 unless
modality n has the smaller loss. No gradient flows to the better one. The rows of F_k are those of f_k, of length 1.

The original compares the correlations between positions of live feature maps. Stored features are pooled, so here R is
that between the samples of a batch, and what is trained are heads, not backbones. `WEIGHT` and `SLOPE` are choices of
this project.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bmnas.rivals.vectors import FeatureVectors, last_features
from bmnas.training import metrics
from bmnas.training.objective import Objective

WEIGHT = 0.05
SLOPE = 2.0


class MTUT(nn.Module):
    """A head a modality on its last feature; the answer is the mean of all.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last.
        classes: number of logits.
        width: entries of f.
        dropout: probability, on f.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        modalities: Mapping[str, Sequence[str]],
        classes: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        names = last_features(modalities)
        self.vectors = FeatureVectors(channels, names)
        self.encoders = nn.ModuleDict({name: nn.Linear(channels[name], width) for name in names})
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(width, classes) for name in names})
        self.states: list[Tensor] = []
        self.scores: list[Tensor] = []

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes); keeps f_k and z_k for the loss."""
        vectors = self.vectors(batch)
        self.states = [torch.relu(encoder(vectors[name])) for name, encoder in self.encoders.items()]
        heads = zip(self.heads.values(), self.states, strict=True)
        self.scores = [head(self.dropout(state)) for head, state in heads]
        return torch.stack(self.scores).mean(0)

    def training_loss(
        self, kind: str | Objective, logits: Tensor, targets: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """The loss of the batch that the last forward pass took.

        Args:
            kind: "multiclass" or "multilabel", or an objective of one.
            logits: of that pass; the loss needs those of each modality.
            targets: (B,) or (B, classes).
            weights: (B,) of the samples.
        """
        losses = [metrics.loss(kind, scores, targets, weights) for scores in self.scores]
        relations = [normalize(state) @ normalize(state).T for state in self.states]  # (B, B) each
        total = torch.stack(losses).sum()
        for k, mine in enumerate(relations):
            for n, other in enumerate(relations):
                if n != k:
                    rho = (SLOPE * (losses[k] - losses[n]).detach()).expm1().clamp(min=0)
                    total = total + WEIGHT * rho * (mine - other.detach()).square().mean()
        return total
