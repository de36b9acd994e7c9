"""Basic layers beside torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bmnas.space import layers
from bmnas.space.layers import LEVELS, Dropout, Pointwise, row_product


@given(
    B=st.integers(1, 5), C_in=st.integers(1, 4), C_out=st.integers(1, 4), L=st.integers(1, 3), groups=st.integers(1, 3)
)
def test_pointwise_is_a_convolution_of_width_one(B, C_in, C_out, L, groups):
    torch.manual_seed(0)
    layer = Pointwise(groups * C_in, groups * C_out, groups=groups).double()
    torch.manual_seed(0)
    convolution = nn.Conv1d(groups * C_in, groups * C_out, 1, groups=groups).double()
    assert {name: tuple(tensor.shape) for name, tensor in layer.state_dict().items()} == {
        name: tuple(tensor.shape) for name, tensor in convolution.state_dict().items()
    }
    x = torch.randn(B, groups * C_in, L, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(B, groups * C_out, L, dtype=torch.float64)
    results = []
    for each in (layer, convolution):
        out = each(x)
        results.append([out, *torch.autograd.grad((out * weights).sum(), [x, *each.parameters()])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.fixture
def convolutions(monkeypatch):
    """The convolutions that products are computed by, as on a CPU with AVX-512 where every product is large."""
    calls = []

    def counted(*tensors):
        calls.append(tensors)
        return nn.functional.conv2d(*tensors)

    monkeypatch.setattr(layers, "CAPABILITY", "AVX512")
    monkeypatch.setattr(layers, "LARGE_PRODUCT", {"AVX512": 0, "AVX2": 0})
    monkeypatch.setattr(layers, "conv2d", counted)
    return calls


@pytest.mark.parametrize(
    ("T", "taken"), [(768, True), (760, True), (100, True), (1, False), (30, False), (64, False), (257, False)]
)
@pytest.mark.parametrize(("C_in", "C_out"), [(5, 3), (1, 1), (32, 48)])
@pytest.mark.parametrize("padding", [0, 3])
def test_a_product_of_rows_by_any_means(convolutions, T, taken, C_in, C_out, padding):
    """Values and gradients against einsum in float64; rows that are 4, 8 or 16 times many are a convolution."""
    torch.manual_seed(0)
    store = torch.randn(T, C_in + padding)
    x, weight, bias = store[:, :C_in].requires_grad_(), torch.randn(C_out, C_in), torch.randn(C_out)
    inputs = (x, weight.requires_grad_(), bias.requires_grad_())
    waves = torch.randn(T, C_out)
    ours = row_product(*inputs)
    exact = torch.einsum("ti,oi->to", x.double(), weight.double()) + bias.double()
    torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)
    gradients = torch.autograd.grad((ours * waves).sum(), inputs)
    expected = torch.autograd.grad((exact * waves).sum(), inputs)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-4, atol=1e-4)
    assert bool(convolutions) == taken


def test_small_products_and_other_machines_and_types_have_no_convolution(convolutions, monkeypatch):
    rows, weight, bias = torch.randn(256, 8), torch.randn(4, 8), torch.randn(4)
    row_product(rows.double(), weight.double(), bias.double())
    row_product(rows.to("meta"), weight.to("meta"), bias.to("meta"))
    monkeypatch.setattr(layers, "CAPABILITY", "DEFAULT")
    row_product(rows, weight, bias)
    monkeypatch.setattr(layers, "CAPABILITY", "AVX512")
    monkeypatch.setattr(layers, "LARGE_PRODUCT", {"AVX512": 256 * 4 * 8 + 1})
    row_product(rows, weight, bias)
    assert not convolutions
    monkeypatch.setattr(layers, "LARGE_PRODUCT", {"AVX512": 256 * 4 * 8})
    row_product(rows, weight, bias)
    assert len(convolutions) == 1


@pytest.mark.parametrize(
    ("capability", "learnt", "grad", "taken"),
    [
        ("AVX512", True, True, True),
        ("AVX512", False, True, True),
        ("AVX2", True, True, False),  # the gradient of the weight takes twice as long as a convolution's
        ("AVX2", False, True, True),
        ("AVX2", True, False, True),
        ("DEFAULT", False, True, False),
        ("SVE256", False, True, False),
    ],
)
def test_which_products_are_convolutions(convolutions, monkeypatch, capability, learnt, grad, taken):
    monkeypatch.setattr(layers, "CAPABILITY", capability)
    weight = torch.randn(4, 8, requires_grad=learnt)
    with torch.set_grad_enabled(grad):
        row_product(torch.randn(256, 8), weight, torch.randn(4))
    assert bool(convolutions) == taken


@pytest.mark.parametrize("p", [1.0, 1 - 0.4 / LEVELS])
def test_dropout_of_everything_leaves_nothing(p):
    assert not Dropout(p)(torch.ones(2, 3, 5)).any()
