"""A linear layer, or an MLP, on some stored features: those of one modality, or the last ones of all.

    logits = W [x_1; ...; x_K] + b,    or    logits = W_2 dropout(ReLU(W_1 [x_1; ...; x_K] + b_1)) + b_2

On all features of one modality, from the earliest layer to the last, the MLP is that modality alone with the budget of
a fusion network; the frozen backbone's own answer, where it is stored, is another row. The linear layer on the last
features is what 3D-CDC-NAS2 (https://github.com/ZitongYu/3DCDC-NAS) ends in, on all branches, pooled and concatenated.
What that searches lies within the video networks, which stored features do not have.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, linear_from_zero, width_of


class FeatureHead(nn.Module):
    """Classifies concatenated features.

    Args:
        channels: feature -> C_in.
        names: the features that are read.
        classes: number of logits.
        hidden: width of the hidden layer; None for a linear layer.
        dropout: probability, before the last layer.
    """

    def __init__(
        self, channels: Mapping[str, int], names: Sequence[str], classes: int, hidden: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.vectors = FeatureVectors(channels, names)
        width = width_of(channels, names)
        if hidden is None:
            self.head = nn.Sequential(nn.Dropout(dropout), linear_from_zero(width, classes))
        else:
            first = nn.Linear(width, hidden)
            self.head = nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        return self.head(concatenate(self.vectors(batch)))
