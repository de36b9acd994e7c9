"""Gated multimodal unit (Arevalo, Solorio, Montes-y-Gomez, Gonzalez, https://arxiv.org/abs/1702.01992).

    h_k = tanh(W_k x_k)
    two modalities:   z = sigmoid(V [x_1; x_2]),             h = z * h_1 + (1 - z) * h_2
    more:             z_k = sigmoid(V_k [x_1; ...; x_K]),    h = sum_k z_k * h_k    (not normalised)

x_k is the last feature of modality k; h, and each z, has `width` entries. A linear layer classifies h. The original
trains its MaxoutMLP on top; here the head is linear, as for the other rivals.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, last_features, width_of


class GatedMultimodalUnit(nn.Module):
    """Fuses the last features by learnt gates.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last; two or more.
        classes: number of logits.
        width: entries of h.
        dropout: probability, on h.
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
        gates = 1 if len(names) == 2 else len(names)
        total = width_of(channels, names)
        self.vectors = FeatureVectors(channels, names)
        self.encoders = nn.ModuleDict({name: nn.Linear(channels[name], width, bias=False) for name in names})
        self.gates = nn.ModuleList(nn.Linear(total, width, bias=False) for _ in range(gates))
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        hidden = [torch.tanh(encoder(vectors[name])) for name, encoder in self.encoders.items()]  # (B, width) each
        weights = [torch.sigmoid(gate(concatenate(vectors))) for gate in self.gates]  # (B, width) each
        if len(hidden) == 2:
            weights.append(1 - weights[0])
        fused = sum(weight * state for weight, state in zip(weights, hidden, strict=True))
        return self.head(fused)
