"""MFAS: sequential model-based search that grows networks layer by layer and asks a surrogate what to train.

    kept = []
    for each of 3 iterations, for each level:
        C = all one-row configurations where nothing is kept yet,
            else each kept one with its row of this level replaced, or appended
        scores of C: real trainings in the first step, then the surrogate's predictions
        kept = K of C, drawn without replacement, p proportional to (score / sum of scores)^(1 / T)
        after the first step: train kept
        fit the surrogate to the best score of each configuration
        T = (T0 - Tf) exp(-(i + 1)^2 / sigma^2) + Tf,   i the number of steps before

The surrogate is Linear(3, 100) and sigmoid on each row, an LSTM of width 100, and Linear(100, 1) and sigmoid on its
last state; squared error, Adam at 1e-3. With 4 levels, K = 15 and 30 (32) one-row configurations this makes 195 (197)
trainings. The authors' code counts steps as 3 * iteration + level, so that T stands still between iterations;
`Settings.release_steps` does the same.

Source: Perez-Rua and others, CVPR 2019, https://arxiv.org/abs/1903.06496, and https://github.com/juanmanpr/mfas.
"""

import math
import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn

from bmnas.searching.searchers.random_search import propose_at_random
from bmnas.searching.searchers.trials import Proposals
from bmnas.space.enumeration import Space
from bmnas.space.genotype import CellGenotype, Genotype
from bmnas.training.steps import seeded

Row = tuple[int, ...]
Configuration = tuple[Row, ...]
SMALLEST = 1e-12  # of a score, so that every configuration can be drawn


@dataclass(frozen=True)
class Settings:
    """The settings of the authors' code.

    Args:
        iterations: passes over all levels.
        kept: K, configurations drawn in a step.
        hot, cold, width: T0, Tf and sigma of the temperature.
        fits: epochs of the surrogate in a step.
        release_steps: whether the temperature counts steps as the authors' code does.
    """

    iterations: int = 3
    kept: int = 15
    hot: float = 10.0
    cold: float = 0.2
    width: float = 4.0
    fits: int = 50
    release_steps: bool = False

    def temperature(self, iteration: int, level: int, levels: int) -> float:
        """Returns T after a step; both are counted from 0."""
        step = iteration * (3 if self.release_steps else levels) + level
        return (self.hot - self.cold) * math.exp(-((step + 1) ** 2) / self.width**2) + self.cold


class Surrogate(nn.Module):
    """Predicts a configuration's score from its rows.

    Args:
        columns: numbers in a row.
        width: of its hidden layers.
    """

    def __init__(self, columns: int, width: int = 100) -> None:
        super().__init__()
        self.embedding = nn.Sequential(nn.Linear(columns, width), nn.Sigmoid())
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        for layer in (self.embedding[0], self.head[0]):
            assert isinstance(layer, nn.Linear)
            nn.init.uniform_(layer.weight, -0.1, 0.1)
            nn.init.constant_(layer.bias, 1.8)

    def forward(self, rows: Tensor) -> Tensor:
        """Scores (B,) of configurations (B, rows, columns) of equal length."""
        states, _ = self.lstm(self.embedding(rows))
        return self.head(states[:, -1])[:, 0]

    def fit(self, scores: dict[Configuration, float], epochs: int, optimizer: torch.optim.Optimizer) -> None:
        """Takes a step of squared error for each length, `epochs` times."""
        batches = [
            (torch.tensor(group, dtype=torch.float32), torch.tensor([scores[one] for one in group]))
            for group in _by_length(list(scores))
        ]
        for _ in range(epochs):
            for rows, targets in batches:
                optimizer.zero_grad()
                (self(rows) - targets).square().mean().backward()
                optimizer.step()

    @torch.no_grad()
    def predict(self, configurations: Sequence[Configuration]) -> list[float]:
        """Returns the score of each configuration."""
        predicted: dict[Configuration, float] = {}
        for group in _by_length(configurations):
            predicted |= zip(group, self(torch.tensor(group, dtype=torch.float32)).tolist(), strict=True)
        return [predicted[one] for one in configurations]


def smbo(
    rows: Sequence[Row],
    levels: int,
    seed: int,
    settings: Settings | None = None,
    valid: Callable[[Configuration], bool] = lambda _: True,
) -> Generator[Configuration, float, None]:
    """Proposes configurations and receives their scores, until all iterations are done.

    Args:
        rows: all one-row configurations' rows.
        levels: rows of a configuration at most.
        seed: of the surrogate and of what is drawn.
        settings: the published ones when None.
        valid: configurations that it refuses are never candidates.
    """
    settings = settings or Settings()
    draws = np.random.default_rng(seed)
    with seeded((seed,), torch.device("cpu")):
        surrogate = Surrogate(columns=len(rows[0]))
    optimizer = torch.optim.Adam(surrogate.parameters(), 1e-3)
    scores: dict[Configuration, float] = {}
    kept: list[Configuration] = []
    temperature = settings.hot
    for iteration, level in product(range(settings.iterations), range(levels)):
        candidates = [one for one in _grown(kept, rows, level) if valid(one)]
        if not scores:
            for one in candidates:
                scores[one] = yield one
            merits = [scores[one] for one in candidates]
            kept = _drawn(candidates, merits, temperature, settings.kept, draws)
        elif candidates:
            kept = _drawn(candidates, surrogate.predict(candidates), temperature, settings.kept, draws)
            for one in kept:
                score = yield one
                scores[one] = max(score, scores.get(one, score))
        surrogate.fit(scores, settings.fits, optimizer)
        temperature = settings.temperature(iteration, level, levels)


def propose_by_surrogate(space: Space, generator: random.Random) -> Proposals:
    """Proposes genotypes as MFAS does; a row is a Cell: its two features, and a choice for each of its Steps.

    Cells take features alone, and a genotype may have fewer Cells than the space, as networks grow Cell by Cell. A
    genotype that breaks the space's rule of pairs is no candidate. The search ends by itself; a budget that is left is
    spent on random genotypes.
    """
    pairs = [(i, j) for j in range(len(space.features)) for i in range(j)]
    steps = [range(len(space.step_choices(m))) for m in range(space.M)]
    rows = [(*pair, *choice) for pair in pairs for choice in product(*steps)]

    def valid(configuration: Configuration) -> bool:
        return space.allows([(space.features[row[0]], space.features[row[1]]) for row in configuration])

    search = smbo(rows, space.N, generator.getrandbits(32), valid=valid)
    configuration = next(search)
    while True:
        score = yield _genotype(configuration, space)
        try:
            configuration = search.send(score)
        except StopIteration:
            return propose_at_random(space, generator)


def _genotype(configuration: Configuration, space: Space) -> Genotype:
    cells = [
        CellGenotype(
            inputs=(space.features[i], space.features[j]),
            steps=tuple(space.step_choices(m)[choice] for m, choice in enumerate(choices)),
        )
        for i, j, *choices in configuration
    ]
    return Genotype(tuple(cells), space.r)


def _grown(kept: Sequence[Configuration], rows: Sequence[Row], level: int) -> list[Configuration]:
    """Returns all one-row configurations, or the kept ones with the row of a level replaced or appended."""
    if not kept:
        return [(row,) for row in rows]
    grown = [(*one[:level], row, *one[level + 1 :]) for one in kept for row in rows]
    return list(dict.fromkeys(grown))


def _drawn(
    candidates: Sequence[Configuration],
    scores: Sequence[float],
    temperature: float,
    number: int,
    draws: np.random.Generator,
) -> list[Configuration]:
    """Draws configurations without replacement, with p proportional to (score / sum)^(1 / temperature)."""
    merits = np.maximum(scores, SMALLEST)
    weights = (merits / merits.sum()) ** (1 / temperature)
    places = draws.choice(len(candidates), min(number, len(candidates)), replace=False, p=weights / weights.sum())
    return [candidates[place] for place in places]


def _by_length(configurations: Sequence[Configuration]) -> list[list[Configuration]]:
    groups: dict[int, list[Configuration]] = {}
    for one in configurations:
        groups.setdefault(len(one), []).append(one)
    return list(groups.values())
