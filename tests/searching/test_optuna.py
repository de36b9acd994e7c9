"""Optuna's samplers: what they propose against a study on disk, opened again for each point, and their borders."""

import random
import sys
from itertools import islice

import numpy as np
import pytest
import torch

import bmnas
from bmnas.errors import ConfigError
from bmnas.registry import SEARCHERS
from bmnas.searching.searchers.trials import Budget, lacks, run_searcher
from bmnas.space.enumeration import Space
from bmnas.space.equivalence import network_key
from tests.searching.test_searchers import LARGE, SMALL, mocked_score, networks, trials_of
from tests.support.searchers import OPTUNA, usable

SAMPLERS = [usable(name) for name in OPTUNA]
STRICT = Space(("A_1", "A_2", "B_1"), N=2, M=1, r=1, primitives=("Sum",), pair_rule="reference", cells_as_inputs=False)
SPACES = {"small": (SMALL, 9), "large": (LARGE, 40), "strict": (STRICT, 3)}


def by_hand(name, space, seed, trainings, path):
    """The genotypes that are proposed; every point by a sampler and a study that know only what is on the disk."""
    optuna = pytest.importorskip("optuna")
    made = {
        "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
        "nsga_ii": lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
        "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    }[name]
    nodes = [
        [*space.features, *(f"Cell_{i}" for i in range(1, n + 1) if space.cells_as_inputs)] for n in range(space.N)
    ]
    values = {}
    for n, names in enumerate(nodes, start=1):
        values[f"Cell_{n}"] = [f"{a} {b}" for place, a in enumerate(names) for b in names[place + 1 :]]
        for m in range(1, space.M + 1):
            steps = space.step_choices(m - 1)
            values[f"Cell_{n}.Step_{m}"] = [f"{step.primitive} {' '.join(step.inputs)}" for step in steps]
    choices = {what: optuna.distributions.CategoricalDistribution(these) for what, these in values.items()}

    def described(params):
        cells = [
            {
                "inputs": params[f"Cell_{n}"].split(),
                "steps": [
                    {"primitive": step.split()[0], "inputs": step.split()[1:]}
                    for step in (params[f"Cell_{n}.Step_{m}"] for m in range(1, space.M + 1))
                ],
            }
            for n in range(1, space.N + 1)
        ]
        return bmnas.Genotype.from_dict({"r": space.r, "cells": cells})

    generator, history, dull = random.Random(seed), [], 0
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study(study_name="it", storage=storage(optuna, path), direction="maximize")
    while len(networks(history)) < trainings and len(history) < 50 * trainings:
        study = optuna.load_study(study_name="it", storage=storage(optuna, path))
        study.sampler = made(generator.getrandbits(32))
        done = {network_key(genotype) for genotype in history}
        if dull == 5:
            fresh = space.random(generator)
            while network_key(fresh) in done:
                fresh = space.random(generator)
            study.enqueue_trial(
                {what: value for what, values_ in values.items() for value in values_ if told(fresh, what) == value}
            )
        trial = study.ask(choices)
        genotype = described(trial.params)
        if not keeps_to_rule(space.pair_rule, [set(cell.inputs) for cell in genotype.cells]):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            dull += 1
            continue
        dull = dull + 1 if network_key(genotype) in done else 0
        history.append(genotype)
        study.tell(trial, mocked_score(genotype, seed))
    return history


def keeps_to_rule(rule, pairs):
    if rule == "paper":
        return all(pair not in pairs[:n] for n, pair in enumerate(pairs))
    return all(pair - set().union(*pairs[:n]) for n, pair in enumerate(pairs))


def storage(optuna, path):
    journal = optuna.storages.journal
    return optuna.storages.JournalStorage(journal.JournalFileBackend(str(path)))


def told(genotype, what):
    cell, _, step = what.partition(".")
    cell = genotype.cells[int(cell[5:]) - 1]
    if not step:
        return " ".join(cell.inputs)
    step = cell.steps[int(step[5:]) - 1]
    return f"{step.primitive} {' '.join(step.inputs)}"


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("space", SPACES)
def test_it_trains_what_a_study_on_disk_proposes(name, space, tmp_path):
    space, trainings = SPACES[space]
    trainings = min(trainings, 20) if name == "gp" else trainings
    trials = trials_of(name, space, trainings, seed=1)
    assert [trial.genotype for trial in trials] == networks(by_hand(name, space, 1, trainings, tmp_path / "journal"))
    assert all(trial.score == mocked_score(trial.genotype, 1) for trial in trials)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("space", [SMALL, STRICT])
def test_it_ends_when_every_network_is_trained(name, space):
    every = {network_key(genotype) for genotype in space.genotypes()}
    trials = trials_of(name, space, 1000)
    assert {network_key(trial.genotype) for trial in trials} == every
    allowed = {genotype.to_json() for genotype in space.genotypes()}
    assert all(trial.genotype.to_json() in allowed for trial in trials)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_learns_from_the_scores(name):
    """Half of all networks score well, by the primitive of the first Step: a search takes more of them than chance."""

    def scored(genotype, _seed, _part=None):
        return float(genotype.cells[0].steps[0].primitive == "Sum") + mocked_score(genotype) / 10

    taken = [
        trial.score > 1 for trial in run_searcher(SEARCHERS[name], LARGE, scored, Budget(60 if name != "gp" else 20), 0)
    ]
    chance = [scored(LARGE.random(random.Random(n)), 0) > 1 for n in range(500)]
    assert np.mean(taken[-10:]) > 2 * np.mean(chance)


@pytest.mark.parametrize("name", SAMPLERS)
def test_it_is_silent_and_leaves_random_numbers_and_threads_alone(name, capfd):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.INFO)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    threads = torch.get_num_threads()
    assert len(trials_of(name, LARGE, 14)) == 14
    assert before == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    assert torch.get_num_threads() == threads
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", OPTUNA)
def test_without_the_package_the_error_says_what_to_install(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ConfigError, match=r"pip install 'bmnas\[optuna\]'"):
        list(islice(run_searcher(SEARCHERS[name], SMALL, mocked_score, Budget(3), 0), 1))
    monkeypatch.setattr("bmnas.searching.searchers.trials.find_spec", lambda package: None)
    assert "bmnas[optuna]" in lacks(SEARCHERS[name]) and not lacks(SEARCHERS["random"])


def test_all_searchers_of_a_package_that_is_missing_say_so_in_the_same_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    errors = set()
    for name in OPTUNA:
        with pytest.raises(ConfigError) as refused:
            next(SEARCHERS[name](SMALL, random.Random(0)))
        errors.add(str(refused.value))
    assert len(errors) == 1 and "pip install" in errors.pop()
