"""Outputs that are NaN or infinite: nobody gets a score or a prediction made of them."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bmnas.errors import PredictionError, SearchDiverged
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
        message += origin(network, {name: x[bad[:1].to(x.device)] for name, x in batch.items()})
    raise PredictionError(f"{message}. Scale the features of these rows, or train with a lower max_lr")


def check_statistics(network: nn.Module, what: str) -> None:
    """Checks that what BatchNorm remembers is finite: by an infinite variance every sample becomes the same one.

    The square of a number above 2e19 is infinite in float32, though its outputs are not.

    Args:
        network: that is to predict.
        what: for whom, for the message.

    Raises:
        PredictionError: names the layer.
    """
    for name, values in network.named_buffers():
        if values.is_floating_point() and not values.isfinite().all():
            layer, _, statistic = name.rpartition(".")
            raise PredictionError(
                f"{what}: {statistic!r} of the layer {layer!r} is NaN or infinite, so that it makes all samples alike. "
                "Scale the features of the training, which are far too large"
            )


def check_first_step(network: nn.Module, batch: Mapping[str, Tensor]) -> None:
    """Makes sure that a network that has not moved yet gives finite outputs and gradients; it is copied, not changed.

    Args:
        network: features -> logits.
        batch: features of some samples, (B, C_in, L or 1) each.

    Raises:
        SearchDiverged: it does not; names the first layer, or the one in whose backward pass they arise.
    """
    copied = copy.deepcopy(network).train()
    seen = {}
    if not _all_finite(list(copied.parameters())):  # of a search that diverged before; it says so itself
        return
    layers = {name: m for name, m in copied.named_modules() if not type(m).__module__.startswith("bmnas.")}
    for name, module in layers.items():
        module.register_forward_pre_hook(lambda _, inputs, name=name: seen.update({name: inputs}))
    with torch.random.fork_rng({x.device for x in batch.values() if x.device.type == "cuda"}):
        with torch.no_grad():
            logits = copied(batch)  # (B, classes)
        if not bool(logits.isfinite().all()):
            raise SearchDiverged(f"before the first step: the outputs are NaN or infinite{origin(copied, batch)}")
        for name, inputs in seen.items():
            points = [x.detach().clone().requires_grad_() for x in inputs if isinstance(x, Tensor)]
            output = layers[name](*points)
            if output.requires_grad and not _all_finite(
                torch.autograd.grad(output.sum(), [*points, *layers[name].parameters()], allow_unused=True)
            ):
                largest = max(x.abs().max().item() for x in points)
                raise SearchDiverged(
                    f"before the first step: the gradients of {name!r} are NaN or infinite for inputs up to "
                    f"{largest:.3g}. Scale features that are far too large; keep roots and logarithms away from 0"
                )


def _all_finite(tensors: Sequence[Tensor | None]) -> bool:
    return all(x is None or bool(x.isfinite().all()) for x in tensors)


def origin(network: nn.Module, sample: object) -> str:
    """Says which layer first gives values that are not finite, and which feature has the largest ones.

    Args:
        network: in whichever mode it gave such values.
        sample: its inputs, name -> (B, ...); nothing is said about others.
    """
    if not isinstance(sample, Mapping):
        return ""
    if not _all_finite(list(network.parameters())):
        return "; its weights are not finite since an earlier step, whose gradients were not"
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
