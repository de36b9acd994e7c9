"""Basic layers beside torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bmnas.space.layers import LEVELS, Dropout, Pointwise


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


@pytest.mark.parametrize("p", [1.0, 1 - 0.4 / LEVELS])
def test_dropout_of_everything_leaves_nothing(p):
    assert not Dropout(p)(torch.ones(2, 3, 5)).any()
