"""The shortcuts against the formulas: outputs, every gradient, every statistic, in float64."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bmnas import fast
from bmnas.hypernet import Hypernet
from bmnas.inherited import batch_statistics
from bmnas.primitives import Sum
from bmnas.registry import PRIMITIVES
from bmnas.training import gradient_step
from tests.golden_release import no_dropout
from tests.transcription import Transcription

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


def results(net, features):
    """Logits, and all gradients by name, of a loss that treats every logit differently."""
    out = net(features)
    weights = torch.cos(torch.arange(out.numel(), dtype=out.dtype)).view_as(out)
    named = dict(net.named_parameters())
    gradients = torch.autograd.grad((out * weights).sum(), list(named.values()), allow_unused=True)
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


def test_own_primitives_are_called_as_they_are(own_primitives, calls):
    net, plain = pair(primitives=own_primitives, M=3)
    assert_equal_networks(net, plain, batch())
    assert len(calls) == 2


def test_one_sample():
    net, plain = pair()
    assert_equal_networks(net, plain, batch(n=1))


def test_rows_that_go_to_the_convolution():
    """float32, in shapes where `product` takes the convolution; both within rounding of float64."""
    torch.manual_seed(0)
    for rows, C_in, C_out in ((256, 20, 24), (264, 7, 16), (4, 5, 6)):
        conv, x = nn.Conv1d(C_in, C_out, 1), torch.randn(rows // 4, 4, C_in, requires_grad=True)
        assert conv.bias is not None
        out = fast.product(x, conv)
        expected = x.double() @ conv.weight.squeeze(2).double().t() + conv.bias.double()
        torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
        weights = torch.randn_like(out)
        for a, b in zip(
            torch.autograd.grad((out * weights).sum(), [x, conv.weight, conv.bias]),
            torch.autograd.grad((expected * weights).sum(), [x, conv.weight, conv.bias]),
            strict=True,
        ):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_float32_steps_stay_near_the_formulas(mode):
    net, plain = (part.float() for part in pair(mode=mode, C=8))
    features = {name: x.float() for name, x in batch(n=64).items()}
    ours, theirs = net(features), plain(features)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_feature_that_asks_for_its_gradient_gets_that_of_every_copy():
    net, plain = pair()
    found = []
    for part in (net, plain):
        features = {name: x.requires_grad_() for name, x in batch().items()}
        found.append(torch.autograd.grad(part(features).square().sum(), list(features.values())))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


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


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.9])
def test_masks_drop_with_the_probability_and_keep_the_mean(p):
    torch.manual_seed(0)
    n = 1_000_003  # not a multiple of four
    mask = fast.dropout_mask(torch.Size([n]), p, torch.float64)
    dropped = (mask == 0).double().mean().item()
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / n) + 1 / fast.LEVELS
    kept = mask[mask != 0]
    assert kept.min() == kept.max() == pytest.approx(1 / (1 - p), rel=2e-4)
    centred = (mask == 0).double() - dropped
    for lag in (1, 2, 3, 4):  # the four elements of one draw know nothing of each other
        assert abs((centred[lag:] * centred[:-lag]).mean().item()) < 5 * p * (1 - p) / math.sqrt(n)


def test_masks_follow_the_seed():
    def drawn(seed):
        torch.manual_seed(seed)
        return fast.dropout_mask(torch.Size([40, 9]), 0.3, torch.float32)

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))


def test_no_dropout_in_eval_mode():
    net = Hypernet(CHANNELS, CLASSES, 6, 8, 2, 2, dropout=0.5, vectors=VECTORS, fast=True).double().eval()
    assert torch.equal(net(batch()), net(batch()))
    net.train()
    assert not torch.equal(net(batch()), net(batch()))


# positions that are copies


@given(copies=st.integers(1, 12), positions=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_distinct_positions_give_the_feature_back(copies, positions):
    x = torch.randn(3, 2, positions).repeat_interleave(copies, 2)
    found = fast.distinct_positions(x)
    assert torch.equal(found.repeat_interleave(x.shape[2] // found.shape[2], 2), x)
    powers = all(copies % p for p in (5, 7, 11))
    assert not powers or found.shape[2] == positions


def test_one_sample_that_differs_keeps_all_positions():
    x = torch.randn(4, 3, 4).repeat_interleave(2, 2)
    x[3, 2, 7] += 1
    assert fast.distinct_positions(x).shape == (4, 3, 8)


def test_without_running_statistics_the_formula_is_taken():
    net, plain = pair()
    for one in (net, plain):
        batch_statistics(one)
    torch.testing.assert_close(net(batch()), plain(batch()), rtol=0, atol=0)
