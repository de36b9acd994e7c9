"""Maxout MLP: the text backbone of MM-IMDB (section 4.1; Goodfellow et al. 2013; GMU, Arevalo et al. 2017).

Names and sizes are those of the authors' release (models/central/mmimdb.py), so its checkpoints load.
"""

from torch import Tensor, nn

from bmnas.features.taps import Tap

TAPS = {"Text_1": Tap("op1"), "Text_2": Tap("op3")}
"""Feature -> tap: vectors of 64 and 128, both before BatchNorm and dropout."""


class Maxout(nn.Module):
    """Maxout(x)_i = max_k (x W + b)_(i, k): the largest of `pieces` linear functions an output."""

    def __init__(self, C_in: int, C_out: int, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces
        self.lin = nn.Linear(C_in, C_out * pieces)

    def forward(self, x: Tensor) -> Tensor:
        return self.lin(x).unflatten(-1, (-1, self.pieces)).amax(-1)  # (B, C_out)


class MaxoutMLP(nn.Module):
    """Two Maxout layers, each followed by BatchNorm and dropout, then a Linear: 141,271 parameters for 23 genres.

    Args:
        classes: number of logits.
        inputs: length of a text's vector; 300 in MM-IMDB, the mean of word2vec vectors.
        hidden: outputs of the first layer; the second has twice as many.
        pieces: linear functions a unit.
        dropout: probability.
    """

    def __init__(
        self, classes: int = 23, inputs: int = 300, hidden: int = 64, pieces: int = 5, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.op1 = Maxout(inputs, hidden, pieces)
        self.op2 = nn.Sequential(nn.BatchNorm1d(hidden), nn.Dropout(dropout))
        self.op3 = Maxout(hidden, 2 * hidden, pieces)
        self.op4 = nn.Sequential(nn.BatchNorm1d(2 * hidden), nn.Dropout(dropout))
        self.hid2val = nn.Linear(2 * hidden, classes)

    def forward(self, text: Tensor) -> Tensor:
        """Returns logits (B, classes) of texts (B, inputs)."""
        first = self.op2(self.op1(text))  # (B, hidden)
        return self.hid2val(self.op4(self.op3(first)))  # (B, classes)
