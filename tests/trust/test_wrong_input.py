"""What is given to the public functions of the trust part, and is wrong, is named; no score is made of it."""

import random

import numpy as np
import pytest

import bmnas
from bmnas.errors import BmnasError, ConfigError, FeatureError, RunError, UnknownNameError
from bmnas.searching.searchers.trials import Budget, run_searcher
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype, StepGenotype
from tests.support.tiny import BUDGET, CONFIG, multilabel_features, tiny_features

STEP = StepGenotype("Sum", ("x", "y"))


def genotype(inputs=("Fou_1", "Kar_1"), steps=(STEP,), cells=1, r=1):
    pairs = [inputs, ("Zer_1", "Mor_1"), ("Pix_1", "Mor_1")][:cells]
    return Genotype(tuple(CellGenotype(pair, steps) for pair in pairs), r)


def proposing(value):
    def searcher(space, generator):
        while True:
            yield value

    return searcher


def returning(value):
    def searcher(space, generator):
        yield genotype()
        return value

    return searcher


def of_one_argument(space):
    yield genotype()


SEARCHERS = {
    "nothing": lambda space, generator: (one for one in ()),
    "a list": lambda space, generator: [genotype()],
    "None": proposing(None),
    "a dictionary": proposing(genotype().to_dict()),
    "features of other data": proposing(genotype(("A_1", "B_1"))),
    "a primitive that the space lacks": proposing(genotype(steps=(StepGenotype("Attention", ("x", "y")),))),
    "more Steps": proposing(genotype(steps=(STEP, STEP))),
    "more Cells": proposing(genotype(cells=2)),
    "another r": proposing(genotype(r=2)),
    "returns a number": returning(5),
    "one argument": of_one_argument,
}


@pytest.mark.parametrize("kind", SEARCHERS)
def test_a_searcher_of_another_kind_or_space_is_named(kind):
    with pytest.raises(ConfigError, match="searcher"):
        bmnas.bench(SEARCHERS[kind], "mfeat", seeds=[0], budget=5)


def test_nor_is_anything_trained_for_it():
    space = Space(("Fou_1", "Kar_1", "Zer_1", "Mor_1"), 1, 1, 1, ("Sum",))
    trained = []
    for kind in ("features of other data", "more Steps", "more Cells", "another r"):
        trials = run_searcher(SEARCHERS[kind], space, lambda *args: trained.append(args) or 0.0, Budget(5), 0)
        with pytest.raises(ConfigError):
            list(trials)
    assert trained == []


def test_fewer_cells_are_of_the_space_as_networks_grow():
    space = Space(("Fou_1", "Kar_1", "Zer_1", "Mor_1"), 2, 1, 1, ("Sum",))
    trials = list(run_searcher(proposing(genotype()), space, lambda *_: 0.5, Budget(5), 0))
    assert [trial.genotype for trial in trials] == [genotype()]


def test_an_error_of_a_searcher_is_its_own():
    def searcher(space, generator):
        yield space.random(generator)
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        bmnas.bench(searcher, "mfeat", seeds=[0])


@pytest.mark.parametrize("seeds", [[], "ab", [1.5], [-1], [True], [float("nan")], 3, [1, 1], [None]])
def test_seeds_are_different_whole_numbers_from_0(seeds):
    with pytest.raises(ConfigError, match="seeds"):
        bmnas.bench("random", "mfeat", seeds)


def test_seeds_of_numpy_are_seeds():
    ours = bmnas.bench("random", "mfeat", np.arange(2), 5)
    assert ours.equals(bmnas.bench("random", "mfeat", range(2), 5))
    assert random.Random(1).random() == random.Random(-1).random()  # why negative ones are refused


@pytest.mark.parametrize("budget", [0, -1, float("nan"), 2.5, "5", True])
def test_a_budget_is_a_whole_number_above_0(budget):
    with pytest.raises(ConfigError, match="budget"):
        bmnas.bench("random", "mfeat", [0], budget)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A network that takes subsets, and its features."""
    features, run = tiny_features(), bmnas.Run(tmp_path_factory.mktemp("runs") / "run")
    config = CONFIG.change(modality_dropout=0.2)
    list(bmnas.search(features, config, run))
    found = bmnas.read_out(run, features).chosen
    return bmnas.train_and_save(run, found, features, config, BUDGET), features


def others():
    """Features of which the network knows nothing, or too little."""
    one = {"A": np.random.default_rng(0).normal(size=(40, 3))}
    splits = {"train": np.arange(20), "val": np.arange(20, 30), "test": np.arange(30, 40)}
    return {
        "one modality": bmnas.FeatureSet.from_arrays(one, np.arange(40) % 2, splits),
        "several labels": multilabel_features(),
        "other channels": tiny_features(channels=5),
        "a modality less": tiny_features().choose(modalities="A"),
    }


USES = {"diagnose": lambda net, features: bmnas.diagnose(features, net), "subset_scores": bmnas.subset_scores}


@pytest.mark.parametrize("kind", others())
@pytest.mark.parametrize("use", USES)
def test_a_network_is_not_judged_on_other_features_than_its_own(use, kind, trained):
    network, _ = trained
    if kind == "a modality less":
        used = {name[0] for name in network.shapes}
        assert "B" in used
    with pytest.raises(FeatureError):
        USES[use](network, others()[kind])


@pytest.mark.parametrize("use", USES)
def test_nor_on_its_own_features_with_other_classes(use, trained):
    network, features = trained
    renamed = bmnas.FeatureSet.from_arrays(
        features.arrays, features.targets, features.splits, classes=[f"new {name}" for name in features.classes]
    )
    with pytest.raises(FeatureError, match="classes"):
        USES[use](network, renamed)


@pytest.mark.parametrize("metric", ["nope", "samples F1", "AUROC", ""])
def test_a_score_that_there_is_not_is_never_another_one(metric, trained):
    network, features = trained
    with pytest.raises(ConfigError, match="accuracy"):
        bmnas.subset_scores(network, features, metric)


NAMES = {
    "truth": lambda: bmnas.truth("nope"),
    "truth of nothing": lambda: bmnas.truth(""),
    "truth of one's own": lambda: bmnas.truth("planted", tiny_features()),
    "bench of a searcher": lambda: bmnas.bench("nope", "mfeat"),
    "bench of a task": lambda: bmnas.bench("random", "nope"),
    "bench of a table": lambda: bmnas.bench("random", bmnas.truth("mfeat")),  # pyright: ignore[reportArgumentType]
    "seed_runs outside the folder of runs": lambda: bmnas.seed_runs("../x", CONFIG, tiny_features()),
    "rivals": lambda: bmnas.evaluate_rivals(tiny_features(), CONFIG, BUDGET, names=["nope"]),
    "verdict": lambda: bmnas.verdict([], "nope"),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_that_there_are_not(name):
    with pytest.raises(BmnasError) as caught:
        NAMES[name]()
    assert isinstance(caught.value, UnknownNameError | ConfigError | FeatureError | RunError)


def test_no_rival_is_wanted():
    assert bmnas.evaluate_rivals(tiny_features(), CONFIG, BUDGET, names=[]) == []
