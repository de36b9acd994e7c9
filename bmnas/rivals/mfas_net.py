"""The networks that MFAS searches (Perez-Rua and others, CVPR 2019, https://arxiv.org/abs/1903.06496).

    h_1 = act_1(W_1 [a; b]),    h_l = act_l(W_l [a; b; h_{l-1}]),    logits = W h_n + b

A row (i, j, p) of an encoding takes feature i of the first modality, feature j of the second, and activation p. As in
the authors' code (https://github.com/juanmanpr/mfas), features are pooled globally, and a layer is Linear,
activation, BatchNorm, dropout.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.errors import GenotypeError
from bmnas.rivals.vectors import FeatureVectors

ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.LeakyReLU)
Row = tuple[int, int, int]


class MFASNet(nn.Module):
    """The network of an encoding.

    Args:
        encoding: rows (feature of the first modality, feature of the second, activation), counted from 0.
        channels: feature -> C_in.
        modalities: two modalities -> their features.
        classes: number of logits.
        width: of each layer (`inner_representation_size`).
        dropout: probability, after each layer.

    Raises:
        GenotypeError: not two modalities, no row, or a number out of range.
    """

    def __init__(
        self,
        encoding: Sequence[Row],
        channels: Mapping[str, int],
        modalities: Mapping[str, Sequence[str]],
        classes: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        check_encoding(encoding, modalities)
        first, second = modalities.values()
        self.pairs = [(first[i], second[j]) for i, j, _ in encoding]
        names = list(dict.fromkeys(name for pair in self.pairs for name in pair))
        self.vectors = FeatureVectors(channels, names)
        self.layers = nn.ModuleList()
        for number, ((a, b), (*_, activation)) in enumerate(zip(self.pairs, encoding, strict=True)):
            total = channels[a] + channels[b] + (width if number else 0)
            parts = nn.Linear(total, width), ACTIVATIONS[activation](), nn.BatchNorm1d(width), nn.Dropout(dropout)
            self.layers.append(nn.Sequential(*parts))
        self.head = nn.Linear(width, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        state: list[Tensor] = []
        for layer, (a, b) in zip(self.layers, self.pairs, strict=True):
            state = [layer(torch.cat([vectors[a], vectors[b], *state], dim=1))]  # (B, width)
        return self.head(state[0])


def check_encoding(encoding: Sequence[Row], modalities: Mapping[str, Sequence[str]]) -> None:
    """Checks that an encoding fits two modalities.

    Raises:
        GenotypeError: it does not; names the row.
    """
    if len(modalities) != 2:
        raise GenotypeError(f"MFAS fuses two modalities; given {len(modalities)}: {', '.join(modalities)}")
    if not encoding:
        raise GenotypeError("the encoding has no row; expected at least one (feature, feature, activation)")
    limits = (*map(len, modalities.values()), len(ACTIVATIONS))
    for row in encoding:
        if len(row) != 3 or not all(0 <= value < limit for value, limit in zip(row, limits, strict=True)):
            raise GenotypeError(f"row {row} of the encoding; expected three numbers from 0, below {limits}")
