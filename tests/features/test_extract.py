"""Pooling against torch's own two-dimensional pool, and taps on frozen models."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import adaptive_max_pool2d

from bmnas.errors import ConfigError, DataError, FeatureError, UnknownNameError
from bmnas.features.extraction import extract
from bmnas.features.taps import Tap, pool

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=3)

# pooling


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, L=st.integers(1, 9))
def test_auto_is_the_releases_one_pool(shape, L):
    x = torch.randn(2, 3, *shape)
    whole = adaptive_max_pool2d(x.reshape(2, 3, shape[0], -1), (L, 1)).squeeze(3)  # the release: (L, 1) in one pool
    pooled = pool(x, L)
    assert pooled.shape == (2, 3, 1 if shape[0] == 1 else L)
    assert torch.equal(pooled.expand(-1, -1, L), whole)


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, L=st.integers(1, 9), data=st.data())
def test_any_axis_can_become_the_length(shape, L, data):
    axis = data.draw(st.integers(2, len(shape) + 1))
    x = torch.randn(2, 3, *shape)
    pooled = pool(x, L, axis)
    size = shape[axis - 2]
    assert pooled.shape == (2, 3, 1 if size == 1 else L)
    for i in range(pooled.shape[2]):  # by hand: the maximum over a window of the axis, and over everything else
        start, stop = (0, 1) if size == 1 else (i * size // L, -(-(i + 1) * size // L))
        window = x.movedim(axis, 2)[:, :, start:stop].reshape(2, 3, -1)
        assert torch.equal(pooled[:, :, i], window.amax(2))


@given(height=st.integers(1, 7), width=st.integers(1, 7), side=st.integers(1, 4))
def test_a_grid_keeps_rows_and_columns(height, width, side):
    x = torch.randn(2, 3, height, width)
    pooled = pool(x, side * side, "grid")
    if (height, width) == (1, 1):
        assert pooled.shape == (2, 3, 1)
        return
    grid = pooled.view(2, 3, side, side)
    for i in range(side):
        for j in range(side):
            rows = slice(i * height // side, -(-(i + 1) * height // side))
            columns = slice(j * width // side, -(-(j + 1) * width // side))
            assert torch.equal(grid[:, :, i, j], x[:, :, rows, columns].amax((2, 3)))


def test_two_dimensions_are_a_vector():
    x = torch.randn(2, 3)
    for axis in ("auto", "grid", 2, 3):
        assert torch.equal(pool(x, 4, axis), x[:, :, None])


@pytest.mark.parametrize(
    ("shape", "L", "axis", "message"),
    [
        ((2, 3, 4, 4), 8, "grid", "L is 8.*1, 4, 9, 16"),
        ((2, 3, 4, 4, 4), 4, "grid", "image"),
        ((2, 3, 4), 4, 3, "axes 2 to 2"),
        ((2, 3, 4), 4, 1, "axis is 1"),
        ((2, 3, 4), 4, -1, "axis is -1"),
        ((2, 3, 4), 4, "time", "axis is 'time'"),
    ],
)
def test_impossible_pooling_is_a_clear_error(shape, L, axis, message):
    with pytest.raises(ConfigError, match=message):
        pool(torch.randn(shape), L, axis)


# taps


class Net(nn.Module):
    """Two convolutions, one of them followed by something that works in place, and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.5))
        self.body = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.pair = Pair()
        self.head = nn.Linear(6, 5)
        self.unused = nn.Linear(1, 1)
        self.twice = nn.Identity()

    def forward(self, x):
        x = self.body(self.stem(x))
        first, _ = self.pair(x)
        return self.head(self.twice(self.twice(first.mean((2, 3)))))


class Pair(nn.Module):
    def forward(self, x):
        return x, {"something": "else"}


def batches(n=7, size=3):
    x = torch.randn(n, 1, 6, 8)
    return x, list(x.split(size))


def test_features_are_the_models_own_outputs_in_eval_mode():
    model, (x, loader) = Net(), batches()
    arrays, outputs = extract(
        model, {"a": "stem", "b": Tap("body.0", "grid"), "c": Tap("head"), "d": Tap("pair", 3)}, loader, L=4
    )
    model.eval()
    with torch.no_grad():
        stem = model.stem(x)
        first = model.body[0](stem)
        expected = {
            "a": pool(stem, 4),
            "b": pool(first, 4, "grid"),
            "c": model(x)[:, :, None],
            "d": pool(first.relu(), 4, 3),
        }
    assert {name: array.shape for name, array in arrays.items()} == {
        "a": (7, 4, 4),
        "b": (7, 6, 4),
        "c": (7, 5, 1),
        "d": (7, 6, 4),
    }
    for name, array in arrays.items():
        assert array.dtype == np.float32
        torch.testing.assert_close(torch.from_numpy(array), expected[name], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(torch.from_numpy(outputs), expected["c"][:, :, 0], rtol=1e-5, atol=1e-6)
    assert (arrays["b"] < 0).any()  # what the convolution gave, before the ReLU in place changed it


def test_the_model_is_left_as_it_was():
    model, (_, loader) = Net(), batches()
    model.train()
    model.stem[1].eval()  # a frozen BatchNorm inside a model in training
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extract(model, {"a": "stem"}, loader, L=4)
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_failure_leaves_the_model_as_it_was():
    model = Net().train()
    with pytest.raises(RuntimeError):
        extract(model, {"a": "stem"}, [torch.randn(2, 3, 6, 8)], L=4)
    assert model.training and not any(module._forward_hooks for module in model.modules())


def test_batches_may_carry_labels_and_be_counted():
    (_, loader), told = batches(), []
    with_labels = [(part, torch.zeros(len(part))) for part in loader]
    model = Net()
    plain, _ = extract(model, {"a": "stem"}, iter(loader), L=4, device="cpu")
    arrays, _ = extract(model, {"a": "stem"}, with_labels, L=4, progress=lambda *args: told.append(args))
    assert (arrays["a"] == plain["a"]).all()
    assert told == [("extract", 1, 3), ("extract", 2, 3), ("extract", 3, 3)]


def test_channels_may_come_last():
    model = nn.Sequential(nn.Linear(3, 5))  # (B, T, 3) -> (B, T, 5), as in a transformer
    x = torch.randn(2, 7, 3)
    arrays, _ = extract(model, {"a": Tap("0", channel=-1)}, [x], L=4)
    torch.testing.assert_close(torch.from_numpy(arrays["a"]), pool(model(x).movedim(-1, 1).detach(), 4))


def test_unknown_modules_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'body.7'; known .nearest first.: body"):
        extract(Net(), {"a": "body.7"}, batches()[1], L=4)


@pytest.mark.parametrize(("module", "count"), [("unused", 0), ("twice", 2)])
def test_a_module_must_run_exactly_once(module, count):
    with pytest.raises(FeatureError, match=f"'a'.*{module}.*{count} times"):
        extract(Net(), {"a": module}, batches()[1], L=4)


def test_outputs_that_are_no_tensors_are_refused():
    class Odd(nn.Module):
        def forward(self, x):
            return {"logits": x}

    with pytest.raises(FeatureError, match="the model returned dict"):
        extract(Odd(), {}, [torch.ones(1, 1)], L=4)


def test_an_empty_loader_is_an_error():
    with pytest.raises(DataError, match="no batch"):
        extract(Net(), {"a": "stem"}, [], L=4)


# what is given, and what comes out, is wrong


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["features", "the model"])
def test_outputs_that_are_no_numbers_are_named_and_not_taken_for_missing_samples(where, bad):
    x = torch.zeros(4, 3)
    x[2] = bad
    taps = {"A_1": "0"} if where == "features" else {}
    with pytest.raises(FeatureError, match="row 2 of batch 1"):
        extract(nn.Sequential(nn.Identity()), taps, [torch.zeros(4, 3), x], L=2)


@pytest.mark.parametrize("batch", ["x", None, np.zeros((2, 3), np.float32), {"x": torch.zeros(2, 3)}, ["x"], []])
def test_batches_are_tensors(batch):
    with pytest.raises(DataError, match="the loader"):
        extract(nn.Sequential(nn.Linear(3, 2)), {"A_1": "0"}, [batch], L=2)


def test_batches_of_different_widths_are_named():
    with pytest.raises(FeatureError, match="batch 1"):
        extract(nn.Sequential(nn.Flatten()), {"A_1": "0"}, [torch.zeros(2, 3), torch.zeros(2, 4)], L=2)


POOLED = {
    "L = 0": lambda: pool(torch.zeros(2, 3, 4), 0),
    "L < 0": lambda: pool(torch.zeros(2, 3), -1),
    "whole numbers": lambda: pool(torch.zeros(2, 3, 4, dtype=torch.int64), 2),
    "complex numbers": lambda: pool(torch.zeros(2, 3, 4, dtype=torch.complex64), 2),
    "no number": lambda: pool(torch.zeros(2, 3, 0), 2),
    "no channel": lambda: pool(torch.zeros(2, 0), 2),
}


@pytest.mark.parametrize("name", POOLED)
def test_what_cannot_be_pooled(name):
    with pytest.raises(ConfigError):
        POOLED[name]()
    assert pool(torch.zeros(0, 3, 4), 2).shape == (0, 3, 2)  # of no sample nothing
