"""The hypernet: Eqs. 1, 2, 9, 10 against a plain transcription, one-hot limits, names and state."""

import numpy as np
import pytest
import torch

from bmnas.errors import ConfigError, FeatureError, UnknownNameError
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import LinearGLU
from bmnas.space.reshape import Reshape

CHANNELS = {"a": 3, "b": 5, "c": 4}
C, L, N, M, CLASSES = 6, 4, 2, 2, 7


def hypernet(mode="paper", **changes):
    torch.manual_seed(0)
    net = Hypernet(CHANNELS, CLASSES, C, L, N, M, mode=mode, vectors=["b"], **changes).double()
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.copy_(torch.randn_like(parameter))
    return net


def batch(n=4):
    generator = torch.Generator().manual_seed(3)
    shapes = {name: (n, c, 1 if name == "b" else L) for name, c in CHANNELS.items()}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def softmax(values):
    e = np.exp(np.asarray(values) - np.max(values))
    return e / e.sum()


def transcription(net, features):
    """Edge by edge, primitive by primitive, with Zero and Identity written out."""
    nodes = [net.reshape[name](features[name]) for name in CHANNELS]
    outputs = []
    for cell in net.cells.values():
        s = 0
        for j, node in enumerate(nodes):
            zero, identity = softmax(cell.alpha[j].tolist())
            s = s + zero * (0 * node) + identity * node
        states = [s, s]
        for step in cell.steps.values():
            t = 0
            for j, state in enumerate(states):
                zero, identity = softmax(step.beta[j].tolist())
                t = t + zero * (0 * state) + identity * state
            weights = softmax(step.gamma.tolist())
            states.append(sum(w * f(t, t) for w, f in zip(weights, step.primitives.values(), strict=True)))
        nodes.append(cell.output(states))
        outputs.append(nodes[-1])
    return net.classifier(outputs)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_forward_is_the_equations(mode):
    net = hypernet(mode).eval()
    torch.testing.assert_close(net(batch()), transcription(net, batch()), rtol=0, atol=1e-12)


def test_gradient_of_every_architecture_weight_by_finite_differences():
    net = hypernet().eval()
    loss = net(batch()).square().sum()
    parameters = net.architecture_parameters()
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        flat = parameter.data.view(-1)
        for i in range(flat.numel()):
            values = []
            for change in (1e-6, -1e-6):
                flat[i] += change
                values.append(net(batch()).square().sum().item())
                flat[i] -= change
            assert gradient.view(-1)[i].item() == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-4, rel=1e-4)


def test_one_hot_limit_is_the_derived_network():
    """With one open edge, x = y; with one open primitive, the hypernet is that discrete network on (s, s)."""
    net = hypernet().eval()
    open_edges = {"Cell_1": ("a", "x"), "Cell_2": ("Cell_1", "y")}
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.zero_()
        for name, cell in net.cells.items():
            nodes = [*CHANNELS, *list(net.cells)]
            cell.alpha[:, 0] = 200.0
            cell.alpha[nodes.index(open_edges[name][0])] = torch.tensor([0.0, 200.0])
            for m, step in enumerate(cell.steps.values()):
                step.beta[:, 0] = 200.0
                step.beta[m] = torch.tensor([0.0, 200.0])  # x, then y
                step.gamma[list(step.primitives).index("LinearGLU")] = 200.0
    # the two states x and y are the same tensor s, so Step(s, s) in the discrete network has inputs x and y
    steps = (StepGenotype("LinearGLU", ("x", "y")), StepGenotype("LinearGLU", ("y", "x")))
    genotype = Genotype((CellGenotype(("a", "c"), steps), CellGenotype(("c", "Cell_1"), steps)), M)
    found = FusionNetwork(genotype, CHANNELS, CLASSES, C, L, vectors=["b"]).double().eval()
    for n, cell in found.cells.items():
        for m, step in cell.steps.items():
            step.load_state_dict(net.cells[n].steps[m].primitives["LinearGLU"].state_dict())
        cell.output.load_state_dict(net.cells[n].output.state_dict())
    found.classifier.load_state_dict(net.classifier.state_dict())
    a = net.reshape["a"](batch()["a"])
    first = found.cells["Cell_1"](a, a)
    second = found.cells["Cell_2"](first, first)
    torch.testing.assert_close(net(batch()), found.classifier([first, second]), rtol=0, atol=1e-12)


def test_architecture_weights_are_parameters_with_names():
    net = hypernet()
    names = {name for name, _ in net.named_parameters()}
    expected = {"cells.Cell_1.alpha", "cells.Cell_2.steps.Step_2.beta", "cells.Cell_2.steps.Step_1.gamma"}
    assert expected <= names & set(net.state_dict())
    assert all(p.dtype == torch.float64 for p in net.architecture_parameters())  # moved by .to
    weights, choices = net.weight_parameters(), net.architecture_parameters()
    assert len(weights) + len(choices) == len(list(net.parameters()))
    without = net.weight_parameters(reshape=False)
    assert len(weights) - len(without) == len(list(net.reshape.parameters()))


def test_architecture_by_name():
    net = hypernet()
    record = net.architecture()
    assert list(record.alpha["Cell_1"]) == ["a", "b", "c"]
    assert list(record.alpha["Cell_2"]) == ["a", "b", "c", "Cell_1"]
    assert list(record.beta["Cell_2"]["Step_2"]) == ["x", "y", "Step_1"]
    assert list(record.gamma["Cell_1"]["Step_1"]) == ["Zero", "Sum", "Attention", "LinearGLU", "ConcatFC"]
    identity = softmax(net.cells["Cell_2"].alpha[3].tolist())[1]
    assert record.alpha["Cell_2"]["Cell_1"] == pytest.approx(identity, abs=1e-6)
    assert sum(record.gamma["Cell_2"]["Step_2"].values()) == pytest.approx(1, abs=1e-6)
    rows = list(record.rows())
    assert len(rows) == sum(p.numel() for p in net.architecture_parameters()) - (3 + 4 + 2 * 5)  # one of two columns


def test_entropy_runs_from_undecided_to_decided():
    net = hypernet()
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.zero_()
    assert net.architecture().entropy() == pytest.approx({"alpha": 1, "beta": 1, "gamma": 1})
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.view(-1)[::2] = 500.0
            parameter.view(-1)[1:] = 0.0
    assert net.architecture().entropy()["gamma"] == pytest.approx(0, abs=1e-6)


def test_learned_tokens_differ_and_copied_ones_do_not():
    feature = batch()["b"]
    copied, learned = (hypernet(tokeniser=kind).eval().reshape["b"](feature) for kind in ("copy", "learned"))
    assert copied.shape == learned.shape == (4, C, L)
    assert torch.equal(copied, copied[:, :, :1].expand_as(copied))
    assert not torch.allclose(learned, learned[:, :, :1].expand_as(learned))


EMPTY = [
    (dict(classes=0), "classes is 0"),
    (dict(classes=-1), "classes is -1"),
    (dict(C=0), "C is 0"),
    (dict(L=-2), "L is -2"),
    (dict(channels={"a": 3, "b": 0}), "b is 0"),
    (dict(dropout=1.0), "dropout is 1.0"),
    (dict(dropout=float("nan")), "dropout is nan"),
]
"""Arguments that would make a network without parameters, or of NaN; and what is named."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(N=0), "N is 0"),
        (dict(M=1, r=4), "r is 4"),
        (dict(mode="papre"), "'paper' or 'reference'"),
        (dict(channels={"a": 3}), "at least 2"),
        *EMPTY,
    ],
)
def test_bad_sizes(changes, message):
    with pytest.raises(ConfigError, match=message):
        Hypernet(**{**dict(channels=CHANNELS, classes=2, C=4, L=2, N=1, M=1), **changes})


@pytest.mark.parametrize(("changes", "message"), EMPTY)
def test_bad_sizes_of_a_derived_network(changes, message):
    genotype = Genotype((CellGenotype(("a", "b"), (StepGenotype("Sum", ("x", "y")),)),), r=1)
    with pytest.raises(ConfigError, match=message):
        FusionNetwork(genotype, **{**dict(channels=CHANNELS, classes=2, C=4, L=2), **changes})


def test_unknown_primitive_lists_the_nearest():
    with pytest.raises(UnknownNameError, match=r"unknown primitive 'Atention'; known \(nearest first\): Attention"):
        Hypernet(CHANNELS, 2, C, L, 1, 1, primitives=["Atention"])


def test_a_vector_may_come_without_its_position():
    net, features = hypernet().eval(), batch()
    flat = {name: feature.squeeze(2) if feature.shape[2] == 1 else feature for name, feature in features.items()}
    assert torch.equal(net(flat), net(features))


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (4, 2, L), (4, 3, L + 1), (4,)])
def test_a_feature_of_another_shape_is_named(shape):
    with pytest.raises(FeatureError, match=r"\(B, 3, 4\).*\(B, 3\).*bmnas.pool"):
        Reshape(3, C, L, 0.0)(torch.zeros(shape))


def test_unknown_tokeniser():
    with pytest.raises(ConfigError, match="'copy' or 'learned'"):
        hypernet(tokeniser="learnt")


def test_a_mistyped_mode_is_no_reference_network():
    genotype = Genotype((CellGenotype(("a", "b"), (StepGenotype("Sum", ("x", "y")),)),), r=1)
    with pytest.raises(ConfigError, match="'paper' or 'reference'"):
        FusionNetwork(genotype, CHANNELS, 2, C, L, mode="Paper")
    with pytest.raises(ConfigError, match="'paper' or 'reference'"):
        LinearGLU(C, L, 0.0, "papre")
