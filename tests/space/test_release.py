"""`mode="reference"` against recorded outputs of the authors' release (float64)."""

import numpy as np
import pytest
import torch

from bmnas.errors import BmnasError
from bmnas.features.taps import pool
from bmnas.paper.published import NTU_CHANNELS, PUBLISHED
from bmnas.paper.reference import (
    RELEASE_PRIMITIVES,
    load_reference_architecture,
    load_reference_state,
    our_name,
    reference_architecture,
)
from bmnas.space.algebra import Algebra
from bmnas.space.derivation import derive
from bmnas.space.genotype import Genotype
from bmnas.space.hypernet import Hypernet, MixedStep, mixed_edges
from bmnas.space.layers import count_parameters
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import PRIMITIVES, REFERENCE_PRIMITIVES
from bmnas.space.reshape import Reshape
from tests.support.golden_release import (
    assert_stat,
    closs,
    formula_input,
    formula_logits,
    formula_state,
    golden,
    no_dropout,
)

FORWARD = golden("forward")
SHAPE = (3, 8, 4)  # B, C, L of most records
LAYERS = {"conv": "conv", "bn": "norm", "ln": "norm"}


def load_layers(module, state):
    """A single primitive or reshape layer: the release calls its norm `bn` or `ln`."""
    names = {key: f"{LAYERS[key.split('.')[0]]}.{key.split('.')[1]}" for key in state}
    missing = module.load_state_dict({names[key]: value for key, value in state.items()}, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    return names


@pytest.mark.parametrize("name", RELEASE_PRIMITIVES)
def test_primitives(name):
    record = FORWARD["primitives"][f"{name}/B3_C8_L4"]
    primitive = PRIMITIVES[RELEASE_PRIMITIVES[name]](8, 4, 0.2, "reference").double()
    names = load_layers(primitive, formula_state(record["state_order"]))
    x, y = (formula_input(SHAPE, k).requires_grad_() for k in (0, 1))
    primitive.eval()
    assert_stat(primitive(x, y), record["eval"])
    assert_stat(primitive(x, x), record["eval_same_input"])
    primitive.train()
    no_dropout(primitive)
    out = primitive(x, y)
    closs(out).backward()
    assert_stat(out, record["train_nodrop"]["out"])
    assert_stat(x.grad, record["train_nodrop"]["grad_x"])
    assert_stat(y.grad, record["train_nodrop"]["grad_y"])
    parameters = dict(primitive.named_parameters())
    for key, stat in record["train_nodrop"]["grads"].items():
        assert_stat(parameters[names[key]].grad, stat)
    buffers = dict(primitive.named_buffers())
    for key, stat in record["train_nodrop"]["running"].items():
        assert_stat(buffers[names[key]], stat)


def test_mixed_edge():
    (record,) = [r for key, r in FORWARD["mixed"].items() if key.startswith("edge")]
    logits = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    assert_stat(mixed_edges(logits, [formula_input(SHAPE, 0)]), record)


def test_mixed_step():
    (record,) = [r for key, r in FORWARD["mixed"].items() if key.startswith("step")]
    step = MixedStep(1, REFERENCE_PRIMITIVES, 8, 4, 0.0, "reference").double().eval()
    prefix = "cell._step_nodes.0.node_cell.node_ops.0."
    state = {our_name(prefix + key, ()): value for key, value in formula_state(record["state_order"]).items()}
    step.load_state_dict({k.removeprefix("cells.Cell_1.steps.Step_1."): v for k, v in state.items()}, strict=False)
    weights = torch.tensor([0.1, 0.2, -0.3, 0.4], dtype=torch.float64).softmax(-1)
    for inputs, key in (((0, 1), "eval_xy"), ((0, 0), "eval_xx")):
        x, y = (formula_input(SHAPE, k) for k in inputs)
        out = sum(w * primitive(x, y) for w, primitive in zip(weights, step.primitives.values(), strict=True))
        assert_stat(out, record[key])
    with torch.no_grad():  # the Step itself feeds one mixture to both inputs: x alone when y is closed
        step.beta.copy_(torch.tensor([[-1e3, 0.0], [1e3, 0.0]]))
        step.gamma.copy_(torch.tensor([0.1, 0.2, -0.3, 0.4]))
    assert_stat(step([formula_input(SHAPE, 0), formula_input(SHAPE, 1)]), record["eval_xx"], tol=1e-7)


@pytest.mark.parametrize("key", FORWARD["node_cell"])
def test_cell_of_the_hypernet(key):
    record = FORWARD["node_cell"][key]
    M = int(key[1])
    net = Hypernet({"a": 1, "b": 1}, 2, 8, 4, N=1, M=M, mode="reference").double()
    cell = net.cells["Cell_1"]
    state = {
        our_name(f"cell._step_nodes.0.{k}", ()).removeprefix("cells.Cell_1."): v
        for k, v in formula_state(record["state_order"]).items()
    }
    assert not cell.load_state_dict(state, strict=False).unexpected_keys
    with torch.no_grad():
        betas, gammas = (torch.tensor(record[kind], dtype=torch.float64) for kind in ("betas", "gammas"))
        first = 0
        for m, step in enumerate(cell.steps.values()):
            step.beta.copy_(betas[first : first + 2 + m])
            step.gamma.copy_(gammas[m])
            first += 2 + m
    x, y = formula_input(SHAPE, 0), formula_input(SHAPE, 1)
    assert_stat(cell.eval().fuse(x, y), record["eval_xy"])
    cell.train()
    no_dropout(cell)
    closs(cell.fuse(x, y)).backward()
    grads = torch.cat([step.beta.grad for step in cell.steps.values()])
    np.testing.assert_allclose(grads, record["train_nodrop"]["grad_betas"], atol=1e-9)
    grads = torch.stack([step.gamma.grad for step in cell.steps.values()])
    np.testing.assert_allclose(grads, record["train_nodrop"]["grad_gammas"], atol=1e-9)


def hypernet_3():
    """Three features of (8, 4) whose reshape layers are bypassed: the release's cell alone."""
    record = FORWARD["hyper_cell"]["in3_N2_M2_nodemult2_mult2/B3_C8_L4"]
    net = Hypernet({"a": 1, "b": 1, "c": 1}, 2, 8, 4, N=2, M=2, mode="reference").double()
    state = {our_name(k, ()): v for k, v in formula_state(record["state_order"]).items()}
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    set_formula_architecture(net, K=3, N=2, M=2)
    return net, record


def set_formula_architecture(net, K, N, M):
    alphas = formula_logits("alphas", 0, (sum(K + n for n in range(N)), 2))
    betas = [formula_logits("betas", c, (sum(2 + m for m in range(M)), 2)) for c in range(N)]
    gammas = [formula_logits("gammas", c, (M, 4)) for c in range(N)]
    load_reference_architecture(net, alphas, betas, gammas)


def fused(net, nodes):
    """What the release's FusionCell returns: LayerNorm and ReLU of all Cells, flattened."""
    nodes = list(nodes)
    K = len(nodes)
    for cell in net.cells.values():
        nodes.append(cell(nodes))
    return net.classifier.norm(torch.cat(nodes[K:], 1)).relu().flatten(1)


def test_hypernet_without_its_reshape_layers():
    net, record = hypernet_3()
    nodes = [formula_input(SHAPE, k) for k in range(3)]
    assert_stat(fused(net.eval(), nodes), record["eval"])
    net.train()
    no_dropout(net)
    out = fused(net, nodes)
    closs(out).backward()
    assert_stat(out, record["train_nodrop"]["out"])
    alphas = torch.cat([cell.alpha.grad for cell in net.cells.values()])
    np.testing.assert_allclose(alphas, record["train_nodrop"]["grad_alphas"], atol=1e-9)
    parameters = dict(net.named_parameters())
    for key, stat in record["train_nodrop"]["grads"].items():
        assert_stat(parameters[our_name(key, ())].grad, stat)


def ntu_hypernet(record):
    net = Hypernet(NTU_CHANNELS, 60, 8, 4, N=2, M=2, mode="reference").double()
    load_reference_state(net, formula_state(record["state_order"]), tuple(NTU_CHANNELS))
    set_formula_architecture(net, K=8, N=2, M=2)
    return net


@pytest.mark.parametrize("computed", [lambda net: net, Algebra], ids=["formula", "algebra"])
def test_whole_hypernet(computed):
    (record,) = FORWARD["hyper_head"].values()
    net = ntu_hypernet(record).eval()
    shapes = FORWARD["raw_feature_shapes_used"]["ntu"]
    raw = [formula_input((2, *shape), k) for k, shape in enumerate(shapes)]
    inputs = {name: pool(x, 4, axis=2) for name, x in zip(NTU_CHANNELS, raw, strict=True)}
    out = computed(net)(inputs)
    assert_stat(out, record["eval"])
    np.testing.assert_allclose(out.flatten().detach(), record["eval"]["all"], atol=1e-9)


@pytest.mark.parametrize("key", FORWARD["found"])
def test_derived_networks(key):
    record = FORWARD["found"][key]
    published = PUBLISHED[key.split("/")[0]]
    net = FusionNetwork(published.genotype, published.channels, 60, 8, 4, mode="reference").double()
    state = {our_name(k, ()): v for k, v in formula_state(record["state_order"]).items()}
    assert not net.load_state_dict(state, strict=False).unexpected_keys
    features = {name: formula_input(SHAPE, k) for k, name in enumerate(published.channels)}

    def run():
        nodes = dict(features)
        for (name, cell), chosen in zip(net.cells.items(), published.genotype.cells, strict=True):
            nodes[name] = cell(*(nodes[i] for i in chosen.inputs))
        return net.classifier.norm(torch.cat([nodes[name] for name in net.cells], 1)).relu().flatten(1)

    net.eval()
    assert_stat(run(), record["eval"])
    net.train()
    no_dropout(net)
    out = run()
    closs(out).backward()
    assert_stat(out, record["train_nodrop"]["out"])
    parameters = dict(net.named_parameters())
    for k, stat in record["train_nodrop"]["grads"].items():
        assert_stat(parameters[our_name(k, ())].grad, stat)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_genotypes_and_their_sizes(name):
    record = golden("genotypes")["genotypes"][name]
    published = PUBLISHED[name]
    assert Genotype.from_dict({"r": record["r"], "cells": record["cells"]}) == published.genotype
    net = FusionNetwork(
        published.genotype, published.channels, published.classes, published.C, published.L, mode="reference"
    )
    assert net.sizes() == record["parameters"]
    assert count_parameters(net) == record["parameters"]["total"]
    assert (published.C, published.L, published.table8_size) == tuple(
        record["table8"][key] for key in ("C", "L", "size_M")
    )


@pytest.mark.parametrize(
    ("channels", "classes", "sizes", "total"),
    [
        (NTU_CHANNELS, 60, dict(C=128, L=8, N=2, M=2), 1_573_180),
        (NTU_CHANNELS, 60, dict(C=256, L=8, N=2, M=1), 3_000_892),
        (NTU_CHANNELS, 60, dict(C=128, L=8, N=2, M=1), 1_303_868),
        (NTU_CHANNELS, 60, dict(C=256, L=8, N=4, M=2), 6_188_092),
        (PUBLISHED["ego_1"].channels, 83, dict(C=128, L=8, N=2, M=3), 2_331_219),
        (PUBLISHED["mmimdb_1"].channels, 23, dict(C=192, L=16, N=2, M=1, r=2), 1_206_167),
    ],
)
def test_hypernet_sizes(channels, classes, sizes, total):
    net = Hypernet(channels, classes, mode="reference", **sizes)
    architecture = sum(p.numel() for p in net.architecture_parameters())
    assert count_parameters(net) - architecture == total


@pytest.mark.parametrize("key", FORWARD["reshape"])
def test_pooling_and_reshape(key):
    record = FORWARD["reshape"][key]
    shape = tuple(int(n) for n in key.split("in(")[1].split(")")[0].split(","))
    pooled = pool(formula_input(shape, 0), 4, axis="grid" if "MMIMDB" in key else 2)
    layer = Reshape(5, 8, 4, 0.2, vector=len(shape) == 2).double()
    names = load_layers(layer, formula_state(record["state_order"]))
    assert_stat(layer.eval()(pooled), record["eval"])
    layer.train()
    no_dropout(layer)
    out = layer(pooled)
    closs(out).backward()
    assert_stat(out, record["train_nodrop"]["out"])
    parameters = dict(layer.named_parameters())
    for name, stat in record["train_nodrop"]["grads"].items():
        assert_stat(parameters[names[name]].grad, stat)


# loading what the release trained


def release_logits(K=3, N=2, M=2):
    """alphas, betas and gammas in the release's shapes, as arrays."""
    alphas = formula_logits("alphas", 0, (sum(K + n for n in range(N)), 2)).numpy()
    betas = [formula_logits("betas", c, (sum(2 + m for m in range(M)), 2)).numpy() for c in range(N)]
    gammas = [formula_logits("gammas", c, (M, 4)).numpy() for c in range(N)]
    return alphas, betas, gammas


def test_architecture_from_the_releases_tensors_alone():
    net, _ = hypernet_3()
    weights = reference_architecture(*release_logits(), features=("a", "b", "c"))
    assert weights == net.architecture()
    assert derive(weights, 2, "reference", False) == derive(net.architecture(), 2, "reference", False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a, b, g: (a[:-1], b, g), r"alphas has the shape \(6, 2\); expected \(7, 2\)"),
        (lambda a, b, g: (np.concatenate([a, a]), b, g), r"alphas has the shape \(14, 2\)"),
        (lambda a, b, g: (a, [b[0], b[1][:4]], g), r"betas\[1\] has the shape \(4, 2\); expected \(5, 2\)"),
        (lambda a, b, g: (a, b, [g[0][:, :3], g[1]]), r"gammas\[0\] has the shape \(2, 3\); expected \(2, 4\)"),
        (lambda a, b, g: (a, b[:1], g), "betas has 1 Cells and gammas 2; expected N = 2"),
    ],
)
def test_architecture_tensors_of_another_shape(change, message):
    net, _ = hypernet_3()
    before = net.architecture()
    with pytest.raises(BmnasError, match=message):
        load_reference_architecture(net, *change(*release_logits()))
    if "alphas" in message:
        assert net.architecture() == before


def test_a_part_of_a_state_needs_to_be_asked_for():
    record = FORWARD["hyper_cell"]["in3_N2_M2_nodemult2_mult2/B3_C8_L4"]
    state, features = formula_state(record["state_order"]), ("a", "b", "c")
    net = Hypernet({"a": 1, "b": 1, "c": 1}, 2, 8, 4, N=2, M=2, mode="reference").double()
    with pytest.raises(BmnasError, match="strict=False for a part"):
        load_reference_state(net, state, features)
    load_reference_state(net, state, features, strict=False)
    assert torch.equal(net.classifier.norm.weight, state["cell.ln.weight"])
    with pytest.raises(BmnasError, match="leave out other keys"):
        load_reference_state(net, {"rgbnet.conv.weight": torch.zeros(1)}, features, strict=False)
