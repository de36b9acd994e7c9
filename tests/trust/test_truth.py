"""Truth tables: every network once, the product's own training, and never the scores of other features."""

import json
import random
import re
import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import bmnas
from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import DataError, FeatureError, UnknownNameError
from bmnas.registry import TASKS
from bmnas.space.equivalence import network_key
from bmnas.tasks.planted import planted_features
from bmnas.training.steps import predict
from bmnas.trust import exhaustive_training as training
from bmnas.trust import truth_table
from bmnas.trust.truth_table import PUBLISHED, Truth, belonging, find_truth, ordinal
from tools import truth as truth_command

CONFIG = SearchConfig(C=4, L=4, N=1, M=1, batch_size=40, primitives=("Sum", "LinearGLU"), device="cpu")
BUDGET = EvalConfig(epochs=1, seeds=2, max_lr=1e-2)


@pytest.fixture(scope="module")
def features():
    return planted_features(K=3, samples=80)


@pytest.fixture(scope="module")
def path(features, tmp_path_factory):
    return training.train_all(features, CONFIG, BUDGET, tmp_path_factory.mktemp("truth"))


@pytest.fixture
def own(path, tmp_path, monkeypatch):
    """The folder of this machine's tables, with the trained one."""
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    folder = truth_table.own_tables()
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_each_network_once(path, features):
    table = Truth.open(path)
    assert len(table.networks) == 3 * 3  # pairs of three features, times Sum and LinearGLU in two orders
    assert len({network_key(genotype) for genotype in table.networks}) == 9
    for val, test in table.networks.values():
        assert len(val) == len(test) == 2 and all(0 <= score <= 1 for score in val + test)


def test_scores_are_those_of_the_products_own_training(path, features):
    genotype, (val, test) = next(iter(Truth.open(path).networks.items()))
    tensors = features.tensors("cpu")
    for seed in range(2):
        network = training.build_network(genotype, features, CONFIG, seed)
        training.fit(network, tensors, "multiclass", tensors.rows("train"), CONFIG.batch_size, BUDGET, seed)
        for split, expected in (("val", val[seed]), ("test", test[seed])):
            logits, targets = predict(network, tensors, torch.from_numpy(features.rows(split)))
            assert float((logits.argmax(1) == targets).double().mean()) == pytest.approx(expected, abs=1e-5)


def test_a_stopped_command_resumes_and_trains_nothing_twice(path, features, tmp_path, monkeypatch):
    whole = Truth.open(path)
    half = dict(list(whole.networks.items())[:4])
    replace(whole, networks=half).save(tmp_path / path.name)
    trained = []
    scores = training.network_scores
    monkeypatch.setattr(training, "network_scores", lambda g, *rest: trained.append(g) or scores(g, *rest))
    again = training.train_all(features, CONFIG, BUDGET, tmp_path)
    assert len(trained) == 5 and not set(trained) & set(half)
    assert Truth.open(again) == whole


def test_a_sample_grows_and_keeps_what_it_has(features, tmp_path):
    two_cells = CONFIG.change(N=2)
    small = Truth.open(training.train_all(features, two_cells, BUDGET, tmp_path, {"networks": 3, "seed": 0}))
    large = Truth.open(training.train_all(features, two_cells, BUDGET, tmp_path, {"networks": 5, "seed": 0}))
    assert list(large.networks)[:3] == list(small.networks) and len(large.networks) == 5
    with pytest.raises(DataError, match="another truth"):
        training.train_all(features, two_cells, BUDGET, tmp_path, {"networks": 3, "seed": 0})


def test_the_truth_of_these_features_is_found(own, features):
    frame = bmnas.truth("planted", features, CONFIG, BUDGET)
    assert len(frame) == 9 and frame["test"].is_monotonic_decreasing
    assert np.allclose(frame[["test_0", "test_1"]].mean(axis=1), frame["test"])


def test_networks_that_a_table_lacks_are_trained_as_all_of_it(path, features, monkeypatch):
    whole = Truth.open(path)
    first, second, *others = whole.networks
    sample = replace(whole, networks={genotype: whole.networks[genotype] for genotype in others})
    budget = BUDGET.change(seeds=5)  # the table has two
    assert (
        training.with_networks(sample, [first, second, others[0]], features, CONFIG, budget).networks == whole.networks
    )
    monkeypatch.setattr(training, "network_scores", None)
    assert training.with_networks(whole, whole.networks, features, CONFIG, budget) == whole


def test_features_of_ones_own_have_no_truth(own, features):
    mine = replace(features, task="custom")
    with pytest.raises(FeatureError, match="custom"):
        find_truth("custom", mine, CONFIG, BUDGET)
    (genotype, *_) = Truth.open(own / next(own.glob("*.json")).name).networks
    assert bmnas.standing(genotype, mine, CONFIG, BUDGET) is None


@pytest.mark.parametrize("part", ["arrays", "targets", "splits"])
def test_changed_features_get_no_stale_truth(own, features, part):
    changed = replace(features)
    if part == "arrays":
        name = features.names[0]
        array = features.arrays[name].copy()
        array[0, 0, 0] += 1e-3
        changed = replace(features, arrays={**features.arrays, name: array})
    elif part == "targets":
        changed = replace(features, targets=np.roll(features.targets, 1))
    else:
        changed = replace(features, splits={**features.splits, "val": features.splits["val"][::-1]})
    with pytest.raises(FeatureError, match="run.py truth planted"):
        find_truth("planted", changed, CONFIG, BUDGET)
    assert bmnas.standing(next(iter(Truth.open(next(own.iterdir())).networks)), changed, CONFIG, BUDGET) is None


@pytest.mark.parametrize("change", [{"C": 8}, {"dropout": 0.2}, {"batch_size": 20}, {"primitives": ("Sum",)}])
def test_other_networks_get_no_stale_truth(own, features, change):
    with pytest.raises(FeatureError, match=next(iter(change))):
        find_truth("planted", features, CONFIG.change(**change), BUDGET)


def test_another_budget_gets_no_stale_truth(own, features):
    with pytest.raises(FeatureError, match="epochs.*1.*2"):
        find_truth("planted", features, CONFIG, BUDGET.change(epochs=2))


def test_an_unfinished_table_is_no_truth(own, features):
    (file,) = own.iterdir()
    whole = Truth.open(file)
    replace(whole, networks=dict(list(whole.networks.items())[:4])).save(file)
    with pytest.raises(FeatureError, match="only 4 of 9"):
        find_truth("planted", features, CONFIG, BUDGET)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"schema": 1', '"schema": 99'),
        lambda text: "[]",
        lambda text: text.replace('"seeds": 2', '"seeds": 3', 1),
    ],
)
def test_a_damaged_table_is_named(own, features, spoil):
    (file,) = own.iterdir()
    file.write_text(spoil(file.read_text()))
    with pytest.raises(DataError, match=file.name):
        find_truth("planted", features, CONFIG, BUDGET)


def test_the_command_of_an_error_makes_the_table_of_these_features(own):
    """Read back by the command itself: the options of the features, and a sample of a large space."""
    features = planted_features(K=3, samples=90)
    features.manifest["options"] |= {"K": 3, "samples": 90, "L": 4, "source": "synthetic", "seed": 0}
    with pytest.raises(FeatureError) as failure:
        find_truth("planted", features, CONFIG.change(N=2), BUDGET)
    (line,) = re.findall(r"`python3 run\.py truth ([^`]*)`", str(failure.value))
    words = truth_command.parse(shlex.split(line))
    assert (words.dataset, words.N, words.M, words.sample) == ("planted", 2, 1, 200)
    assert {name: truth_command.read_option(text) for name, text in words.option} == {"K": 3, "samples": 90}


@pytest.mark.parametrize("published", [True, False])
def test_a_damaged_table_comes_with_the_command_that_repairs_it(own, monkeypatch, published):
    file = next(own.iterdir()).rename(own / "planted-N2M1-01234567.json")
    file.write_text("{")
    if published:
        monkeypatch.setattr(truth_table, "PUBLISHED", own)
    repair = f"git restore {file.name}" if published else "python3 run.py truth planted --N 2 --M 1 --sample 200"
    with pytest.raises(DataError, match=f"`{repair}`"):
        Truth.open(file)


def test_standing_counts_those_above(path):
    table = Truth.open(path)
    means = {genotype: np.mean(test) for genotype, (_, test) in table.networks.items()}
    for genotype, mean in means.items():
        standing = table.standing(genotype)
        assert standing.rank == 1 + sum(other > mean + 1e-9 for other in means.values())
        assert standing.best - standing.score == pytest.approx(max(means.values()) - mean)
    assert "9 networks" in standing.sentence() and ordinal(standing.rank) in standing.sentence()


def test_an_equal_network_of_another_name_has_the_same_standing(path):
    table = Truth.open(path)
    genotype = next(g for g in table.networks if g.cells[0].steps[0].primitive == "Sum")
    cell = genotype.cells[0]
    turned = replace(cell, steps=(replace(cell.steps[0], inputs=("y", "x")),))
    assert table.standing(replace(genotype, cells=(turned,))) == table.standing(genotype)


@given(st.integers(0, 10**6))
def test_ordinals(number):
    text = ordinal(number).replace(",", "")
    assert text[:-2] == str(number)
    last, teens = number % 10, number % 100 in (11, 12, 13)
    assert (text[-2:] == "th") == (teens or last not in (1, 2, 3))


def test_a_table_survives_its_file(path, tmp_path):
    table = Truth.open(path)
    table.save(tmp_path / "copy.json")
    assert Truth.open(tmp_path / "copy.json") == table


def test_unknown_data_set():
    with pytest.raises(UnknownNameError, match="mfeat"):
        bmnas.truth("mfaet")


# what comes with the package


@pytest.mark.parametrize("file", sorted(PUBLISHED.glob("*.json")), ids=lambda file: file.stem)
def test_a_published_table_is_whole_and_belongs_to_the_preset_as_it_is_now(file):
    table = Truth.open(file)
    task = TASKS[table.about["dataset"]]
    assert set(table.networks) == set(table.genotypes()) and table.seeds >= 2
    space = table.about["space"]
    wanted = belonging(task, None, task.search_config.change(N=space["N"], M=space["M"]), task.eval_config)
    names = ("dataset", "recipe", "network", "budget")
    assert {name: table.about[name] for name in names} == {name: wanted[name] for name in names}


def test_published_tables_are_small():
    assert sum(file.stat().st_size for file in PUBLISHED.glob("*")) < 1e6


def test_mfeats_truth_is_that_of_its_features_on_every_machine(prepared):
    features = prepared("mfeat")
    frame = bmnas.truth("mfeat", features)
    assert len(frame) == 60
    pairs = {genotype.cells[0].inputs for genotype in frame["genotype"]}
    assert len(pairs) == 15


def test_one_network_of_mfeats_truth_trained_again(prepared):
    """The stored scores are those of the command, up to another processor's rounding."""
    task = TASKS["mfeat"]
    features = prepared("mfeat")
    table = find_truth("mfeat", features)
    genotype = random.Random(1).choice(list(table.networks))
    _, test = training.network_scores(genotype, features, task.search_config, task.eval_config.change(seeds=1))
    assert test[0] == pytest.approx(table.networks[genotype][1][0], abs=0.02)


def test_the_command_says_what_is_wrong(capsys):
    assert truth_command.main(["mfaet"]) == 1
    assert "mfeat" in capsys.readouterr().err


def test_the_command_trains_and_prints_where_it_lies(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    task = TASKS["planted"]
    small = replace(task, search_config=task.search_config.change(C=4), eval_config=BUDGET)
    monkeypatch.setitem(TASKS, "planted", small)
    arguments = ["planted", "--seeds", "1", "--option", "K", "2", "--option", "samples", "40"]
    assert truth_command.main(arguments) == 0
    (file,) = truth_table.own_tables().glob("*.json")
    assert str(file) in capsys.readouterr().out
    assert json.loads(file.read_text())["about"]["options"]["K"] == 2
