"""The decomposition: logic gates whose parts are known, a second solver, and what adds up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from bmnas.errors import ConfigError
from bmnas.trust.decomposition import decompose, decompose_codes, information, parts_of

GATES = {  # name -> (y of x1, x2 for fair bits, redundancy, unique 1, unique 2, synergy); AND: Bertschinger et al. 2014
    "exclusive or": (lambda a, b: a ^ b, (0, 0, 0, 1)),
    "first": (lambda a, b: a, (0, 1, 0, 0)),
    "second": (lambda a, b: b, (0, 0, 1, 0)),
    "both": (lambda a, b: 2 * a + b, (0, 1, 1, 0)),
    "and": (lambda a, b: a & b, (0.3113, 0, 0, 0.5)),
    "nothing": (lambda a, b: 0, (0, 0, 0, 0)),
}


def gate(function):
    p = np.zeros((2, 2, 4))
    for a in (0, 1):
        for b in (0, 1):
            p[a, b, function(a, b)] += 0.25
    return p


@pytest.mark.parametrize("name", GATES)
def test_gates(name):
    function, expected = GATES[name]
    assert list(decompose(gate(function)).parts().values()) == pytest.approx(expected, abs=2e-3)


def test_copies_are_redundant():
    p = np.zeros((3, 3, 3))
    p[range(3), range(3), range(3)] = 1 / 3
    assert list(decompose(p).parts().values()) == pytest.approx([np.log2(3), 0, 0, 0], abs=1e-3)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6))
def test_the_program_against_a_search_over_its_two_parameters(seed):
    """With two values each, Q has one free number for each y: how much lies on the diagonal."""
    p = np.random.default_rng(seed).dirichlet(np.ones(8)).reshape(2, 2, 2)
    move = np.array([[1, -1], [-1, 1]])[:, :, None]

    def value(t):
        q = p + move * t
        return information(q.reshape(4, 2)) if q.min() >= 0 else 9.0

    least = min(p[0, 0].min(), p[1, 1].min(), p[0, 1].min(), p[1, 0].min())
    starts = [np.zeros(2), np.full(2, least / 2), np.full(2, -least / 2)]
    options = {"xatol": 1e-7, "fatol": 1e-9}
    best = min(minimize(value, t, method="Nelder-Mead", options=options).fun for t in starts)
    parts = decompose(p)
    whole = information(p.reshape(4, 2))
    assert whole - parts.synergy == pytest.approx(best, abs=2e-3)


@given(st.integers(0, 10**6), st.integers(2, 4), st.integers(2, 4), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_the_parts_add_up_and_are_never_negative(seed, first, second, classes):
    p = np.random.default_rng(seed).dirichlet(np.full(first * second * classes, 0.5)).reshape(first, second, classes)
    r, u1, u2, s = decompose(p).parts().values()
    assert min(r, u1, u2, s) >= -1e-9
    assert r + u1 == pytest.approx(information(p.sum(1)), abs=1e-6)
    assert r + u2 == pytest.approx(information(p.sum(0)), abs=1e-6)
    assert r + u1 + u2 + s == pytest.approx(information(p.reshape(-1, classes)), abs=1e-6)


def test_the_sources_may_change_places():
    p = np.random.default_rng(1).dirichlet(np.ones(18)).reshape(3, 2, 3)
    there, back = decompose(p), decompose(p.transpose(1, 0, 2))
    assert (there.unique_first, there.synergy) == pytest.approx((back.unique_second, back.synergy), abs=1e-4)


@given(st.floats(0, 3), st.floats(0, 3), st.floats(0, 3), st.floats(0, 4))
def test_the_parts_of_what_probes_know_add_up_to_it(first, second, more, redundancy):
    both = max(first, second) + more
    parts = parts_of("a", "b", (first, second, both), redundancy)
    r, u1, u2, s = parts.parts().values()
    assert min(r, u1, u2, s) >= -1e-9
    assert (r + u1, r + u2, r + u1 + u2 + s) == pytest.approx((first, second, both))


@pytest.mark.parametrize("multilabel", [False, True])
def test_codes_of_an_exclusive_or_are_all_synergy(multilabel):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (2, 400))
    y = bits[0] ^ bits[1]
    codes = {name: np.eye(2)[row] + 0.01 * rng.standard_normal((400, 2)) for name, row in zip("ab", bits, strict=True)}
    q = y[:, None].astype(float) if multilabel else np.eye(2)[y]
    parts = decompose_codes(codes, q, (0.0, 0.0, 1.0), np.array([[0.0], [0], [1]]) if multilabel else None)
    assert list(parts.parts().values()) == pytest.approx([0, 0, 0, 1])


A, B, A_AND_B = np.array([1.0, 0, 1]), np.array([0.0, 1, 1]), np.array([1.0, 1, 1])  # of a label: first, second, both
XOR = np.array([0.0, 0, 1])


@pytest.mark.parametrize(
    ("labels", "knowledge", "expected"),
    [
        (lambda a, b, s: (a, b), (A, B), (0, 1 / 2, 1 / 2, 0)),
        (lambda a, b, s: (a, b, s), (A, B, A_AND_B), (1 / 3, 1 / 3, 1 / 3, 0)),
        (lambda a, b, s: (a, b, a ^ b), (A, B, XOR), (0, 1 / 3, 1 / 3, 1 / 3)),
        (lambda a, b, s: (a, a, s), (A, A, A_AND_B), (1 / 3, 2 / 3, 0, 0)),
        (lambda a, b, s: (s, a ^ b), (A_AND_B, XOR), (1 / 2, 0, 0, 1 / 2)),
    ],
)
def test_labels_are_decomposed_one_by_one(labels, knowledge, expected):
    """Two sources, (a, s) and (b, s); what one of them knows of one label is no redundancy with the other's label."""
    a, b, s = np.random.default_rng(0).integers(0, 2, (3, 800))
    codes = {"a": np.stack([a, s], 1).astype(float), "b": np.stack([b, s], 1).astype(float)}
    q = np.stack(labels(a, b, s), 1) * 0.98 + 0.01
    of_labels = np.stack(knowledge, 1)
    parts = decompose_codes(codes, q, tuple(of_labels.mean(1)), of_labels)
    assert list(parts.parts().values()) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("p", [np.ones((2, 2)), np.ones((2, 2, 2)), np.full((1, 1, 2), np.nan)])
def test_what_is_no_distribution_is_refused(p):
    with pytest.raises(ConfigError):
        decompose(p)
