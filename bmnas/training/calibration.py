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
ROUNDS = 10  # of Newton's method
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
    terms = objective.term_weights(targets, weights)
    if terms is None:
        terms = logits.new_ones(())
    largest = logits.abs().amax((-2, -1), keepdim=True)  # whose square may be too large
    scaled = logits / largest.clamp_min(torch.finfo(logits.dtype).tiny)
    deviation, mean = torch.std_mean(scaled, (-2, -1), correction=0, keepdim=True)
    z = (scaled - mean) / deviation.clamp_min(TINY)
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
    """The loss of a z + b for the best a and b. The factor takes Newton's step of the loss with its best offset."""
    a, b = torch.ones_like(z[..., :1, :1]), torch.zeros_like(z[..., :1, :1])  # (..., 1, 1)
    squares = z.square()

    def means(*each: Tensor) -> list[Tensor]:
        return [x.mean((-2, -1), keepdim=True) for x in each]

    for _ in range(ROUNDS):
        error, curvature = _derivatives(a * z + b, targets, terms)
        by_b, by_bb = means(error, curvature)
        b = (b - (by_b / by_bb.clamp_min(TINY)).clamp(-PLUS, PLUS)).clamp(-FURTHEST, FURTHEST)
        error, curvature = _derivatives(a * z + b, targets, terms)
        by_a, by_b, by_aa, by_ab, by_bb = means(error * z, error, curvature * squares, curvature * z, curvature)
        along = by_ab / by_bb.clamp_min(TINY)  # how far the best offset moves against the factor
        a = _scaled(a, by_a - along * by_b, by_aa - along * by_ab)
    each = binary_cross_entropy_with_logits(a * z + b, targets.expand_as(z), reduction="none")
    return (terms * each).mean((-2, -1))


def _derivatives(logits: Tensor, targets: Tensor, terms: Tensor) -> tuple[Tensor, Tensor]:
    """Derives each term of the binary cross-entropy by its logit, once and twice."""
    p = torch.sigmoid(logits)
    return terms * (p - targets), terms * p * (1 - p)


def _scaled(a: Tensor, slope: Tensor, curvature: Tensor) -> Tensor:
    """Takes Newton's step of the factor, within its limits."""
    return torch.clamp(a - slope / curvature.clamp_min(TINY), a / TIMES, a * TIMES).clamp(LEAST, MOST)
