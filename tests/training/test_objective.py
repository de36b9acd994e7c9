"""Weights of classes and scores by name, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn import metrics as oracle
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError
from bmnas.training import metrics
from bmnas.training.objective import Objective, make_objective
from bmnas.training.scores import SCORES

RNG = np.random.default_rng(0)
TARGETS = np.repeat([0, 1, 2], [60, 25, 15])
LOGITS = torch.from_numpy(RNG.normal(size=(100, 3)) + np.eye(3)[TARGETS])
LABELS = (RNG.random((100, 4)) < 0.3).astype(np.float32)


def test_every_multiclass_score_is_scikit_learns():
    p, predicted = LOGITS.softmax(-1).numpy(), LOGITS.argmax(-1).numpy()
    one_hot = np.eye(3)[TARGETS]
    expected = {
        "accuracy": oracle.accuracy_score(TARGETS, predicted),
        "balanced accuracy": oracle.balanced_accuracy_score(TARGETS, predicted),
        "macro F1": oracle.f1_score(TARGETS, predicted, average="macro"),
        "micro F1": oracle.f1_score(TARGETS, predicted, average="micro"),
        "weighted F1": oracle.f1_score(TARGETS, predicted, average="weighted"),
        "macro AUROC": oracle.roc_auc_score(TARGETS, p, multi_class="ovr"),
        "macro average precision": oracle.average_precision_score(one_hot, p),
    }
    assert metrics.scores("multiclass", LOGITS, torch.from_numpy(TARGETS)) == pytest.approx(expected)


def test_rankings_of_labels_are_scikit_learns():
    logits = torch.from_numpy(RNG.normal(size=LABELS.shape) + LABELS)
    found = metrics.scores("multilabel", logits, torch.from_numpy(LABELS))
    p = logits.sigmoid().numpy()
    assert found["macro AUROC"] == pytest.approx(oracle.roc_auc_score(LABELS, p))
    assert found["macro average precision"] == pytest.approx(oracle.average_precision_score(LABELS, p))


def test_a_score_that_the_samples_do_not_define_is_left_out():
    one_class = torch.zeros(100, dtype=torch.int64)
    assert "macro AUROC" not in metrics.scores("multiclass", LOGITS, one_class)
    assert metrics.score(Objective("multiclass", "macro AUROC"), LOGITS, one_class) == 0


@pytest.mark.parametrize("metric", SCORES["multiclass"])
def test_the_score_that_counts_is_the_named_one(metric):
    targets = torch.from_numpy(TARGETS)
    found = metrics.score(Objective("multiclass", metric), LOGITS, targets)
    assert found == pytest.approx(metrics.scores("multiclass", LOGITS, targets)[metric])


def test_balanced_weights_are_scikit_learns_and_multiply_each_sample():
    config = SearchConfig(class_weight="balanced")
    objective = make_objective("multiclass", ("a", "b", "c"), TARGETS, config)
    weights = compute_class_weight("balanced", classes=np.arange(3), y=TARGETS)
    assert objective.weights == pytest.approx(tuple(weights))
    targets = torch.from_numpy(TARGETS)
    each = cross_entropy(LOGITS, targets, reduction="none") * torch.from_numpy(weights)[targets]
    assert metrics.loss(objective, LOGITS, targets).item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_weights_of_labels_balance_each_label():
    objective = make_objective("multilabel", tuple("abcd"), LABELS, SearchConfig(class_weight="balanced"))
    targets, logits = torch.from_numpy(LABELS), torch.from_numpy(RNG.normal(size=LABELS.shape)).float()
    weights = torch.stack(
        [
            torch.tensor(compute_class_weight("balanced", classes=np.array([0, 1]), y=LABELS[:, k]))[
                targets[:, k].long()
            ]
            for k in range(4)
        ],
        1,
    )
    each = binary_cross_entropy_with_logits(logits, targets, reduction="none") * weights
    assert metrics.loss(objective, logits, targets).item() == pytest.approx(each.mean().item(), rel=1e-5)


def test_weights_by_name_leave_other_classes_at_one():
    objective = make_objective("multiclass", ("a", "b", "c"), TARGETS, SearchConfig(class_weight={"b": 4.0}))
    assert objective.weights == (1.0, 4.0, 1.0)


@pytest.mark.parametrize("settings", [{"class_weight": {"d": 2.0}}, {"metric": "samples F1"}])
def test_what_there_is_not_is_an_error(settings):
    with pytest.raises(ConfigError, match=r"'d'|samples F1"):
        make_objective("multiclass", ("a", "b", "c"), TARGETS, SearchConfig(**settings))


def test_early_stopping_needs_a_validation_split():
    with pytest.raises(ConfigError, match="patience"):
        EvalConfig(patience=3)


def test_settings_that_did_not_exist_leave_the_identity_alone():
    names = {"class_weight", "metric", "modality_dropout", "patience"}
    assert not names & set(SearchConfig().identity()) and "patience" not in EvalConfig().identity()
    assert names <= set(
        SearchConfig(class_weight="balanced", metric="accuracy", modality_dropout=0.1, patience=2).identity()
    )
