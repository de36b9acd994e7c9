"""The search of one seed between two epochs: hypernet, optimizers, best epoch so far."""

from typing import Any

import torch

from bmnas.config import SearchConfig
from bmnas.errors import SearchDiverged
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import peak_memory_mb, resolve_device
from bmnas.searching.filling import objective_of
from bmnas.searching.networks import build_hypernet
from bmnas.searching.trace import EpochEvent, is_last
from bmnas.space.derivation import derive
from bmnas.training.learning_rates import schedule
from bmnas.training.steps import finite

ARCH_BETAS = (0.5, 0.999)  # Adam of alpha, beta, gamma, as in DARTS and the release


class SeedState:
    """All that the next epoch of a seed's search depends on; random streams depend on seed and epoch alone.

    Args:
        features: of the search.
        config: its settings, seed included.

    Raises:
        ConfigError: features and configuration do not fit.
    """

    def __init__(self, features: FeatureSet, config: SearchConfig) -> None:
        self.config = config
        self.kind = objective_of(features, config)
        self.device = resolve_device(config.device)
        self.hypernet = build_hypernet(features, config).to(self.device)
        self.weights = self.hypernet.weight_parameters(config.train_reshape)
        self.choices = self.hypernet.architecture_parameters()
        self.weight_optimizer, self.arch_optimizer = optimizers(config, self.weights, self.choices)
        self.schedule = schedule(
            kind=config.switch("schedule"),
            max_lr=config.max_lr,
            min_lr=config.min_lr,
            Ti=config.Ti,
            Tm=config.Tm,
            samples=len(features.rows("train")),
            batch_size=config.batch_size,
        )
        self.epoch = 0
        self.best_epoch = 0
        self.best_score = float("-inf")
        self.trouble = ""  # of the last validation

    def end_epoch(
        self, train_loss: float, train_score: float, val_loss: float, val_score: float, seconds: float
    ) -> EpochEvent:
        """Counts the epoch, keeps it if it is the best, and derives its genotype.

        Raises:
            SearchDiverged: a loss is NaN or infinite; names the epoch.
        """
        epoch = self.epoch + 1
        if not finite(train_loss, val_loss):
            before = f"The checkpoint of epoch {self.epoch} is kept" if self.epoch else "No epoch was finished"
            raise SearchDiverged(
                f"epoch {epoch} of {self.config.epochs}: the training loss is {train_loss}, the validation loss "
                f"{val_loss}{self.trouble}. {before}; lower max_lr or arch_lr and search again"
            )
        self.epoch = epoch
        is_best = self.is_better(val_score)
        if is_best:
            self.best_epoch = epoch
            self.best_score = val_score
        return self._event(is_best, train_loss, train_score, val_loss, val_score, seconds)

    @property
    def finished(self) -> bool:
        """Whether no epoch is left, or `patience` ends the search."""
        return is_last(self.epoch, self.best_epoch, self.config)

    def is_better(self, score: float) -> bool:
        """Returns whether a validation score replaces the best one so far; `ties` decides between equal ones."""
        later = self.config.switch("ties") == "later"
        return score > self.best_score or (later and score == self.best_score)

    def _event(
        self, is_best: bool, train_loss: float, train_score: float, val_loss: float, val_score: float, seconds: float
    ) -> EpochEvent:
        config = self.config
        architecture = self.hypernet.architecture()
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
            metric=self.kind.metric,
            seconds=seconds,
            seconds_left=seconds * (config.epochs - self.epoch),
            peak_memory_mb=peak_memory_mb(self.device),
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the state; the learning rates follow from the epoch."""
        return {
            "hypernet": self.hypernet.state_dict(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "arch_optimizer": self.arch_optimizer.state_dict(),
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_score": self.best_score,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Resumes where `state_dict` was taken."""
        self.hypernet.load_state_dict(state["hypernet"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.arch_optimizer.load_state_dict(state["arch_optimizer"])
        self.epoch = state["epoch"]
        self.best_epoch = state["best_epoch"]
        self.best_score = state["best_score"]


def optimizers(
    config: SearchConfig, weights: list[torch.nn.Parameter], choices: list[torch.nn.Parameter]
) -> tuple[torch.optim.Adam, torch.optim.Adam]:
    """Returns Adam of the weights, and Adam of alpha, beta, gamma.

    They are fused: all of Adam in one pass over a parameter.
    """
    return (
        torch.optim.Adam(weights, config.max_lr, weight_decay=config.weight_decay, fused=True),
        torch.optim.Adam(choices, config.arch_lr, betas=ARCH_BETAS, weight_decay=config.arch_weight_decay, fused=True),
    )
