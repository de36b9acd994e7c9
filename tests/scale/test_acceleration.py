"""Micro-batches, torch.compile and bfloat16: what they change, what they do not, and where they cannot work."""

import shutil

import pytest
import torch
from torch import nn

from bmnas.errors import ConfigError
from bmnas.scale import compiled as acceleration
from bmnas.scale.compiled import Accelerated, accelerated
from bmnas.searching.algorithm1 import Search, search
from bmnas.space.algebra import Algebra
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.loop import NetworkLearner, take_step
from tests.support.tiny import CONFIG, TWO_CELLS, tiny_features

CPU = torch.device("cpu")


def hypernet(dtype=torch.float64, dropout=0.0):
    torch.manual_seed(0)
    return Hypernet({"a": 6, "b": 5}, 3, 8, 4, 2, 2, dropout=dropout, vectors=["b"]).to(dtype)


def batch(B, dtype=torch.float64):
    torch.manual_seed(1)
    return {"a": torch.randn(B, 6, 4, dtype=dtype), "b": torch.randn(B, 5, 1, dtype=dtype)}


# micro-batches


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
@pytest.mark.parametrize(("B", "parts"), [(10, 3), (10, 5), (7, 2), (5, 9), (2, 4), (1, 2)])
def test_without_batch_statistics_the_gradient_is_that_of_the_whole_batch(kind, B, parts):
    net, given = hypernet().eval(), batch(B)
    target = torch.arange(B) % 3
    if kind == "multilabel":
        target = nn.functional.one_hot(target, 3).double()
    parameters = list(net.parameters())
    whole = metrics.loss(kind, net(given), target)
    expected = torch.autograd.grad(whole, parameters, allow_unused=True)
    before = [parameter.detach().clone() for parameter in parameters]
    logits = net(given).detach()
    learner = NetworkLearner(net, kind, torch.optim.SGD(parameters, 1.0), parameters, micro_batches=parts)
    outcome = take_step(learner, (given, target))
    assert outcome.losses.tolist() == [pytest.approx(whole.item(), rel=1e-6)]
    assert torch.allclose(outcome.logits, logits, atol=1e-12)
    for old, parameter, gradient in zip(before, parameters, expected, strict=True):
        step = old - parameter.detach()
        assert torch.allclose(step, torch.zeros_like(step) if gradient is None else gradient, atol=1e-12)


class Norm(nn.Module):
    """BatchNorm alone, which keeps the sizes of the batches that it saw."""

    def __init__(self):
        super().__init__()
        self.norm, self.seen = nn.BatchNorm1d(6), []

    def forward(self, given):
        self.seen.append(len(given["a"]))
        return self.norm(given["a"]).mean(2)[:, :3]


def test_batch_norm_sees_each_micro_batch_by_itself():
    net, alone, given, target = Norm(), Norm(), batch(10, torch.float32), torch.arange(10) % 3
    optimizer = torch.optim.SGD(net.parameters(), 0.0)
    outcome = take_step(NetworkLearner(net, "multiclass", optimizer, list(net.parameters()), 3), (given, target))
    assert net.seen == [3, 3, 4]
    expected = [alone({"a": given["a"][i:j]}) for i, j in ((0, 3), (3, 6), (6, 10))]
    assert torch.equal(outcome.logits[0], torch.cat(expected))
    assert torch.equal(net.norm.running_mean, alone.norm.running_mean) and net.norm.num_batches_tracked == 3


def test_a_batch_in_one_part_is_the_step_that_it_always_was():
    features = tiny_features()
    assert [e.record() for e in search(features, TWO_CELLS.change(accumulate=1))] == [
        e.record() for e in search(features, TWO_CELLS)
    ]


def test_a_search_in_micro_batches(monkeypatch):
    sizes = []
    forward = Algebra.forward

    def spy(net, given):
        if torch.is_grad_enabled():
            sizes.append(len(next(iter(given.values()))))
        return forward(net, given)

    monkeypatch.setattr(Algebra, "forward", spy)
    searching = Search(tiny_features(), CONFIG.change(epochs=1, accumulate=4))
    sizes.clear()  # of the check at the first use
    events = [searching.run_epoch()]
    assert set(sizes) == {4} and len(sizes) == (64 + 32) // 4
    assert events[0].train_loss < 3


# torch.compile

COMPILER = any(shutil.which(name) for name in acceleration.COMPILERS)


@pytest.mark.slow
@pytest.mark.skipif(not COMPILER, reason="no C++ compiler here: torch.compile is not tried on the CPU")
def test_a_compiled_search_finds_the_same():
    """Of one kind of task, for the loss is not part of what is compiled; and small, for the C++ compiler takes long."""
    features = tiny_features(K=2)
    config = CONFIG.change(epochs=2, dropout=0.0, primitives=["Sum", "ConcatFC"])
    eager, compiled = Search(features, config), Search(features, config.change(compile="default"))
    assert isinstance(compiled.engine.network, Accelerated) and list(compiled.hypernet.state_dict()) == list(
        eager.hypernet.state_dict()
    )
    for _ in range(config.epochs):
        ours, theirs = compiled.run_epoch(), eager.run_epoch()
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert ours.val_loss == pytest.approx(theirs.val_loss, rel=1e-4)
    for a, b in zip(compiled.hypernet.parameters(), eager.hypernet.parameters(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0  # it was compiled, not only asked for


def test_a_compiler_that_fails_is_a_wrong_setting():
    class Broken(nn.Module):
        def forward(self, _batch):
            raise RuntimeError("no such header\nand more")

    broken = Accelerated(hypernet(torch.float32), "default", False, CPU)
    broken.call = Broken()
    with pytest.raises(ConfigError, match=r"no such header.*compile = None"):
        broken(batch(4, torch.float32))


def test_compile_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(acceleration.shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match="C\\+\\+ compiler"):
        Search(tiny_features(), CONFIG.change(compile="default"))


def test_cuda_graphs_on_a_cpu_are_refused():
    with pytest.raises(ConfigError, match="CUDA graphs.*'cpu'"):
        Search(tiny_features(), CONFIG.change(compile="reduce-overhead"))


# bfloat16


def test_bf16_rounds_and_gives_float32():
    net, given = hypernet(torch.float32).eval(), batch(64, torch.float32)
    exact = net(given)
    rounded = accelerated(net, CONFIG.change(bf16=True), CPU)(given)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()


def test_a_search_in_bf16():
    features = tiny_features()
    exact, rounded = (list(search(features, CONFIG.change(bf16=b, dropout=0.0))) for b in (False, True))
    assert rounded[0].train_loss != exact[0].train_loss
    assert rounded[-1].train_loss == pytest.approx(exact[-1].train_loss, rel=0.1)


def test_a_gpu_without_bf16_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old One")
    with pytest.raises(ConfigError, match="Old One has no bfloat16"):
        accelerated(hypernet(), CONFIG.change(bf16=True), torch.device("cuda"))


def test_nothing_asked_for_is_the_network_itself():
    net = hypernet()
    assert accelerated(net, CONFIG, CPU) is net
