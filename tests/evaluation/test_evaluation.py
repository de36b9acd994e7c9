"""Training from scratch and the test score: which rows are used, seeds, kept results."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bmnas.config import EvalConfig
from bmnas.errors import ConfigError, GenotypeError, RunError, SearchDiverged
from bmnas.evaluation import evaluation
from bmnas.evaluation.evaluation import evaluate, train_and_test
from bmnas.evaluation.outcomes import pack
from bmnas.evaluation.results import Evaluation, combine_seeds, compare_results
from bmnas.rivals.feature_head import FeatureHead
from bmnas.searching.networks import build_network
from bmnas.searching.run_folder import Run
from bmnas.space.layers import count_flops
from bmnas.tasks.planted import answer, planted_genotype
from bmnas.training import network_training
from bmnas.training.loop import NetworkLearner
from bmnas.training.network_training import fit
from bmnas.training.steps import batches, predict
from tests.support.tiny import BUDGET, CONFIG, diverging, multilabel_features, seen_rows, split_of, tiny_features

ONE_SEED = BUDGET.change(seeds=1)


@pytest.fixture(scope="module")
def features():
    return tiny_features()


@pytest.fixture(scope="module")
def genotype(features):
    return planted_genotype(features)


def spy_on(monkeypatch, name):
    """Counts the calls of a function of the module."""
    calls, original = [], getattr(evaluation, name)

    def spy(*arguments, **named):
        calls.append(arguments)
        return original(*arguments, **named)

    monkeypatch.setattr(evaluation, name, spy)
    return calls


# which rows


@pytest.mark.parametrize(("select", "expected"), [("last", {"train", "val"}), ("validation", {"train"})])
def test_what_the_training_uses(features, genotype, select, expected, monkeypatch):
    trained = []

    def spy(*given):
        for rows in batches(*given):
            trained.extend(rows.tolist())
            yield rows

    monkeypatch.setattr(network_training, "batches", spy)
    evaluate("it", genotype, features, CONFIG, ONE_SEED.change(select=select))
    rows = [row for split in sorted(expected) for row in features.rows(split).tolist()]
    assert sorted(trained) == sorted(2 * rows)  # two epochs


@pytest.mark.parametrize("select", ["last", "validation"])
def test_the_test_split_is_looked_at_once_a_seed_and_at_the_end(features, genotype, select):
    with seen_rows() as seen:
        evaluate("it", genotype, features, CONFIG, ONE_SEED.change(select=select, epochs=3))
    test = set(features.rows("test").tolist())
    looks = [i for i, rows in enumerate(seen) if test & set(rows)]
    assert looks == [len(seen) - 1] and split_of(features, seen[-1]) == "test"
    with seen_rows() as seen:
        evaluate("it", genotype, features, CONFIG, BUDGET.change(select=select))
    assert sum(bool(test & set(rows)) for rows in seen) == 3


def test_validation_chooses_the_best_epoch_and_the_earlier_of_equal_ones(features, genotype):
    budget = ONE_SEED.change(select="validation", epochs=8, max_lr=3e-2)
    states, scores = [], []
    network = build_network(genotype, features, CONFIG, 0)
    tensors = features.tensors("cpu")

    def after(epoch):
        logits, targets = predict(network, tensors, tensors.rows("val"))
        scores.append((logits.argmax(1) == targets).double().mean().item())
        states.append({key: value.clone() for key, value in network.state_dict().items()})

    fit(network, tensors, "multiclass", tensors.rows("train"), CONFIG.batch_size, budget, 0, after)
    network.load_state_dict(states[scores.index(max(scores))])
    expected, _ = predict(network, tensors, tensors.rows("test"))
    chosen = build_network(genotype, features, CONFIG, 0)
    found, targets = train_and_test(chosen, features, CONFIG.batch_size, budget, 0, "cpu")
    assert scores[-1] < max(scores)  # else the case tells nothing
    assert torch.equal(found, expected)
    assert targets.tolist() == features.targets[features.rows("test")].tolist()


# seeds


def test_seeds_decide_everything(features, genotype):
    torch.manual_seed(1)
    first = evaluate("it", genotype, features, CONFIG, BUDGET)
    torch.manual_seed(2)
    second = evaluate("it", genotype, features, CONFIG, BUDGET)
    assert first.scores == second.scores and first.per_class == second.per_class
    logits = [
        train_and_test(build_network(genotype, features, CONFIG, seed), features, 16, ONE_SEED, seed, "cpu")[0]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(logits[0], logits[1]) and not torch.allclose(logits[0], logits[2])


def test_one_genotype_a_seed(features):
    pairs = {0: ("A_1", "B_1"), 1: ("A_2", "B_2"), 2: ("A_1", "B_2")}
    each = {seed: answer(pair) for seed, pair in pairs.items()}
    found = evaluate("it", each, features, CONFIG, BUDGET)
    alone = [evaluate("it", each[seed], features, CONFIG, BUDGET).scores[seed] for seed in pairs]
    assert list(found.scores) == alone


def test_mean_and_deviation():
    scores = (0.71, 0.65, 0.8, 0.77)
    found = Evaluation("it", "accuracy", scores)
    assert found.mean == pytest.approx(np.mean(scores)) and found.std == pytest.approx(np.std(scores, ddof=1))
    assert Evaluation("it", "accuracy", (0.5,)).std == 0.0
    assert found.row()["seeds"] == 4 and found.to_dict()["std"] == found.std


@pytest.mark.parametrize("make", [tiny_features, multilabel_features])
def test_what_an_evaluation_tells(make):
    features = make()
    genotype = answer((features.names[0], features.names[-1]))
    found = evaluate("it", genotype, features, CONFIG, BUDGET)
    assert found.name == "it" and len(found.scores) == 3 and all(0 <= score <= 1 for score in found.scores)
    assert list(found.per_class) == list(features.classes)
    assert found.parameters == build_network(genotype, features, CONFIG, 0).sizes()["total"]
    assert found.seconds > 0
    assert found.all_scores[found.metric] == pytest.approx(found.mean)
    assert found.metric == {"multiclass": "accuracy", "multilabel": "weighted F1"}[features.kind]
    if features.kind == "multiclass":
        counts = np.bincount(features.targets[features.rows("test")], minlength=8)
        assert np.dot(list(found.per_class.values()), counts) / counts.sum() == pytest.approx(found.mean)


def test_seeds_are_averaged(features):
    results = [
        {"scores": {"accuracy": s}, "per_class": [s / 2] * 8, "parameters": 7, "seconds": 2.0} for s in (0.2, 0.6)
    ]
    found = combine_seeds("it", results, features)
    assert found.scores == (0.2, 0.6) and found.seconds == 4.0 and found.parameters == 7
    assert found.all_scores == {"accuracy": pytest.approx(0.4)}
    assert list(found.per_class.values()) == pytest.approx([0.2] * 8)


# training


def rates_of_fit(features, genotype, budget, monkeypatch):
    rates, move = [], NetworkLearner.move

    def spy(learner, gradients, rate):
        rates.append(rate)
        move(learner, gradients, rate)

    monkeypatch.setattr(NetworkLearner, "move", spy)
    tensors = features.tensors("cpu")
    network = build_network(genotype, features, CONFIG, 0)
    fit(network, tensors, "multiclass", tensors.rows("train"), CONFIG.batch_size, budget, 0)
    return rates


def test_the_learning_rate_falls_to_its_least_at_the_end(features, genotype, monkeypatch):
    budget = EvalConfig(epochs=6, max_lr=1e-2, min_lr=1e-5)
    rates = rates_of_fit(features, genotype, budget, monkeypatch)
    steps = 6 * 4
    expected = [1e-5 + (1e-2 - 1e-5) * (1 + math.cos(math.pi * t / steps)) / 2 for t in range(steps)]
    assert rates == pytest.approx(expected, rel=1e-9)
    assert rates[-1] - budget.min_lr < 0.005 * budget.max_lr


def test_restarts_where_they_are_asked_for(features, genotype, monkeypatch):
    rates = rates_of_fit(features, genotype, EvalConfig(epochs=7, Ti=1, Tm=2), monkeypatch)
    assert [i // 4 for i, rate in enumerate(rates) if rate == 1e-3] == [0, 1, 3]


def test_training_learns(features, genotype):
    budget = EvalConfig(epochs=30, seeds=1, max_lr=1e-2)
    large = tiny_features(samples=256)
    assert evaluate("it", planted_genotype(large), large, CONFIG.change(C=8), budget).mean > 0.5  # 1 in 8 by chance


def test_a_lost_training_names_its_epoch(features, genotype):
    with diverging(), pytest.raises(SearchDiverged, match="epoch 1 of 2.*max_lr"):
        evaluate("it", genotype, features, CONFIG, ONE_SEED)


def test_what_does_not_fit(features, genotype):
    with pytest.raises(GenotypeError, match="Cell_1 takes 'C_1', which these features do not have"):
        evaluate("it", answer(("A_1", "C_1")), features, CONFIG, ONE_SEED)
    with pytest.raises(ConfigError, match="L = 4"):
        evaluate("it", genotype, features, CONFIG.change(L=2), ONE_SEED)


# kept results


def test_nothing_is_trained_twice(features, genotype, tmp_path, monkeypatch):
    run, calls = Run(tmp_path / "run"), spy_on(monkeypatch, "fit")
    first = evaluate("it", genotype, features, CONFIG, BUDGET.change(seeds=2), run)
    assert len(calls) == 2
    assert evaluate("it", genotype, features, CONFIG, BUDGET.change(seeds=2), run) == first
    assert evaluate("another name", genotype, features, CONFIG, BUDGET.change(seeds=2), run).scores == first.scores
    assert len(calls) == 2
    third = evaluate("it", genotype, features, CONFIG, BUDGET, run)
    assert len(calls) == 3 and third.scores[:2] == first.scores
    assert third.scores == evaluate("it", genotype, features, CONFIG, BUDGET).scores


def test_other_questions_are_answered_anew(features, genotype, tmp_path, monkeypatch):
    run, calls = Run(tmp_path / "run"), spy_on(monkeypatch, "fit")
    other = answer(("A_2", "B_2")) if genotype.features != ("A_2", "B_2") else answer(("A_1", "B_1"))
    for number, (network, data, config, budget) in enumerate(
        [
            (genotype, features, CONFIG, ONE_SEED),
            (other, features, CONFIG, ONE_SEED),
            (genotype, features, CONFIG.change(C=8), ONE_SEED),
            (genotype, features, CONFIG, ONE_SEED.change(epochs=1)),
            (genotype, features, CONFIG, ONE_SEED.change(select="validation")),
            (answer(("A_1", "B_1")), tiny_features(seed=5), CONFIG, ONE_SEED),
        ],
        start=1,
    ):
        evaluate("it", network, data, config, budget, run)
        assert len(calls) == number
    assert len(list(run.path("scores").glob("*.json"))) == 6


def test_an_interrupted_evaluation_goes_on(features, genotype, tmp_path, monkeypatch):
    run, calls = Run(tmp_path / "run"), spy_on(monkeypatch, "fit")

    def stop(name, done, of):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate("it", genotype, features, CONFIG, BUDGET, run, stop)
    assert len(calls) == 2
    evaluate("it", genotype, features, CONFIG, BUDGET, run)
    assert len(calls) == 3


EMPTY = '{"scores": {}, "per_class": [], "parameters": 1, "seconds": 1}'


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"scores": {"accuracy": 1}}', EMPTY])
def test_a_damaged_kept_result(features, genotype, tmp_path, text):
    run = Run(tmp_path / "run")
    evaluate("it", genotype, features, CONFIG, ONE_SEED, run)
    (kept,) = run.path("scores").glob("*.json")
    kept.write_text(text)
    with pytest.raises(RunError) as error:
        evaluate("it", genotype, features, CONFIG, ONE_SEED, run)
    assert str(kept) in str(error.value)


def test_a_class_without_a_test_sample_has_no_recall_and_is_kept_so(features, genotype, tmp_path):
    test = features.rows("test")
    fewer = replace(features, splits={**features.splits, "test": test[features.targets[test] > 0]})
    run, budget = Run(tmp_path / "run"), BUDGET.change(epochs=1, seeds=1)
    first, again = (evaluate("found", genotype, fewer, CONFIG, budget, run) for _ in range(2))
    absent, *others = features.classes
    assert math.isnan(first.per_class[absent]) and not any(math.isnan(first.per_class[name]) for name in others)
    assert again.scores == first.scores and math.isnan(again.per_class[absent])
    (kept,) = run.path("scores").glob("*.json")
    assert "NaN" not in kept.read_text()  # JSON knows no such number


def test_kept_results_say_what_they_are_of(features, genotype, tmp_path):
    run = Run(tmp_path / "run")
    evaluate("it", genotype, features, CONFIG, ONE_SEED, run)
    (kept,) = run.path("scores").glob("*.json")
    about = json.loads(kept.read_text())["about"]
    assert about["genotype"] == genotype.to_dict() and about["features"] == features.fingerprint
    assert about["seed"] == 0 and about["budget"]["epochs"] == 2


# answers of test samples


@pytest.mark.parametrize("make", [tiny_features, multilabel_features])
def test_kept_answers_give_the_scores_again(make, tmp_path):
    features, run = make(), Run(tmp_path / "run")
    genotype = answer((features.names[0], features.names[-1]))
    evaluate("it", genotype, features, CONFIG, BUDGET, run)
    again = evaluate("it", genotype, features, CONFIG, BUDGET, run)  # from the folder
    assert again.outcomes is not None and again.outcomes.seeds == 3
    counts = again.outcomes.counts()
    assert again.outcomes.score(counts.sum(1)) == pytest.approx(again.scores)
    assert counts.shape[1] == len(features.rows("test"))
    low, high = again.interval
    assert low < again.mean < high


def test_results_of_an_older_version_have_no_answers_and_are_compared_by_seeds_alone(features, genotype, tmp_path):
    run = Run(tmp_path / "run")
    new = evaluate("new", genotype, features, CONFIG, BUDGET, run)
    for path in run.path("scores").glob("*.json"):
        content = json.loads(path.read_text())
        del content["answers"]
        path.write_text(json.dumps(content))
    old = evaluate("old", genotype, features, CONFIG, BUDGET, run)
    assert old.scores == new.scores and old.outcomes is None
    (comparison,) = compare_results([new, old], "new")
    assert comparison.groups == 0 and "seeds alone" in comparison.sentence()


@pytest.mark.parametrize("damage", ["", "AAAA", "not base64", pack(np.zeros(31, np.int64))])
def test_damaged_answers_are_named(features, genotype, tmp_path, damage):
    run = Run(tmp_path / "run")
    evaluate("it", genotype, features, CONFIG, ONE_SEED, run)
    (path,) = run.path("scores").glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"answers": damage or 3}))
    with pytest.raises(RunError, match="answers"):
        evaluate("it", genotype, features, CONFIG, ONE_SEED, run)


def test_flops_are_those_of_the_matrix_products():
    linear = torch.nn.Sequential(torch.nn.Conv1d(4, 6, 1), torch.nn.Flatten(), torch.nn.Linear(6 * 8, 3))
    assert count_flops(linear, torch.ones(1, 4, 8)) == 2 * 4 * 6 * 8 + 2 * 48 * 3
    rival = FeatureHead({"A_1": 6, "B_1": 5}, ["A_1", "B_1"], 3, 7, 0.5)
    assert count_flops(rival, {"A_1": torch.ones(1, 6, 4), "B_1": torch.ones(1, 5)}) == 2 * 11 * 7 + 2 * 7 * 3
