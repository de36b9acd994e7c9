"""The loss of calibrated logits: what a network knows, however sure of it it is.

Weights that a genotype inherits, or that were trained briefly, leave its logits at the wrong scale, those of some
primitives more than others. A factor mends that, as in Guo and others, On Calibration of Modern Neural Networks (ICML
2017). Labels get an offset, too, as in Platt, Probabilistic Outputs for Support Vector Machines (1999).
"""

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bmnas.training.objective import Objective, plain_objective

LEAST, MOST = 1 / 32, 32.0  # factors; a network that is right everywhere would take an infinite one
FURTHEST = 16.0  # offset
ROUNDS = 8  # of a step of Newton's method for the factor, and one for the offset
TIMES, PLUS = 4.0, 2.0  # what a step changes factor and offset by at most
TINY = 1e-12  # in place of a curvature of 0


@torch.no_grad()
def calibrated_loss(kind: str | Objective, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Returns the loss of a z + b for standardised logits z, with the best factor a and offset b.

    The loss is that of `bmnas.training.metrics.loss`. The factor is between 1/32 and 32. The offset is between -16 and
    16 for labels; for classes it is 0, as it makes no difference.

    Args:
        kind: "multiclass" or "multilabel", or an objective of one.
        logits: (..., B, classes), of one network or of several.
        targets: (B,) of class numbers, or (B, classes) of 0 and 1.
        weights: (B,) of the samples; all count alike when None.

    Returns:
        (...).
    """
    objective = plain_objective(kind)
    terms = torch.ones_like(targets, dtype=logits.dtype)
    for factor in (objective.term_weights(targets), weights):
        if factor is not None:
            terms = terms * factor.view(*factor.shape, *[1] * (targets.ndim - factor.ndim))
    deviation, mean = torch.std_mean(logits.double(), (-2, -1), correction=0, keepdim=True)  # float32 overflows here
    z = ((logits - mean) / deviation.clamp_min(torch.finfo(torch.float64).tiny)).to(logits.dtype)
    return (_of_classes if objective.kind == "multiclass" else _of_labels)(z, targets, terms)


def _of_classes(z: Tensor, targets: Tensor, terms: Tensor) -> Tensor:
    """The loss of a z for the best a: the mean of log sum_k exp(a m_k) over margins m_k = z_k - z_y."""
    known = z.gather(-1, targets.expand(z.shape[:-1]).unsqueeze(-1))
    margins = (z - known).movedim(-1, 0).contiguous()  # (classes, ..., B): a softmax over the last few is slow
    squares = margins.square()
    a = torch.ones_like(z[..., :1, 0])  # (..., 1)
    for _ in range(ROUNDS):
        p = (a * margins).softmax(0)
        mean = (p * margins).sum(0)  # (..., B)
        variance = (p * squares).sum(0) - mean.square()
        a = _scaled(a, *((terms * each).mean(-1, keepdim=True) for each in (mean, variance)))
    return (terms * (a * margins).logsumexp(0)).mean(-1)


def _of_labels(z: Tensor, targets: Tensor, terms: Tensor) -> Tensor:
    """The loss of a z + b for the best a and b, which take turns."""

    def derivatives(factor: Tensor) -> tuple[Tensor, Tensor]:
        """Derives the loss once and twice by what multiplies `factor`."""
        p = torch.sigmoid(a * z + b)
        first, second = terms * (p - targets) * factor, terms * p * (1 - p) * factor.square()
        return first.mean((-2, -1), keepdim=True), second.mean((-2, -1), keepdim=True)

    a, b, ones = torch.ones_like(z[..., :1, :1]), torch.zeros_like(z[..., :1, :1]), torch.ones_like(z)  # (..., 1, 1)
    for _ in range(ROUNDS):
        slope, curvature = derivatives(ones)
        b = (b - (slope / curvature.clamp_min(TINY)).clamp(-PLUS, PLUS)).clamp(-FURTHEST, FURTHEST)
        a = _scaled(a, *derivatives(z))
    each = binary_cross_entropy_with_logits(a * z + b, targets.expand_as(z), reduction="none")
    return (terms * each).mean((-2, -1))


def _scaled(a: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
    """Takes Newton's step of the factor, within its limits."""
    return torch.clamp(a - slope / curvature.clamp_min(TINY), a / TIMES, a * TIMES).clamp(LEAST, MOST)
