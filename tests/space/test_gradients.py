"""Parameters that are held still: no gradients, nothing kept for them, and everything as before afterwards."""

import pytest
import torch
from torch import nn

from bmnas.space.algebra import Algebra
from bmnas.space.gradients import held_still, others_than
from bmnas.space.hypernet import Hypernet
from bmnas.space.tokens import dropped_relu
from bmnas.training.loop import NetworkLearner

CHANNELS = {"a": 6, "b": 5, "c": 4}


def hypernet():
    torch.manual_seed(0)
    return Hypernet(CHANNELS, 3, 8, 4, 2, 2, dropout=0.2, mode="reference", vectors=("a",))


def batch():
    torch.manual_seed(1)
    sizes = {"a": 1, "b": 4, "c": 4}
    return {name: torch.randn(8, C_in, sizes[name]) for name, C_in in CHANNELS.items()}, torch.arange(8) % 3


def test_held_parameters_are_as_before_afterwards():
    layers = [nn.Linear(2, 2) for _ in range(3)]
    first, second, third = (layer.weight for layer in layers)
    second.requires_grad_(False)
    for error in (None, KeyError, KeyboardInterrupt):
        try:
            with held_still(others_than([third], [first, second, third])):
                assert [each.requires_grad for each in (first, second, third)] == [False, False, True]
                if error is not None:
                    raise error
        except (KeyError, KeyboardInterrupt):
            pass
        assert [each.requires_grad for each in (first, second, third)] == [True, False, True]


@pytest.mark.parametrize("computed", [lambda net: net, Algebra], ids=["formula", "algebra"])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("asked", ["weight_parameters", "architecture_parameters"])
def test_a_step_asks_for_no_other_gradients_and_gets_the_same(computed, parts, asked):
    net = hypernet()
    network, (features, targets) = computed(net), batch()
    parameters = getattr(net, asked)()
    learner = NetworkLearner(network, "multiclass", torch.optim.Adam(parameters), parameters, parts)
    seen = []
    right = type(network).forward

    def forward(inputs):
        seen.append({id(p) for p in net.parameters() if p.requires_grad})
        return right(network, inputs)

    network.forward = forward
    torch.manual_seed(2)
    _, gradients = learner.gradients((features, targets))
    assert seen == parts * [{id(p) for p in parameters}] and all(p.requires_grad for p in net.parameters())
    torch.manual_seed(2)
    everything = NetworkLearner(network, "multiclass", torch.optim.Adam(parameters), list(net.parameters()), parts)
    _, expected = everything.gradients((features, targets))
    expected = {id(p): gradient for p, gradient in zip(net.parameters(), expected, strict=True)}
    for parameter, gradient in zip(parameters, gradients, strict=True):
        torch.testing.assert_close(gradient, expected[id(parameter)], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dropped", [False, True])
def test_dropped_relu_keeps_its_output_alone(dropped):
    torch.manual_seed(0)
    x = torch.randn(12, 5, dtype=torch.float64, requires_grad=True)
    mask = (torch.rand(3, 4, 5) > 0.4).double() if dropped else None
    factor = 1.0 if mask is None else mask.view(x.shape)
    gradient = torch.randn_like(x)
    kept = []

    def keep(tensor):
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        normed = torch.nn.functional.batch_norm(x, None, None, training=True)
        before = len(kept)
        out = dropped_relu(normed, mask)
    assert [tensor.shape for tensor in kept[before:]] == [x.shape]
    exact = torch.nn.functional.batch_norm(x, None, None, training=True).relu() * factor
    assert torch.equal(out, exact)
    assert torch.equal(torch.autograd.grad(out, x, gradient)[0], torch.autograd.grad(exact, x, gradient)[0])
