"""What stands for a modality that a sample lacks: a learnt vector a feature, at the input of a network.

A missing feature is a row of NaN. Its place is taken by a parameter of C_in numbers, the same at all positions, in
training and in prediction alike; it starts as the mean of the training split. Modality dropout hides modalities in
training as if they were missing, so that the network learns to do with any subset.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.space.layers import Dropout


class Placeholders(nn.Module):
    """Fills the missing rows of a batch.

    Args:
        starts: feature -> its placeholder at the start, C_in numbers.
        modalities: modality -> its features.
        dropout: probability that training hides a modality of a sample; the last one that a sample has is never hidden.
    """

    def __init__(
        self, starts: Mapping[str, Sequence[float]], modalities: Mapping[str, Sequence[str]], dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.vectors = nn.ParameterDict({name: nn.Parameter(torch.tensor(start)) for name, start in starts.items()})
        self.modalities = {m: tuple(name for name in names if name in starts) for m, names in modalities.items()}
        self.modalities = {m: names for m, names in self.modalities.items() if names}
        self.dropout = Dropout(dropout)

    def only(self, features: Iterable[str]) -> "Placeholders":
        """Returns copies of the placeholders of some features."""
        names = set(features)
        starts = {name: vector.tolist() for name, vector in self.vectors.items() if name in names}
        return Placeholders(starts, self.modalities, self.dropout.p)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Feature -> (B, C_in, P) or (B, C_in), rows of NaN where it is missing -> the same without NaN."""
        missing = {name: missing_rows(batch[name]) for name in self.vectors}  # (B,) each
        if self.dropout.dropped:
            missing = self.hidden(missing, next(iter(batch.values())))
        filled = dict(batch)
        for name, vector in self.vectors.items():
            x = batch[name]
            rest = (1,) * (x.ndim - 2)
            filled[name] = torch.where(missing[name].view(-1, 1, *rest), vector.view(1, -1, *rest), x)
        return filled

    def hidden(self, missing: Mapping[str, Tensor], like: Tensor) -> dict[str, Tensor]:
        """Hides modalities at random: which features of which samples are missing then, (B,) each."""
        absent = torch.stack(
            [torch.stack([missing[name] for name in names]).all(0) for names in self.modalities.values()], 1
        )  # (B, modalities)
        mask = self.dropout.mask(absent.shape, like)
        dropped = absent if mask is None else absent | (mask == 0)
        dropped = torch.where(dropped.all(1, keepdim=True), absent, dropped)  # something is left of every sample
        masks = dict(zip(self.modalities, dropped.unbind(1), strict=True))
        return {name: missing[name] | masks[m] for m, names in self.modalities.items() for name in names}


def place(network: nn.Module, placeholders: Placeholders) -> nn.Module:
    """Puts placeholders before a network of another kind, as its module `placeholders`; returns the network.

    Args:
        network: feature -> tensor, to logits.
        placeholders: of its features.
    """
    network.placeholders = placeholders
    network.register_forward_pre_hook(lambda _network, inputs: (placeholders(inputs[0]), *inputs[1:]))
    return network


def missing_rows(feature: Tensor) -> Tensor:
    """Returns which samples of (B, C_in, ...) lack a feature, (B,): a missing row is NaN everywhere."""
    return feature[(slice(None),) + (0,) * (feature.ndim - 1)].isnan()
