"""Learning rates: cosine annealing with warm restarts (Loshchilov and Hutter 2016; Table 8).

eta(t) = MinLR + (MaxLR - MinLR) (1 + cos(pi t / T)) / 2, t in epochs since the last restart; the periods are Ti,
Ti * Tm, Ti * Tm^2 ... epochs.
"""

import math

from bmnas.errors import ConfigError
from bmnas.training.steps import batch_starts


class WarmRestarts:
    """Restarts after whole epochs: with Ti = 1 and Tm = 2 after epochs 1, 3, 7, 15.

    Args:
        max_lr, min_lr: the ends of a period.
        Ti, Tm: first period in epochs, and the factor from one to the next.
        steps_per_epoch: optimizer steps in an epoch.
    """

    def __init__(self, max_lr: float, min_lr: float, Ti: int, Tm: int, steps_per_epoch: int) -> None:
        self.max_lr, self.min_lr, self.Ti, self.Tm = max_lr, min_lr, Ti, Tm
        self.steps_per_epoch = steps_per_epoch
        self.steps = 0

    def next(self) -> float:
        """The learning rate of the next step."""
        start, period = 0, self.Ti * self.steps_per_epoch
        while self.steps >= start + period:
            start, period = start + period, period * self.Tm
        lr = _cosine(self.max_lr, self.min_lr, (self.steps - start) / period)
        self.steps += 1
        return lr

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps = state["steps"]


class ReleaseRestarts(WarmRestarts):
    """The release's schedule (scheduler.py): restarts only if a step happens to fall on the minimum.

    It counts epochs as samples / batch size, which is seldom whole, and restarts only where eta <= MinLR + 1e-10; so
    most restarts are missed and the rate swings back up with the period 2 T.

    Args:
        epoch_length: samples / batch size, not rounded.
    """

    def __init__(self, max_lr: float, min_lr: float, Ti: int, Tm: int, epoch_length: float) -> None:
        super().__init__(max_lr, min_lr, Ti, Tm, math.ceil(epoch_length))
        self.epoch_length = epoch_length
        self.period = Ti

    def next(self) -> float:
        lr = _cosine(self.max_lr, self.min_lr, self.steps / self.epoch_length / self.period)
        if lr <= self.min_lr + 1e-10:
            self.steps, self.period = 0, self.period * self.Tm
        else:
            self.steps += 1
        return lr

    def state_dict(self) -> dict[str, int]:
        return {"steps": self.steps, "period": self.period}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.steps, self.period = state["steps"], state["period"]


def schedule(kind: str, max_lr: float, min_lr: float, Ti: int, Tm: int, samples: int, batch_size: int) -> WarmRestarts:
    """The schedule of a kind, "restarts" (the paper's) or "release", for an epoch of `samples` samples.

    Raises:
        ConfigError: unknown kind.
    """
    if kind == "restarts":
        return WarmRestarts(max_lr, min_lr, Ti, Tm, len(batch_starts(samples, batch_size)))
    if kind == "release":
        return ReleaseRestarts(max_lr, min_lr, Ti, Tm, samples / batch_size)
    raise ConfigError(f"schedule is {kind!r}; expected 'restarts' or 'release'")


def _cosine(max_lr: float, min_lr: float, part: float) -> float:
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * part))
