"""SPOS: its generations against a slow transcription, its supernet, what it costs, and a kill at any moment."""

import multiprocessing
import os
import random
import signal

import pytest

from bmnas.errors import ConfigError, RunError
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers import supernet
from bmnas.searching.searchers.recorded_search import SUPERNET, TRIALS, recorded_trials, search_trials, spent_epochs
from bmnas.searching.searchers.supernet import supernet_epochs
from bmnas.searching.selection import SELECTION
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import CellGenotype, Genotype
from tests.searching.test_searchers import LARGE, SMALL, mocked_score, trials_of
from tests.support.tiny import CONFIG, tiny_features

SPOS = CONFIG.change(searcher="spos", path_epochs=2)
SAME = ("config.json", TRIALS, SELECTION, "genotype.json", SUPERNET)


def pairs_of(space, n):
    names = [*space.features, *(f"Cell_{i}" for i in range(1, n + 1))]
    return [(a, b) for place, a in enumerate(names) for b in names[place + 1 :]]


def genes(genotype):
    return [gene for cell in genotype.cells for gene in (cell.inputs, *cell.steps)]


def of_genes(space, listed):
    cells = [listed[n : n + 1 + space.M] for n in range(0, len(listed), 1 + space.M)]
    if len({cell[0] for cell in cells}) < len(cells):
        return None  # a pair twice
    return Genotype(tuple(CellGenotype(cell[0], tuple(cell[1:])) for cell in cells), space.r)


def by_hand(space, seed):
    """The generations of the published search, with lists alone."""
    generator = random.Random(seed)
    alleles = [gene for n in range(space.N) for gene in (pairs_of(space, n), *map(space.step_choices, range(space.M)))]
    memory, seen, generations = [], [], []
    for generation in range(21):
        candidates = []

        def admitted(genotype):
            if genotype is None or network_key(genotype) in seen:
                return False
            seen.append(network_key(genotype))
            return True

        top = sorted(memory, key=lambda g: mocked_score(g, seed), reverse=True)[:10]
        for kind in ("mutation", "crossover") if generation else ():
            made, tries = [], 0
            while len(made) < 25 and tries < 250:
                tries += 1
                if kind == "mutation":
                    child = genes(generator.choice(top))
                    chosen = [place for place in range(len(child)) if generator.random() < 0.1]
                    for place in chosen:
                        child[place] = alleles[place][generator.randrange(len(alleles[place]))]
                else:
                    first, second = genes(generator.choice(top)), genes(generator.choice(top))
                    child = [generator.choice(both) for both in zip(first, second, strict=True)]
                genotype = of_genes(space, child)
                if admitted(genotype):
                    made.append(genotype)
            candidates += made
        tries = 0
        while len(candidates) < 50 and tries < 2000:
            tries += 1
            genotype = space.random(generator)
            if admitted(genotype):
                candidates.append(genotype)
        memory += candidates
        generations.append(candidates)
    return generations


@pytest.mark.parametrize("seed", [0, 1])
def test_its_generations_are_those_of_a_slow_transcription(seed):
    generations = by_hand(LARGE, seed)
    assert [len(generation) for generation in generations] == [50] * 21
    trials = trials_of("spos", LARGE, None, seed)
    assert [trial.genotype for trial in trials] == [genotype for generation in generations for genotype in generation]
    scores = [mocked_score(trial.genotype, seed) for trial in trials]
    assert trials[-1].best_score == max(scores) > max(scores[:50])


def test_a_space_that_is_used_up_ends_it():
    trials = trials_of("spos", SMALL, None)
    assert {network_key(trial.genotype) for trial in trials} == {network_key(g) for g in SMALL.genotypes()}


def test_it_scores_with_the_weights_of_paths_and_trains_nothing_else(monkeypatch, tmp_path):
    trained, trained_paths = [], supernet.trained_paths

    def noted(network, features, config):
        trained.append(config.path_epochs)
        return trained_paths(network, features, config)

    monkeypatch.setattr(supernet, "trained_paths", noted)
    monkeypatch.setattr("bmnas.searching.searchers.recorded_search.brief_score", None)
    run, features = Run(tmp_path / "run"), tiny_features()
    trials = list(search_trials(features, SPOS, run))
    assert trained == [2]
    assert len(trials) > 20
    best = max(trials, key=lambda trial: (trial.score, -trial.trial))
    assert run.genotype() == best.genotype
    hypernet = trained_paths(supernet.build_hypernet(features, SPOS), features, SPOS)
    by_weights = supernet.InheritedScore(hypernet, features.tensors("cpu"), features.kind)
    assert [trial.score for trial in trials] == [by_weights(trial.genotype) for trial in trials]
    assert [trial.record() for trial in search_trials(features, SPOS)] == [trial.record() for trial in trials]


def test_the_budget_pays_for_the_supernet():
    config = SPOS.change(shortlist_epochs=3)
    trials = trials_of("random", LARGE, 9)
    assert supernet_epochs(config) == spent_epochs(config, trials) == 2
    assert supernet_epochs(config.change(budget=4)) == spent_epochs(config.change(budget=4), trials) == 12
    assert supernet_epochs(config.change(budget=4, budget_unit="epochs")) == 4
    assert spent_epochs(CONFIG.change(searcher="random", shortlist_epochs=3), trials[:5]) == 15
    for wrong in (config.change(budget=9, budget_unit="seconds"), config.change(path_epochs=0)):
        with pytest.raises(ConfigError):
            list(search_trials(tiny_features(), wrong))


def test_a_supernet_of_other_features_is_refused(tmp_path):
    run = Run(tmp_path / "run")
    list(search_trials(tiny_features(), SPOS, run))
    other = Run(tmp_path / "other")
    next(search_trials(tiny_features(), SPOS.change(C=8), other))
    other.path(SUPERNET).replace(run.path(SUPERNET))
    run.path(TRIALS).unlink()
    with pytest.raises(RunError, match="supernet"):
        list(search_trials(tiny_features(), SPOS, run))


def kill_itself(folder, where):
    """A process that ends by SIGKILL: while its supernet is trained, or once some genotypes are scored."""

    def end(*_):
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "supernet":
        supernet.save_state = end
    for trial in search_trials(tiny_features(), SPOS, Run(folder)):
        if trial.trial == 9:
            end()


@pytest.mark.parametrize("where", ["supernet", "evolution"])
def test_a_process_that_was_killed_resumes_and_ends_in_the_same_bytes(tmp_path, where, monkeypatch):
    process = multiprocessing.get_context("forkserver").Process(target=kill_itself, args=(tmp_path / "run", where))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run, whole = Run(tmp_path / "run"), Run(tmp_path / "whole")
    assert len(recorded_trials(run)) == (9 if where == "evolution" else 0)
    list(search_trials(tiny_features(), SPOS, whole))
    if where == "evolution":
        monkeypatch.setattr(supernet, "trained_paths", None)  # it is read
    list(search_trials(tiny_features(), SPOS, run))
    for name in SAME:
        assert run.path(name).read_bytes() == whole.path(name).read_bytes(), name
