"""Features stored as the shortcuts read them: channels last, and each position once."""

import torch
from torch import Tensor
from torch.nn.functional import pad

from bmnas.features.feature_set import FeatureSet, FeatureTensors

PAGE, PADDING = 1024, 16  # float32 numbers in 4096 bytes, and in a line of the cache


class TokenTensors(FeatureTensors):
    """`FeatureTensors` on the CPU whose batches are (B, C_in, P) with the channels side by side in memory.

    Rows of whole pages are stored with some numbers of padding: the elements of a channel would all lie in the same few
    lines of the cache, and the product that goes down the channels, the gradient of a weight, takes 1.4 times as long.

    P divides L: a feature whose positions are each there L / P times, next to each other, is stored without the copies.
    `Reshape` and the shortcuts take either.
    """

    def __init__(self, features: FeatureSet) -> None:
        super().__init__(features, torch.device("cpu"))
        self.channels: dict[str, int] = {}
        for name, feature in self.features.items():
            tokens = distinct_positions(feature).transpose(1, 2)  # (n, P, C_in)
            self.channels[name] = tokens.shape[2]
            self.features[name] = pad(tokens, (0, PADDING if tokens.shape[2] % PAGE == 0 else 0)).contiguous()

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The features, feature -> float32 (B, C_in, P), and the targets of some rows."""
        tokens, targets = super().batch(rows)
        return {name: x[..., : self.channels[name]].transpose(1, 2) for name, x in tokens.items()}, targets


def distinct_positions(feature: Tensor) -> Tensor:
    """(n, C_in, P) of a feature (n, C_in, L) whose positions are each there L / P times, next to each other.

    Pooling does that to a backbone's output of fewer than L positions; the values tell.
    """
    for copies in (2, 3):
        while feature.shape[2] % copies == 0 and _repeats(feature[:1], copies) and _repeats(feature, copies):
            feature = feature[..., ::copies]
    return feature


def _repeats(feature: Tensor, copies: int) -> bool:
    groups = feature.unflatten(2, (-1, copies))  # (n, C_in, L / copies, copies)
    return all(torch.equal(groups[..., 0], groups[..., i]) for i in range(1, copies))
