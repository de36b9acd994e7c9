"""Derivations: recorded cases of the release one by one, brute force, ties, and the rules on pairs."""

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import ConfigError, GenotypeError
from bmnas.paper.reference import from_release_indices, load_reference_architecture
from bmnas.space.architecture import Architecture
from bmnas.space.derivation import check_pairs, derive
from bmnas.space.genotype import CellGenotype, StepGenotype
from bmnas.space.hypernet import Hypernet
from tests.support.golden_release import golden

FORMS = {
    "sin": lambda i, a, b: math.sin(a * i + b),
    "round1": lambda i, a, b: round(math.sin(a * i + b), 1),
    "round0": lambda i, a, b: round(math.sin(a * i + b), 0),
    "zeros": lambda i, a, b: 0.0,
    "row": lambda i, a, b: math.sin(a * (i // 2) + b),
    "big": lambda i, a, b: 30 * math.sin(a * i + b),
}


def logits(form, rows, columns, a, b):
    return torch.tensor([FORMS[form](i, a, b) for i in range(rows * columns)]).reshape(rows, columns).float()


def release_case(case):
    """The hypernet's architecture of a recorded case, and the features' names."""
    K, N, M = case["n_in"], case["N"], case["M"]
    form, a, b = case["form"], case["a"], case["b"]
    names = tuple(f"F_{k}" for k in range(K))
    net = Hypernet(dict.fromkeys(names, 1), 2, 2, 2, N, M, case["node_multiplier"], mode="reference")
    alphas = logits(form, sum(K + n for n in range(N)), 2, a, b)
    betas = [logits(form, sum(2 + m for m in range(M)), 2, a + 0.11, b + 0.5 * c) for c in range(N)]
    gammas = [logits(form, M, 4, a + 0.23, b - 0.5 * c) for c in range(N)]
    load_reference_architecture(net, alphas, betas, gammas)
    return net.architecture(), names


@pytest.mark.parametrize(("record", "cells_as_inputs"), [("derive", False), ("derive_cells", True)])
def test_every_recorded_derivation(record, cells_as_inputs):
    failures = 0
    for case in golden(record)["cases"]:
        architecture, names = release_case(case)
        r = case["node_multiplier"]
        if "error" in case:
            failures += 1
            with pytest.raises(GenotypeError, match="no pair left"):
                derive(architecture, r, "reference", cells_as_inputs)
            continue
        found = case["genotype"]
        cells = [([i for _, i in c["inner_edges"]], c["inner_steps"]) for c in found["steps"]]
        expected = from_release_indices([i for _, i in found["edges"]], cells, names, r)
        assert derive(architecture, r, "reference", cells_as_inputs) == expected, case
    assert (failures > 0) == (record == "derive")


def architecture(alpha, beta=None, gamma=None):
    beta = beta or {cell: {"Step_1": {"x": 0.5, "y": 0.5}} for cell in alpha}
    gamma = gamma or {cell: {"Step_1": {"Sum": 0.5, "Attention": 0.5}} for cell in alpha}
    return Architecture(alpha, beta, gamma)


weights = st.lists(st.sampled_from([0.1, 0.25, 0.5, 0.5001, 0.75, 0.9]), min_size=3, max_size=6)


@given(weights)
def test_pair_of_the_largest_product_by_brute_force(values):
    """The first of the largest products, found by looking at all of them."""
    nodes = {f"F_{i}": v for i, v in enumerate(values)}
    best, pair = -1.0, None
    for a, b in combinations(nodes, 2):
        if nodes[a] * nodes[b] > best + 1e-9:
            best, pair = nodes[a] * nodes[b], (a, b)
    assert derive(architecture({"Cell_1": nodes}), 1).cells[0].inputs == pair


@given(st.integers(2, 5), st.integers(1, 5), st.randoms(use_true_random=False))
def test_paper_rule_gives_every_cell_another_pair(K, N, random):
    alpha = {}
    for n in range(N):
        nodes = [f"F_{k}" for k in range(K)] + [f"Cell_{i + 1}" for i in range(n)]
        alpha[f"Cell_{n + 1}"] = {name: random.random() for name in nodes}
    genotype = derive(architecture(alpha), 1)
    pairs = [frozenset(cell.inputs) for cell in genotype.cells]
    assert len(set(pairs)) == N


@settings(max_examples=30)
@given(st.permutations([0.2, 0.3, 0.4, 0.5]), st.integers(1, 4))
def test_derivation_does_not_depend_on_a_common_factor_of_order(values, shift):
    """Softmax weights that keep their order give the same Steps."""
    nodes = dict(zip(["x", "y", "Step_1", "Step_2"], values, strict=True))
    beta = {"Cell_1": {"Step_1": {"x": 0.5, "y": 0.6}, "Step_2": {"x": 0.1, "y": 0.2, "Step_1": 0.3}, "Step_3": nodes}}
    gamma = {"Cell_1": {s: {"Sum": 0.2, "Attention": 0.2 + shift / 10} for s in ("Step_1", "Step_2", "Step_3")}}
    genotype = derive(architecture({"Cell_1": {"a": 0.5, "b": 0.5}}, beta, gamma), 1)
    ranked = sorted(nodes, key=nodes.get, reverse=True)
    assert genotype.cells[0].steps[2].inputs == tuple(ranked[:2])
    assert genotype.cells[0].steps[0] == StepGenotype("Attention", ("y", "x"))


def test_ties_go_to_the_first():
    genotype = derive(architecture({"Cell_1": dict.fromkeys("abc", 0.5), "Cell_2": dict.fromkeys("abc", 0.5)}), 1)
    assert genotype.cells[0] == CellGenotype(("a", "b"), (StepGenotype("Sum", ("x", "y")),))
    assert genotype.cells[1].inputs == ("a", "c")


def test_the_rules_differ():
    alpha = {"Cell_1": {"a": 0.9, "b": 0.8, "c": 0.7}, "Cell_2": {"a": 0.9, "b": 0.1, "c": 0.8, "Cell_1": 0.2}}
    alpha["Cell_3"] = {"a": 0.9, "b": 0.8, "c": 0.1, "Cell_1": 0.01, "Cell_2": 0.3}
    record = architecture(alpha)
    assert [c.inputs for c in derive(record, 1).cells] == [("a", "b"), ("a", "c"), ("a", "Cell_2")]
    with pytest.raises(GenotypeError, match="Cell_3 has no pair left"):
        derive(record, 1, "reference", cells_as_inputs=False)
    alpha["Cell_3"]["Cell_2"] = 0.0001
    assert derive(record, 1).cells[2].inputs == ("b", "c")  # under the paper's rule (a, b) is taken
    found = derive(record, 1, "reference").cells[2].inputs  # and no feature is left under the release's
    assert found == ("a", "Cell_1")


def test_unknown_rule():
    with pytest.raises(ConfigError, match="paper, reference"):
        derive(architecture({"Cell_1": {"a": 0.5, "b": 0.5}}), 1, rule="papre")


@pytest.mark.parametrize(("rule", "most"), [("paper", 6), ("reference", 3)])
def test_more_cells_than_four_features_have_pairs_for(rule, most):
    check_pairs(4, most, rule, cells_as_inputs=False)
    check_pairs(4, most + 1, rule, cells_as_inputs=True)
    with pytest.raises(ConfigError, match=f"N is {most + 1}.*for {most} Cells at most"):
        check_pairs(4, most + 1, rule, cells_as_inputs=False)
