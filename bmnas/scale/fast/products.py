"""Matrix products: most of a step's arithmetic.

torch brings two libraries of products. MKL is the faster one on Intel's processors: by a tenth to a half where a matrix
is read transposed, as gradients are. On others it is the slower one, by a tenth to a half, and oneDNN is taken. Which
one it is depends on the processor alone, so that a search repeats itself bit by bit on one machine.
"""

import platform
from pathlib import Path

import torch
from torch import Tensor

FEW = 2**23  # multiplications below which MKL is faster on any processor
CPUINFO = Path("/proc/cpuinfo")


def made_by_intel() -> bool:
    """Whether this machine's processor is Intel's."""
    told = CPUINFO.read_text(encoding="utf-8", errors="replace") if CPUINFO.exists() else platform.processor()
    return "GenuineIntel" in told


ONEDNN = not made_by_intel() and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """(T, I) and (I, O) -> a b + bias, (T, O). Transposed matrices are read as they lie."""
    if by_onednn(a, b):
        return torch.ops.mkldnn._linear_pointwise(a, b.t(), bias, "none", [], "")
    return torch.mm(a, b) if bias is None else torch.addmm(bias, a, b)


def product_into(out: Tensor, a: Tensor, b: Tensor) -> None:
    """`product(a, b)` into (T, O); MKL computes it there."""
    if by_onednn(a, b):
        out.copy_(product(a, b))
    else:
        torch.mm(a, b, out=out)


def add_product_(total: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Adds `product(a, b)` to `total` (T, O) in place; MKL does it in the same pass."""
    if by_onednn(a, b):
        return total.add_(product(a, b))
    return total.addmm_(a, b)


def by_onednn(a: Tensor, b: Tensor) -> bool:
    """Whether oneDNN multiplies these two: float32, on its processors, and not too small."""
    return ONEDNN and a.dtype == torch.float32 and a.shape[0] * b.numel() > FEW
