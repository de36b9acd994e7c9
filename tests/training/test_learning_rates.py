"""Warm restarts: the paper's against the closed form, the release's against its recorded rates."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.errors import ConfigError
from bmnas.training.learning_rates import ReleaseRestarts, WarmRestarts, schedule
from tests.support.golden_release import golden

RECORDS = golden("schedule")


@pytest.mark.parametrize("name", RECORDS)
def test_the_releases_schedule(name):
    record = RECORDS[name]
    rates = ReleaseRestarts(record["eta_max"], 1e-6, record["Ti"], record["Tm"], record["nbpe"])
    count = max(len(record["first_10"]), 50 * (len(record["lr_every_50"]) - 1) + 1)
    values = [rates.next() for _ in range(count)]
    assert values[:10] == pytest.approx(record["first_10"], rel=1e-9)
    assert values[::50][: len(record["lr_every_50"])] == pytest.approx(record["lr_every_50"], rel=1e-9)


@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 3))
def test_the_papers_restarts_fall_on_whole_epochs(steps, Ti, Tm):
    rates = WarmRestarts(1e-2, 1e-5, Ti, Tm, steps)
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
            assert rates.next() == pytest.approx(1e-5 + 0.5 * (1e-2 - 1e-5) * (1 + math.cos(math.pi * part)), rel=1e-9)


def test_table_8_restarts_after_epochs_1_3_7_15():
    rates = WarmRestarts(1e-3, 1e-6, 1, 2, 10)
    values = [rates.next() for _ in range(200)]
    assert [i // 10 for i, value in enumerate(values) if value == 1e-3] == [0, 1, 3, 7, 15]


@pytest.mark.parametrize("kind", ["restarts", "release"])
def test_a_schedule_goes_on_where_it_was(kind):
    whole, first, second = (schedule(kind, 1e-3, 1e-6, 1, 2, 100, 30) for _ in range(3))
    values = [whole.next() for _ in range(60)]
    assert [first.next() for _ in range(25)] == values[:25]
    second.load_state_dict(first.state_dict())
    assert [second.next() for _ in range(35)] == values[25:]


def test_unknown_kind():
    with pytest.raises(ConfigError, match="'restarts' or 'release'"):
        schedule("cosine", 1, 0, 1, 2, 10, 2)
