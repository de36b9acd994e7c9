"""Which choices are decided: entropies by brute force, limits, agreement of seeds, and the graph that shows them."""

import math
from itertools import combinations, permutations

import pytest

from bmnas.registry import PRIMITIVES
from bmnas.space.architecture import Architecture
from bmnas.space.decisions import AGREED, UNDECIDED, decisions
from bmnas.space.derivation import derive
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.graph import hypernet_graph
from bmnas.space.primitives import Sum
from widgets.networks.dag import dag_drawing


def architecture(alpha, beta, gamma, slots=None):
    return Architecture({"Cell_1": alpha}, {"Cell_1": {"Step_1": beta}}, {"Cell_1": {"Step_1": gamma}}, slots or {})


SURE = architecture({"a": 0.99, "b": 0.98, "c": 0.01}, {"x": 0.9, "y": 0.8}, {"Sum": 0.97, "LinearGLU": 0.03})
EVEN = architecture({"a": 0.5, "b": 0.5, "c": 0.5}, {"x": 0.5, "y": 0.5}, {"Sum": 0.501, "LinearGLU": 0.499})
GATED = architecture(SURE.alpha["Cell_1"], {"x": 0.9, "y": 0.8}, {"Sum": 0.03, "LinearGLU": 0.97})


def made(weights, others=()):
    return decisions(weights, derive(weights, 1), others)


def normalised(weights):
    weights = list(weights)
    shares = [weight / sum(weights) for weight in weights]
    return -sum(p * math.log(p) for p in shares) / math.log(len(shares))


def test_a_clear_choice_is_decided_and_an_even_one_is_not():
    sure, even = made(SURE), made(EVEN)
    assert {key: decision.decided for key, decision in sure.items()} == dict.fromkeys(sure, True)
    assert not even["Cell_1", "inputs"].decided and not even["Cell_1.Step_1", "primitive"].decided
    assert even["Cell_1", "inputs"].entropy == pytest.approx(1)
    assert even["Cell_1", "inputs"].word == "undecided" and sure["Cell_1", "inputs"].word == "decided"


def test_entropies_by_brute_force():
    nodes = SURE.alpha["Cell_1"]
    pairs = [nodes[i] * nodes[j] for i, j in combinations(nodes, 2)]
    assert made(SURE)["Cell_1", "inputs"].entropy == pytest.approx(normalised(pairs))
    assert made(SURE)["Cell_1.Step_1", "primitive"].entropy == pytest.approx(normalised([0.97, 0.03]))


@pytest.mark.parametrize("weights", [SURE, GATED, EVEN])
def test_a_step_that_takes_all_nodes_before_it_has_no_choice(weights):
    """M = 1: x and y, whatever beta is, also of a primitive whose operands have an order."""
    decision = made(weights)["Cell_1.Step_1", "inputs"]
    assert (decision.entropy, decision.alternatives, decision.word) == (0, 1, "no choice")
    graph = hypernet_graph(weights, derive(weights, 1))
    lines = [line for line in dag_drawing(graph).lines if line.edge[1] == "Cell_1.Step_1"]
    assert len(lines) == 2
    for line in lines:
        assert line.dash == "solid" and "undecided" not in line.hover and graph.edges[line.edge]["decided"]


def test_two_features_leave_a_cell_no_choice_and_one_primitive_a_step():
    only = architecture({"a": 0.5, "b": 0.5}, {"x": 0.5, "y": 0.5}, {"Sum": 1.0})
    assert {decision.word for decision in made(only).values()} == {"no choice"}
    assert only.entropy() == dict.fromkeys(("alpha", "beta", "gamma"))
    others = made(only, [one("Sum", ("b", "a"))] * 2)  # seeds that found another order all the same
    assert others["Cell_1", "inputs"].word == "undecided"


@pytest.mark.parametrize("weights", [SURE, GATED, EVEN])
def test_the_mean_entropy_leaves_out_what_is_no_choice(weights):
    """At M = 1 beta weighs two nodes, and both are taken."""
    edges = [normalised([weight, 1 - weight]) for weight in weights.alpha["Cell_1"].values()]
    pool = normalised(weights.gamma["Cell_1"]["Step_1"].values())
    assert weights.entropy() == {"alpha": pytest.approx(sum(edges) / 3), "beta": None, "gamma": pytest.approx(pool)}


def test_the_entropy_of_beta_counts_steps_that_choose():
    weights = Architecture(
        {"Cell_1": SURE.alpha["Cell_1"]},
        {"Cell_1": {"Step_1": {"x": 0.5, "y": 0.5}, "Step_2": {"x": 1.0, "y": 1.0, "Step_1": 0.0}}},
        {"Cell_1": {"Step_1": {"Sum": 1.0}, "Step_2": {"Sum": 1.0}}},
    )
    assert weights.entropy() == {"alpha": pytest.approx(SURE.entropy()["alpha"]), "beta": 0, "gamma": None}


@pytest.mark.parametrize(("pool", "counts"), [(("Sum",), False), (("ConcatFC",), False), (("Sum", "LinearGLU"), True)])
def test_slots_choose_an_order_where_it_makes_a_difference(pool, counts):
    slots = {"Cell_1": ({"a": 0.5, "b": 0.5}, {"a": 0.9, "b": 0.1}), "Cell_1.Step_1": ({"x": 0.5, "y": 0.5},) * 2}
    gamma = {name: 1 / len(pool) for name in pool}
    weights = architecture({"a": 0.95, "b": 0.55}, {"x": 0.75, "y": 0.75}, gamma, slots)
    assert weights.entropy()["alpha"] == pytest.approx((1 + normalised([0.9, 0.1])) / 2)
    assert weights.entropy()["beta"] == (pytest.approx(1) if counts else None)


def test_a_second_step_chooses_among_three_nodes():
    weights = Architecture(
        {"Cell_1": SURE.alpha["Cell_1"]},
        {"Cell_1": {"Step_1": {"x": 0.5, "y": 0.5}, "Step_2": {"x": 0.5, "y": 0.5, "Step_1": 0.5}}},
        {"Cell_1": {"Step_1": {"Sum": 1.0}, "Step_2": {"Sum": 0.1, "LinearGLU": 0.9}}},
    )
    first, second = (made(weights)[f"Cell_1.Step_{m}", "inputs"] for m in (1, 2))
    assert first.word == "no choice" and second.word == "undecided" and second.alternatives == 6


def test_a_step_of_one_input_chooses_single_nodes(monkeypatch):
    class Alone(Sum):
        arity = 1

    monkeypatch.setitem(PRIMITIVES, "Alone", Alone)
    decision = made(architecture(SURE.alpha["Cell_1"], {"x": 0.9, "y": 0.2}, {"Alone": 1.0}))["Cell_1.Step_1", "inputs"]
    assert decision.choice == "x" and decision.entropy == pytest.approx(normalised([0.9, 0.2]))


def test_two_slots_choose_the_order_of_operands():
    slots = {
        "Cell_1": ({"a": 0.98, "b": 0.01, "c": 0.01}, {"a": 0.01, "b": 0.98, "c": 0.01}),
        "Cell_1.Step_1": ({"x": 0.1, "y": 0.9}, {"x": 0.95, "y": 0.05}),
    }
    apart = architecture(*(getattr(GATED, kind)["Cell_1"] for kind in ("alpha",)), {"x": 0.9, "y": 0.8},
                         {"Sum": 0.03, "LinearGLU": 0.97}, slots)  # fmt: skip
    decision = made(apart)["Cell_1.Step_1", "inputs"]
    x, y = slots["Cell_1.Step_1"]
    assert decision.choice == "y, x" and decision.decided
    assert decision.entropy == pytest.approx(normalised([x[i] * y[j] for i, j in permutations(x, 2)]))


def one(primitive, pair=("a", "b")):
    return Genotype((CellGenotype(pair, (StepGenotype(primitive, ("x", "y")),)),), 1)


def test_seeds_that_disagree_leave_a_choice_undecided():
    agreed = made(SURE, [one("Sum"), one("Sum"), one("Sum", ("a", "c"))])
    assert agreed["Cell_1", "inputs"].agreement == pytest.approx(2 / 3)
    assert agreed["Cell_1", "inputs"].decided and AGREED < 2 / 3
    assert agreed["Cell_1.Step_1", "primitive"].agreement == 1.0
    apart = made(SURE, [one("LinearGLU"), one("Sum", ("b", "c"))])
    assert not apart["Cell_1", "inputs"].decided and apart["Cell_1", "inputs"].entropy < UNDECIDED


def test_the_graph_and_its_drawing_show_what_is_undecided():
    for weights, decided in ((SURE, True), (EVEN, False)):
        graph = hypernet_graph(weights, derive(weights, 1))
        drawing = dag_drawing(graph)
        chosen = [edge for edge in graph.edges if graph.edges[edge]["chosen"] and edge[1] == "Cell_1"]
        lines = {line.edge: line for line in drawing.lines}
        assert len(chosen) == 2
        for edge in chosen:
            assert graph.edges[edge]["decided"] is decided
            assert (lines[edge].dash == "solid") is decided and ("undecided" in lines[edge].hover) is not decided
        (step,) = [box for box in drawing.boxes if box.node == "Cell_1.Step_1"]
        assert any("undecided" in text for text in step.lines) is not decided


def test_zero_says_what_it_does():
    weights = architecture(SURE.alpha["Cell_1"], {"x": 0.9, "y": 0.8}, {"Zero": 0.97, "Sum": 0.03})
    (step,) = [b for b in dag_drawing(hypernet_graph(weights, derive(weights, 1))).boxes if b.node == "Cell_1.Step_1"]
    assert any("discards" in text for text in step.lines)
