"""The diagnosis of real and embedded data whose answer is known by how it is made."""

import os

import pytest

from bmnas.evaluation.trained_network import TrainedNetwork
from bmnas.machine import data_root
from bmnas.registry import TASKS
from bmnas.tasks.preparation import prepare
from bmnas.trust.diagnosis import diagnose, knowledge_of
from bmnas.trust.knowledge import CAN
from bmnas.trust.modality_use import modality_use
from bmnas.trust.run_answers import train_on_train
from bmnas.trust.truth_table import find_truth
from tests.conftest import PREPARED

pytestmark = pytest.mark.slow
SPOKEN = pytest.mark.skipif(
    not all((data_root() / name).is_dir() for name in ("mnist", "fsdd")),
    reason="BMNAS_DATA names no folder with MNIST and the spoken digits",
)


def best_network(dataset, features) -> TrainedNetwork:
    """The best network of one Cell, trained on the training split."""
    task = TASKS[dataset]
    config = task.search_config.change(N=1)
    best = find_truth(dataset, config=config).frame()["genotype"][0]
    return train_on_train(best, features, config, task.eval_config)[0]


def test_the_sum_of_two_digits_is_all_synergy_and_its_projection_is_at_chance(prepared):
    features = prepared("twodigits")
    found = diagnose(features, best_network("twodigits", features))
    assert found.knowledge.verdict == CAN and found.knowledge.headroom.low > 2
    assert found.decomposition and found.use
    parts = found.decomposition.parts()
    assert parts["synergy"] == pytest.approx(sum(parts.values()), abs=0.05)
    assert found.use.paired_score > 0.85 and max(found.use.additive_scores.values()) < 0.2


def test_modalities_that_are_independent_given_the_class_leave_no_headroom(prepared):
    features = prepared("digits")
    known = knowledge_of(features)
    assert known.verdict != CAN and known.headroom.mean == pytest.approx(0, abs=0.04)
    assert known.late_gain.low > 0.3
    use = modality_use(best_network("digits", features), features)
    assert min(use.additive_scores.values()) > use.paired_score - 0.03


def spoken(name, samples):
    """The features of some training pairs of real images and recordings."""
    return prepare(name, cache=os.environ[PREPARED], device="cpu", samples=samples)


@SPOKEN
def test_the_sum_of_a_seen_and_a_spoken_digit_is_all_synergy_and_its_projection_is_at_chance():
    features = spoken("avsum", 2500)
    found = diagnose(features, best_network("avsum", features))
    assert found.knowledge.verdict == CAN and found.knowledge.headroom.low > 0.5
    assert found.decomposition and found.use
    parts = found.decomposition.parts()
    assert parts["synergy"] == pytest.approx(sum(parts.values()), abs=0.1)
    assert max(found.use.additive_scores.values()) < 0.2 < found.use.paired_score - 0.1


@SPOKEN
def test_a_seen_and_a_spoken_digit_leave_no_headroom_and_the_projection_is_as_good():
    features = spoken("avmnist", 1500)
    found = diagnose(features, best_network("avmnist", features))
    assert found.knowledge.verdict != CAN and found.knowledge.headroom.mean == pytest.approx(0, abs=0.05)
    assert found.knowledge.late_gain.low > 0.2
    assert found.use and min(found.use.additive_scores.values()) > found.use.paired_score - 0.02
