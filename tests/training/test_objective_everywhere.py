"""Class weights and the metric of a configuration hold wherever a network is trained or scored."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

import bmnas
from bmnas.errors import FeatureError
from bmnas.evaluation.joint.training import train_and_test_joint, train_joint
from bmnas.searching.filling import objective_of
from bmnas.searching.networks import build_network
from bmnas.training.network_training import fit
from bmnas.training.objective import Objective
from bmnas.training.steps import predict
from bmnas.trust.exhaustive_training import network_scores, train_all
from bmnas.trust.run_answers import train_on_train
from bmnas.trust.truth_table import belonging, find_truth, own_tables
from tests.support.tiny import BUDGET, CONFIG, tiny_features
from widgets.labs.gap import Gap

FEATURES = tiny_features()
PAIR = FEATURES.names[:2]
GENOTYPE = bmnas.Genotype((bmnas.CellGenotype(PAIR, (bmnas.StepGenotype("ConcatFC", ("x", "y")),)),), 1)
WEIGHED = CONFIG.change(class_weight={FEATURES.classes[0]: 9.0}, metric="balanced accuracy")
ONE_SEED = BUDGET.change(seeds=1, epochs=3)


def by_hand(split: str) -> float:
    """Balanced accuracy of the weighed training on train, by scikit-learn."""
    network, tensors = build_network(GENOTYPE, FEATURES, WEIGHED, 0), FEATURES.tensors("cpu")
    objective = objective_of(FEATURES, WEIGHED)
    fit(network, tensors, objective, tensors.rows("train"), WEIGHED.batch_size, ONE_SEED, 0)
    logits, targets = predict(network, tensors, tensors.rows(split))
    return float(balanced_accuracy_score(targets.numpy(), logits.argmax(1).numpy()))


def test_the_releases_score_is_that_of_the_evaluation():
    curve = bmnas.score_by_epoch(GENOTYPE, FEATURES, WEIGHED, ONE_SEED)
    assert curve[-1] == bmnas.evaluate("it", GENOTYPE, FEATURES, WEIGHED, ONE_SEED).scores[0]
    assert curve != bmnas.score_by_epoch(GENOTYPE, FEATURES, CONFIG, ONE_SEED)


def test_the_networks_of_a_truth_table_are_weighed_and_scored_alike():
    val, test = network_scores(GENOTYPE, FEATURES, WEIGHED, ONE_SEED)
    assert (val[0], test[0]) == pytest.approx((by_hand("val"), by_hand("test")), abs=1e-5)


def test_a_truth_table_belongs_to_its_objective(tmp_path, monkeypatch):
    task = bmnas.TASKS["planted"]
    plain, weighed = (belonging(task, FEATURES, config, ONE_SEED) for config in (CONFIG, WEIGHED))
    assert "objective" not in plain  # tables of older versions stay valid
    assert weighed["objective"] == {"class_weight": {FEATURES.classes[0]: 9.0}, "metric": "balanced accuracy"}
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    small = {"primitives": ("Sum",)}
    train_all(FEATURES, WEIGHED.change(**small), ONE_SEED, own_tables())
    assert find_truth("planted", FEATURES, WEIGHED.change(**small), ONE_SEED).networks
    with pytest.raises(FeatureError, match="objective"):
        find_truth("planted", FEATURES, CONFIG.change(**small), ONE_SEED)


def test_the_network_that_a_diagnosis_takes_apart_is_weighed():
    trained, _ = train_on_train(GENOTYPE, FEATURES, WEIGHED, ONE_SEED)
    rows = FEATURES.rows("val")
    logits = trained.logits({name: FEATURES.arrays[name][rows] for name in trained.shapes}, "cpu")
    predicted = logits.argmax(1).numpy()
    assert float(balanced_accuracy_score(FEATURES.targets[rows], predicted)) == by_hand("val")


def test_the_gap_shows_the_score_that_the_search_selects_by(tmp_path):
    run = bmnas.Run(tmp_path / "run")
    trace = bmnas.Trace(bmnas.search(FEATURES, WEIGHED.change(epochs=1), run))
    gap = Gap.of(run)
    assert gap.info(2).metric == "balanced accuracy" and gap.scores(0)[0] == trace.events[-1].val_score


def joint(seed: int = 0) -> tuple[nn.Module, list]:
    torch.manual_seed(seed)
    backbone = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    genotype = bmnas.Genotype((bmnas.CellGenotype(("A_1", "A_2"), GENOTYPE.cells[0].steps),), 1)
    taps = {"A": {"A_1": "0", "A_2": "1"}}
    inputs = torch.randn(12, 3)
    data = [({"A": x}, torch.tensor(int(i % 4 == 0))) for i, x in enumerate(inputs)]
    return bmnas.joint_network(genotype, {"A": backbone}, taps, {"A": inputs[:2]}, 2, C=4, L=4), data


def test_joint_training_is_weighed_and_scored_by_its_objective():
    still = {"epochs": 1, "batch_size": 12, "max_lr": 0.0, "min_lr": 0.0, "device": "cpu"}
    losses = {}
    for weights in ((1.0, 0.0), (0.0, 1.0), (3.0, 5.0)):
        network, data = joint()
        objective = Objective("multiclass", "balanced accuracy", weights)
        losses[weights] = train_joint(network, data, kind=objective, **still)[0]  # type: ignore[arg-type]
    assert losses[3.0, 5.0] == pytest.approx(3 * losses[1.0, 0.0] + 5 * losses[0.0, 1.0], rel=1e-5)
    network, data = joint()
    result = train_and_test_joint(network, data, data, kind=objective, **still)  # type: ignore[arg-type]
    targets = np.array([int(target) for _, target in data])
    with torch.no_grad():
        predicted = network({"A": torch.stack([inputs["A"] for inputs, _ in data])}).argmax(1).numpy()
    assert result.metric == "balanced accuracy"
    assert result.score == pytest.approx(balanced_accuracy_score(targets, predicted))
