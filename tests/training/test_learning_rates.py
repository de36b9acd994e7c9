"""Warm restarts: the paper's against the closed form, the release's against its recorded rates."""

import math
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts

from bmnas.errors import ConfigError
from bmnas.training.learning_rates import WarmRestarts, release_restarts, schedule
from tests.support.golden_release import golden

RECORDS = golden("schedule")


@pytest.mark.parametrize("name", RECORDS)
def test_the_releases_schedule(name):
    record = RECORDS[name]
    rate = release_restarts(record["eta_max"], 1e-6, record["Ti"], record["Tm"], record["nbpe"])
    count = max(len(record["first_10"]), 50 * (len(record["lr_every_50"]) - 1) + 1)
    values = [rate(step) for step in range(count)]
    assert values[:10] == pytest.approx(record["first_10"], rel=1e-9)
    assert values[::50][: len(record["lr_every_50"])] == pytest.approx(record["lr_every_50"], rel=1e-9)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_the_papers_restarts_fall_on_whole_epochs(steps, Ti, Tm):
    rate = WarmRestarts(1e-2, 1e-5, Ti, Tm, steps)
    restarts, period, end = {0}, Ti, Ti
    while end <= 20:
        restarts.add(end)
        period *= Tm
        end += period
    last, length = 0, Ti
    for epoch in range(20):
        if epoch in restarts and epoch > 0:
            last, length = epoch, length * Tm
        for step in range(steps):
            part = (epoch + step / steps - last) / length
            assert rate(epoch * steps + step) == pytest.approx(
                1e-5 + 0.5 * (1e-2 - 1e-5) * (1 + math.cos(math.pi * part)), rel=1e-9
            )


def test_table_8_restarts_after_epochs_1_3_7_15():
    rate = WarmRestarts(1e-3, 1e-6, 1, 2, 10)
    values = [rate(step) for step in range(200)]
    assert [i // 10 for i, value in enumerate(values) if value == 1e-3] == [0, 1, 3, 7, 15]


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.floats(1e-4, 1e-1))
def test_the_papers_restarts_are_those_of_torch(steps, Ti, Tm, max_lr):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], max_lr)
    scheduler = CosineAnnealingWarmRestarts(optimizer, T_0=Ti * steps, T_mult=Tm, eta_min=1e-6)
    rate = WarmRestarts(max_lr, 1e-6, Ti, Tm, steps)
    for step in range(7 * Ti * steps + 1):
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()  # else the scheduler warns
        scheduler.step()


@pytest.mark.parametrize("kind", ["restarts", "release"])
def test_a_rate_depends_on_its_step_alone(kind):
    """Whatever was asked before, so that a resumed training needs the number of its epoch and nothing else."""
    rates = schedule(kind, 1e-3, 1e-6, 1, 2, 100, 30)
    values = [rates.rate(step) for step in range(60)]
    for step in reversed(range(60)):
        assert schedule(kind, 1e-3, 1e-6, 1, 2, 100, 30).rate(step) == rates.rate(step) == values[step]
    assert list(islice(rates.of_epoch(4), 8)) == values[12:20]  # four steps an epoch


def test_rates_one_after_the_other():
    rates = WarmRestarts(1e-3, 1e-6, 1, 2, 3)
    assert [rates.next() for _ in range(20)] == [rates(step) for step in range(20)]


def test_unknown_kind():
    with pytest.raises(ConfigError, match="'restarts' or 'release'"):
        schedule("cosine", 1, 0, 1, 2, 10, 2)
