"""The two inputs of a Cell and of a Step as two slots: mixtures of the earlier nodes, or Gumbel samples (GDAS).

A Gumbel sample of a choice, with a straight-through gradient, is

    k = argmax_j (log p_j + g_j),    g_j = -log(e_j), e_j drawn from Exp(1),    p = softmax(logits)
    s = softmax((log p + g) / tau)
    h = 1 where k is chosen, with the gradient of s_k

So k has the probability p_k, only what is chosen is computed, and the gradient of its output reaches all logits of the
choice. In eval mode nothing is drawn: the most likely is chosen. Over the epochs tau falls linearly from 10 to 0.1.

The two inputs of a Cell and of a Step are different nodes, as in a genotype: y is drawn from what x leaves.

Source: Dong and Yang, Searching for a robust neural architecture in four GPU hours, CVPR 2019,
https://arxiv.org/abs/1910.04465, and https://github.com/D-X-Y/AutoDL-Projects. There a batch of architecture steps
follows each batch of weight steps; here a pass follows a pass, as in Algorithm 1.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

HOT, COLD = 10.0, 0.1


def temperature(epoch: int, epochs: int) -> float:
    """Returns tau of an epoch, from 1."""
    return HOT - (HOT - COLD) * (epoch - 1) / max(1, epochs - 1)


def slot_mixtures(logits: Tensor, nodes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """x = sum_j softmax(logits[:, 0])_j S_j, and y of the other column: one mixture a slot.

    Args:
        logits: (nodes, 2), columns x and y.
        nodes: (B, C, L) each.
    """
    x, y = torch.einsum("es,ebcl->sbcl", logits.softmax(0), torch.stack(tuple(nodes))).unbind()  # (B, C, L) each
    return x, y


def sample(logits: Tensor, tau: float | None, excluded: int | None = None) -> tuple[int, Tensor]:
    """Draws one of some alternatives.

    Args:
        logits: (alternatives,).
        tau: temperature; None draws nothing and takes the most likely.
        excluded: an alternative that may not be chosen.

    Returns:
        Its place k, and h: the number 1, with the gradient of s_k.
    """
    log_p = logits.log_softmax(0)
    if excluded is not None:
        log_p = log_p.index_fill(0, torch.tensor(excluded, device=logits.device), -torch.inf)
    if tau is not None:
        tiny = torch.finfo(log_p.dtype).tiny
        log_p = (log_p - torch.empty_like(log_p).exponential_().clamp_min(tiny).log()) / tau
    soft = log_p.softmax(0)
    place = int(soft.argmax())
    return place, 1 + (soft[place] - soft[place].detach())


def sampled_pair(logits: Tensor, nodes: Sequence[Tensor], tau: float | None) -> tuple[Tensor, Tensor]:
    """Draws the node of the slot x, and another for y.

    Args:
        logits: (nodes, 2), columns x and y.
        nodes: (B, C, L) each.
        tau: see `sample`.
    """
    first, x = sample(logits[:, 0], tau)
    second, y = sample(logits[:, 1], tau, excluded=first)
    return x * nodes[first], y * nodes[second]
