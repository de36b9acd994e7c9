"""Multimodal transfer module (Joze, Shaban, Iuzzolino, Koishida, https://arxiv.org/abs/1911.08670), last placement.

    s_k = mean of x_k over its positions,    z = ReLU(W [s_1; ...; s_K] + b),    dim z = 2 sum_k C_k / ratio
    x'_k = 2 sigmoid(W_k z + b_k) * x_k,     logits = mean over k of a linear classifier on x'_k

The original places several modules between live layers of the backbones. Its gates change what the next layer sees,
which stored features cannot show; so only the module after the last layer is left here. `bmnas.rivals.live_mmtm` has
all of them, on raw data. The paper's gate has the factor 2, the code of https://github.com/haamoon/mmtm has not;
without it, features would be halved at the start.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, last_features

RATIO = 4  # of the authors' code


class TransferModule(nn.Module):
    """Gates the channels of each map by all of them.

    Args:
        channels: map -> C.
    """

    def __init__(self, channels: Mapping[str, int]) -> None:
        super().__init__()
        total = sum(channels.values())
        squeezed = max(1, 2 * total // RATIO)
        self.squeeze = nn.Linear(total, squeezed)
        self.excitations = nn.ModuleDict({name: nn.Linear(squeezed, C) for name, C in channels.items()})

    def forward(self, maps: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns map -> gated map of the same shape, (B, C) or (B, C, ...)."""
        z = torch.relu(self.squeeze(concatenate({name: channel_means(maps[name]) for name in self.excitations})))
        gated = {}
        for name, excitation in self.excitations.items():
            gate = 2 * torch.sigmoid(excitation(z))  # (B, C)
            gated[name] = gate.reshape(*gate.shape, *[1] * (maps[name].dim() - 2)) * maps[name]
        return gated


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
        self.vectors = FeatureVectors(channels, names)
        self.transfer = TransferModule({name: channels[name] for name in names})
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: nn.Linear(channels[name], classes) for name in names})

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        gated = self.transfer(self.vectors(batch))  # feature -> (B, C_in)
        return torch.stack([head(self.dropout(gated[name])) for name, head in self.heads.items()]).mean(0)


def channel_means(x: Tensor) -> Tensor:
    """Averages (B, C, ...) over all positions to (B, C)."""
    return x.flatten(2).mean(2) if x.dim() > 2 else x
