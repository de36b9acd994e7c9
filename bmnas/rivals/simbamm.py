"""SimBaMM, the simple baseline of "Fusion or Confusion?" (Rheude, Eils, Wild, https://arxiv.org/abs/2512.22991).

    tokens_k = reshape(W_k x_k + b_k) + e_k,    logits = W mean(transformer([tokens_1; ...; tokens_K])) + b

Each modality becomes a few tokens of equal width, with a learnt embedding e_k that says which modality it is. A
transformer encoder mixes all tokens, and a linear head reads their mean. There is no search and no special module.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import FeatureVectors, last_features

HEADS = 4  # of the attention; the width is a multiple of it
LAYERS = 1
TOKENS = 2  # a modality


class SimBaMM(nn.Module):
    """A transformer over a few tokens a modality.

    Args:
        channels: feature -> C_in.
        modalities: modality -> its features, from the earliest layer to the last.
        classes: number of logits.
        width: of a token; a multiple of `HEADS`.
        dropout: probability, within the transformer.
    """

    def __init__(
        self,
        channels: Mapping[str, int],
        modalities: Mapping[str, Sequence[str]],
        classes: int,
        width: int,
        dropout: float,
    ) -> None:
        super().__init__()
        names = last_features(modalities)
        self.vectors = FeatureVectors(channels, names)
        self.tokenisers = nn.ModuleDict({name: nn.Linear(channels[name], TOKENS * width) for name in names})
        self.embeddings = nn.Parameter(0.02 * torch.randn(len(names), 1, width))
        layer = nn.TransformerEncoderLayer(width, HEADS, 2 * width, dropout, batch_first=True, norm_first=True)
        self.transformer = nn.TransformerEncoder(layer, LAYERS, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Returns logits (B, classes)."""
        vectors = self.vectors(batch)
        tokens = [
            tokeniser(vectors[name]).unflatten(1, (TOKENS, -1)) + embedding  # (B, TOKENS, width)
            for (name, tokeniser), embedding in zip(self.tokenisers.items(), self.embeddings, strict=True)
        ]
        return self.head(self.transformer(torch.cat(tokens, dim=1)).mean(1))
