"""Algorithm 1 (section 3.4): the search, as a generator of epoch events.

Each epoch trains the weights on the training split, then alpha, beta and gamma on the validation split (first-order
DARTS), derives the genotype, and keeps the one of the best validation score. The search does not know who watches.
"""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from bmnas.config import SearchConfig
from bmnas.errors import ConfigError, PredictionError, RunError, SearchDiverged
from bmnas.features.feature_set import FeatureSet, FeatureTensors
from bmnas.machine import peak_memory_mb, resolve_device, use_threads
from bmnas.scale.compiled import accelerated
from bmnas.scale.fast import TokenTensors, keep_pages, only
from bmnas.searching.footprint import Footprint, check_memory, footprint
from bmnas.searching.run_folder import Run
from bmnas.searching.trace import EpochEvent
from bmnas.space.derivation import check_pairs, derive
from bmnas.space.hypernet import Hypernet
from bmnas.training import metrics
from bmnas.training.learning_rates import schedule
from bmnas.training.steps import batch_step, batches, finite, predict, seeded, train_epoch

ARCH_BETAS = (0.5, 0.999)  # Adam of alpha, beta, gamma, as in DARTS and the release
INITIAL, WEIGHTS, ARCHITECTURE = 0, 1, 2  # what a random stream is for


def build_hypernet(features: FeatureSet, config: SearchConfig) -> Hypernet:
    """The hypernet of a configuration for these features, its initial values decided by `config.seed` alone.

    Raises:
        ConfigError: the stored features have another L, or are too few for the pair rule.
    """
    check_length(features, config)
    check_pairs(len(features.names), config.N, config.switch("pair_rule"), config.switch("cells_as_inputs"))
    with seeded((config.seed, INITIAL), torch.device("cpu")):
        return Hypernet(
            features.channels,
            len(features.classes),
            config.C,
            config.L,
            config.N,
            config.M,
            config.depth,
            config.dropout,
            config.mode,
            config.switch("primitives"),
            features.vectors,
            config.tokeniser,
            config.fast,
        )


def sketched(features: FeatureSet, config: SearchConfig) -> Footprint:
    """The memory that a search takes, from the shapes of its hypernet."""
    with torch.device("meta"):
        return footprint(build_hypernet(features, config), features, config)


def check_length(features: FeatureSet, config: SearchConfig) -> None:
    """Raises:
    ConfigError: the stored features have another L than the configuration.
    """
    if features.L != config.L:
        raise ConfigError(
            f"L is {config.L}, but the features of {features.task!r} are stored with L = {features.L}; "
            f"set L = {features.L}, or extract the features again with the other length"
        )


def optimizers(
    config: SearchConfig, weights: Sequence[nn.Parameter], choices: Sequence[nn.Parameter]
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """Adam of the weights, and Adam of alpha, beta, gamma."""
    return (
        torch.optim.Adam(  # fused: all of Adam in one pass over a parameter
            weights, config.max_lr, weight_decay=config.weight_decay, fused=config.fast
        ),
        torch.optim.Adam(
            choices, config.arch_lr, betas=ARCH_BETAS, weight_decay=config.arch_weight_decay, fused=config.fast
        ),
    )


class Search:
    """The state of a search between two epochs: hypernet, optimizers, schedule, best epoch so far."""

    def __init__(self, features: FeatureSet, config: SearchConfig) -> None:
        self.config, self.kind = config, features.kind
        self.device = resolve_device(config.device)
        self.tensors = self.load(features)
        self.train_rows, self.val_rows = self.tensors.rows("train"), self.tensors.rows("val")
        self.hypernet = build_hypernet(features, config).to(self.device)
        self.network = accelerated(self.hypernet, config, self.device)
        self.weights = self.hypernet.weight_parameters(config.train_reshape)
        self.choices = self.hypernet.architecture_parameters()
        self.weight_optimizer, self.arch_optimizer = optimizers(config, self.weights, self.choices)
        self.schedule = schedule(
            config.switch("schedule"),
            config.max_lr,
            config.min_lr,
            config.Ti,
            config.Tm,
            len(self.train_rows),
            config.batch_size,
        )
        self.epoch, self.best_epoch, self.best_score = 0, 0, float("-inf")
        self.trouble = ""  # of the last validation

    def load(self, features: FeatureSet) -> FeatureTensors:
        """The features in memory, as the shortcuts read them where they are taken."""
        if not self.config.fast or self.device.type != "cpu":
            return features.tensors(self.device)
        keep_pages()
        return TokenTensors(features)

    def moving(self, parameters: Sequence[nn.Parameter]) -> AbstractContextManager[None]:
        """Inside, steps move these parameters alone; the shortcuts then compute no other gradient."""
        return only(self.hypernet, parameters) if self.config.fast else nullcontext()

    def run_epoch(self) -> EpochEvent:
        """One epoch of Algorithm 1.

        Raises:
            SearchDiverged: a loss is NaN or infinite; names the epoch.
        """
        started = time.perf_counter()
        epoch = self.epoch + 1
        with use_threads(self.config.threads):
            train_loss, train_score = self.update_weights(epoch)
            train_mode_score = self.update_architecture(epoch) if epoch > self.config.warmup_epochs else None
            val_loss, val_score = self.validate() if train_mode_score is None else train_mode_score
        return self.end_epoch(train_loss, train_score, val_loss, val_score, time.perf_counter() - started)

    def end_epoch(
        self, train_loss: float, train_score: float, val_loss: float, val_score: float, seconds: float
    ) -> EpochEvent:
        """Counts the epoch, keeps it if it is the best, and derives its genotype.

        Raises:
            SearchDiverged: see `run_epoch`.
        """
        epoch = self.epoch + 1
        if not finite(train_loss, val_loss):
            kept = f"The checkpoint of epoch {self.epoch} is kept" if self.epoch else "No epoch was finished"
            raise SearchDiverged(
                f"epoch {epoch} of {self.config.epochs}: the training loss is {train_loss}, the validation loss "
                f"{val_loss}{self.trouble}. {kept}; lower max_lr or arch_lr and search again"
            )
        self.epoch = epoch
        is_best = self.is_better(val_score)
        if is_best:
            self.best_epoch, self.best_score = epoch, val_score
        return self.event(is_best, train_loss, train_score, val_loss, val_score, seconds)

    def update_weights(self, epoch: int) -> tuple[float, float]:
        """The upper half of Algorithm 1's loop: one pass of weight steps over the training split."""
        order = batches(self.train_rows, self.config.batch_size, (self.config.seed, WEIGHTS, epoch))
        rates = iter(self.schedule.next, None)
        with seeded((self.config.seed, WEIGHTS, epoch), self.device), self.moving(self.weights):
            return train_epoch(
                self.network,
                self.tensors,
                self.kind,
                order,
                self.weight_optimizer,
                self.weights,
                rates,
                self.config.accumulate,
            )

    def update_architecture(self, epoch: int) -> tuple[float, float] | None:
        """The lower half: passes of architecture steps over the validation split, in train mode.

        Returns:
            With `score_mode="train"` (the release) the mean loss and the score of a second forward pass over each
            batch, in train mode right after its architecture step; else None.
        """
        release = self.config.switch("score_mode") == "train"
        losses, logits, targets = [], [], []
        self.network.train()
        with seeded((self.config.seed, ARCHITECTURE, epoch), self.device), self.moving(self.choices):
            for passed in range(self.config.arch_passes):
                seed = (self.config.seed, ARCHITECTURE, epoch, passed)
                for rows in batches(self.val_rows, self.config.batch_size, seed):
                    batch, target = self.tensors.batch(rows)
                    step = (self.network, self.kind, batch, target, self.arch_optimizer, self.choices)
                    batch_step(*step, parts=self.config.accumulate)
                    if release and passed == self.config.arch_passes - 1:
                        with torch.no_grad():
                            logits.append(self.network(batch))  # (B, classes)
                        losses.append(metrics.loss(self.kind, logits[-1], target).item() * len(rows))
                        targets.append(target)
        if not release:
            return None
        loss = sum(losses) / len(self.val_rows)
        score = metrics.score(self.kind, torch.cat(logits), torch.cat(targets)) if finite(loss) else math.nan
        return loss, score

    def validate(self) -> tuple[float, float]:
        """Loss and score of the validation split in eval mode; NaN where outputs are not finite."""
        try:
            logits, targets = predict(self.network, self.tensors, self.val_rows)
        except PredictionError as error:
            self.trouble = f" ({error})"
            return math.nan, math.nan
        return metrics.loss(self.kind, logits, targets).item(), metrics.score(self.kind, logits, targets)

    def is_better(self, score: float) -> bool:
        """Whether a validation score replaces the best one so far; `ties` decides between equal ones."""
        later = self.config.switch("ties") == "later"
        return score > self.best_score or (later and score == self.best_score)

    def event(
        self, is_best: bool, train_loss: float, train_score: float, val_loss: float, val_score: float, seconds: float
    ) -> EpochEvent:
        """The record of the epoch that just ended."""
        config, architecture = self.config, self.hypernet.architecture()
        genotype = derive(architecture, config.depth, config.switch("pair_rule"), config.switch("cells_as_inputs"))
        return EpochEvent(
            epoch=self.epoch,
            epochs=config.epochs,
            train_loss=train_loss,
            train_score=train_score,
            val_loss=val_loss,
            val_score=val_score,
            lr=self.weight_optimizer.param_groups[0]["lr"],
            architecture=architecture,
            genotype=genotype,
            is_best=is_best,
            best_epoch=self.best_epoch,
            best_score=self.best_score,
            metric=metrics.METRICS[self.kind],
            seconds=seconds,
            seconds_left=seconds * (config.epochs - self.epoch),
            peak_memory_mb=peak_memory_mb(self.device),
        )

    def state_dict(self) -> dict[str, Any]:
        """All that the next epoch depends on (random streams depend on seed and epoch alone)."""
        return {
            "hypernet": self.hypernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "arch_optimizer": self.arch_optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on where `state_dict` was taken."""
        self.hypernet.load_state_dict(state["hypernet"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.arch_optimizer.load_state_dict(state["arch_optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.epoch, self.best_epoch, self.best_score = state["epoch"], state["best_epoch"], state["best_score"]


def search(features: FeatureSet, config: SearchConfig, run: Run | None = None) -> Iterator[EpochEvent]:
    """Algorithm 1, one event an epoch.

    With a run folder each epoch is recorded before its event is yielded, and a search that was interrupted goes on
    after its last recorded epoch: the events of the epochs before are read back and yielded first, so that a watcher
    sees the whole search. On the CPU the result is bit-identical to an uninterrupted search.

    Raises:
        ConfigError: features and configuration do not fit, a setting cannot work on this machine, or the memory is not
            enough.
        RunError: the run folder belongs to another configuration or other features, is damaged or cannot be written, or
            another process is at work in it.
        SearchDiverged: see `Search.run_epoch`.
    """
    check_memory(sketched(features, config), config)
    state = Search(features, config)
    with run.working() if run is not None else nullcontext():
        if run is not None:
            yield from resume(state, features, run)
        while state.epoch < config.epochs:
            event = state.run_epoch()
            if run is not None:
                run.record_epoch(event, state.state_dict())
            yield event


def resume(state: Search, features: FeatureSet, run: Run) -> Iterator[EpochEvent]:
    """Brings the search to where the run folder ends, and yields what is recorded there."""
    run.claim(state.config, features)
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        return
    try:
        state.load_state_dict(checkpoint)
    except (KeyError, ValueError, RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise RunError(f"{run.folder}: checkpoint does not fit this configuration: {error}") from error
    yield from run.trace()
