"""One modality alone, with the budget of a fusion network: an MLP on all its stored features.

    logits = W_2 dropout(ReLU(W_1 [x_1; ...; x_K] + b_1)) + b_2

x_1 to x_K are the features of one modality, from the earliest layer to the last. The backbone stays frozen; its own
answer, where it is stored, is another row.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, concatenate, width_of


class ModalityHead(nn.Module):
    """Classifies the features of one modality.

    Args:
        channels: feature -> C_in.
        names: the features of the modality.
        classes: number of logits.
        width: of the hidden layer.
        dropout: probability, before the last layer.
    """

    def __init__(
        self, channels: Mapping[str, int], names: Sequence[str], classes: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.vectors = FeatureVectors(channels, names)
        first = nn.Linear(width_of(channels, names), width)
        self.head = nn.Sequential(first, nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, classes))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Logits (B, classes)."""
        return self.head(concatenate(self.vectors(batch)))
