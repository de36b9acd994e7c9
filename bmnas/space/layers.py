"""What the hypernet and the derived network have in common: dropout, the output of a Cell and the classifier.

None is in the paper's text; all are in the release (node_search.py, node.py, model.py) and needed for the sizes
that Table 8 prints.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """`nn.Dropout`, its mask drawn element by element in the order of the tensor on every device.

    On the CPU these are torch's own numbers. On a GPU torch has a kernel that draws in an order of its own, which no
    other draw can repeat; `bmnas.scale.seeds` repeats the masks of separate runs.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return input
        keep = 1 - self.p
        return input * torch.empty(input.shape, dtype=input.dtype, device=input.device).bernoulli_(keep).div_(keep)


class CellOutput(nn.Module):
    """The last r states of a Cell -> (B, C, L): concatenate, reduce, add the residual x, LayerNorm([C, L]).

    The reduction Conv1d(rC, C, 1) -> BatchNorm -> ReLU -> Dropout exists where r != 1. The residual is the Cell's
    first input, added out of place (the release adds in place, and its backward fails where dropout is inactive).
    """

    def __init__(self, r: int, C: int, L: int, dropout: float) -> None:
        super().__init__()
        self.r = r
        if r != 1:
            self.conv = nn.Conv1d(r * C, C, 1)
            self.batch_norm = nn.BatchNorm1d(C)
            self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm([C, L])

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        out = torch.cat(tuple(states[-self.r :]), dim=1)  # (B, rC, L)
        if self.r != 1:
            out = self.dropout(self.batch_norm(self.conv(out)).relu())  # (B, C, L)
        return self.norm(out + states[0])  # (B, C, L)


class Classifier(nn.Module):
    """All Cell outputs -> logits: concatenate, LayerNorm([N C, L]), ReLU, flatten channel by channel, Linear."""

    def __init__(self, N: int, C: int, L: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm([N * C, L])
        self.linear = nn.Linear(N * C * L, classes)

    def forward(self, cells: Sequence[Tensor]) -> Tensor:
        fused = self.norm(torch.cat(tuple(cells), dim=1)).relu()  # (B, NC, L)
        return self.linear(fused.flatten(1))  # (B, classes)


def count_parameters(module: nn.Module) -> int:
    """The number of trainable scalars in a module."""
    return sum(parameter.numel() for parameter in module.parameters())
