"""Learning rates as functions of the step: cosine annealing with warm restarts (Loshchilov and Hutter 2016; Table 8).

eta(t) = MinLR + (MaxLR - MinLR) (1 + cos(pi t / T)) / 2, t in epochs since the last restart; the periods are Ti,
Ti * Tm, Ti * Tm^2 ... epochs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from bmnas.errors import ConfigError
from bmnas.training.steps import batch_starts

Rate = Callable[[int], float]  # a step, counted from 0 -> its learning rate


class WarmRestarts:
    """The learning rate of a step, with restarts after whole epochs: with Ti = 1 and Tm = 2 after 1, 3, 7, 15.

    Args:
        max_lr, min_lr: the ends of a period.
        Ti, Tm: first period in epochs, and the factor from one to the next.
        steps_per_epoch: optimizer steps in an epoch.
    """

    def __init__(self, max_lr: float, min_lr: float, Ti: int, Tm: int, steps_per_epoch: int) -> None:
        self.max_lr = max_lr
        self.min_lr = min_lr
        self.Ti = Ti
        self.Tm = Tm
        self.steps_per_epoch = steps_per_epoch
        self._steps = count()

    def __call__(self, step: int) -> float:
        """Returns the learning rate of a step, counted from 0."""
        start = 0
        period = self.Ti * self.steps_per_epoch
        while step >= start + period:
            start = start + period
            period = period * self.Tm
        return _cosine(self.max_lr, self.min_lr, (step - start) / period)

    def next(self) -> float:
        """Returns the learning rate of the first step, then of the second, and so on."""
        return self(next(self._steps))


def release_restarts(max_lr: float, min_lr: float, Ti: int, Tm: int, epoch_length: float) -> Rate:
    """Returns the release's schedule (scheduler.py), which restarts only if a step happens to fall on the minimum.

    It counts epochs as samples / batch size, which is seldom whole, and restarts only where eta <= MinLR + 1e-10; so
    most restarts are missed and the rate swings back up with the period 2 T.

    Args:
        epoch_length: samples / batch size, not rounded.
    """
    following = _release_rates(max_lr, min_lr, Ti, Tm, epoch_length)
    rates: list[float] = []  # of the steps so far: where a restart falls depends on all of them

    def rate(step: int) -> float:
        while step >= len(rates):
            rates.append(next(following))
        return rates[step]

    return rate


@dataclass(frozen=True)
class Schedule:
    """Learning rates of a training.

    Attributes:
        rate: step -> learning rate.
        steps: in an epoch.
    """

    rate: Rate
    steps: int

    def of_epoch(self, epoch: int) -> Iterator[float]:
        """Yields the rates from the first step of an epoch (counted from 1) on."""
        return map(self.rate, count((epoch - 1) * self.steps))


def schedule(kind: str, max_lr: float, min_lr: float, Ti: int, Tm: int, samples: int, batch_size: int) -> Schedule:
    """Returns the schedule of a kind, "restarts" (the paper's) or "release", for an epoch of `samples` samples.

    Raises:
        ConfigError: unknown kind.
    """
    steps = len(batch_starts(samples, batch_size))
    if kind == "restarts":
        return Schedule(WarmRestarts(max_lr, min_lr, Ti, Tm, steps), steps)
    if kind == "release":
        return Schedule(release_restarts(max_lr, min_lr, Ti, Tm, samples / batch_size), steps)
    raise ConfigError(f"schedule is {kind!r}; expected 'restarts' or 'release'")


def _release_rates(max_lr: float, min_lr: float, Ti: int, Tm: int, epoch_length: float) -> Iterator[float]:
    step = 0
    period = Ti
    while True:
        rate = _cosine(max_lr, min_lr, step / epoch_length / period)
        yield rate
        if rate <= min_lr + 1e-10:
            step = 0
            period = period * Tm
        else:
            step += 1


def _cosine(max_lr: float, min_lr: float, part: float) -> float:
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * part))
