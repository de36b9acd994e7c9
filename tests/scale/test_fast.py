"""The shortcuts against the formulas: outputs, every gradient, every statistic, in float64."""

import copy
import dataclasses
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bmnas.features.feature_set import FeatureSet
from bmnas.registry import PRIMITIVES
from bmnas.scale import fast
from bmnas.scale.fast import kernels
from bmnas.scale.fast.asking import Asked
from bmnas.scale.fast.batchnorm import line_of, moments
from bmnas.scale.fast.dropout import LEVELS, Masks, level, scale
from bmnas.scale.fast.features import rows_of
from bmnas.scale.fast.kernels import ALL, MEAN, draw, memory
from bmnas.scale.fast.layernorm import Normalised
from bmnas.scale.fast.stored import TokenTensors, distinct_positions
from bmnas.searching.algorithm1 import search
from bmnas.searching.inherited_score import batch_statistics
from bmnas.searching.run_folder import Run
from bmnas.searching.seed_state import optimizers
from bmnas.space.hypernet import Hypernet
from bmnas.space.primitives import Sum
from bmnas.space.reshape import Reshape
from bmnas.training.steps import gradient_step
from tests.support.golden_release import no_dropout
from tests.support.tiny import CONFIG, tiny_features
from tests.support.transcription import Transcription

CHANNELS = {"a": 3, "b": 5, "c": 4, "d": 6}
VECTORS = ("b",)
CLASSES = 7
CLOSE = dict(rtol=1e-10, atol=1e-10)
PAPER = ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")


class Median(nn.Module):
    """A primitive of one's own, of three inputs, with weights and without a shortcut."""

    arity = 3
    symmetric = True
    formula = "Median(x, y, z)"

    def __init__(self, C, L, dropout, mode="paper"):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, C)[:, None] * torch.ones(C, L))

    def forward(self, x, y, z):
        return self.scale * torch.stack([x, 2 * y, z.flip(2)]).median(0).values


class Doubled(Sum):
    """Inherits from a primitive that has a shortcut, and computes something else."""

    def forward(self, x, y):
        return 2 * (x + y).cumsum(2)


@pytest.fixture
def own_primitives():
    PRIMITIVES.register(Median)
    PRIMITIVES.register(Doubled)
    yield ("Sum", "Median", "Doubled", "ConcatFC")
    del PRIMITIVES["Median"], PRIMITIVES["Doubled"]


def pair(C=6, L=8, N=2, M=2, **settings):
    """Two equal Hypernets in float64 without dropout: by shortcuts, and by the formula."""
    torch.manual_seed(0)
    net = Hypernet(CHANNELS, CLASSES, C, L, N, M, vectors=VECTORS, fast=True, **settings).double()
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.add_(torch.randn_like(value), alpha=1.0 if name.endswith(("alpha", "beta", "gamma")) else 0.3)
        for value in net.buffers():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    no_dropout(net)
    plain = copy.deepcopy(net)
    plain.fast = False
    return net, plain


def batch(n=5, L=8):
    """a: every position its own; b: a vector; c: pairs of copies; d: all positions alike."""
    generator = torch.Generator().manual_seed(3)

    def draw(name, positions):
        x = torch.randn(n, CHANNELS[name], positions, generator=generator, dtype=torch.float64)
        return x if name == "b" else x.repeat_interleave(L // positions, 2)

    return {name: draw(name, p) for name, p in (("a", L), ("b", 1), ("c", L // 2), ("d", 1))}


def loss_of(out):
    """Treats every logit differently."""
    return (out * torch.cos(torch.arange(out.numel(), dtype=out.dtype)).view_as(out)).sum()


def results(net, features):
    """Logits, and all gradients by name, of `loss_of`."""
    out = net(features)
    named = dict(net.named_parameters())
    gradients = torch.autograd.grad(loss_of(out), list(named.values()), allow_unused=True)
    return out, dict(zip(named, gradients, strict=True))


def assert_equal_networks(net, plain, features, steps=2):
    for _ in range(steps):
        (ours, gradients), (theirs, expected) = results(net, features), results(plain, features)
        torch.testing.assert_close(ours, theirs, **CLOSE)
        assert gradients.keys() == expected.keys()
        for name, gradient in expected.items():
            assert (gradients[name] is None) == (gradient is None), name
            if gradient is not None:
                torch.testing.assert_close(gradients[name], gradient, **CLOSE, msg=lambda text, n=name: f"{n}: {text}")
    state = plain.state_dict()
    assert net.state_dict().keys() == state.keys()
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, state[name], **CLOSE, msg=lambda text, n=name: f"{n}: {text}")


SIZES = [
    dict(),
    dict(r=1),
    dict(M=1, r=2),
    dict(M=1, r=3),
    dict(N=3, M=3, L=4),
    dict(M=4, r=2),
    dict(M=3, r=1),
    dict(N=1, M=1, L=12),
    dict(L=1),
    dict(tokeniser="learned"),
]


@pytest.fixture
def calls(monkeypatch):
    """How often the shortcuts were taken."""
    counted, forward = [], fast.forward
    monkeypatch.setattr(fast, "forward", lambda *a: counted.append(1) or forward(*a))
    return counted


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("mode", ["paper", "reference"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_values_gradients_and_statistics_equal_the_formulas(mode, sizes, training, calls):
    net, plain = pair(mode=mode, **sizes)
    L = sizes.get("L", 8)
    features = batch(L=L) if L > 1 else {name: x[..., :1] for name, x in batch().items()}
    assert_equal_networks(net.train(training), plain.train(training), features)
    assert len(calls) == 2  # by the first network alone


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pool", [("Zero",), ("Zero", "Sum"), ("Attention",), PAPER[::-1]], ids=str)
def test_any_pool(pool, training):
    net, plain = pair(primitives=pool)
    assert_equal_networks(net.train(training), plain.train(training), batch())


@given(
    sizes=st.fixed_dictionaries({"N": st.integers(1, 3), "M": st.integers(1, 4), "C": st.sampled_from([1, 2, 6, 16])}),
    r=st.integers(1, 5),
    mode=st.sampled_from(["paper", "reference"]),
    pool=st.lists(st.sampled_from(PAPER), min_size=1, unique=True),
    training=st.booleans(),
    asked=st.lists(st.sampled_from(["weights", "architecture", "both"]), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_any_network_whatever_is_asked_for_in_whatever_order(sizes, r, mode, pool, training, asked):
    """What is asked for first must not write over what is asked for later."""
    net, plain = pair(**sizes, r=min(r, sizes["M"] + 1), mode=mode, primitives=pool)
    found = []
    for part in (net.train(training), plain.train(training)):
        weights, architecture = part.weight_parameters(), part.architecture_parameters()
        parameters = {"weights": weights, "architecture": architecture, "both": [*weights, *architecture]}
        loss, told = loss_of(part(batch())), {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        found.append([gradient for each in asked for gradient in torch.autograd.grad(loss, parameters[each], **told)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_own_primitives_are_called_as_they_are(own_primitives, calls):
    net, plain = pair(primitives=own_primitives, M=3)
    assert_equal_networks(net, plain, batch())
    assert len(calls) == 2


def test_one_sample():
    net, plain = pair()
    assert_equal_networks(net, plain, batch(n=1))


@pytest.mark.parametrize("file", sorted(Path(fast.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_no_operator_of_one_makers_library_is_called(file):
    """Such an operator may be fast on one processor and thousands of times slower on another."""
    source = file.read_text(encoding="utf-8")
    assert not re.findall(r"torch\.ops\.(?!aten\b)\w+", source)  # aten is torch itself


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_float32_steps_stay_near_the_formulas(mode):
    net, plain = (part.float() for part in pair(mode=mode, C=8))
    features = {name: x.float() for name, x in batch(n=64).items()}
    ours, theirs = net(features), plain(features)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_feature_that_asks_for_its_gradient_gets_it_by_the_formula(calls):
    net, plain = pair()
    found = []
    for part in (net, plain):
        features = {name: x.requires_grad_() for name, x in batch().items()}
        found.append(torch.autograd.grad(part(features).square().sum(), list(features.values())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)
    assert calls == []


@pytest.mark.parametrize("asked", ["weights", "architecture"])
@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_only_the_gradients_that_a_step_asks_for(mode, asked):
    net, plain = pair(mode=mode)
    wanted = net.weight_parameters() if asked == "weights" else net.architecture_parameters()
    names = {id(p): name for name, p in net.named_parameters()}
    expected = results(plain, batch())[1]
    with fast.only(net, wanted):
        assert {id(p) for p in net.parameters() if p.requires_grad} == {id(p) for p in wanted}
        gradients = torch.autograd.grad(loss_of(net(batch())), wanted, allow_unused=True)
    for parameter, gradient in zip(wanted, gradients, strict=True):
        torch.testing.assert_close(gradient, expected[names[id(parameter)]], **CLOSE)
    assert all(p.requires_grad for p in net.parameters())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("zero", [0.0, 10.0, 60.0, 1e3], ids=lambda logit: f"zero {logit:g}")
@pytest.mark.parametrize("sizes", [dict(), dict(M=1, r=1), dict(M=1, r=2), dict(N=3, M=3)], ids=str)
def test_weights_alone_with_the_beta_of_a_single_input_folded_away(sizes, zero, training):
    """Also where that beta is almost or exactly 0."""
    net, plain = pair(**sizes)
    for part in (net, plain):
        with torch.no_grad():
            for cell in part.named_cells().values():
                cell.steps["Step_1"].beta[:, 0] += zero
    expected = results(plain.train(training), batch())[1]
    wanted = {name: p for name, p in net.train(training).named_parameters() if expected[name] is not None}
    wanted = {name: p for name, p in wanted.items() if not name.endswith(("alpha", "beta", "gamma"))}
    with fast.only(net, wanted.values()):
        gradients = torch.autograd.grad(loss_of(net(batch())), list(wanted.values()))
    for name, gradient in zip(wanted, gradients, strict=True):
        torch.testing.assert_close(gradient, expected[name], **CLOSE, msg=lambda text, n=name: f"{n}: {text}")
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, plain.state_dict()[name], **CLOSE)
    with torch.no_grad():
        torch.testing.assert_close(net(batch()), plain(batch()), **CLOSE)


def test_own_primitives_where_weights_alone_are_asked_for(own_primitives):
    net, plain = pair(primitives=own_primitives, M=3)
    expected = results(plain, batch())[1]
    with fast.only(net, net.weight_parameters()):
        gradients = torch.autograd.grad(loss_of(net(batch())), net.weight_parameters())
    names = {id(p): name for name, p in net.named_parameters()}
    for parameter, gradient in zip(net.weight_parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, expected[names[id(parameter)]], **CLOSE)


@pytest.mark.parametrize("kept", [True, False])
def test_a_pass_lets_go_of_what_it_kept_as_it_goes_back(kept):
    net, _ = pair()
    out = net(batch())
    made = out.grad_fn.made
    torch.autograd.grad(out.sum(), list(net.parameters()), retain_graph=kept)
    layers = [made.classified, *made.cells]
    assert [bool(vars(layer)) for layer in layers] == [kept] * 3


def test_what_asks_for_no_gradient_asks_for_none_afterwards():
    net, _ = pair()
    net.classifier.linear.bias.requires_grad_(False)
    with pytest.raises(KeyError), fast.only(net, net.architecture_parameters()):
        raise KeyError
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["classifier.linear.bias"]


def test_a_graph_that_is_kept_gives_the_same_gradients_again():
    net, _ = pair()
    loss, parameters = net(batch()).square().sum(), list(net.parameters())
    first = torch.autograd.grad(loss, parameters, retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, parameters), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_is_not_finite_reaches_the_loss(value, dropout):
    """ReLU by a comparison must not make 0 of it: a search stops where its loss is not finite."""
    torch.manual_seed(0)
    net = Hypernet(CHANNELS, CLASSES, 6, 8, 2, 2, dropout=dropout, vectors=VECTORS, fast=True).double()
    features = batch()
    features["a"][2, 1, 3] = value
    assert not net(features).isfinite().all()


def test_another_precision_is_computed_by_the_formula(calls):
    net, plain = (part.bfloat16() for part in pair())
    features = {name: x.bfloat16() for name, x in batch().items()}
    assert torch.equal(net(features), plain(features)) and calls == []


def test_a_parameter_that_changed_before_the_way_back_is_noticed():
    net, _ = pair()
    for name in ("reshape.a.conv.weight", "classifier.linear.weight", "cells.Cell_1.output.conv.weight"):
        loss = net(batch()).sum()
        with torch.no_grad():
            net.get_parameter(name).add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_one_position_in_all_cannot_be_normalised():
    net, plain = pair(L=1)
    features = {name: x[..., :1] for name, x in batch(n=1).items()}
    for part in (plain, net):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            part(features)


def test_a_hook_is_heard(calls):
    net, _ = pair()
    heard = []
    net.cells["Cell_1"].steps["Step_1"].primitives["Sum"].register_forward_hook(lambda *_: heard.append(1))
    net(batch())
    assert (heard, calls) == ([1], [])


def test_a_hook_on_the_whole_network_changes_nothing(calls):
    net, _ = pair()
    net.register_forward_hook(lambda *_: None)
    net(batch())
    assert calls == [1]


def test_an_architecture_step_moves_as_by_the_formula():
    net, plain = pair()
    for part in (net, plain):
        choices = part.architecture_parameters()
        optimizer = torch.optim.Adam(choices, 1e-2)
        for _ in range(3):
            gradient_step(optimizer, choices, part(batch()).square().mean())
    for ours, theirs in zip(net.architecture_parameters(), plain.architecture_parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_weight_steps_of_a_search_move_as_by_the_formula(mode):
    """With the optimizers of a search: torch's fused Adam misreads a gradient that is a transposed view."""
    net, plain = pair(mode=mode)
    moved = []
    for part in (net, plain):
        config = dataclasses.replace(CONFIG, fast=part.fast)
        weights = part.weight_parameters()
        optimizer, _ = optimizers(config, weights, part.architecture_parameters())
        for _ in range(3):
            gradient_step(optimizer, weights, part(batch()).square().mean())
        moved.append({name: value for name, value in part.named_parameters() if not name.endswith("conv.bias")})
    for name, value in moved[1].items():  # a bias before BatchNorm has no gradient but rounding, which Adam enlarges
        torch.testing.assert_close(moved[0][name], value, rtol=0, atol=1e-7, msg=lambda text, n=name: f"{n}: {text}")


def test_the_transcription_agrees():
    """Both, and the formula, with a third way to write the equations."""
    net, plain = pair(mode="reference")
    release = Transcription(CHANNELS, CLASSES, 6, 8, 2, 2, 2).double()
    release.alphas, *rest = (torch.zeros_like(t, dtype=torch.float64) for t in release.architecture())
    release.betas, release.gammas = rest[:2], rest[2:]
    release.copy_from(net)
    features = batch()
    expected = release([features[name].squeeze(2) if name == "b" else features[name] for name in CHANNELS])
    torch.testing.assert_close(net(features), expected, **CLOSE)
    torch.testing.assert_close(plain(features), expected, **CLOSE)


# dropout


def mask_of(p, shape=(64, 16, 192), seed=0):
    """True where an element of (B, L, C) is kept."""
    torch.manual_seed(seed)
    B, L, C = shape
    kept = np.empty(shape, bool)
    bits, stream = memory(L, C), Masks().stream(shape)
    for b in range(B):
        draw(stream, b * L, bits)
        kept[b] = bits[:, :C] >= level(nn.Dropout(p))
    return kept


def test_bits_are_those_of_splitmix64():
    """The first numbers of the seed 1234567, as they stand in many implementations (Rosetta Code: Splitmix64)."""
    bits = memory(1, 20)
    draw((np.uint64(1234567), np.uint64(0)), 0, bits)
    assert bits.view(np.uint64).tolist()[0] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_rows_of_masks_follow_each_other():
    """A row does not depend on what is drawn with it, and no word is drawn twice."""
    masks, all_rows, one = Masks(), memory(6, 10), memory(1, 10)
    first, second = masks.stream((2, 3, 10)), masks.stream((2, 3, 10))
    draw(first, 0, all_rows)
    for row in range(6):
        draw(first, row, one)
        assert (one[0] == all_rows[row]).all()
    draw(first, 6, one)
    draw(second, 0, all_rows)
    assert (one[0] == all_rows[0]).all()


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_masks_drop_with_the_probability_and_keep_the_mean(p):
    mask = mask_of(p).astype(float).ravel()
    dropped = 1 - mask.mean()
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / mask.size) + 1 / LEVELS
    assert scale(nn.Dropout(p)) == pytest.approx(1 / (1 - p), rel=2e-4)
    centred = 1 - mask - dropped
    for lag in (1, 2, 3, 4, 192, 16 * 192):  # elements of one draw, of neighbouring rows and samples
        assert abs((centred[lag:] * centred[:-lag]).mean()) < 5 * p * (1 - p) / math.sqrt(mask.size)


@pytest.mark.parametrize(("p", "kept"), [(0.0, 1.0), (1.0, 0.0)])
def test_dropout_of_nothing_and_of_all(p, kept):
    layer = nn.Dropout(p)
    assert mask_of(p).mean() * scale(layer) == kept
    assert level(layer.eval()) == ALL


def test_masks_follow_the_seed_and_differ_within_a_pass():
    a, b = mask_of(0.3, (2, 3, 40), seed=1), mask_of(0.3, (2, 3, 40), seed=2)
    assert (a == mask_of(0.3, (2, 3, 40), seed=1)).all() and (a != b).any()
    masks = Masks()
    streams = [masks.stream((2, 3, 9)) for _ in range(2)]
    assert streams[0][0] == streams[1][0] and streams[1][1] - streams[0][1] == 2 * 3 * 3  # words of four numbers


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_gradients_with_dropout_are_those_of_the_masked_network(mode):
    """The masks of a seed make the loss a smooth function of each parameter: central differences are its gradient."""
    torch.manual_seed(0)
    net = Hypernet(CHANNELS, CLASSES, 6, 8, 2, 2, dropout=0.3, vectors=VECTORS, mode=mode, fast=True).double()

    def loss():
        torch.manual_seed(5)
        return net(batch()).square().mean()

    for name, parameter in net.named_parameters():
        if name.endswith(("alpha", "beta", "gamma", "weight")):
            (gradient,) = torch.autograd.grad(loss(), [parameter])
            with torch.no_grad():
                direction, step = torch.randn_like(parameter), 1e-6
                parameter.add_(direction, alpha=step)
                above = loss().item()
                parameter.sub_(direction, alpha=2 * step)
                below = loss().item()
                parameter.add_(direction, alpha=step)
            assert (gradient * direction).sum().item() == pytest.approx(
                (above - below) / (2 * step), rel=1e-3, abs=1e-6
            ), name


def test_no_dropout_in_eval_mode():
    net = Hypernet(CHANNELS, CLASSES, 6, 8, 2, 2, dropout=0.5, vectors=VECTORS, fast=True).double().eval()
    assert torch.equal(net(batch()), net(batch()))
    net.train()
    assert not torch.equal(net(batch()), net(batch()))


# BatchNorm


@given(
    rows=st.integers(2, 70),
    channels=st.integers(1, 9),
    copies=st.integers(1, 4),
    shift=st.floats(-1e3, 1e3),
    seed=st.integers(0, 99),
)
@settings(max_examples=40, deadline=None)
def test_the_line_of_batchnorm(rows, channels, copies, shift, seed):
    """Against torch's layer on rows that are really there so many times."""
    torch.manual_seed(seed)
    x, bias = torch.randn(rows, channels, dtype=torch.float64) + shift, torch.randn(channels, dtype=torch.float64)
    ours, theirs = (nn.BatchNorm1d(channels).double() for _ in range(2))
    for norm in (ours, theirs):
        with torch.no_grad():
            norm.weight.copy_(torch.arange(channels) + 0.5)
            norm.bias.copy_(torch.arange(channels) - 1.0)
    for training in (True, False):
        line = torch.from_numpy(line_of(ours.train(training), moments(x.numpy(), training), rows, bias, copies))
        expected = theirs.train(training)((x + bias).repeat_interleave(copies, 0))[::copies]
        torch.testing.assert_close(line[0] * x + line[1], expected, rtol=1e-8, atol=1e-8)
        for name, value in theirs.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rows", [1, 2, 15, 1536, 1537])
@pytest.mark.parametrize("kind", ["far", "drifting", "one block apart", "constant"])
def test_the_moments_of_single_precision_lose_nothing(kind, rows):
    torch.manual_seed(0)
    x = torch.randn(rows, 3)
    if kind == "far":
        x += 1e4
    elif kind == "drifting":
        x += 10 * torch.arange(rows)[:, None]
    elif kind == "one block apart":
        x[16:] = 1e-3 * x[16:] + 1e3
    else:
        x[:] = 3.7
    found, exact = moments(x.numpy(), True), x.double()
    np.testing.assert_allclose(found[0], exact.mean(0), rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(found[1] / rows, exact.var(0, unbiased=False), rtol=1e-5, atol=1e-12)


def test_a_line_has_the_precision_of_its_layer():
    found = moments(torch.randn(8, 3).numpy(), True)
    assert line_of(nn.BatchNorm1d(3), found, 8)[MEAN].dtype == np.float32
    assert line_of(nn.BatchNorm1d(3).double(), found, 8)[MEAN].dtype == np.float64


@pytest.mark.parametrize("training", [True, False])
def test_a_line_takes_a_factor(training):
    """BatchNorm of factor * x + bias, from the moments of x."""
    torch.manual_seed(0)
    x, bias, factor = torch.randn(30, 4).double(), torch.randn(4).double(), 1e-3
    ours, theirs = (nn.BatchNorm1d(4).double().train(training) for _ in range(2))
    slope, offset, *_ = torch.from_numpy(line_of(ours, moments(x.numpy(), training), 30, bias, factor=factor))
    torch.testing.assert_close(slope * x + offset, theirs(factor * x + bias), **CLOSE)
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, **CLOSE)


# layernorm


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", ["plain", "far", "first row apart"])
def test_layernorm_of_single_precision_loses_nothing(kind, relu):
    """Parts of a sample that lie apart, values and all gradients, against torch's layer in float64."""
    torch.manual_seed(0)
    N, B, L, C = 2, 5, 4, 12
    x, gradient = torch.randn(N, B, L, C), torch.randn(N, B, L, C)
    if kind == "far":
        x += 1e3
    elif kind == "first row apart":
        x[0, :, 0] += 1e4
    norm = nn.LayerNorm([N * C, L])
    with torch.no_grad():
        norm.weight.add_(torch.randn_like(norm.weight))
        norm.bias.add_(torch.randn_like(norm.bias))
    out, dx, asked = torch.empty_like(x), x.clone(), Asked(True, True, False)
    scalar = Normalised(norm, dx.numpy(), out.numpy(), relu=relu).backward(gradient.numpy(), dx.numpy(), asked)

    exact, theirs = copy.deepcopy(norm).double(), x.double().requires_grad_()
    expected = exact(theirs.permute(1, 0, 3, 2).flatten(1, 2))  # (B, N C, L)
    expected = (expected.relu() if relu else expected).unflatten(1, (N, C)).permute(1, 0, 3, 2)
    expected.backward(gradient.double())
    near = dict(rtol=2e-3, atol=2e-3) if kind == "far" else dict(rtol=1e-4, atol=1e-4)  # x itself has 4 digits there
    torch.testing.assert_close(out.double(), expected.detach(), **near)
    torch.testing.assert_close(dx.double(), theirs.grad, **near)
    torch.testing.assert_close(asked.found[norm.weight].double(), exact.weight.grad, **near)
    torch.testing.assert_close(asked.found[norm.bias].double(), exact.bias.grad, **near)
    assert scalar == pytest.approx((expected * gradient).sum().item(), rel=1e-2, abs=1e-2)


# compiled loops


def test_compiled_loops_stand_in_one_file_that_depends_on_no_other():
    """numba keeps the code of a function until its own file changes, whatever else was compiled into it."""
    folder = Path(fast.__file__).parent
    with_numba = [path.name for path in folder.glob("*.py") if "import numba" in path.read_text(encoding="utf-8")]
    assert with_numba == ["kernels.py"]
    assert "from bmnas" not in (folder / "kernels.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "told, features, expected",
    [
        (None, "+sse2,+avx512f,+fma", "+sse2,+avx512f,+fma,-prefer-256-bit"),
        (None, "+sse2,+avx2", None),
        (None, "+avx512fp16", None),  # another name that begins like it
        ("+sse2", "+avx512f", "+sse2"),
    ],
)
def test_vectors_are_widened_where_the_processor_knows_them_and_nobody_said_otherwise(
    told, features, expected, monkeypatch
):
    config = SimpleNamespace(CPU_FEATURES=told)
    monkeypatch.setattr(kernels, "config", config)
    monkeypatch.setattr(kernels.codegen, "get_host_cpu_features", lambda: features)
    kernels.widen()
    assert expected == config.CPU_FEATURES


# positions that are copies


@given(copies=st.integers(1, 12), positions=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_distinct_positions_give_the_feature_back(copies, positions):
    x = torch.randn(3, 2, positions).repeat_interleave(copies, 2)
    found = distinct_positions(x)
    assert torch.equal(found.repeat_interleave(x.shape[2] // found.shape[2], 2), x)
    powers = all(copies % p for p in (5, 7, 11))
    assert not powers or found.shape[2] == positions


def test_one_sample_that_differs_keeps_all_positions():
    x = torch.randn(4, 3, 4).repeat_interleave(2, 2)
    x[3, 2, 7] += 1
    assert distinct_positions(x).shape == (4, 3, 8)


def test_without_running_statistics_the_formula_is_taken():
    net, plain = pair()
    for one in (net, plain):
        batch_statistics(one)
    torch.testing.assert_close(net(batch()), plain(batch()), rtol=0, atol=0)


def test_features_are_stored_without_copies_and_stand_for_the_same():
    x = batch(n=20)
    arrays = {name: value.float().numpy() for name, value in x.items()}
    splits = {"train": range(0, 12), "val": range(12, 16), "test": range(16, 20)}
    features = FeatureSet.from_arrays(arrays, [n % CLASSES for n in range(20)], splits, modalities={"m": list(arrays)})
    stored, rows = TokenTensors(features), torch.tensor([17, 3, 4, 11])
    (ours, targets), (plain, expected) = stored.batch(rows), features.tensors("cpu").batch(rows)
    assert {name: f.shape[2] for name, f in ours.items()} == {"a": 8, "b": 1, "c": 4, "d": 1}
    assert torch.equal(targets, expected)
    for name, feature in ours.items():
        assert feature.transpose(1, 2).is_contiguous()
        assert torch.equal(feature.repeat_interleave(plain[name].shape[2] // feature.shape[2], 2), plain[name])
    net, formula = pair()
    ours, plain = ({name: f.double() for name, f in one.items()} for one in (ours, plain))
    torch.testing.assert_close(copy.deepcopy(formula)(ours), copy.deepcopy(formula)(plain), **CLOSE)
    assert_equal_networks(net, formula, ours)


@pytest.mark.parametrize(("C_in", "apart"), [(1000, 1000), (1024, 1040), (2048, 2064)])
def test_rows_of_whole_pages_are_stored_with_padding_that_nobody_sees(C_in, apart):
    x = torch.randn(12, C_in, 4)
    splits = {"train": range(0, 6), "val": range(6, 9), "test": range(9, 12)}
    features = FeatureSet.from_arrays(
        {"a": x.numpy(), "b": x.numpy()}, [n % 2 for n in range(12)], splits, modalities={"m": ["a"], "n": ["b"]}
    )
    found = TokenTensors(features).batch(torch.tensor([11, 2, 5]))[0]["a"]
    assert torch.equal(found, x[[11, 2, 5]])
    rows = rows_of(Reshape(C_in, 4, 4, 0.0), found)
    assert rows.stride() == (apart, 1) and torch.equal(rows, x[[11, 2, 5]].transpose(1, 2).flatten(0, 1))
    assert rows.untyped_storage().data_ptr() == found.untyped_storage().data_ptr()  # read as they lie


# searches


FAST = dataclasses.replace(CONFIG, fast=True, epochs=3)


def test_a_search_goes_on_bit_by_bit(tmp_path, calls):
    """Interrupted after each epoch: the same trace and the same checkpoint."""
    whole, run = Run(tmp_path / "whole"), Run(tmp_path / "run")
    list(search(tiny_features(), FAST, whole))
    for epochs in range(1, FAST.epochs + 1):
        events = search(tiny_features(), FAST, run)
        for _ in range(epochs):
            next(events)
        events.close()
    assert run.path("trace.jsonl").read_bytes() == whole.path("trace.jsonl").read_bytes()
    assert run.path("checkpoint.safetensors").read_bytes() == whole.path("checkpoint.safetensors").read_bytes()
    assert calls


def test_a_search_without_dropout_is_that_of_the_formula(monkeypatch):
    """Within rounding, with attention's own dropout switched off."""
    monkeypatch.setattr("bmnas.space.primitives.ATTENTION_DROPOUT", 0.0)
    configs = [dataclasses.replace(FAST, fast=fast, dropout=0.0) for fast in (True, False)]
    events = [list(search(tiny_features(), config)) for config in configs]
    for ours, theirs in zip(*events, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-2)  # Adam makes much of rounding
