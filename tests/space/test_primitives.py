"""Primitives against independent formulas, and a primitive of one's own with three inputs."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bmnas.space.architecture import Architecture
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import PAPER_PRIMITIVES, PRIMITIVES, Attention, ConcatFC, LinearGLU, Sum, Zero

B, C, L = 5, 6, 3


@pytest.fixture
def xy():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(B, C, L, generator=generator, dtype=torch.float64), torch.randn(
        B, C, L, generator=generator, dtype=torch.float64
    )


def plain(primitive):
    """Eval mode in float64; fresh BatchNorm is then x / sqrt(1 + eps), fresh LayerNorm has weight 1 and bias 0."""
    return primitive.double().eval()


def batch_norm(values, norm):
    return values / np.sqrt(1 + norm.eps)


def test_zero_and_sum(xy):
    x, y = xy
    assert torch.equal(Zero(C, L, 0.0)(x, y), torch.zeros(B, C, L, dtype=torch.float64))
    assert torch.equal(Sum(C, L, 0.0)(x, y), x + y)


def test_attention_position_by_position(xy):
    x, y = xy
    out = plain(Attention(C, L, 0.0))(x, y).detach().numpy()
    x, y = x.numpy(), y.numpy()
    for b in range(B):
        expected = np.zeros((C, L))
        for i in range(L):
            scores = np.array([x[b, :, i] @ y[b, :, j] / math.sqrt(C) for j in range(L)])
            weights = np.exp(scores) / np.exp(scores).sum()
            expected[:, i] = sum(weights[j] * y[b, :, j] for j in range(L))
        centred = expected - expected.mean()
        np.testing.assert_allclose(out[b], centred / np.sqrt(expected.var() + 1e-5), atol=1e-10)


def test_attention_to_a_constant_is_that_constant(xy):
    x, y = xy
    constant = y[:, :, :1].expand(-1, -1, L)
    attention = plain(Attention(C, L, 0.0))
    torch.testing.assert_close(attention(x, constant), attention.norm(constant))


def test_linear_glu_is_eq_7(xy):
    x, y = xy
    glu = plain(LinearGLU(C, L, 0.0))
    weight, bias = glu.conv.weight[..., 0].detach().numpy(), glu.conv.bias.detach().numpy()
    assert weight.shape == (2 * C, C)  # W1 over W2, each C x C
    a = np.einsum("oc,bcl->bol", weight[:C], x) + bias[:C, None]
    g = np.einsum("oc,bcl->bol", weight[C:], y) + bias[C:, None]
    expected = batch_norm(a, glu.norm) / (1 + np.exp(-batch_norm(g, glu.norm)))
    np.testing.assert_allclose(glu(x, y).detach().numpy(), expected, atol=1e-12)


def test_linear_glu_of_the_reference_sees_both(xy):
    x, y = xy
    glu = plain(LinearGLU(C, L, 0.0, "reference"))
    weight, bias = glu.conv.weight[..., 0].detach().numpy(), glu.conv.bias.detach().numpy()
    assert weight.shape == (2 * C, 2 * C)
    both = batch_norm(np.einsum("oc,bcl->bol", weight, np.concatenate([x, y], 1)) + bias[:, None], glu.norm)
    np.testing.assert_allclose(glu(x, y).detach().numpy(), both[:, :C] / (1 + np.exp(-both[:, C:])), atol=1e-12)


def test_concat_fc_is_eq_8(xy):
    x, y = xy
    fc = plain(ConcatFC(C, L, 0.0))
    weight, bias = fc.conv.weight[..., 0].detach().numpy(), fc.conv.bias.detach().numpy()
    linear = np.einsum("oc,bcl->bol", weight, np.concatenate([x, y], 1)) + bias[:, None]
    np.testing.assert_allclose(fc(x, y).detach().numpy(), np.maximum(batch_norm(linear, fc.norm), 0), atol=1e-12)


@pytest.mark.parametrize("name", PAPER_PRIMITIVES)
def test_gradients_by_finite_differences(name, xy):
    primitive = plain(PRIMITIVES[name](C, L, 0.0))
    x, y = (value.requires_grad_() for value in xy)
    assert torch.autograd.gradcheck(primitive, (x, y))


@pytest.mark.parametrize("name", PAPER_PRIMITIVES)
def test_symmetric_means_what_it_says(name, xy):
    x, y = xy
    primitive = plain(PRIMITIVES[name](C, L, 0.0))
    swapped = plain(PRIMITIVES[name](C, L, 0.0))
    swapped.load_state_dict(primitive.state_dict())
    if name == "ConcatFC":  # up to a relabelling of its weights
        weight = primitive.conv.weight.data
        swapped.conv.weight.data = torch.cat([weight[:, C:], weight[:, :C]], 1)
    same = torch.allclose(primitive(x, y), swapped(y, x))
    assert same == primitive.symmetric


class Median(nn.Module):
    arity = 3
    symmetric = True
    formula = "Median(x, y, z)"

    def __init__(self, C, L, dropout, mode="paper"):
        super().__init__()

    def forward(self, x, y, z):
        return torch.stack([x, y, z]).median(0).values


@pytest.fixture
def median():
    PRIMITIVES.register(Median)
    yield Median
    del PRIMITIVES["Median"]


def test_a_primitive_of_ones_own_with_three_inputs(median):
    pool = (*PAPER_PRIMITIVES, "Median")
    net = Hypernet({"a": 2, "b": 2}, 3, C, L, N=1, M=2, primitives=pool)
    steps = net.cells["Cell_1"].steps
    assert "Median" not in steps["Step_1"].primitives  # x and y are too few
    assert "Median" in steps["Step_2"].primitives
    batch = {name: torch.randn(4, 2, L) for name in "ab"}
    assert net(batch).shape == (4, 3)
    record = net.architecture()
    gamma = {"Cell_1": {"Step_1": {"Sum": 1.0}, "Step_2": {"Sum": 0.1, "Median": 0.9}}}
    beta = {"Cell_1": {"Step_1": {"x": 0.1, "y": 0.2}, "Step_2": {"x": 0.4, "y": 0.3, "Step_1": 0.9}}}
    genotype = derive(Architecture(record.alpha, beta, gamma), 2)
    assert genotype.cells[0].steps[1] == StepGenotype("Median", ("Step_1", "x", "y"))
    assert FusionNetwork(genotype, {"a": 2, "b": 2}, 3, C, L)(batch).shape == (4, 3)
    Genotype((CellGenotype(("a", "b"), genotype.cells[0].steps),), 1)


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError, match="already registered"):
        PRIMITIVES.register(type("Sum", (nn.Module,), {}))
