"""Multimodal transfer module (Joze, Shaban, Iuzzolino, Koishida, https://arxiv.org/abs/1911.08670), last placement.

    s_k = mean of x_k over its positions,    z = ReLU(W [s_1; ...; s_K] + b),    dim z = 2 sum_k C_k / ratio
    x'_k = 2 sigmoid(W_k z + b_k) * x_k,     logits = mean over k of a linear classifier on x'_k

The original places several modules between live layers of the backbones. Its gates change what the next layer sees,
which stored features cannot show; so only the module after the last layer is left. The paper's gate has the factor 2,
the code of https://github.com/haamoon/mmtm has not; without it, frozen features would be halved at the start.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, last_features, width_of

RATIO = 4  # of the authors' code


class LateTransferModule(nn.Module):
    """Gates the last features by each other, then averages a classifier a modality.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last.
        classes: number of logits.
        dropout: probability, before each classifier.
    """

    def __init__(
        self, channels: Mapping[str, int], modalities: Mapping[str, Sequence[str]], classes: int, dropout: float
    ) -> None:
        super().__init__()
        names = last_features(modalities)
        total = width_of(channels, names)
        squeezed = max(1, 2 * total // RATIO)
        self.vectors = FeatureVectors(channels, names)
        self.squeeze = nn.Linear(total, squeezed)
        self.excitations = nn.ModuleDict({name: nn.Linear(squeezed, channels[name]) for name in names})
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(channels[name], classes) for name in names})

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        z = torch.relu(self.squeeze(concatenate(vectors)))  # (B, squeezed)
        scores = []
        for name, vector in vectors.items():
            gated = 2 * torch.sigmoid(self.excitations[name](z)) * vector  # (B, C_in)
            scores.append(self.heads[name](self.dropout(gated)))
        return torch.stack(scores).mean(0)
