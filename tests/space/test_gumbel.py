"""GDAS: samples, gradients and whole passes against a plain transcription, its temperature, and a kill."""

import multiprocessing
import os
import signal

import numpy as np
import pytest
import torch

from bmnas.errors import ConfigError
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.run_folder import Run
from bmnas.space.hypernet import Hypernet
from bmnas.space.slots import sample, temperature
from tests.space.test_two_slots import batch, hypernet
from tests.support.tiny import CONFIG, TWO_CELLS, tiny_features

LOGITS = torch.tensor([0.3, -0.5, 1.1, 0.0], dtype=torch.float64)
GDAS = TWO_CELLS.change(relaxation="gumbel")


@pytest.mark.parametrize(("tau", "excluded"), [(10.0, None), (0.1, None), (1.0, 2)])
def test_an_alternative_is_drawn_as_often_as_its_softmax_weight_says(tau, excluded):
    torch.manual_seed(0)
    drawn = np.bincount([sample(LOGITS, tau, excluded)[0] for _ in range(4000)], minlength=4) / 4000
    weights = np.exp(LOGITS.numpy())
    if excluded is not None:
        weights[excluded] = 0
    assert drawn == pytest.approx(weights / weights.sum(), abs=0.03)


@pytest.mark.parametrize("tau", [10.0, 0.7])
@pytest.mark.parametrize("excluded", [None, 2])
def test_its_weight_is_one_and_has_the_gradient_of_the_soft_sample(tau, excluded):
    logits = LOGITS.clone().requires_grad_()
    torch.manual_seed(5)
    place, weight = sample(logits, tau, excluded)
    torch.manual_seed(5)
    noisy = LOGITS.numpy() - np.log(torch.empty(4, dtype=torch.float64).exponential_().numpy())
    if excluded is not None:
        noisy[excluded] = -np.inf
    soft = np.exp((noisy - noisy.max()) / tau)
    soft /= soft.sum()
    assert weight.item() == 1 and place == np.argmax(noisy)
    (gradient,) = torch.autograd.grad(weight, logits)
    by_hand = [soft[place] * ((j == place) - soft[j]) / tau for j in range(4)]
    np.testing.assert_allclose(gradient.numpy(), by_hand, atol=1e-12)


def drawn(logits, tau, without=None):
    """A choice by hand: all alternatives, of which all but one have the weight 0."""
    noise = -torch.empty(len(logits), dtype=logits.dtype).exponential_().log() if tau else torch.zeros(len(logits))
    values = logits - logits.exp().sum().log() + noise
    if without is not None:
        values = torch.stack([v if n != without else v.detach() - 1e9 for n, v in enumerate(values)])
    weights = (values / (tau or 1)).exp() / (values / (tau or 1)).exp().sum()
    hard = torch.zeros_like(weights)
    hard[values.argmax()] = 1
    return int(values.argmax()), hard + weights - weights.detach()


def transcription(net, features, tau):
    nodes = [net.reshape[name](features[name]) for name in net.features]
    outputs = []

    def pair(logits, among):
        i, x = drawn(logits[:, 0], tau)
        j, y = drawn(logits[:, 1], tau, i)
        return x[i] * among[i], y[j] * among[j]

    for cell in net.cells.values():
        states = list(pair(cell.alpha, nodes))
        for step in cell.steps.values():
            operands = pair(step.beta, states)
            k, weights = drawn(step.gamma, tau)
            states.append(weights[k] * list(step.primitives.values())[k](*operands))
        nodes.append(cell.output(states))
        outputs.append(nodes[-1])
    return net.classifier(outputs)


@pytest.mark.parametrize("train", [True, False])
def test_a_pass_is_that_of_the_sampled_network(train):
    net = hypernet("gumbel").train(train)
    net.set_temperature(2.5)
    results = []
    for seed in range(3):
        for compute in (lambda: net(batch()), lambda: transcription(net, batch(), 2.5 if train else None)):
            torch.manual_seed(seed)
            logits = compute()
            gradients = torch.autograd.grad(logits.square().sum(), list(net.parameters()), allow_unused=True)
            results.append((logits, [g if g is not None else torch.zeros(()) for g in gradients]))
        (ours, our_gradients), (theirs, their_gradients) = results[-2:]
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
        for one, other in zip(our_gradients, their_gradients, strict=True):
            torch.testing.assert_close(one.expand_as(other) if one.ndim == 0 else one, other, rtol=0, atol=1e-9)
    assert torch.equal(results[0][0], results[2][0]) is not train


def test_the_temperature_falls_over_the_epochs(monkeypatch):
    assert [temperature(epoch, 4) for epoch in (1, 2, 3, 4)] == pytest.approx([10, 6.7, 3.4, 0.1])
    assert temperature(1, 1) == 10
    seen, set_temperature = [], Hypernet.set_temperature
    monkeypatch.setattr(Hypernet, "set_temperature", lambda net, tau: (seen.append(tau), set_temperature(net, tau))[1])
    state = Search(tiny_features(), GDAS.change(epochs=2))
    for _ in range(2):
        state.run_epoch()
    assert seen == pytest.approx([10, 0.1])
    cells = state.hypernet.named_cells().values()
    assert {module.temperature for cell in cells for module in (cell, *cell.named_steps().values())} == {seen[-1]}


def test_the_search_moves_the_choices():
    state = Search(tiny_features(), GDAS.change(arch_lr=0.05))
    before = [choice.detach().clone() for choice in state.hypernet.architecture_parameters()]
    state.run_epoch()
    after = state.hypernet.architecture_parameters()
    assert all((new - old).abs().max() > 0.01 for new, old in zip(after[:1], before[:1], strict=True))


def test_a_compiled_search_is_refused():
    with pytest.raises(ConfigError, match="compile"):
        CONFIG.change(relaxation="gumbel", compile="default")


def kill_itself(folder):
    for event in search(tiny_features(), GDAS, Run(folder)):
        if event.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_was_killed_resumes_and_ends_in_the_same_bytes(tmp_path):
    process = multiprocessing.get_context("forkserver").Process(target=kill_itself, args=(tmp_path / "run",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run, whole = Run(tmp_path / "run"), Run(tmp_path / "whole")
    list(search(tiny_features(), GDAS, run))
    list(search(tiny_features(), GDAS, whole))
    for name in ("trace.jsonl", "checkpoint.safetensors"):
        assert run.path(name).read_bytes() == whole.path(name).read_bytes(), name
