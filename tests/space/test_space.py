"""The discrete space against brute force, its rules, neighbours, and which genotypes are one network."""

import random
from itertools import combinations, permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.config import SearchConfig
from bmnas.errors import UnknownNameError
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import living_features, network_key
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.network import FusionNetwork

ORDERED, UNORDERED = {"Attention", "LinearGLU"}, {"Zero", "Sum", "ConcatFC"}
SPACES = [
    Space(("a", "b", "c"), 1, 1, 1, ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")),
    Space(("a", "b", "c"), 2, 1, 1, ("Sum", "LinearGLU")),
    Space(("a", "b"), 1, 2, 2, ("Sum", "Attention", "ConcatFC")),
    Space(("a", "b"), 2, 1, 2, ("Attention",)),
    Space(("a", "b", "c"), 2, 1, 1, ("Sum",), "paper", False),
    Space(("a", "b", "c", "d"), 2, 1, 1, ("Sum",), "reference", False),
    Space(("a", "b", "c"), 3, 1, 1, ("Sum",), "reference", True),
    Space(("a", "b"), 2, 1, 1, ("Sum",), "reference", False),  # no pair is left to the second Cell
]


def brute_force(space):
    """Every genotype, by trying all pairs and Steps and throwing away what breaks a rule."""
    steps = []
    for m in range(space.M):
        nodes = ["x", "y", *(f"Step_{i + 1}" for i in range(m))]
        found = [(name, pair) for name in space.primitives for pair in permutations(nodes, 2)]
        steps.append([(n, p) for n, p in found if n in ORDERED or nodes.index(p[0]) < nodes.index(p[1])])
    pairs = []
    for n in range(space.N):
        cells = [f"Cell_{i + 1}" for i in range(n)] if space.cells_as_inputs else []
        pairs.append(list(combinations([*space.features, *cells], 2)))
    for chosen in product(*pairs):
        if not follows(space.pair_rule, chosen):
            continue
        for inner in product(product(*steps), repeat=space.N):
            cells = [
                CellGenotype(pair, tuple(StepGenotype(*step) for step in cell))
                for pair, cell in zip(chosen, inner, strict=True)
            ]
            yield Genotype(tuple(cells), space.r)


def follows(rule, pairs):
    for n, pair in enumerate(pairs):
        before = {frozenset(other) for other in pairs[:n]}
        if rule == "paper" and frozenset(pair) in before:
            return False
        if rule == "reference" and set(pair) <= set().union(*before):
            return False
    return True


def ids(space):
    return f"K{len(space.features)}N{space.N}M{space.M}-{space.pair_rule}-{len(space.primitives)}"


@pytest.mark.parametrize("space", SPACES, ids=ids)
def test_all_genotypes_and_their_number(space):
    expected = list(brute_force(space))
    found = list(space.genotypes())
    assert len(found) == len(set(found)) == len(expected)
    assert set(found) == set(expected)
    assert space.size(10**6) == len(expected)
    assert space.size(3) == min(4, len(expected))


@pytest.mark.parametrize("space", SPACES[:7], ids=ids)
def test_neighbours_differ_in_one_pair_or_one_step(space):
    everything = list(space.genotypes())
    for genotype in random.Random(0).sample(everything, min(5, len(everything))):
        found = list(space.neighbours(genotype))
        expected = {other for other in everything if differences(genotype, other) == 1}
        assert len(found) == len(set(found)) and set(found) == expected


@pytest.mark.parametrize("space", SPACES[:7], ids=ids)
def test_other_operators_keep_all_inputs(space):
    everything = list(space.genotypes())
    for genotype in random.Random(2).sample(everything, min(5, len(everything))):
        found = list(space.other_operators(genotype))
        expected = {
            other
            for other in everything
            if differences(genotype, other) == 1
            and [cell.inputs for cell in other.cells] == [cell.inputs for cell in genotype.cells]
            and [{*step.inputs} for cell in other.cells for step in cell.steps]
            == [{*step.inputs} for cell in genotype.cells for step in cell.steps]
        }
        assert len(found) == len(set(found)) and set(found) == expected


def differences(a, b):
    """How many pairs and Steps differ."""
    count = 0
    for one, other in zip(a.cells, b.cells, strict=True):
        count += one.inputs != other.inputs
        count += sum(s != t for s, t in zip(one.steps, other.steps, strict=True))
    return count


@pytest.mark.parametrize("space", SPACES[:7], ids=ids)
def test_random_genotypes_stay_inside(space):
    everything = set(space.genotypes())
    draw = random.Random(1)
    found = {space.random(draw) for _ in range(300)}
    assert found <= everything and len(found) > min(len(everything), 30) / 2
    assert space.random(random.Random(5)) == space.random(random.Random(5))


def test_the_space_of_a_configuration():
    config = SearchConfig(N=2, M=1, mode="reference")
    space = Space.of(["a", "b", "c"], config)
    assert (space.N, space.M, space.r) == (2, 1, 1)
    assert (space.pair_rule, space.cells_as_inputs) == ("reference", False)
    assert "Zero" not in space.primitives
    with pytest.raises(UnknownNameError, match="Sum"):
        list(Space(("a", "b"), 1, 1, 1, ("Summ",)).genotypes())


# the same network


FEATURES, C, L = {"a": 3, "b": 2, "c": 4}, 4, 3


def network(genotype):
    torch.manual_seed(0)
    net = FusionNetwork(genotype, FEATURES, 5, C, L).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return net.train()  # batch statistics; dropout of Attention is set to 0


def outputs(net):
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    generator = torch.Generator().manual_seed(1)
    batch = {k: torch.randn(6, c, L, generator=generator, dtype=torch.float64) for k, c in FEATURES.items()}
    return net(batch)


def renumbered(genotype, order):
    """The genotype whose Cell i is Cell order[i] of the given one (numbers from 0)."""
    new = {f"Cell_{old + 1}": f"Cell_{i + 1}" for i, old in enumerate(order)}
    cells = [genotype.cells[old] for old in order]
    return Genotype(tuple(CellGenotype((rename(c, 0, new), rename(c, 1, new)), c.steps) for c in cells), genotype.r)


def rename(cell, i, new):
    return new.get(cell.inputs[i], cell.inputs[i])


def renumbered_network(genotype, order):
    """Its network with the weights of the original one: Cells and the classifier's channels are moved along."""
    net = network(genotype)
    other = network(renumbered(genotype, order))
    state = {k: v for k, v in net.state_dict().items() if k.startswith("reshape.")}
    for new, old in enumerate(order):
        cell = net.cells[f"Cell_{old + 1}"].state_dict()
        state |= {f"cells.Cell_{new + 1}.{key}": value for key, value in cell.items()}
    channels = torch.cat([torch.arange(old * C, (old + 1) * C) for old in order])
    classifier = net.classifier
    state["classifier.norm.weight"] = classifier.norm.weight[channels]
    state["classifier.norm.bias"] = classifier.norm.bias[channels]
    linear = classifier.linear.weight.view(5, -1, L)[:, channels]
    state |= {"classifier.linear.weight": linear.flatten(1), "classifier.linear.bias": classifier.linear.bias}
    other.load_state_dict(state)
    return other


GLU, SUM = (StepGenotype("LinearGLU", ("y", "x")),), (StepGenotype("Sum", ("x", "y")),)
ATTENTION = (StepGenotype("Attention", ("x", "y")),)
THREE = Genotype(
    (CellGenotype(("a", "b"), GLU), CellGenotype(("b", "c"), ATTENTION), CellGenotype(("a", "Cell_1"), SUM)), 1
)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (0, 2, 1)])
def test_renumbered_cells_are_the_same_network(order):
    other = renumbered(THREE, order)
    assert (other == THREE) == (order == (0, 1, 2))
    assert network_key(other) == network_key(THREE)
    torch.testing.assert_close(outputs(renumbered_network(THREE, order)), outputs(network(THREE)), rtol=0, atol=1e-10)


def one_cell(primitive, inputs, pair=("a", "b")):
    return Genotype((CellGenotype(pair, (StepGenotype(primitive, inputs),)),), 1)


def test_a_symmetric_primitive_with_swapped_inputs_is_the_same_network():
    for name in UNORDERED:
        straight, swapped = one_cell(name, ("x", "y")), one_cell(name, ("y", "x"))
        assert network_key(straight) == network_key(swapped)
        net, other = network(straight), network(swapped)
        state = net.state_dict()
        if name == "ConcatFC":
            key = "cells.Cell_1.steps.Step_1.conv.weight"
            state[key] = torch.cat([state[key][:, C:], state[key][:, :C]], dim=1)
        other.load_state_dict(state)
        torch.testing.assert_close(outputs(other), outputs(net), rtol=0, atol=1e-10)


def test_other_networks_have_other_keys():
    genotypes = [one_cell(name, ("x", "y")) for name in (*UNORDERED, *ORDERED)]
    genotypes += [one_cell(name, ("y", "x")) for name in ORDERED]
    genotypes += [one_cell("Sum", ("x", "y"), pair) for pair in (("b", "a"), ("a", "c"), ("b", "c"))]
    keys = [network_key(genotype) for genotype in genotypes]
    assert len(set(keys)) == len(genotypes)
    results = [outputs(network(genotype)) for genotype in genotypes]
    for i, j in combinations(range(len(genotypes)), 2):
        assert not torch.allclose(results[i], results[j], atol=1e-3), (genotypes[i], genotypes[j])


def test_which_cell_feeds_the_next_makes_a_difference():
    def chain(source):
        cells = (CellGenotype(("a", "b"), GLU), CellGenotype(("b", "c"), ATTENTION), CellGenotype(("a", source), SUM))
        return Genotype(cells, 1)

    assert network_key(chain("Cell_1")) != network_key(chain("Cell_2"))
    assert not torch.allclose(outputs(network(chain("Cell_1"))), outputs(network(chain("Cell_2"))), atol=1e-3)


def test_r_makes_a_difference():
    assert len({network_key(Genotype((CellGenotype(("a", "b"), SUM),), r)) for r in (1, 2, 3)}) == 3


@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=60)
def test_keys_follow_the_renumbering_and_nothing_else(seed):
    draw = random.Random(seed)
    space = Space(("a", "b", "c"), 3, 1, 1, ("Sum", "LinearGLU", "ConcatFC"))
    genotype = space.random(draw)
    orders = [order for order in permutations(range(3)) if comes_before(genotype, order)]
    assert {network_key(renumbered(genotype, order)) for order in orders} == {network_key(genotype)}
    other = draw.choice(list(space.neighbours(genotype)))
    same = any(unordered(renumbered(genotype, order)) == unordered(other) for order in orders)
    assert (network_key(other) == network_key(genotype)) == same


def comes_before(genotype, order):
    place = {f"Cell_{old + 1}": i for i, old in enumerate(order)}
    return all(place.get(name, -1) < i for i, old in enumerate(order) for name in genotype.cells[old].inputs)


def unordered(genotype):
    """The genotype with the inputs of symmetric primitives sorted."""
    return [
        (cell.inputs, [(s.primitive, s.inputs if s.primitive in ORDERED else sorted(s.inputs)) for s in cell.steps])
        for cell in genotype.cells
    ]


def test_the_inputs_of_zero_make_no_difference():
    def genotype(nodes):
        steps = (StepGenotype("LinearGLU", ("x", "y")), StepGenotype("Zero", nodes))
        return Genotype((CellGenotype(("a", "b"), steps),), 2)

    assert network_key(genotype(("x", "y"))) == network_key(genotype(("y", "Step_1")))


def test_zero_makes_a_network_of_one_feature_whatever_the_other_is():
    zero = [one_cell("Zero", ("x", "y"), ("a", other)) for other in ("b", "c")]
    assert network_key(zero[0]) == network_key(zero[1]) != network_key(one_cell("Zero", ("x", "y"), ("b", "c")))
    assert living_features(zero[0]) == ("a",) and living_features(THREE) == ("a", "b", "c")


BLIND = [  # spaces with Zero, and with Steps that no output depends on
    Space(("a", "b", "c"), 1, 1, 1, ("Zero", "Sum", "Attention", "LinearGLU", "ConcatFC")),
    Space(("a", "b"), 1, 2, 1, ("Zero", "Sum", "Attention", "ConcatFC")),
    Space(("a", "b"), 1, 2, 2, ("Zero", "Sum", "LinearGLU")),
    Space(("a", "b"), 1, 2, 4, ("Zero", "Sum")),
    Space(("a", "b", "c"), 2, 1, 1, ("Zero", "ConcatFC")),
]


@pytest.mark.parametrize("space", BLIND, ids=ids)
def test_a_key_holds_what_the_outputs_depend_on(space):
    """The oracle perturbs each feature, and counts the parameters whose gradient is not zero."""
    seen = {}
    for genotype in space.genotypes():
        alive = {name for name in FEATURES if depends(genotype, name)}
        assert set(living_features(genotype)) == alive, genotype.describe()
        seen.setdefault(network_key(genotype), set()).add((frozenset(alive), living_parameters(genotype)))
    assert len(seen) < len(list(space.genotypes()))
    assert all(len(looks) == 1 for looks in seen.values())


def depends(genotype, feature):
    """Whether the outputs move with a feature."""
    if feature not in genotype.features:
        return False
    generator = torch.Generator().manual_seed(1)
    batch = {k: torch.randn(6, c, L, generator=generator, dtype=torch.float64) for k, c in FEATURES.items()}
    net = network(genotype)
    other = batch | {feature: torch.randn(batch[feature].shape, generator=generator, dtype=torch.float64)}
    return not torch.allclose(without_dropout(net)(batch), without_dropout(net)(other), rtol=0, atol=1e-6)


def without_dropout(net):
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return net


def living_parameters(genotype):
    """The sorted sizes of all layers of the Cells whose slopes move the outputs."""
    net = without_dropout(network(genotype))
    outputs(net).square().sum().backward()
    alive = [
        (tuple(weight.shape), int((weight.grad.abs() > 1e-9).any(0).sum() > 0))
        for name, weight in net.named_parameters()
        if name.endswith("norm.weight") and weight.grad is not None
    ]
    return tuple(sorted(shape for shape, moves in alive if moves))


@pytest.mark.parametrize("space", BLIND, ids=ids)
def test_equal_functions_have_equal_keys(space):
    """The oracle compares outputs: every Step of a name and place of the same weights, all Cells alike."""
    outcomes = {}
    for genotype in space.genotypes():
        if space.N == 1:
            value = tuple(outputs(tied(genotype)).flatten().mul(1e6).round().long().tolist())
            outcomes.setdefault(value, []).append(genotype)
    for genotypes in outcomes.values():
        assert len({network_key(genotype) for genotype in genotypes}) == 1, [g.describe() for g in genotypes]


def tied(genotype):
    """The network with weights that depend on the layer's name alone, without the number of its Step."""
    net = network(genotype)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            seed = sum(map(ord, name.replace("Step_2", "Step_1"))) * 31 + parameter.numel()
            parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)).double())
    return net


def test_a_step_that_nothing_uses_makes_no_difference_and_steps_can_be_renumbered():
    def key(*steps, r=1):
        return network_key(Genotype((CellGenotype(("a", "b"), tuple(StepGenotype(*step) for step in steps)),), r))

    glu = ("LinearGLU", ("x", "y"))
    assert key(glu, ("ConcatFC", ("x", "y"))) == key(("Sum", ("x", "y")), ("ConcatFC", ("y", "x")))
    assert key(glu, ("ConcatFC", ("x", "y"))) != key(glu, ("ConcatFC", ("x", "Step_1")))
    first, second = ("Attention", ("x", "y")), ("ConcatFC", ("x", "y"))
    sums = ("Sum", ("Step_1", "Step_2"))
    assert key(first, second, sums) == key(second, first, sums)
    assert key(first, second, r=2) == key(second, first, r=2)
    ends = [("LinearGLU", ("Step_1", "Step_2")), ("LinearGLU", ("Step_2", "Step_1"))]
    assert key(first, second, ends[0]) == key(second, first, ends[1]) != key(first, second, ends[1])
