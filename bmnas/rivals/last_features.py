"""A linear layer, or an MLP, on the last features of all modalities.

    logits = W [x_1; ...; x_K] + b,    or    logits = W_2 dropout(ReLU(W_1 [x_1; ...; x_K] + b_1)) + b_2

The linear one is what 3D-CDC-NAS2 (https://github.com/ZitongYu/3DCDC-NAS) ends in: a linear layer on all branches,
pooled and concatenated. What it searches lies within the video networks, which stored features do not have.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, last_features, width_of


class LastFeatures(nn.Module):
    """Classifies the concatenated last features.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last.
        classes: number of logits.
        hidden: width of the hidden layer; None for a linear layer.
        dropout: probability, before the last layer.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        modalities: Mapping[str, Sequence[str]],
        classes: int,
        hidden: int | None,
        dropout: float,
    ) -> None:
        super().__init__()
        names = last_features(modalities)
        width = width_of(channels, names)
        self.vectors = FeatureVectors(channels, names)
        if hidden is None:
            self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))
        else:
            first = nn.Linear(width, hidden)
            self.head = nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        return self.head(concatenate(self.vectors(batch)))
