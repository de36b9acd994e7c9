"""What the hypernet and the derived network have in common: basic layers, the output of a Cell and the classifier.

None is in the paper's text; all are in the release (node_search.py, node.py, model.py) and needed for the sizes
that Table 8 prints.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, linear

from bmnas.errors import ConfigError

LEVELS = 2**16  # a dropout probability is rounded to a multiple of 1 / LEVELS
CAPABILITY = torch.backends.cpu.get_cpu_capability()
LARGE_PRODUCT = {"AVX512": 10**7, "AVX2": 5 * 10**7}  # multiplications from which a convolution is quicker
WIDTH, LEAST_WIDTH, LEAST_BATCH = 16, 4, 16  # of the images that stand for the rows of a large product


class Dropout(nn.Dropout):
    """`nn.Dropout` with masks of 16 random bits an element, drawn position by position.

    The order of the draws is that of (B, L, C), whatever the layout of the tensor: the formula, which holds (B, C, L),
    and `bmnas.space.algebra`, which holds (B, L, C), get the same mask from the same random numbers.
    """

    @property
    def dropped(self) -> int:
        """The probability as a number of `LEVELS`; 0 where nothing is dropped."""
        return round(self.p * LEVELS) if self.training else 0

    @property
    def scale(self) -> float:
        """What the elements that stay are multiplied by: 1 / (1 - p)."""
        return LEVELS / max(LEVELS - self.dropped, 1)

    def mask(self, shape: Sequence[int], like: Tensor) -> Tensor | None:
        """Draws a mask of 0 (dropped) and 1 in the precision and on the device of `like`; None where all stay."""
        return draw_mask(shape, self.dropped, like) if self.dropped else None

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C, ...) to (B, C, ...)."""
        mask = self.mask(input.movedim(1, -1).shape, input)
        return input if mask is None else input * (self.scale * mask).movedim(-1, 1)


def draw_mask(shape: Sequence[int], dropped: int, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draws a mask of 0 and 1; an element is 0 with probability dropped / LEVELS.

    Args:
        shape: of the mask.
        dropped: of `LEVELS`, at least 1.
        like: a tensor of the mask's precision and device.
        generator: of the random numbers; torch's own when None.
    """
    size = math.prod(shape)
    words = torch.empty(-(-size // 4), dtype=torch.int64, device=like.device)
    bits = words.random_(-(2**63), None, generator=generator).view(torch.int16)[:size]
    mask = torch.empty(size, dtype=like.dtype, device=like.device)
    # > and not >=: all of LEVELS, as a bound of >=, would not fit into 16 bits
    return torch.gt(bits, dropped - LEVELS // 2 - 1, out=mask).view(tuple(shape))


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` with running statistics, which also takes tokens."""

    momentum: float
    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def of_rows(self, rows: Tensor, variance: Tensor, slopes: Tensor, offsets: Tensor) -> Tensor:
        """Normalises (T, C), and moves the running mean and `variance` in train mode.

        Args:
            rows: (T, C).
            variance: the running variance, or a copy.
            slopes, offsets: (C,), in place of the layer's own.
        """
        momenta = self.training, self.momentum, self.eps
        return batch_norm(rows, self.running_mean, variance, slopes, offsets, *momenta)


class Pointwise(nn.Conv1d):
    """`nn.Conv1d` of width 1: one matrix product where there is one position, which a convolution is slow at.

    Args:
        C_in, C_out: channels.
        groups: as of `nn.Conv1d`; the product is block-diagonal.
    """

    bias: Tensor  # always there

    def __init__(self, C_in: int, C_out: int, groups: int = 1) -> None:
        super().__init__(C_in, C_out, 1, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        """Maps (B, C_in, L) to (B, C_out, L)."""
        if input.shape[2] != 1:
            return super().forward(input)
        rows, weight = input.squeeze(2), self.weight.squeeze(2)  # (B, C_in), (C_out, C_in / groups)
        if self.groups > 1:
            blocks = weight.unflatten(0, (self.groups, -1)).transpose(1, 2)  # (G, C_in / G, C_out / G)
            rows = torch.bmm(rows.unflatten(1, (self.groups, -1)).transpose(0, 1), blocks)  # (G, B, C_out / G)
            out = rows.transpose(0, 1).flatten(1) + self.bias  # (B, C_out)
        else:
            out = linear(rows, weight, self.bias)
        return out.unsqueeze(2)

    def of_rows(self, rows: Tensor, weight: Tensor) -> Tensor:
        """Maps (T, C_in) to (T, C_out) by a weight (C_out, C_in) in place of the layer's own."""
        return row_product(rows, weight, self.bias)


def row_product(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Computes x W + b of (T, C_in) -> (T, C_out).

    A large product on a CPU with AVX-512 is a convolution of width 1 over images of T rows, which oneDNN computes by
    these instructions on every make of processor; a product of matrices takes twice as long where MKL does not use
    them. With AVX2 alone it is a convolution where no gradient of the weight is asked for, as that would take twice
    as long (`benchmarks/NOTES.md`). Shapes, machine and what is learnt decide: the last bits must not hang on a
    measurement.

    Args:
        rows: (T, C_in).
        weight: (C_out, C_in).
        bias: (C_out,).
    """
    T, C_in = rows.shape
    width = math.gcd(T, WIDTH)
    images = T // width
    large = T * weight.numel() >= LARGE_PRODUCT.get(CAPABILITY, math.inf)
    learnt = torch.is_grad_enabled() and weight.requires_grad
    quicker = large and width >= LEAST_WIDTH and images >= LEAST_BATCH and not (learnt and CAPABILITY == "AVX2")
    if not (quicker and rows.dtype == torch.float32 and rows.device.type == "cpu"):
        return linear(rows, weight, bias)
    pixels = rows.view(images, width, 1, C_in).permute(0, 3, 1, 2)  # (T / width, C_in, width, 1), channels last
    return conv2d(pixels, weight[:, :, None, None], bias).permute(0, 2, 3, 1).reshape(T, -1)


class CellOutput(nn.Module):
    """The last r states of a Cell -> (B, C, L): concatenate, reduce, add the residual x, LayerNorm([C, L]).

    The reduction Conv1d(rC, C, 1) -> BatchNorm -> ReLU -> Dropout exists where r != 1. The residual is the Cell's
    first input, added out of place (the release adds in place, and its backward fails where dropout is inactive).
    """

    def __init__(self, r: int, C: int, L: int, dropout: float) -> None:
        super().__init__()
        self.r = r
        if r != 1:
            self.conv = Pointwise(r * C, C)
            self.batch_norm = BatchNorm(C)
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


def check_sizes(dropout: float, **sizes: int) -> None:
    """Makes sure that no layer would be empty.

    Args:
        dropout: a probability.
        sizes: name -> number, of which there must be one at least.

    Raises:
        ConfigError: names what is out of range.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} is {size}; expected at least 1")
    if not 0 <= dropout < 1:
        raise ConfigError(f"dropout is {dropout}; expected a share from 0 to below 1")


def count_parameters(module: nn.Module) -> int:
    """Counts the trainable scalars in a module."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_flops(network: nn.Module, batch: Mapping[str, Tensor] | Tensor) -> int:
    """The floating-point operations of the matrix products and convolutions of one forward pass, 2 a multiply-add.

    Args:
        network: put into eval mode; takes the batch.
        batch: feature -> tensor of one sample, (1, C_in, L).
    """
    from torch.utils.flop_counter import FlopCounterMode  # here: it takes a quarter of a second

    network.eval()  # gradients stay enabled: without them a transformer takes a fused path that is not counted
    with FlopCounterMode(display=False) as counter:
        network(batch)
    return counter.get_total_flops()
