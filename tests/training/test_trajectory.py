"""Three epochs of the release's search, recorded in float64, step by step with our own pieces."""

import numpy as np
import pytest
import torch

from bmnas.paper.published import NTU_CHANNELS
from bmnas.paper.reference import from_release_indices, load_reference_state
from bmnas.searching.seed_state import ARCH_BETAS
from bmnas.space.algebra import Algebra
from bmnas.space.derivation import derive
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.learning_rates import release_restarts
from bmnas.training.loop import NetworkLearner, take_step
from tests.space.test_release import set_formula_architecture
from tests.support.golden_release import assert_stat, formula_state, golden, no_dropout

RECORD = golden("forward")["trajectory"]["ntu_like"]
B, EPOCHS, TRAIN_BATCHES, DEV_BATCHES = 6, 3, 4, 2


def batch(b):
    """Batch b of the record: vectors, by the formula in its `batch` text."""
    features = {}
    for j, (name, C_in) in enumerate(NTU_CHANNELS.items()):
        i = torch.arange(B * C_in, dtype=torch.float64)
        features[name] = torch.sin(0.37 * i + 1.3 * j + 0.5 + 2.1 * b).reshape(B, C_in, 1)
    labels = torch.tensor([(3 * b + 5 * n) % 60 for n in range(B)])
    return features, labels


@pytest.fixture(scope="module", params=[lambda net: net, Algebra], ids=["formula", "algebra"])
def trajectory(request):
    """The hypernet after three epochs, computed by formula or algebra, and the log in the record's form."""
    net = Hypernet(NTU_CHANNELS, 60, 8, 4, N=2, M=2, mode="reference", vectors=NTU_CHANNELS).double()
    load_reference_state(net, formula_state(RECORD["state_order"]), tuple(NTU_CHANNELS))
    set_formula_architecture(net, K=8, N=2, M=2)
    net.train()
    no_dropout(net)
    network = request.param(net)
    weights, choices = net.weight_parameters(), net.architecture_parameters()
    weight_optimizer = torch.optim.Adam(weights, 1e-3, weight_decay=1e-4)
    arch_optimizer = torch.optim.Adam(choices, 3e-4, betas=ARCH_BETAS, weight_decay=1e-3)
    weight_learner = NetworkLearner(network, "multiclass", weight_optimizer, weights)
    arch_learner = NetworkLearner(network, "multiclass", arch_optimizer, choices)
    rate, log = release_restarts(1e-3, 1e-6, 1, 2, TRAIN_BATCHES), []
    for epoch in range(EPOCHS):
        for k in range(TRAIN_BATCHES):
            features, labels = batch(10 * epoch + k)
            lr = rate(epoch * TRAIN_BATCHES + k)
            outcome = take_step(weight_learner, (features, labels), lr)
            log.append(["train", epoch, k, lr, outcome.losses.item()])
        for k in range(DEV_BATCHES):
            features, labels = batch(100 + 10 * epoch + k)
            take_step(arch_learner, (features, labels))
            with torch.no_grad():  # the release logs and scores this one; the statistics of BatchNorm move again
                loss = metrics.loss("multiclass", network(features), labels)
            log.append(["dev", epoch, k, None, loss.item()])
    return net, log


def test_every_loss_and_learning_rate(trajectory):
    _, log = trajectory
    assert [line[:3] for line in log] == [line[:3] for line in RECORD["log"]]
    for ours, theirs in zip(log, RECORD["log"], strict=True):
        assert ours[3] == (None if theirs[3] is None else pytest.approx(theirs[3], rel=1e-12))
        assert ours[4] == pytest.approx(theirs[4], rel=1e-9), ours[:3]


def test_architecture_weights_at_the_end(trajectory):
    cells = list(trajectory[0].cells.values())
    alphas = torch.cat([cell.alpha for cell in cells]).detach()
    np.testing.assert_allclose(alphas, RECORD["alphas_end"], rtol=0, atol=1e-9)
    for cell, betas, gammas in zip(cells, RECORD["betas_end"], RECORD["gammas_end"], strict=True):
        np.testing.assert_allclose(torch.cat([s.beta for s in cell.steps.values()]).detach(), betas, rtol=0, atol=1e-9)
        gamma = torch.stack([s.gamma for s in cell.steps.values()]).detach()
        np.testing.assert_allclose(gamma, gammas, rtol=0, atol=1e-9)


def test_weights_and_statistics_at_the_end(trajectory):
    net, _ = trajectory
    first = next(iter(net.reshape.values()))
    assert_stat(net.classifier.linear.weight, RECORD["classifier_weight"])
    assert_stat(first.conv.weight, RECORD["reshape0_conv"])
    assert_stat(first.norm.running_mean, RECORD["reshape0_bn_mean"])


def recorded_genotype():
    """The record's printed genotype, read with names that stand in for the release's classes."""
    found = eval(RECORD["genotype"], {"Genotype": dict, "StepGenotype": dict, "__builtins__": {}})
    cells = [([i for _, i in step["inner_edges"]], step["inner_steps"]) for step in found["steps"]]
    return from_release_indices([i for _, i in found["edges"]], cells, tuple(NTU_CHANNELS), r=2)


def test_genotype_at_the_end(trajectory):
    architecture = trajectory[0].architecture()
    found = derive(architecture, r=2, rule="reference", cells_as_inputs=False)
    assert found == recorded_genotype()
