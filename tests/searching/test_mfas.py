"""MFAS: its counts, its temperature, and what it trains against a slow transcription of the published loop."""

import math
import random
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from bmnas.searching.searchers.mfas import Settings, Surrogate, smbo
from bmnas.training.steps import seeded

AV = list(product(range(5), range(3), range(2)))
NTU = list(product(range(4), range(4), range(2)))
BRISK = Settings(fits=2)


def mocked_score(configuration):
    return random.Random(repr(configuration)).random()


def run(rows, levels=4, settings=BRISK, seed=0):
    search, history = smbo(rows, levels, seed, settings), []
    configuration = next(search)
    while True:
        history.append(configuration)
        try:
            configuration = search.send(mocked_score(configuration))
        except StopIteration:
            return history


def by_hand(rows, settings, seed):
    """The loop of the published search, with lists and the library's surrogate alone."""
    draws, T = np.random.default_rng(seed), settings.hot
    with seeded((seed,), torch.device("cpu")):
        surrogate = Surrogate(columns=3)
    optimizer = torch.optim.Adam(surrogate.parameters(), 1e-3)
    memory, kept, history, i = {}, [], [], 0
    for _si in range(3):
        for level in range(4):
            if not kept:
                C = [(u,) for u in rows]
            else:
                C = []
                for c in kept:
                    for u in rows:
                        new = list(c)
                        if len(new) == level:
                            new.append(u)
                        else:
                            new[level] = u
                        if tuple(new) not in C:
                            C.append(tuple(new))
            if i == 0:
                history += C
                acc = [mocked_score(c) for c in C]
                memory.update(zip(C, acc, strict=True))
            else:
                with torch.no_grad():
                    acc = [surrogate(torch.tensor([c], dtype=torch.float32)).item() for c in C]
            p = np.array([(a / sum(acc)) ** (1 / T) for a in acc])
            kept = [C[place] for place in draws.choice(len(C), 15, replace=False, p=p / p.sum())]
            if i > 0:
                history += kept
                memory.update({c: mocked_score(c) for c in kept})
            for _ in range(settings.fits):
                for length in dict.fromkeys(map(len, memory)):
                    group = [c for c in memory if len(c) == length]
                    error = surrogate(torch.tensor(group, dtype=torch.float32)) - torch.tensor(
                        [memory[c] for c in group]
                    )
                    optimizer.zero_grad()
                    (error**2).mean().backward()
                    optimizer.step()
            i += 1
            T = (settings.hot - settings.cold) * math.exp(-(i**2) / settings.width**2) + settings.cold
    return history


@pytest.mark.parametrize(("rows", "trainings"), [(AV, 195), (NTU, 197)])
def test_the_published_numbers_of_trainings(rows, trainings):
    history = run(rows)
    assert len(history) == trainings
    assert history[: len(rows)] == [(row,) for row in rows]
    assert max(map(len, history)) == 4


def test_it_trains_what_a_slow_transcription_trains():
    assert run(AV, seed=1) == by_hand(AV, BRISK, 1)


def test_the_temperature_falls_but_not_as_the_release_counts():
    steps = list(product(range(3), range(4)))
    falling = [Settings().temperature(si, level, 4) for si, level in steps]
    assert all(later < earlier for earlier, later in pairwise(falling))
    assert falling[0] == pytest.approx(9.8 * math.exp(-1 / 16) + 0.2)
    release = [Settings(release_steps=True).temperature(si, level, 4) for si, level in steps]
    assert release[4] == release[3] == falling[3]
    assert release[-1] > falling[-1]


def test_the_surrogate_learns_scores():
    rows = {(row,): 0.2 + 0.1 * row[0] for row in AV}
    with seeded((0,), torch.device("cpu")):
        surrogate = Surrogate(columns=3)
    surrogate.fit(rows, 300, torch.optim.Adam(surrogate.parameters(), 1e-2))
    error = np.abs(np.array(surrogate.predict(list(rows))) - list(rows.values()))
    assert error.max() < 0.05


def test_same_seed_same_answer_and_another_differs():
    assert run(AV, seed=3) == run(AV, seed=3) != run(AV, seed=4)
