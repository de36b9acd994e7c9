"""Weighted sums of tensors side by side, and their gradients: a matrix times a vector, however many there are."""

from collections.abc import Sequence

from torch import Tensor


def add_mixture_(total: Tensor, weights: Sequence[float], tensors: Tensor) -> None:
    """Adds sum_i weights_i * tensors_i, of (n, ...), to the total (...)."""
    if len(tensors):
        total.view(-1).addmv_(tensors.flatten(1).t(), total.new_tensor(weights))


def add_gradients_(gradients: Tensor, weights: Sequence[float], gradient: Tensor) -> None:
    """The way back of `add_mixture_`: adds weights_i * gradient (...) to gradients_i, of (n, ...)."""
    if len(gradients):
        gradients.flatten(1).addr_(gradient.new_tensor(weights), gradient.view(-1))


def scalars(tensors: Tensor, gradient: Tensor) -> list[float]:
    """The scalar products of tensors (n, ...) and a gradient (...)."""
    return tensors.flatten(1).mv(gradient.view(-1)).tolist()
