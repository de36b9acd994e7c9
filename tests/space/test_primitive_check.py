"""A primitive of one's own that does not do what a primitive must is reported by its name, before any work."""

import pytest
import torch
from torch import nn

from bmnas.errors import ConfigError, SearchDiverged
from bmnas.evaluation.evaluation import evaluate
from bmnas.registry import PRIMITIVES
from bmnas.scale.seeds.search import search_seeds
from bmnas.searching.algorithm1 import search
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from bmnas.space.primitive_check import check_primitives
from tests.support.tiny import BUDGET, CONFIG, tiny_features


def pool():
    return CONFIG.change(primitives=("Sum", "Own"), epochs=1)


@pytest.fixture
def own():
    def register(forward, arity=2):
        def __init__(self, C, L, dropout, mode="paper"):
            nn.Module.__init__(self)
            self.linear = nn.Linear(L, L)

        PRIMITIVES["Own"] = type(
            "Own", (nn.Module,), {"arity": arity, "symmetric": True, "__init__": __init__, "forward": forward}
        )

    yield register
    PRIMITIVES.pop("Own", None)


BROKEN = {
    "fewer positions": lambda self, x, y: (x + y)[..., :-1],
    "one sample less": lambda self, x, y: (x + y)[:-1],
    "a tuple": lambda self, x, y: (x, y),
    "nothing": lambda self, x, y: None,
    "another number of inputs": lambda self, x: x,
    "an error of torch": lambda self, x, y: x @ torch.ones(3, 3),
    "an error of one's own": lambda self, x, y: {}["missing"],
    "its inputs changed": lambda self, x, y: x.add_(y),
    "twice the precision": lambda self, x, y: (x + y).double(),
    "half the precision": lambda self, x, y: (x + y).half(),
    "whole numbers": lambda self, x, y: (x + y).long(),
    "complex numbers": lambda self, x, y: torch.fft.fft(x + y),
    "another device": lambda self, x, y: (x + y).to("meta"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_search_and_an_evaluation_name_it(own, fault):
    own(BROKEN[fault])
    features = tiny_features()
    with pytest.raises(ConfigError, match="'Own'"):
        next(iter(search(features, pool(), None)))
    step = StepGenotype("Own", ("x", "y"))
    genotype = Genotype((CellGenotype((features.names[0], features.names[-1]), (step,)),), r=1)
    with pytest.raises(ConfigError, match="'Own'"):
        evaluate("own", genotype, features, CONFIG, BUDGET)


@pytest.mark.parametrize("arity", [None, 0, "2", True])
def test_a_wrong_arity_is_named(own, arity):
    own(lambda self, x, y: x, arity)
    with pytest.raises(ConfigError, match="'Own' has arity"):
        check_primitives(["Sum", "Own"], 4, 4, 0.1, "paper")


@pytest.mark.parametrize(
    "forward",
    [
        lambda self, x, y: self.linear(x - y - 1).log(),
        lambda self, x, y: (x - y) / (x - y),
        lambda self, x, y: self.linear(x) + (x - y).sqrt(),  # finite, but not its gradient
    ],
    ids=["logarithm", "0 / 0", "gradient of a root at 0"],
)
def test_values_that_are_not_finite_are_traced_to_it(own, forward):
    own(forward)
    features = tiny_features()
    for start in (lambda: search(features, pool(), None), lambda: search_seeds(features, pool(), {0: None, 1: None})):
        with pytest.raises(SearchDiverged, match="Own"):
            next(iter(start()))


def test_a_training_names_the_layer(own):
    own(lambda self, x, y: self.linear(x) / 0 * 0)
    features = tiny_features()
    step = StepGenotype("Own", ("x", "y"))
    genotype = Genotype((CellGenotype((features.names[0], features.names[-1]), (step,)),), r=1)
    with pytest.raises(SearchDiverged, match="Step_1"):
        evaluate("own", genotype, features, CONFIG, BUDGET)


def test_a_sound_one_is_let_through_and_random_numbers_stay(own):
    own(lambda self, x, y: self.linear(x) + torch.randn_like(y))
    before = torch.get_rng_state()
    check_primitives(["Sum", "Own"], 4, 4, 0.1, "paper")
    assert torch.equal(torch.get_rng_state(), before)
    assert len(list(search(tiny_features(), pool(), None))) == 1


@pytest.mark.parametrize(
    ("forward", "is_symmetric"),
    [
        (lambda self, x, y: x - y, False),
        (lambda self, x, y: x / (1 + y.abs()), False),
        (lambda self, x, y: x * y, True),
        (lambda self, x, y: nn.functional.dropout(x + y, 0.5), True),
        (lambda self, x, y: (x + y).log(), True),
    ],
)
def test_one_without_weights_that_only_says_it_is_symmetric_is_named(forward, is_symmetric):
    def __init__(self, C, L, dropout, mode="paper"):
        nn.Module.__init__(self)

    body = {"arity": 2, "symmetric": True, "__init__": __init__, "forward": forward}
    PRIMITIVES["Own"] = type("Own", (nn.Module,), body)
    try:
        if is_symmetric:
            check_primitives(["Own"], 4, 4, 0.1, "paper")
            return
        with pytest.raises(ConfigError, match="'Own' says symmetric"):
            check_primitives(["Own"], 4, 4, 0.1, "paper")
    finally:
        PRIMITIVES.pop("Own")
