"""Inputs of which all positions are alike: what a network looks at then, against what changes its answer."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.space.enumeration import Space
from bmnas.space.equivalence import living_features, living_modalities
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.network import FusionNetwork
from bmnas.space.primitives import PAPER_PRIMITIVES

CHANNELS = {"A_1": 3, "A_2": 4, "B_1": 5, "B_2": 3}
VECTORS = ("A_2", "B_1", "B_2")


def network_of(genotype, L=4, tokeniser="copy", vectors=VECTORS):
    """With weights of which none is 0 or 1, those of norms included."""
    torch.manual_seed(1)
    network = FusionNetwork(genotype, CHANNELS, 3, C=4, L=L, vectors=vectors, tokeniser=tokeniser).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return network


def needed(network, L, vectors):
    """The features of which another value changes the answer."""
    shapes = {name: (8, width, 1 if name in vectors else L) for name, width in CHANNELS.items()}
    batch = {name: 3 * torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}
    logits = network(batch)
    changed = {name: {**batch, name: 3 * torch.randn(x.shape, dtype=torch.float64)} for name, x in batch.items()}
    return {name for name, other in changed.items() if (network(other) - logits).abs().max() > 1e-9}


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (2, 1), (1, 2), (2, 2), (1, 3)]), st.sampled_from([1, 4]),
       st.sampled_from(["copy", "learned"]))  # fmt: skip
def test_a_network_looks_at_what_changes_its_answer(seed, sizes, L, tokeniser):
    N, M = sizes
    space = Space(features=tuple(CHANNELS), primitives=PAPER_PRIMITIVES, N=N, M=M, r=1)
    genotype = space.random(random.Random(seed))
    network = network_of(genotype, L, tokeniser)
    living = set(living_features(genotype, network.alike))
    assert needed(network, L, VECTORS) <= living <= set(living_features(genotype))
    if L > 1 or M == 1:  # of L = 1 and several Steps not all that could be known is
        assert living == needed(network, L, VECTORS)


@pytest.mark.parametrize(
    ("vectors", "tokeniser", "seen"), [(VECTORS, "copy", {"B_1"}), (VECTORS, "learned", None), ((), "copy", None)]
)
def test_attention_to_a_copied_vector_ignores_its_query(vectors, tokeniser, seen):
    """Cell(x = B_1, y = A_2): Attention(y, x)."""
    genotype = Genotype((CellGenotype(("B_1", "A_2"), (StepGenotype("Attention", ("y", "x")),)),), 1)
    network = network_of(genotype, tokeniser=tokeniser, vectors=vectors)
    seen = seen or {"B_1", "A_2"}
    assert needed(network, 4, vectors) == set(living_features(genotype, network.alike)) == seen
    assert living_modalities(genotype, None, network.alike) == tuple(
        dict.fromkeys(name[0] for name in ("B_1", "A_2") if name in seen)
    )
