"""Networks on unimodal outputs: a weighted sum, a linear layer, an MLP."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from bmnas.rivals.vectors import linear_from_zero


class LogitFusion(nn.Module):
    """A linear layer, or an MLP with one hidden layer, on the concatenated log-probabilities.

    The linear layer starts as the sum over the modalities that have the task's classes: a short training at a small
    rate moves its weights little, too little to undo random ones.

    Args:
        widths: modality -> number of its log-probabilities.
        classes: number of logits.
        hidden: width of the hidden layer; none when None.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, hidden: int | None) -> None:
        super().__init__()
        total = sum(widths.values())
        if hidden is None:
            self.layers: nn.Module = _sum_of(widths.values(), classes)
        else:
            self.layers = nn.Sequential(nn.Linear(total, hidden), nn.ReLU(), nn.Linear(hidden, classes))
        self.modalities = tuple(widths)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        values = torch.cat([batch[name].flatten(1) for name in self.modalities], dim=1)  # (B, widths)
        return self.layers(values)  # (B, classes)


def _sum_of(widths: Iterable[int], classes: int) -> nn.Linear:
    """Makes the linear layer that adds up the parts of its input that have so many classes."""
    blocks = [torch.eye(classes) if width == classes else torch.zeros(classes, width) for width in widths]
    layer = linear_from_zero(sum(block.shape[1] for block in blocks), classes)
    layer.weight.data.copy_(torch.cat(blocks, dim=1))
    return layer


class TunedSum(nn.Module):
    """logits = sum_k w_k log softmax(z_k / T_k), T_k = exp(t_k); all w are 1 and all t are 0 at the start.

    Of labels, whose log-odds are the logits themselves, it is sum_k w_k z_k / T_k.

    Args:
        modalities: their names; the classes of each are the task's.
        kind: "multiclass" or "multilabel".
    """

    def __init__(self, modalities: Sequence[str], kind: str) -> None:
        super().__init__()
        self.modalities = tuple(modalities)
        self.kind = kind
        self.weights = nn.Parameter(torch.ones(len(self.modalities)))
        self.log_temperatures = nn.Parameter(torch.zeros(len(self.modalities)))

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Unimodal logits (B, classes, 1) each -> logits (B, classes)."""
        logits = torch.stack([batch[name].flatten(1) for name in self.modalities])  # (K, B, classes)
        scaled = logits / self.log_temperatures.exp()[:, None, None]
        votes = scaled.log_softmax(-1) if self.kind == "multiclass" else scaled
        return (self.weights[:, None, None] * votes).sum(0)
