"""The primitive operations of a Step, Eqs. 4-8 (section 3.3).

Every primitive is an `nn.Module` built as `Primitive(C, L, dropout, mode)` that maps its inputs, each (B, C, L), to
one output (B, C, L). Class attributes tell the rest of the library what it needs to know:

* `arity`: how many inputs it takes (a Step with it chooses as many);
* `symmetric`: whether the order of the inputs makes no difference, up to a relabelling of its weights;
* `constant` (only where true): its output does not depend on its inputs;
* `pointwise` (only where true): it treats all positions alike, each by itself;
* `formula`: its equation as text, shown by views.

A primitive of one's own is one class and one line: put `@PRIMITIVES.register` above the class.

What the authors' release (node_operations.py) adds and the paper leaves unsaid is kept in both modes: BatchNorm and
dropout in LinearGLU and ConcatFC, dropout 0.1 and LayerNorm in Attention.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES
from bmnas.space.layers import BatchNorm, Dropout, Pointwise
from bmnas.storage.own_code import own_code

ATTENTION_DROPOUT = 0.1  # hard-coded in the release, whatever the configured dropout


def check_mode(mode: str) -> None:
    """Refuses a mode that is neither "paper" nor "reference".

    Raises:
        ConfigError: unknown mode.
    """
    if mode not in ("paper", "reference"):
        raise ConfigError(f"mode is {mode!r}; expected 'paper' or 'reference'")


def own_primitives(names: Iterable[str]) -> dict[str, str]:
    """Returns name -> digest of its code, of those primitives that are not bmnas's; an edit changes the digest."""
    digests = {name: own_code(PRIMITIVES[name]) for name in sorted(set(names))}
    return {name: digest for name, digest in digests.items() if digest is not None}


@PRIMITIVES.register
class Zero(nn.Module):
    """Zero(x, y) = 0 (Eq. 4): discards the Step. The release's pool lacks it."""

    arity = 2
    symmetric = True
    constant = True
    formula = "Zero(x, y) = 0"

    def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(x)  # (B, C, L)


@PRIMITIVES.register
class Sum(nn.Module):
    """Sum(x, y) = x + y (Eq. 5)."""

    arity = 2
    symmetric = True
    pointwise = True
    formula = "Sum(x, y) = x + y"

    def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
        super().__init__()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y  # (B, C, L)


@PRIMITIVES.register
class Attention(nn.Module):
    """Attention(x, y) = Softmax(x y^T / sqrt(C)) y (Eq. 6), then dropout 0.1 and LayerNorm([C, L]).

    The query is x, key and value are y, over the L positions. Eq. 6 as printed has the value inside the Softmax,
    a misplaced bracket; the release computes the formula above.
    """

    arity = 2
    symmetric = False
    formula = "Attention(x, y) = Softmax(x yᵀ / √C) y"

    def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
        super().__init__()
        self.dropout = Dropout(ATTENTION_DROPOUT)
        self.norm = nn.LayerNorm([C, L])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        scores = x.transpose(1, 2) @ y / math.sqrt(x.shape[1])  # (B, L, L)
        attended = scores.softmax(-1) @ y.transpose(1, 2)  # (B, L, C)
        return self.norm(self.dropout(attended.transpose(1, 2)))  # (B, C, L)


@PRIMITIVES.register
class LinearGLU(nn.Module):
    """LinearGLU(x, y) = x W1 * sigmoid(y W2) (Eq. 7), W1 and W2 of C x C.

    `mode="paper"`: BatchNorm(C) on x W1 + b1 and on y W2 + b2, then the gate, then dropout.
    `mode="reference"`: one 2C -> 2C convolution on the concatenation of x and y, BatchNorm(2C), the first half gated
    by the second, dropout, as the release does.
    """

    arity = 2
    symmetric = False
    pointwise = True
    formula = "LinearGLU(x, y) = x W₁ ⊙ σ(y W₂)"

    def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
        super().__init__()
        check_mode(mode)
        # groups=2 keeps the halves apart: rows 0..C-1 are W1 (seen by x alone), rows C..2C-1 are W2 (by y alone)
        self.conv = Pointwise(2 * C, 2 * C, groups=2 if mode == "paper" else 1)
        self.norm = BatchNorm(2 * C)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        both = self.norm(self.conv(torch.cat([x, y], dim=1)))  # (B, 2C, L)
        return self.dropout(nn.functional.glu(both, dim=1))  # (B, C, L)


@PRIMITIVES.register
class ConcatFC(nn.Module):
    """ConcatFC(x, y) = ReLU(Concat(x, y) W + b) (Eq. 8), W of 2C x C, with BatchNorm before ReLU and dropout after."""

    arity = 2
    symmetric = True
    pointwise = True
    formula = "ConcatFC(x, y) = ReLU([x; y] W + b)"

    def __init__(self, C: int, L: int, dropout: float, mode: str = "paper") -> None:
        super().__init__()
        self.conv = Pointwise(2 * C, C)
        self.norm = BatchNorm(C)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        mixed = self.norm(self.conv(torch.cat([x, y], dim=1)))  # (B, C, L)
        return self.dropout(mixed.relu())  # (B, C, L)


PAPER_PRIMITIVES = ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")
"""The pool of section 3.3, in its order; ties of gamma go to the first."""

REFERENCE_PRIMITIVES = ("Sum", "Attention", "LinearGLU", "ConcatFC")
"""The release's pool (genotypes.py), in its order."""
