"""Features stored as the shortcuts read them: channels last, and each position once."""

import torch
from torch import Tensor

from bmnas.features import FeatureSet, FeatureTensors


class TokenTensors(FeatureTensors):
    """`FeatureTensors` on the CPU whose batches are (B, C_in, P) with the channels side by side in memory.

    P divides L: a feature whose positions are each there L / P times, next to each other, is stored without the copies.
    `Reshape` and the shortcuts take either.
    """

    def __init__(self, features: FeatureSet) -> None:
        super().__init__(features, torch.device("cpu"))
        for name, feature in self.features.items():
            self.features[name] = distinct_positions(feature).transpose(1, 2).contiguous()  # (n, P, C_in)

    def batch(self, rows: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The features, feature -> float32 (B, C_in, P), and the targets of some rows."""
        tokens, targets = super().batch(rows)
        return {name: feature.transpose(1, 2) for name, feature in tokens.items()}, targets


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
