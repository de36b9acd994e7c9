"""Features in memory as the hypernet's algebra reads them: channels last, and each position once."""

import torch
from torch import Tensor
from torch.nn.functional import pad

PAGE, PADDING = 1024, 16  # float32 numbers in 4096 bytes, and in a line of the cache


class TokenStore:
    """A feature (n, C_in, L), or (n, C_in, 1) of a vector, stored as (n, P, C_in).

    P divides L: a feature whose positions are each there L / P times, next to each other, is stored without the copies,
    which `bmnas.space.reshape.Reshape` makes again. Rows of whole pages get some numbers of padding. Without it, the
    elements of a channel would all lie in the same few lines of the cache. The gradient of a weight, a product that
    goes down the channels, would be slower.

    Args:
        feature: as above.
        distinct: whether each position is there once already.
    """

    def __init__(self, feature: Tensor, distinct: bool = False) -> None:
        self.channels = feature.shape[1]
        tokens = (feature if distinct else distinct_positions(feature)).transpose(1, 2)  # (n, P, C_in)
        self.tokens = pad(tokens, (0, PADDING if self.channels % PAGE == 0 else 0)).contiguous()

    def batch(self, rows: Tensor) -> Tensor:
        """Returns float32 (B, C_in, P) of some rows."""
        return self.tokens.index_select(0, rows).float()[..., : self.channels].transpose(1, 2)


def distinct_positions(feature: Tensor) -> Tensor:
    """Returns (n, C_in, P) of a feature (n, C_in, L) whose positions are each there L / P times, next to each other.

    Pooling does that to a backbone's output of fewer than L positions; the values show it.
    """
    for copies in (2, 3):
        while feature.shape[2] % copies == 0 and _repeats(feature[:1], copies) and _repeats(feature, copies):
            feature = feature[..., ::copies]
    return feature


def _repeats(feature: Tensor, copies: int) -> bool:
    groups = feature.unflatten(2, (-1, copies))  # (n, C_in, L / copies, copies)
    return all(_equal(groups[..., 0], groups[..., i]) for i in range(1, copies))


def _equal(a: Tensor, b: Tensor) -> bool:
    """Compares tensors in which a missing row is NaN."""
    return torch.equal(a, b) or bool(((a == b) | (a.isnan() & b.isnan())).all())
