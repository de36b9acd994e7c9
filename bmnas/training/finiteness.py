"""Outputs that are NaN or infinite: nobody gets a score or a prediction made of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bmnas.errors import PredictionError
from bmnas.space.algebra import Algebra

NAMED = 5  # rows that a message names


def check_predictions(
    logits: Tensor,
    what: str,
    rows: Tensor | Sequence[int] | None = None,
    network: nn.Module | None = None,
    batch: Mapping[str, Tensor] | None = None,
) -> None:
    """Checks that all outputs are finite.

    Args:
        logits: (n, classes).
        what: whose outputs they are, for the message: "test", "sound alone".
        rows: the samples' numbers; 0, 1, ... when None.
        network, batch: what gave the logits, to find the layer where values first stop being finite. The network is
            called once more, on a sample, and must be in eval mode.

    Raises:
        PredictionError: how many are not, the first rows, and the layer and the largest feature where they are known.
    """
    bad = (~torch.isfinite(logits).all(-1)).nonzero().flatten()
    if not len(bad):
        return
    numbers = bad.tolist() if rows is None else [int(rows[i]) for i in bad.tolist()]
    named = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
    message = f"{what}: the outputs of {len(numbers)} of {len(logits)} rows are NaN or infinite (rows {named})"
    if network is not None and batch is not None:
        message += _origin(network, {name: x[bad[:1].to(x.device)] for name, x in batch.items()})
    raise PredictionError(f"{message}. Scale the features of these rows, or train with a lower max_lr")


def _origin(network: nn.Module, sample: Mapping[str, Tensor]) -> str:
    """Names the layer that first gives values that are not finite, and the feature of the largest ones."""
    sizes = {name: x.abs().max().item() for name, x in sample.items()}
    largest = max(sizes, key=lambda name: sizes[name])
    formula = network.hypernet if isinstance(network, Algebra) else network  # the algebra does not call the layers
    with _first_layers(formula) as layers, torch.no_grad():
        formula(sample)
    where = f"; the first layer that gives such values is {layers[0]!r}" if layers else ""
    return f"{where}; the largest feature is {largest!r}, up to {sizes[largest]:.3g}"


@contextmanager
def _first_layers(network: nn.Module) -> Iterator[list[str]]:
    """Collects, while the context lasts, the layers whose output is not finite, in the order in which they finish."""
    names: list[str] = []

    def hook(name: str, output: object) -> None:
        if isinstance(output, Tensor) and not torch.isfinite(output).all():
            names.append(name)

    handles = [
        module.register_forward_hook(lambda _module, _inputs, output, name=name: hook(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()
