"""Two-stream fusion (Simonyan, Zisserman, NeurIPS 2014): a classifier a modality, and the mean of their scores.

    logits = (1 / K) sum_k (W_k x_k + b_k),    x_k the last feature of modality k

On stored features the streams are the frozen backbones. Only the K classifiers are trained, by the loss of the mean.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, last_features, linear_from_zero


class TwoStream(nn.Module):
    """Averages the logits of a linear classifier a modality; any number of modalities.

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
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleDict({name: linear_from_zero(channels[name], classes) for name in names})

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        scores = [head(self.dropout(vectors[name])) for name, head in self.heads.items()]
        return torch.stack(scores).mean(0)
