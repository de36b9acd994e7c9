"""The hypernet of mode "reference" as plainly as its equations read: an oracle, and what benchmarks compare with.

Edge by edge and operation by operation, in the style of the authors' release: every edge is a mixture of Zero, which
is multiplied out, and Identity; reshape layers pool and interpolate features that have their length already; the
architecture weights are loose tensors, and a backward pass goes through everything that has a gradient.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bmnas.space.hypernet import Hypernet

_CHOICES = ("alpha", "beta", "gamma")


class PooledReshape(nn.Module):
    """Pooling to L (one axis, or a square grid), interpolation, convolution, BatchNorm, ReLU, dropout."""

    def __init__(self, C_in: int, C: int, L: int, dropout: float, grid: bool, pooling: bool) -> None:
        super().__init__()
        self.L, self.pooling, self.grid = L, pooling, grid
        side = math.isqrt(L)
        self.pool = nn.AdaptiveMaxPool2d((side, side) if grid else (L, 1))
        self.conv = nn.Conv1d(C_in, C, 1)
        self.norm = nn.BatchNorm1d(C)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.pooling:
            x = self.pooled(x)
        return self.dropout(self.norm(self.conv(x)).relu())  # (B, C, L)

    def pooled(self, x: Tensor) -> Tensor:
        if self.grid:
            x = x if x.dim() == 4 else x.reshape(len(x), x.shape[1], 1, 1)  # (B, C_in, H, W)
            return self.pool(x).flatten(2)  # (B, C_in, L)
        x = x.reshape(*x.shape[:2], x.shape[2] if x.dim() > 2 else 1, -1)  # (B, C_in, d1, d2 ...), a vector (1, 1)
        out = self.pool(x).squeeze(-1)  # (B, C_in, L)
        return F.interpolate(out, self.L)


class Zero(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


class MixedEdge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.operations = nn.ModuleList([Zero(), nn.Identity()])

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        return sum((w * f(x) for w, f in zip(weights, self.operations, strict=True)), torch.zeros(()))


class Sum(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class Attention(nn.Module):
    def __init__(self, C: int, L: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm([C, L])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        q, k, v = x.transpose(1, 2), y.transpose(1, 2), y.transpose(1, 2)  # (B, L, C)
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.shape[-1])  # (B, L, L)
        out = torch.matmul(F.softmax(scores, dim=-1), v).transpose(1, 2)  # (B, C, L)
        return self.norm(self.dropout(out))


class LinearGLU(nn.Module):
    def __init__(self, C: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2 * C, 2 * C, 1)
        self.norm = nn.BatchNorm1d(2 * C)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.dropout(F.glu(self.norm(self.conv(torch.cat([x, y], dim=1))), dim=1))


class ConcatFC(nn.Module):
    def __init__(self, C: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2 * C, C, 1)
        self.norm = nn.BatchNorm1d(C)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.dropout(F.relu(self.norm(self.conv(torch.cat([x, y], dim=1)))))


class MixedStep(nn.Module):
    def __init__(self, C: int, L: int, dropout: float) -> None:
        super().__init__()
        attention = Attention(C, L, 0.1 if dropout else 0.0)
        self.primitives = nn.ModuleList([Sum(), attention, LinearGLU(C, dropout), ConcatFC(C, dropout)])

    def forward(self, x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        return sum((w * f(x, y) for w, f in zip(weights, self.primitives, strict=True)), torch.zeros(()))


class Cell(nn.Module):
    def __init__(self, C: int, L: int, M: int, r: int, dropout: float) -> None:
        super().__init__()
        self.r = r
        self.edges = nn.ModuleList([MixedEdge() for m in range(M) for _ in range(m + 2)])
        self.steps = nn.ModuleList([MixedStep(C, L, dropout) for _ in range(M)])
        if r != 1:
            self.conv, self.batch_norm = nn.Conv1d(r * C, C, 1), nn.BatchNorm1d(C)
            self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm([C, L])

    def forward(self, x: Tensor, y: Tensor, betas: Tensor, gammas: Tensor) -> Tensor:
        states, offset = [x, y], 0
        for m, step in enumerate(self.steps):
            mixed = (self.edges[offset + j](state, betas[offset + j]) for j, state in enumerate(states))
            s = sum(mixed, torch.zeros(()))  # (B, C, L)
            offset += len(states)
            states.append(step(s, s, gammas[m]))
        out = torch.cat(states[-self.r :], dim=1)  # (B, rC, L)
        if self.r != 1:
            out = self.dropout(F.relu(self.batch_norm(self.conv(out))))
        return self.norm(out + x)  # (B, C, L)


class Transcription(nn.Module):
    """Takes the features in order, as pooled maps where `pooling`, else (B, C_in, L); `grid` as for MM-IMDB."""

    def __init__(
        self,
        channels: dict[str, int],
        classes: int,
        C: int,
        L: int,
        N: int,
        M: int,
        r: int,
        dropout: float = 0.0,
        grid: bool = False,
        pooling: bool = True,
    ) -> None:
        super().__init__()
        K = len(channels)
        self.reshape = nn.ModuleList([PooledReshape(C_in, C, L, dropout, grid, pooling) for C_in in channels.values()])
        self.edges = nn.ModuleList([MixedEdge() for n in range(N) for _ in range(K + n)])
        self.cells = nn.ModuleList([Cell(C, L, M, r, dropout) for _ in range(N)])
        self.norm = nn.LayerNorm([N * C, L])
        self.linear = nn.Linear(N * C * L, classes)
        self.alphas = _choices(sum(K + n for n in range(N)), 2)
        self.betas = [_choices(sum(2 + m for m in range(M)), 2) for _ in range(N)]
        self.gammas = [_choices(M, 4) for _ in range(N)]

    def architecture(self) -> list[Tensor]:
        return [self.alphas, *self.betas, *self.gammas]

    def forward(self, features: list[Tensor]) -> Tensor:
        nodes = [layer(x) for layer, x in zip(self.reshape, features, strict=True)]  # K times (B, C, L)
        alphas, offset = F.softmax(self.alphas, dim=-1), 0
        for cell, betas, gammas in zip(self.cells, self.betas, self.gammas, strict=True):
            s = sum((self.edges[offset + j](x, alphas[offset + j]) for j, x in enumerate(nodes)), torch.zeros(()))
            offset += len(nodes)
            nodes.append(cell(s, s, F.softmax(betas, dim=-1), F.softmax(gammas, dim=-1)))
        out = torch.cat(nodes[-len(self.cells) :], dim=1)  # (B, NC, L)
        return self.linear(F.relu(self.norm(out)).flatten(1))  # (B, classes)

    @torch.no_grad()
    def copy_from(self, net: Hypernet) -> None:
        """Takes over parameters, statistics and architecture weights of a Hypernet of mode "reference"."""
        state = self.state_dict()
        theirs = [value for name, value in net.state_dict().items() if name.rpartition(".")[2] not in _CHOICES]
        for ours, value in zip(state.values(), theirs, strict=True):  # the layers of both are declared in one order
            ours.copy_(value)
        cells = list(net.named_cells().values())
        self.alphas.copy_(torch.cat([cell.alpha for cell in cells]))
        for n, cell in enumerate(cells):
            steps = list(cell.named_steps().values())
            self.betas[n].copy_(torch.cat([step.beta for step in steps]))
            self.gammas[n].copy_(torch.stack([step.gamma for step in steps]))


def _choices(rows: int, columns: int) -> Tensor:
    return (1e-3 * torch.randn(rows, columns)).requires_grad_()
