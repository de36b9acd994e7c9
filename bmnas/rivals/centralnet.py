"""CentralNet (Vielzeuf, Lechervy, Pateux, Jurie, https://arxiv.org/abs/1808.07275), its central path.

    c_0 = 0,    c_i = L_i(a_i c_{i-1} + sum_k a_{i,k} P_{i,k} h_{i,k}),    L_i = dropout(ReLU(BN(W_i . + b_i)))

h_{i,k} is the i-th feature of modality k, and P_{i,k} a linear projection to the width of the path. (The original pads
with zeros where widths differ.) Each a is a learnt scalar, 1 at the start. The original trains the unimodal networks
together with the path, each by a loss of its own. Stored features are frozen, so only the path is trained.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors


class CentralLayer(nn.Module):
    """One level of the path: the weighted sum of the state before and of this level's features, then L_i."""

    def __init__(self, channels: Mapping[str, int], names: Sequence[str], width: int, dropout: float) -> None:
        super().__init__()
        self.vectors = FeatureVectors(channels, names)
        self.projections = nn.ModuleDict({name: nn.Linear(channels[name], width, bias=False) for name in names})
        self.scalars = nn.Parameter(torch.ones(1 + len(names)))  # of the state, then of each feature
        self.layer = nn.Sequential(nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, state: Tensor | None, batch: Mapping[str, Tensor]) -> Tensor:
        """Computes the next state (B, width) from the state (B, width), which is None at the first level."""
        vectors = self.vectors(batch)
        inputs = [projection(vectors[name]) for name, projection in self.projections.items()]
        total = sum(scalar * value for scalar, value in zip(self.scalars[1:], inputs, strict=True))
        return self.layer(total if state is None else total + self.scalars[0] * state)


class CentralNet(nn.Module):
    """The central path through all stored features.

    The last features of all modalities meet at the last level; a modality with fewer features enters later.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last.
        classes: number of logits.
        width: entries of the path's state.
        dropout: probability, at each level.
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
        depth = max(len(features) for features in modalities.values())
        levels = [[f[i] for f in modalities.values() if len(f) >= -i] for i in range(-depth, 0)]
        self.levels = nn.ModuleList(CentralLayer(channels, names, width, dropout) for names in levels)
        self.head = nn.Linear(width, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        state = None
        for level in self.levels:
            state = level(state, batch)  # (B, width)
        return self.head(state)
