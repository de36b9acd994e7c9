"""What a search will take, computed before it starts: `print(bmnas.estimate(features, config))`.

Memory comes from shapes (`bmnas.searching.footprint`), time from steps on a copy of the hypernet; the search
itself then gives the same bits as without an estimate.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import torch

from bmnas.config import SearchConfig
from bmnas.errors import PredictionError, SearchDiverged, how_many
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.searching.algorithm1 import Search
from bmnas.searching.engine import Engine
from bmnas.searching.footprint import Footprint, check_memory, size
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.networks import sketched
from bmnas.searching.read_outs import brief_training
from bmnas.searching.shortlisting.candidates import most_candidates
from bmnas.searching.shortlisting.halving import read_out_epochs
from bmnas.searching.shortlisting.projection import order_of
from bmnas.searching.shortlisting.ranking import EXHAUSTIVE, LOCAL_SEARCH
from bmnas.space.enumeration import Space
from bmnas.training.loop import take_step
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import SCORE_BATCH, seeded

WARM_UP, TIMED = 1, 2  # steps
SCORED = 20  # genotypes


@dataclass(frozen=True)
class Estimate:
    """What a search will take.

    Attributes:
        epoch_seconds: one epoch of Algorithm 1, measured step by step; torch.compile not counted.
        epochs: how many.
        read_out_seconds: of the ranking and the brief trainings that follow, at most: a local search may end earlier,
            and genotypes that share Cells are ranked together.
        memory: bytes by what they are for.
        free: bytes that were free before.
    """

    epoch_seconds: float
    epochs: int
    read_out_seconds: float
    memory: Footprint
    free: int

    @property
    def seconds(self) -> float:
        """Returns the estimated time of all epochs, in seconds."""
        return self.epochs * self.epoch_seconds

    def __str__(self) -> str:
        epochs = f"about {self.seconds:.0f} s ({how_many(self.epochs, 'epoch')} of {self.epoch_seconds:.2f} s)"
        read_out = f"then up to {self.read_out_seconds:.0f} s to read the answer out"
        return f"{epochs}, {read_out}, and {size(self.memory.total)} ({self.memory}); {size(self.free)} are free"


def estimate(features: FeatureSet, config: SearchConfig) -> Estimate:
    """Estimates time and memory of a search, before it starts.

    Raises:
        ConfigError: the memory is not enough, see `check_memory`; or features and configuration do not fit.
    """
    memory = sketched(features, config)
    free = check_memory(memory, config)
    features.tensors(config.device, memory.on_disk)
    state = Search(features, replace(config, compile=None))
    with use_threads(config.threads), seeded((config.seed,), state.device):
        epoch_seconds = _epoch_seconds(state)
        read_out_seconds = _read_out_seconds(state, features, epoch_seconds)
    return Estimate(epoch_seconds, config.epochs, read_out_seconds, memory, free)


def _epoch_seconds(state: Search) -> float:
    """Measures both steps and a score, each times the number of times that an epoch takes it."""
    config = state.config
    engine = state.engine
    all_train, all_val = engine.tensors.rows("train"), engine.tensors.rows("val")
    train, val = all_train[: config.batch_size], all_val[: config.batch_size]
    scored = all_val[:SCORE_BATCH]
    steps = [  # how often in an epoch, and what
        (len(all_train) / len(train), partial(_step, engine, Purpose.WEIGHTS, train)),
        (config.arch_passes * len(all_val) / len(val), partial(_step, engine, Purpose.ARCHITECTURE, val)),
        (len(all_val) / len(scored), partial(engine.predict, scored)),
    ]
    return sum(times * _seconds(step, state.device) for times, step in steps)


def _read_out_seconds(state: Search, features: FeatureSet, epoch_seconds: float) -> float:
    """Measures a genotype's score and an epoch of a brief training, each as often as the shortlist takes it."""
    config = state.config
    device = state.device
    if config.selection == "algorithm1":
        return 0.0
    space = Space.of(features.names, config)
    if config.selection == "darts_pt":
        return len(order_of(space, config.seed)) * config.shortlist_epochs * epoch_seconds
    genotypes = space.genotypes()
    count = space.size(EXHAUSTIVE)
    ranked = count if count <= EXHAUSTIVE else LOCAL_SEARCH
    score = InheritedScore(state.hypernet, state.engine.tensors, state.kind)
    first = next(genotypes)
    some = list(islice(genotypes, SCORED))
    scores = score.losses if config.selection == "shortlist" else lambda genotypes: list(map(score, genotypes))
    _quietly(lambda: scores([first]))
    scoring = _seconds(lambda: scores(some), device) / max(1, len(some))

    training = _seconds(lambda: brief_training(first, features, config, epochs=1, seed=config.seed), device)
    candidates = config.shortlist_size + 1 if config.selection == "best_ranked" else most_candidates(space, config)
    return ranked * scoring + read_out_epochs(config.selection, config, candidates) * training


def _step(engine: Engine, purpose: Purpose, rows: torch.Tensor) -> None:
    """Takes a step on these rows."""
    learner = engine.weight_learner if purpose == Purpose.WEIGHTS else engine.arch_learner
    with engine.drawing(purpose, 1):
        take_step(learner, engine.batch(rows[None]))


def _seconds(step: Callable[[], object], device: torch.device) -> float:
    """Measures the mean of a few calls after the first."""
    for _ in range(WARM_UP):
        _quietly(step)
    _wait(device)
    started = time.perf_counter()
    for _ in range(TIMED):
        _quietly(step)
    _wait(device)
    return (time.perf_counter() - started) / TIMED


def _quietly(step: Callable[[], object]) -> None:
    """Calls what may diverge: its result does not matter, and the search itself will report where."""
    with suppress(SearchDiverged, PredictionError):
        step()


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
