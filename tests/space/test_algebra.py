"""The algebra against the formula: logits, every gradient, every statistic and the same dropout masks, in float64."""

import copy
import warnings
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import bmnas
from bmnas.errors import ConfigError
from bmnas.registry import PRIMITIVES
from bmnas.searching.run_folder import Run
from bmnas.space import self_check
from bmnas.space.algebra import Algebra
from bmnas.space.hypernet import Hypernet
from bmnas.space.layers import LEVELS, Dropout
from bmnas.space.placeholders import Placeholders
from bmnas.space.primitives import Sum
from tests.support.tiny import CONFIG, tiny_features

CHANNELS = {"a": 3, "b": 5, "c": 4, "d": 6}
CLASSES = 7
CLOSE = dict(rtol=1e-10, atol=1e-10)
PAPER = ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")


class Median(nn.Module):
    """A primitive of one's own, of three inputs, with weights and dropout."""

    arity = 3
    symmetric = True
    formula = "Median(x, y, z)"

    def __init__(self, C, L, dropout, mode="paper"):
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, C)[:, None] * torch.ones(C, L))
        self.dropout = Dropout(dropout)

    def forward(self, x, y, z):
        return self.scale * self.dropout(torch.stack([x, 2 * y, z.flip(2)]).median(0).values)


class Doubled(Sum):
    """Inherits from a primitive that the algebra knows, and computes something else."""

    def forward(self, x, y):
        return 2 * (x + y).cumsum(2)


@contextmanager
def registered(*primitives):
    for primitive in primitives:
        PRIMITIVES.register(primitive)
    try:
        yield
    finally:
        for primitive in primitives:
            del PRIMITIVES[primitive.__name__]


def pair(features=4, L=8, C=6, N=2, M=2, seed=0, **options):
    """The algebra and the formula of two equal hypernets, and a batch whose features have L, L / 2 and 1 positions."""
    torch.manual_seed(seed)
    channels = dict(list(CHANNELS.items())[:features])
    net = Hypernet(channels, CLASSES, C, L, N, M, vectors=("b",) if L > 1 else (), **options).double()
    with torch.no_grad():
        for name, value in net.named_parameters():
            value.add_(torch.randn_like(value), alpha=1.0 if name.endswith(("alpha", "beta", "gamma")) else 0.3)
        for value in net.buffers():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    positions = {"a": L, "b": 1, "c": L // 2 if L % 2 == 0 else L, "d": 1}
    batch = {name: torch.randn(5, channels[name], positions[name], dtype=torch.float64) for name in channels}
    return Algebra(copy.deepcopy(net)), net, batch


def step(network, batch, parameters):
    """Logits and gradients of a step; the same random numbers at each call."""
    torch.manual_seed(1)
    out = network(batch)
    waves = torch.cos(torch.arange(out.numel(), dtype=out.dtype)).view_as(out)
    return out, torch.autograd.grad((out * waves).sum(), parameters, allow_unused=True)


def assert_equal(algebra, formula, batch):
    named = dict(formula.named_parameters())
    theirs, expected = step(formula, batch, list(named.values()))
    ours, gradients = step(algebra, batch, list(algebra.parameters()))
    torch.testing.assert_close(ours, theirs, **CLOSE)
    for name, gradient, other in zip(named, gradients, expected, strict=True):
        assert (gradient is None) == (other is None), name
        if gradient is not None:
            torch.testing.assert_close(gradient, other, **CLOSE, msg=lambda text, n=name: f"{n}: {text}")
    state = formula.state_dict()
    for name, value in algebra.hypernet.state_dict().items():
        torch.testing.assert_close(value, state[name], **CLOSE, msg=lambda text, n=name: f"{n}: {text}")


@given(
    sizes=st.fixed_dictionaries(
        {
            "features": st.integers(2, 4),
            "N": st.integers(1, 3),
            "M": st.integers(1, 4),
            "C": st.sampled_from([1, 2, 6]),
            "L": st.sampled_from([1, 3, 4, 8]),
            "seed": st.integers(0, 3),
        }
    ),
    r=st.integers(1, 6),
    mode=st.sampled_from(["paper", "reference"]),
    pool=st.lists(st.sampled_from([*PAPER, "Median", "Doubled"]), min_size=1, unique=True),
    dropout=st.sampled_from([0.0, 0.3]),
    tokeniser=st.sampled_from(["copy", "learned"]),
    training=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_equals_the_formula(sizes, r, mode, pool, dropout, tokeniser, training):
    pool = pool if any(name != "Median" for name in pool) else [*pool, "Sum"]
    with registered(Median, Doubled):
        options = dict(r=min(r, sizes["M"] + 2), mode=mode, primitives=pool, dropout=dropout, tokeniser=tokeniser)
        algebra, formula, batch = pair(**sizes, **options)
        assert_equal(algebra.train(training), formula.train(training), batch)


def test_one_sample_of_vectors_alone():
    algebra, formula, batch = pair(dropout=0.2)
    assert_equal(algebra, formula, {name: x[:1] for name, x in batch.items()})


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_float32_stays_near_the_formula(mode):
    algebra, formula, batch = pair(mode=mode, dropout=0.3)
    batch = {name: x.float() for name, x in batch.items()}
    ours, theirs = (step(part.float(), batch, list(part.parameters()))[0] for part in (algebra, formula))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_an_architecture_step_takes_fewer_products_than_a_weight_step():
    """Autograd computes the gradients that are asked for alone."""
    from torch.utils.flop_counter import FlopCounterMode

    algebra, _, batch = pair()
    flops = []
    for parameters in (algebra.hypernet.architecture_parameters(), algebra.hypernet.weight_parameters()):
        with FlopCounterMode(display=False) as counter:
            step(algebra, batch, parameters)
        flops.append(counter.get_total_flops())
    assert flops[0] < 0.8 * flops[1]


def test_less_arithmetic_than_the_formula():
    from torch.utils.flop_counter import FlopCounterMode

    flops = []
    for network in pair()[:2]:
        with FlopCounterMode(display=False) as counter:
            network(pair()[2])
        flops.append(counter.get_total_flops())
    assert flops[0] < 0.8 * flops[1]


# masks


@given(p=st.floats(0, 1), n=st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_dropout_keeps_the_mean_and_drops_as_often_as_it_says(p, n):
    torch.manual_seed(0)
    out = Dropout(p)(torch.ones(n, 40, 101, dtype=torch.float64))
    share = (out == 0).double().mean().item()
    assert share == pytest.approx(p, abs=5 * (p * (1 - p) / out.numel()) ** 0.5 + 1 / LEVELS)
    kept = out[out != 0]
    assert len(kept) == 0 or torch.allclose(kept, torch.tensor(1 / (1 - round(p * LEVELS) / LEVELS)).double())


def test_masks_are_drawn_position_by_position():
    layer, x = Dropout(0.5), torch.ones(3, 4, 5)
    torch.manual_seed(2)
    ours = layer(x)
    torch.manual_seed(2)
    mask = layer.mask((3, 5, 4), x)
    assert mask is not None and torch.equal(ours.transpose(1, 2), layer.scale * mask)


def test_dropout_that_is_off_draws_nothing():
    x = torch.randn(2, 3, 4)
    before = torch.get_rng_state()
    assert Dropout(0.3).eval()(x) is x and Dropout(0.0)(x) is x
    assert torch.equal(torch.get_rng_state(), before)


# the check at the first use


@pytest.fixture
def unchecked(monkeypatch):
    monkeypatch.setattr(self_check, "CHECKED", {})


def float_pair():
    _, formula, batch = pair(dropout=0.1)
    return formula.float(), {name: x.float() for name, x in batch.items()}


def test_the_check_leaves_network_and_random_numbers_alone(unchecked):
    net, batch = float_pair()
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(self_check.checked_network(net, batch), Algebra)
    assert torch.equal(torch.get_rng_state(), random) and net.training
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("placeholders", [False, True])
def test_what_rounding_does_to_the_formula_too_is_no_fault_of_the_algebra(samples, placeholders, unchecked):
    """BatchNorm and ReLU of one vector alone are rounding, and so they are of a placeholder that is in every sample."""
    torch.manual_seed(0)
    channels = {"a": 8, "b": 6, "c": 5}
    empty = Placeholders({name: [0.3] * C_in for name, C_in in channels.items()}, {name: (name,) for name in channels})
    net = Hypernet(channels, 3, 4, 8, 2, 1, vectors=tuple(channels), placeholders=empty if placeholders else None)
    batch = {name: torch.randn(samples, C_in, 1) for name, C_in in channels.items()}
    if placeholders:
        batch["a"] = torch.full_like(batch["a"], torch.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(self_check.checked_network(net, batch), Algebra)


def test_a_wrong_algebra_gives_way_to_the_formula(unchecked, monkeypatch):
    net, batch = float_pair()
    right = Algebra.forward
    monkeypatch.setattr(Algebra, "forward", lambda self, batch: 1.5 * right(self, batch))
    with pytest.warns(UserWarning, match="differs"):
        assert self_check.checked_network(net, batch) is net


@pytest.mark.parametrize("held", ["weights", "choices"])
def test_an_algebra_that_is_wrong_in_one_kind_of_step_gives_way_to_the_formula(unchecked, monkeypatch, held):
    """A search holds the weights still in one kind of step and the choices in the other."""
    net, batch = float_pair()
    right = Algebra.forward

    def wrong(self, batch):
        parameters = self.hypernet.weight_parameters() if held == "weights" else self.hypernet.architecture_parameters()
        return right(self, batch) * (1.0 if parameters[0].requires_grad else 1.5)

    monkeypatch.setattr(Algebra, "forward", wrong)
    with pytest.warns(UserWarning, match="differs"):
        assert self_check.checked_network(net, batch) is net


def test_an_algebra_of_other_statistics_gives_way_to_the_formula(unchecked, monkeypatch):
    """Logits and gradients are right, but the running statistics move once more."""
    net, batch = float_pair()
    right = Algebra.forward

    def wrong(self, batch):
        with torch.no_grad():
            right(self, batch)
        torch.manual_seed(0)
        return right(self, batch)

    monkeypatch.setattr(Algebra, "forward", wrong)
    with pytest.warns(UserWarning, match="differs"):
        assert self_check.checked_network(net, batch) is net


def test_an_algebra_that_fails_gives_way_to_the_formula(unchecked, monkeypatch):
    net, batch = float_pair()

    def broken(self, batch):
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(Algebra, "forward", broken)
    with pytest.warns(UserWarning, match="could not create a primitive"):
        assert self_check.checked_network(net, batch) is net


def test_several_seeds_are_refused_where_the_algebra_is_wrong(unchecked, monkeypatch, tmp_path):
    """Nothing else computes them."""
    right, features = Algebra.forward, tiny_features()
    monkeypatch.setattr(Algebra, "forward", lambda self, batch: 1.5 * right(self, batch))
    with pytest.warns(UserWarning, match="differs"), pytest.raises(ConfigError, match="one seed at a time"):
        list(bmnas.search_seeds(features, CONFIG, {seed: Run(tmp_path / str(seed)) for seed in range(2)}))


def test_a_slow_algebra_gives_way_to_the_formula(unchecked, monkeypatch):
    """Time is what the clock says: a clock that stands still but in the algebra."""
    net, batch = float_pair()
    clock, right = [0.0], Algebra.forward

    def slow(self, batch):
        clock[0] += 1.0
        return right(self, batch)

    def now():
        clock[0] += 0.1
        return clock[0]

    monkeypatch.setattr(Algebra, "forward", slow)
    monkeypatch.setattr(self_check.time, "perf_counter", now)
    with pytest.warns(UserWarning, match="21.0 times as long"):
        assert self_check.checked_network(net, batch) is net
    assert self_check.checked_network(net, batch) is net  # without another check
