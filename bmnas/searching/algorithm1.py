"""Algorithm 1 (section 3.4): the search, as a generator of epoch events.

Each epoch trains the weights on the training split, then alpha, beta and gamma on the validation split (first-order
DARTS). It then derives the genotype, and keeps the one of the best validation score. The search does not know who
watches, nor how its passes are computed; S >= 1 seeds move in step.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack

import torch

from bmnas.config import SearchConfig
from bmnas.errors import BmnasError, ConfigError, PredictionError, RunError, warn
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import use_threads
from bmnas.searching.engine import Engine, single_engine
from bmnas.searching.footprint import check_memory
from bmnas.searching.networks import sketched
from bmnas.searching.run_folder import Run
from bmnas.searching.run_record import check_machine
from bmnas.searching.seed_state import SeedState
from bmnas.searching.trace import EpochEvent
from bmnas.space.slots import temperature
from bmnas.training import metrics
from bmnas.training.batch_queue import read_ahead
from bmnas.training.loop import Tally, take_step, train_epoch
from bmnas.training.progress import bar
from bmnas.training.random_streams import Purpose
from bmnas.training.steps import Batch, batches

Scored = list[tuple[float, float]]  # loss and score, one a seed


class Algorithm1:
    """The epochs of S >= 1 seeds of equal epoch and settings.

    Args:
        states: one a seed.
        engine: made of these states, which hold their own part of it after each epoch. It may have more places than
            there are seeds.
    """

    def __init__(self, states: Sequence[SeedState], engine: Engine) -> None:
        self.states = states
        self.engine = engine
        self.config = states[0].config
        self.kind = states[0].kind
        if self.config.searcher != "algorithm1":
            raise ConfigError(
                f"searcher is {self.config.searcher!r}, but Algorithm 1 was called; use bmnas.search_trials for it"
            )

    def run_epoch(self) -> list[EpochEvent | BmnasError]:
        """Runs one epoch of Algorithm 1; returns for each seed its event, or why it cannot continue."""
        started = time.perf_counter()
        epoch = self.states[0].epoch + 1
        for state in self.states:
            state.hypernet.set_temperature(temperature(epoch, self.config.epochs))
        with use_threads(self.config.threads):
            trained = self.update_weights(epoch)
            train_mode_scores = self.update_architecture(epoch) if epoch > self.config.warmup_epochs else None
            validated = self.validate() if train_mode_scores is None else train_mode_scores
        self.engine.hand_back()
        seconds = time.perf_counter() - started
        results = zip(self.states, trained, validated, strict=False)  # further places of the engine are left out
        return [_outcome(state, *train, *val, seconds) for state, train, val in results]

    def update_weights(self, epoch: int) -> Scored:
        """Runs the upper half of Algorithm 1's loop: one pass of weight steps over the training split."""
        rates = self.states[0].schedule.of_epoch(epoch)
        with self.engine.drawing(Purpose.WEIGHTS, epoch):
            tally = train_epoch(self.engine.weight_learner, self._batches("train", Purpose.WEIGHTS, epoch), rates)
        return self._scored(tally)

    def update_architecture(self, epoch: int) -> Scored | None:
        """Runs the lower half: passes of architecture steps over the validation split, in train mode.

        Returns:
            With `score_mode="train"` (the release) the mean losses and the scores of a second forward pass over each
            batch, in train mode right after its architecture step; else None.
        """
        release = self.config.switch("score_mode") == "train"
        tally = Tally()
        with self.engine.drawing(Purpose.ARCHITECTURE, epoch):
            for passed in range(self.config.arch_passes):
                for batch in self._batches("val", Purpose.ARCHITECTURE, epoch, passed):
                    take_step(self.engine.arch_learner, batch)
                    if release and passed == self.config.arch_passes - 1:
                        tally.outcomes.append(self.engine.outcome(batch))
        return self._scored(tally) if release else None

    def validate(self) -> Scored:
        """Returns loss and score of the validation split in eval mode; NaN where outputs are not finite."""
        rows = self.engine.tensors.rows("val")
        weights = self.engine.tensors.weights_of(rows)
        try:
            logits, targets = self.engine.predict(rows)
        except PredictionError as error:  # of an engine of one seed, which names the layer
            self.states[0].trouble = f" ({error})"
            return [(math.nan, math.nan)]
        return [
            (metrics.loss(self.kind, x, targets, weights).item(), metrics.score(self.kind, x, targets))
            if bool(x.isfinite().all())
            else (math.nan, math.nan)
            for x in logits
        ]

    def _batches(self, split: str, *purpose: int) -> Iterator[Batch]:
        """Yields the batches of a pass, each seed's rows in its own order."""
        rows = self.engine.tensors.rows(split)
        size = self.config.batch_size
        orders = [batches(rows, size, (seed, *purpose)) for seed in self.engine.seeds]
        made = (self.engine.batch(torch.stack(parts)) for parts in zip(*orders, strict=True))
        return read_ahead(made, self.engine.tensors.ahead)

    def _scored(self, tally: Tally) -> Scored:
        return list(zip(tally.losses(), tally.scores(self.kind), strict=True))


def _outcome(state: SeedState, *measured: float) -> EpochEvent | BmnasError:
    try:
        return state.end_epoch(*measured)
    except BmnasError as error:
        return error


class Search(SeedState):
    """The search of one seed, epoch by epoch.

    Args:
        features: of the search.
        config: its settings.

    Raises:
        ConfigError: features and configuration do not fit, or a setting cannot work on this machine.
    """

    def __init__(self, features: FeatureSet, config: SearchConfig) -> None:
        super().__init__(features, config)
        self.engine = single_engine(features, self)

    def run_epoch(self) -> EpochEvent:
        """Runs one epoch of Algorithm 1.

        Raises:
            SearchDiverged: a loss is NaN or infinite; names the epoch.
        """
        (outcome,) = Algorithm1([self], self.engine).run_epoch()
        if isinstance(outcome, BmnasError):
            raise outcome
        return outcome


def search(features: FeatureSet, config: SearchConfig, run: Run | None = None) -> Iterator[EpochEvent]:
    """Runs Algorithm 1; yields an event an epoch.

    With a run folder each epoch is recorded before its event is yielded, and a search that was interrupted resumes
    after its last recorded epoch: the events of the epochs before are read back and yielded first, so that a watcher
    sees the whole search. On the CPU the result is bit-identical to an uninterrupted search.

    Raises:
        ConfigError: features and configuration do not fit, a setting cannot work on this machine, or the memory is not
            enough.
        RunError: the run folder belongs to another configuration or other features, is damaged or cannot be written, or
            another process is at work in it.
        SearchDiverged: see `Search.run_epoch`.
    """
    memory = sketched(features, config)
    check_memory(memory, config)
    features.tensors(config.device, memory.on_disk)
    state = Search(features, config)
    runs = {} if run is None else {config.seed: run}
    with bar("search, epochs", config.epochs, config.show_progress) as drawn:
        for _, event in search_in_step({config.seed: state}, features, runs, lambda _states: state.engine):
            drawn.update()
            yield event


def search_in_step(
    states: dict[int, SeedState],
    features: FeatureSet,
    runs: Mapping[int, Run],
    make_engine: Callable[[Sequence[SeedState]], Engine],
) -> Iterator[tuple[int, EpochEvent]]:
    """Runs Algorithm 1 for several seeds in step; yields (seed, event) an epoch and seed.

    All seeds are recorded before the first event of an epoch is yielded.

    Args:
        states: seed -> its state; emptied of seeds that cannot continue.
        runs: seed -> its run folder, where it has one.
        make_engine: states of equal epoch -> what computes them.

    Raises:
        RunError: see `search`.
        SearchDiverged: of the last seed, where no seed could be searched to the end; of the others a warning says so.
    """
    with ExitStack() as locks:
        for run in runs.values():
            locks.enter_context(run.working())
        recorded = {  # the first seed is claimed last: its run is then the newest, which 03 to 05 open
            seed: list(resume(states[seed], features, runs[seed])) for seed in reversed(list(runs))
        }
        if all(state.finished for state in states.values()):
            locks.close()  # there is nothing to do but to watch, which must not keep others from a read-out
        yield from ((seed, event) for seed in runs for event in recorded[seed])
        yield from _advance(states, runs, make_engine)


def resume(state: SeedState, features: FeatureSet, run: Run) -> Iterator[EpochEvent]:
    """Brings the search to where the run folder ends, and yields what is recorded there.

    Raises:
        RunError: see `search`; a machine of another kind was at work before.
    """
    run.claim(state.config, features)
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        return
    if checkpoint["epoch"] < state.config.epochs:
        check_machine(run.folder, state.config)
    try:
        state.load_state_dict(checkpoint)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise RunError(f"{run.folder}: checkpoint does not fit this configuration: {error}") from error
    yield from run.trace()


def _advance(
    states: dict[int, SeedState], runs: Mapping[int, Run], make_engine: Callable[[Sequence[SeedState]], Engine]
) -> Iterator[tuple[int, EpochEvent]]:
    """Moves all seeds to their last epoch, those that are behind first."""
    alone = len(states) == 1
    algorithm = None
    members = []
    while waiting := [seed for seed, state in states.items() if not state.finished]:
        epoch = min(states[seed].epoch for seed in waiting)
        behind = [seed for seed in waiting if states[seed].epoch == epoch]
        if algorithm is None or behind != members:
            members = behind
            group = [states[seed] for seed in behind]
            algorithm = Algorithm1(group, make_engine(group))
        outcomes = dict(zip(members, algorithm.run_epoch(), strict=True))
        for seed, outcome in outcomes.items():
            if isinstance(outcome, EpochEvent) and seed in runs:
                runs[seed].record_epoch(outcome, states[seed].state_dict())
        for seed, outcome in outcomes.items():
            if isinstance(outcome, EpochEvent):
                yield seed, outcome
                continue
            error = outcome if alone else type(outcome)(f"seed {seed}: {outcome}")
            del states[seed]
            if not states:
                raise error
            warn(f"{error}. The other seeds continue")
