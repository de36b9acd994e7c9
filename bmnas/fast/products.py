"""x W^T + b over the channels: most of a step's arithmetic.

torch brings two libraries of products. MKL is the faster one on Intel's processors: by a tenth to a half where a matrix
is read transposed, as gradients are. On others it is the slower one, by a tenth to a half, and oneDNN is taken. Which
one it is depends on the processor alone, so that a search repeats itself bit by bit on one machine.
"""

import platform
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import linear

FEW = 2**23  # multiplications below which MKL is faster on any processor
CPUINFO = Path("/proc/cpuinfo")


def made_by_intel() -> bool:
    """Whether this machine's processor is Intel's."""
    told = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else platform.processor()
    return "GenuineIntel" in told


ONEDNN = not made_by_intel() and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(T, I) and (O, I) -> (T, O). Transposed matrices are read as they lie."""
    if by_onednn(x, weight):
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return linear(x, weight, bias)


def product_into(out: Tensor, x: Tensor, weight: Tensor) -> None:
    """`product(x, weight)` into (T, O); MKL computes it there."""
    if by_onednn(x, weight):
        out.copy_(product(x, weight))
    else:
        torch.mm(x, weight.t(), out=out)


def add_product_(total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Adds `product(x, weight)` to `total` (T, O) in place; MKL does it in the same pass."""
    if by_onednn(x, weight):
        return total.add_(product(x, weight))
    return total.addmm_(x, weight.t())


def by_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN multiplies these two: float32, on its processors, and not too small."""
    return ONEDNN and x.dtype == torch.float32 and len(x) * weight.numel() > FEW
