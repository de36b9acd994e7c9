"""Two slots: the relaxation against a plain transcription, its one-hot limits, and its derivation by brute force."""

import json
from itertools import permutations

import numpy as np
import pytest
import torch

from bmnas.errors import ConfigError, RunError
from bmnas.registry import PRIMITIVES
from bmnas.searching.algorithm1 import Search, search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.space.algebra import Algebra
from bmnas.space.architecture import Architecture
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.hypernet import Hypernet
from bmnas.space.network import FusionNetwork
from bmnas.space.self_check import checked_network
from tests.support.tiny import CONFIG, TWO_CELLS, tiny_features

CHANNELS = {"a": 3, "b": 5, "c": 4}
C, L, N, M, CLASSES = 6, 4, 2, 2, 7
OPERATORS = ("Sum", "Attention", "LinearGLU", "ConcatFC", "Zero")


def hypernet(relaxation="two_slots", mode="paper"):
    torch.manual_seed(0)
    net = Hypernet(CHANNELS, CLASSES, C, L, N, M, mode=mode, relaxation=relaxation).double().eval()
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.copy_(torch.randn_like(parameter))
    return net


def batch():
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(4, c, L, generator=generator, dtype=torch.float64) for name, c in CHANNELS.items()}


def mixture(logits, nodes, slot):
    weights = np.exp(logits[:, slot].detach().numpy())
    return torch.einsum("j,jbcl->bcl", torch.tensor(weights / weights.sum()), torch.stack(nodes))


def transcription(net, features):
    nodes = [net.reshape[name](features[name]) for name in CHANNELS]
    outputs = []
    for cell in net.cells.values():
        states = [mixture(cell.alpha, nodes, 0), mixture(cell.alpha, nodes, 1)]
        for step in cell.steps.values():
            first, second = mixture(step.beta, states, 0), mixture(step.beta, states, 1)
            weights = np.exp(step.gamma.detach().numpy())
            weights /= weights.sum()
            states.append(sum(w * f(first, second) for w, f in zip(weights, step.primitives.values(), strict=True)))
        nodes.append(cell.output(states))
        outputs.append(nodes[-1])
    return net.classifier(outputs)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_forward_is_the_equations(mode):
    net = hypernet(mode=mode)
    torch.testing.assert_close(net(batch()), transcription(net, batch()), rtol=0, atol=1e-12)
    assert not torch.allclose(net(batch()), hypernet("shared", mode)(batch()))


GENOTYPES = [
    [(("b", "a"), ("LinearGLU", ("y", "x")), ("Attention", ("Step_1", "y"))),
     (("Cell_1", "c"), ("ConcatFC", ("x", "y")), ("Sum", ("Step_1", "x")))],
    [(("a", "c"), ("Attention", ("x", "y")), ("LinearGLU", ("Step_1", "x"))),
     (("c", "b"), ("Zero", ("x", "y")), ("ConcatFC", ("y", "Step_1")))],
]  # fmt: skip


@pytest.mark.parametrize("cells", GENOTYPES)
def test_the_one_hot_limit_is_the_derived_network(cells):
    genotype = Genotype(
        tuple(CellGenotype(pair, tuple(StepGenotype(*step) for step in steps)) for pair, *steps in cells), M
    )
    net = hypernet()
    with torch.no_grad():
        for cell, chosen in zip(net.cells.values(), genotype.cells, strict=True):
            nodes = [*CHANNELS, *net.cells][: len(cell.alpha)]
            set_slots(cell.alpha, nodes, chosen.inputs)
            for step, wanted in zip(cell.steps.values(), chosen.steps, strict=True):
                set_slots(step.beta, ["x", "y", *cell.steps][: len(step.beta)], wanted.inputs)  # pyright: ignore[reportGeneralTypeIssues]
                step.gamma.zero_()
                step.gamma[list(step.primitives).index(wanted.primitive)] = 200.0
    assert derive(net.architecture(), M) == genotype
    derived = FusionNetwork(genotype, CHANNELS, CLASSES, C, L).double().eval()
    theirs, state = net.state_dict(), {}
    for key in derived.state_dict():
        parts = key.split(".")
        if len(parts) > 4 and parts[2] == "steps":
            step = genotype.cells[int(parts[1][5:]) - 1].steps[int(parts[3][5:]) - 1]
            parts[4:4] = ["primitives", step.primitive]
        state[key] = theirs[".".join(parts)]
    derived.load_state_dict(state)
    torch.testing.assert_close(net(batch()), derived(batch()), rtol=0, atol=1e-12)


def set_slots(logits, nodes, inputs):
    logits.zero_()
    for slot, name in enumerate(inputs):
        logits[nodes.index(name), slot] = 200.0


@pytest.mark.parametrize("seed", range(20))
def test_derivation_by_brute_force(seed):
    torch.manual_seed(seed)
    net = Hypernet(CHANNELS, CLASSES, C, L, N, M, relaxation="two_slots")
    with torch.no_grad():
        for parameter in net.architecture_parameters():
            parameter.copy_(torch.randn_like(parameter))
    genotype, taken = derive(net.architecture(), M), []
    for cell, chosen in zip(net.cells.values(), genotype.cells, strict=True):
        nodes = [*CHANNELS, *net.cells][: len(cell.alpha)]
        assert chosen.inputs == best(cell.alpha, nodes, taken)
        taken.append(set(chosen.inputs))
        for step, wanted in zip(cell.steps.values(), chosen.steps, strict=True):
            assert wanted.inputs == best(step.beta, ["x", "y", *cell.steps][: len(step.beta)], [])  # pyright: ignore[reportGeneralTypeIssues]
            assert wanted.primitive == list(step.primitives)[int(step.gamma.argmax())]


def best(logits, nodes, taken):
    weights = logits.softmax(0).tolist()
    pairs = [(i, j) for i, j in permutations(range(len(nodes)), 2) if {nodes[i], nodes[j]} not in taken]
    i, j = max(pairs, key=lambda pair: weights[pair[0]][0] * weights[pair[1]][1])
    return nodes[i], nodes[j]


def test_the_record_holds_both_slots_and_comes_back():
    record = hypernet().architecture()
    data = json.loads(json.dumps(record.to_dict()))
    assert Architecture.from_dict(data) == record
    for place, (x, y) in record.slots.items():
        either = record.alpha.get(place) or record.beta[place.split(".")[0]][place.split(".")[1]]
        assert sum(x.values()) == pytest.approx(1) and sum(y.values()) == pytest.approx(1)
        assert either == pytest.approx({node: 1 - (1 - x[node]) * (1 - y[node]) for node in x})
    assert "slots" not in hypernet("shared").architecture().to_dict()
    for damage in (lambda s: s.pop("Cell_1"), lambda s: s["Cell_1"][0].pop("a")):
        broken = json.loads(json.dumps(record.to_dict()))
        damage(broken["slots"])
        with pytest.raises(RunError, match="slots"):
            Architecture.from_dict(broken)


def test_the_shared_relaxation_starts_from_the_same_numbers():
    torch.manual_seed(0)
    shared = Hypernet(CHANNELS, CLASSES, C, L, N, M).state_dict()
    torch.manual_seed(0)
    slots = Hypernet(CHANNELS, CLASSES, C, L, N, M, relaxation="two_slots").state_dict()
    assert list(shared) == list(slots) and all(torch.equal(shared[name], slots[name]) for name in shared)


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(ConfigError, match="no algebra"):
        Algebra(hypernet())
    assert checked_network(hypernet(), batch()).relaxation == "two_slots"
    with pytest.raises(ConfigError, match="relaxation is 'three'"):
        Hypernet(CHANNELS, CLASSES, C, L, N, M, relaxation="three")

    class Three(torch.nn.Module):
        arity = 3

    PRIMITIVES["Three"] = Three
    try:
        with pytest.raises(ConfigError, match="Three takes 3"):
            Hypernet(CHANNELS, CLASSES, C, L, N, M, primitives=("Sum", "Three"), relaxation="two_slots")
    finally:
        del PRIMITIVES["Three"]


@pytest.mark.parametrize("config", [CONFIG, TWO_CELLS])
@pytest.mark.parametrize("relaxation", ["two_slots", "gumbel"])
def test_a_search_resumes_and_is_read_out(tmp_path, config, relaxation):
    features, config = tiny_features(), config.change(relaxation=relaxation, shortlist_size=1, path_epochs=1)
    whole, parts = Run(tmp_path / "whole"), Run(tmp_path / "parts")
    list(search(features, config, whole))
    going = search(features, config, parts)
    next(going)
    going.close()
    list(search(features, config, parts))
    assert whole.path("trace.jsonl").read_bytes() == parts.path("trace.jsonl").read_bytes()
    answer = read_out(whole, features)
    assert read_out(parts, features) == answer


def test_the_order_of_operands_is_learnt():
    """LinearGLU(x, y) with a gate that must be the second feature: the gradient tells the slots apart."""
    features = tiny_features()
    state = Search(features, CONFIG.change(relaxation="two_slots", primitives=("LinearGLU",), arch_lr=0.05))
    state.run_epoch()
    for cell in state.hypernet.named_cells().values():
        moved = cell.alpha.softmax(0)
        assert (moved[:, 0] - moved[:, 1]).abs().max() > 0.02
