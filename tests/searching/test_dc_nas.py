"""DC-NAS: its groups, transfer and survivors against a slow transcription, its parts of the data, and its cost."""

import random

import numpy as np
import pytest

from bmnas.registry import SEARCHERS
from bmnas.searching import read_outs
from bmnas.searching.run_folder import Run
from bmnas.searching.searchers import recorded_search
from bmnas.searching.searchers.recorded_search import TRIALS, recorded_trials, search_trials, spent_epochs
from bmnas.searching.searchers.training_parts import rows_of_part
from bmnas.searching.searchers.trials import Budget, run_searcher
from bmnas.space.equivalence import network_key
from bmnas.space.genotype import CellGenotype, Genotype
from tests.searching.test_searchers import LARGE, SMALL, mocked_score
from tests.support.tiny import CONFIG, multilabel_features, tiny_features

DC = CONFIG.change(searcher="dc_nas", budget=9)


def genes(genotype):
    return [gene for cell in genotype.cells for gene in (cell.inputs, *cell.steps)]


def of_genes(space, listed):
    width = 1 + space.M
    cells = [listed[n * width : (n + 1) * width] for n in range(space.N)]
    if len({cell[0] for cell in cells}) < len(cells):
        return None  # a pair twice
    return Genotype(tuple(CellGenotype(cell[0], tuple(cell[1:])) for cell in cells), space.r)


def swap(space, a, b, generator):
    """Both individuals with one random part exchanged; one that is illegal stays as it was."""
    width, length = 1 + space.M, space.N * (1 + space.M)
    whole = [list(range(n * width, (n + 1) * width)) for n in range(space.N)] if space.N > 1 else []
    places = generator.choice([[place] for place in range(length)] + whole)
    new_a, new_b = genes(a), genes(b)
    for place in places:
        new_a[place], new_b[place] = new_b[place], new_a[place]
    return of_genes(space, new_a) or a, of_genes(space, new_b) or b


def by_hand(space, seed):
    """The published evolution, slot by slot: (genotype, group) in the order in which they are to be trained."""
    generator = random.Random(seed)

    def fitness(individual):
        return mocked_score(individual, seed)

    history, everyone, keys, draws = [], [], [], 0
    population = []
    while len(population) < 28:
        individual = space.random(generator)
        draws += 1
        if network_key(individual) not in keys or draws > 2000:
            keys.append(network_key(individual))
            population.append(individual)
    history += [(one, slot // 7) for slot, one in enumerate(population)]
    everyone += population
    group_history = {group: [] for group in range(4)}
    for _ in range(15):
        for slot, one in enumerate(population):
            if one not in group_history[slot // 7]:
                group_history[slot // 7].append(one)
        ranked = {group: sorted(had, key=fitness, reverse=True) for group, had in group_history.items()}
        archive1 = ranked[0][:3] + ranked[1][:2] + ranked[2][:2]
        archive2 = ranked[3][:7]
        children = []
        while len(children) < 28:
            low = len(children) // 7 * 7
            for _attempt in range(4):
                a, b = generator.sample(population[low : low + 7], 2)
                parent1 = a if fitness(a) > fitness(b) else b
                parent2 = generator.choice(archive1 if low == 21 else archive2)
                if parent1 != parent2:
                    break
            if generator.random() < 0.9:
                children += swap(space, parent1, parent2, generator)
            else:
                children += [parent1, parent2]
        for slot, child in enumerate(children):
            if generator.random() < 0.2:
                children[slot] = swap(space, child, space.random(generator), generator)[0]
        history += [(one, slot // 7) for slot, one in enumerate(children)]
        everyone += children
        following = []
        for slot in range(28):
            low = slot // 7 * 7
            old = population[low + generator.choice(range(7))]
            new = children[low + generator.choice(range(7))]
            following.append(old if fitness(old) > fitness(new) else new)
        top = max(everyone, key=fitness)
        if top not in following:
            following[min(range(28), key=lambda slot: fitness(following[slot]))] = top
        population = following
    assert len(history) == 448
    return history


@pytest.mark.parametrize("space", [LARGE, SMALL], ids=["large", "small"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_trains_what_a_slow_transcription_trains_on_the_same_parts(space, seed):
    trained = []

    def trainer(genotype, seed, part):
        trained.append((genotype, part))
        return mocked_score(genotype, seed)

    trials = list(run_searcher(SEARCHERS["dc_nas"], space, trainer, Budget(None), seed))
    first = {}
    for genotype, group in by_hand(space, seed):
        first.setdefault(network_key(genotype), (genotype, None if group == 3 else group))
    assert trained == list(first.values())
    assert [(trial.genotype, trial.part) for trial in trials] == trained
    assert trials[-1].best_score == max(mocked_score(genotype, seed) for genotype, _ in trained)
    if space is LARGE:
        assert 150 < len(trials) <= 448
        assert trials[-1].best_score > max(trial.score for trial in trials[:28])


def test_a_child_that_takes_nothing_legal_stays_as_it_was():
    for trial in run_searcher(SEARCHERS["dc_nas"], LARGE, mocked_score, Budget(None), 5):
        assert LARGE.allows([cell.inputs for cell in trial.genotype.cells])


def test_a_part_has_its_share_of_every_class():
    features = tiny_features()
    train = set(features.rows("train").tolist())
    parts = [rows_of_part(features, part).tolist() for part in range(3)]
    assert parts == [rows_of_part(features, part).tolist() for part in range(3)]
    assert len({tuple(part) for part in parts}) == 3
    targets = np.asarray(features.targets)
    for part in parts:
        assert len(set(part)) == len(part) and set(part) < train
        for one in np.unique(targets[sorted(train)]):
            whole = (targets[sorted(train)] == one).sum()
            assert (targets[part] == one).sum() == int(np.ceil(0.7 * whole))
    labels = multilabel_features()
    assert len(rows_of_part(labels, 0)) == np.ceil(0.7 * len(labels.rows("train")))


def test_groups_train_on_their_rows_and_the_record_says_so(tmp_path, monkeypatch):
    seen, fit = [], read_outs.fit

    def noted(network, tensors, objective, rows, *others):
        seen.append(rows.tolist())
        return fit(network, tensors, objective, rows, *others)

    monkeypatch.setattr(read_outs, "fit", noted)
    features, run = tiny_features(), Run(tmp_path / "run")
    trials = list(search_trials(features, DC.change(budget=26), run))
    parts = [trial.part for trial in trials]
    assert parts == [0] * 7 + [1] * 7 + [2] * 7 + [None] * 5
    rows = {part: rows_of_part(features, part).tolist() for part in range(3)}
    assert seen == [features.rows("train").tolist() if part is None else rows[part] for part in parts]
    assert recorded_trials(run) == trials
    lines = run.path(TRIALS).read_text().splitlines()
    assert '"part": 0' in lines[0] and "part" not in lines[-1]
    assert spent_epochs(DC.change(shortlist_epochs=3), trials) == pytest.approx(3 * (0.7 * 21 + 5))


def test_a_killed_search_resumes_on_the_same_parts(tmp_path, monkeypatch):
    features, run, whole = tiny_features(), Run(tmp_path / "run"), Run(tmp_path / "whole")
    expected = list(search_trials(features, DC, whole))
    brief_score, left = recorded_search.brief_score, iter(range(8))

    def dying(*inputs):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return brief_score(*inputs)

    monkeypatch.setattr(recorded_search, "brief_score", dying)
    with pytest.raises(KeyboardInterrupt):
        list(search_trials(features, DC, run))
    monkeypatch.setattr(recorded_search, "brief_score", brief_score)
    assert len(recorded_trials(run)) == 8
    assert [trial.record() for trial in search_trials(features, DC, run)] == [trial.record() for trial in expected]
    for name in (TRIALS, "genotype.json"):
        assert run.path(name).read_bytes() == whole.path(name).read_bytes()
