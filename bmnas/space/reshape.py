"""Reshape: a stored feature (B, C_in, L) to (B, C, L), the last part of section 3.1.

The pooling over space and time was done when the feature was stored (`bmnas.extract`); what is left to learn is the
fully connected layer on the channels.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from bmnas.errors import ConfigError, FeatureError
from bmnas.space.genotype import cell_name
from bmnas.space.layers import BatchNorm, Dropout, Pointwise


class Reshape(nn.Module):
    """Conv1d(C_in, C, 1) -> BatchNorm1d(C) -> ReLU -> Dropout, as the release's ReshapeInputLayer (aux_models.py).

    A vector feature (B, C_in, 1), without extent in space or time, is copied to all L positions, which is what the
    release's pooling does. `tokeniser="learned"` replaces the copying by Linear(C_in -> C * L), which gives every
    position its own view of the vector: where all positions are alike, Attention(x, y) = y.
    `bmnas.features.token_store` stores other features without the copies that pooling made, (B, C_in, P) with P a
    divisor of L; these are copied here too.

    Args:
        C_in: channels of the stored feature.
        C, L: channels and length of all inner representations.
        dropout: probability.
        vector: whether the feature is stored as (C_in, 1).
        tokeniser: "copy" or "learned"; only vectors differ.

    Raises:
        ConfigError: unknown tokeniser.
    """

    def __init__(
        self, C_in: int, C: int, L: int, dropout: float, vector: bool = False, tokeniser: str = "copy"
    ) -> None:
        super().__init__()
        if tokeniser not in ("copy", "learned"):
            raise ConfigError(f"tokeniser is {tokeniser!r}; expected 'copy' or 'learned'")
        self.C_in = C_in
        self.C = C
        self.L = L
        self.learned = vector and tokeniser == "learned"
        self.conv = Pointwise(C_in, C * L if self.learned else C)
        self.norm = BatchNorm(C)
        self.dropout = Dropout(dropout)

    def forward(self, feature: Tensor) -> Tensor:
        """Maps (B, C_in, L), or (B, C_in, 1) or (B, C_in) of a vector, to (B, C, L).

        Raises:
            FeatureError: another shape.
        """
        feature = self.checked(feature)
        if self.learned:
            tokens = self.conv(feature).view(-1, self.C, self.L)  # (B, C, L)
        else:
            copies = self.L // feature.shape[2]
            spread = feature.unsqueeze(3).expand(-1, -1, -1, copies).flatten(2)  # (B, C_in, L)
            tokens = self.conv(spread)  # (B, C, L)
        return self.dropout(self.norm(tokens).relu())  # (B, C, L)

    def checked(self, feature: Tensor) -> Tensor:
        """Returns the feature as (B, C_in, P), P a divisor of L; P is 1 where it becomes tokens.

        Raises:
            FeatureError: another shape.
        """
        if feature.ndim == 2:
            feature = feature.unsqueeze(2)  # (B, C_in, 1)
        positions = feature.shape[2] if feature.ndim == 3 and feature.shape[1] == self.C_in else 0
        if not positions or (1 if self.learned else self.L) % positions:
            vector = f"(B, {self.C_in}) for a vector"
            expected = vector if self.learned else f"(B, {self.C_in}, {self.L}), or {vector}"
            raise FeatureError(
                f"a feature has the shape {tuple(feature.shape)}; expected {expected}. bmnas.pool makes it of a map"
            )
        return feature


def alike_inputs(names: Iterable[str], vectors: Iterable[str], L: int, tokeniser: str, N: int) -> frozenset[str]:
    """Returns the inputs of Cells of which all positions are alike: copied vectors, and where L is 1 whatever there is.

    Args:
        names: of the features.
        vectors: those stored as (C_in, 1).
        L: positions of all inner representations.
        tokeniser: of `Reshape`.
        N: number of Cells.
    """
    if L == 1:
        return frozenset([*names, *(cell_name(n) for n in range(1, N + 1))])
    return frozenset(vectors) if tokeniser == "copy" else frozenset()
