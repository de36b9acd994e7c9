"""What the rivals read: each stored feature as one normalised vector."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class FeatureVector(nn.Module):
    """Turns a stored feature into a vector: its mean over the L positions, then BatchNorm.

    The published rivals pool their backbones' maps globally: theirs is the mean of a whole map. A stored feature has
    been max-pooled to L positions before (section 3.1), so this is the mean of L maxima.

    Args:
        channels: C_in of the feature.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, feature: Tensor) -> Tensor:
        """Pools (B, C_in, L), (B, C_in, 1) or (B, C_in) to (B, C_in)."""
        return self.norm(feature.flatten(2).mean(2) if feature.dim() > 2 else feature)


class FeatureVectors(nn.ModuleDict):
    """Turns some features of a batch into vectors, by name.

    Args:
        channels: feature -> C_in, of all stored features.
        names: the features that are read.
    """

    def __init__(self, channels: Mapping[str, int], names: Sequence[str]) -> None:
        super().__init__({name: FeatureVector(channels[name]) for name in names})

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns feature -> (B, C_in), in the order of `names`."""
        return {name: layer(batch[name]) for name, layer in self.items()}


def linear_from_zero(width: int, classes: int) -> nn.Linear:
    """Makes a linear classifier that starts at 0, as logistic regressions do: its problem is convex.

    A short training at a small rate moves each weight of a single layer little, too little to undo random ones.
    """
    layer = nn.Linear(width, classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def last_features(modalities: Mapping[str, Sequence[str]]) -> list[str]:
    """Names the last feature of each modality."""
    return [features[-1] for features in modalities.values()]


def width_of(channels: Mapping[str, int], names: Sequence[str]) -> int:
    """Adds up the channels of some features."""
    return sum(channels[name] for name in names)


def concatenate(vectors: Mapping[str, Tensor]) -> Tensor:
    """Concatenates feature -> (B, C_in) to (B, sum of all C_in)."""
    return torch.cat(list(vectors.values()), dim=1)
