"""Events there and back, and a search as data frames."""

import json

import pytest

from bmnas.errors import RunError
from bmnas.searching.algorithm1 import search
from bmnas.searching.trace import TIMING, EpochEvent, Trace
from bmnas.space.architecture import Architecture
from tests.support.tiny import TWO_CELLS, tiny_features


@pytest.fixture(scope="module")
def trace():
    return Trace(search(tiny_features(), TWO_CELLS))


def test_records_there_and_back(trace):
    for event in trace:
        record, timing = json.loads(json.dumps([event.record(), event.timing()]))
        assert EpochEvent.from_record(record, timing) == event
        assert not set(TIMING) & set(record)
        untimed = EpochEvent.from_record(record)
        assert untimed.record() == event.record() and untimed.seconds == 0


@pytest.mark.parametrize("name", ["epoch", "lr", "architecture", "genotype", "is_best"])
def test_a_record_that_lacks_a_field(trace, name):
    record = {key: value for key, value in trace.best.record().items() if key != name}
    with pytest.raises(RunError, match="epoch"):
        EpochEvent.from_record(record)


@pytest.mark.parametrize("data", [None, 7, [], {}, "text"])
def test_something_else_than_a_record(data):
    with pytest.raises(RunError, match="epoch"):
        EpochEvent.from_record(data)


def test_scores(trace):
    frame = trace.scores()
    assert list(frame["epoch"]) == [1, 2, 3, 4]
    assert list(frame["val_score"]) == [event.val_score for event in trace]
    assert frame.loc[frame["is_best"], "epoch"].max() == trace.best.epoch
    assert trace.best.val_score == frame["val_score"].max()


def test_weights(trace):
    frame = trace.weights()
    edges = 4 + 5  # alpha of two Cells over four features
    inner, primitives = 2 * (2 + 3), 2 * 2 * 5
    assert len(frame) == 4 * (edges + inner + primitives)
    chosen = frame.query("epoch == 3 and kind == 'beta' and cell == 'Cell_2' and step == 'Step_2' and name == 'Step_1'")
    assert list(chosen["weight"]) == [trace.at(3).architecture.beta["Cell_2"]["Step_2"]["Step_1"]]


def test_movement():
    alpha = {"Cell_1": {"a": 0.5, "b": 0.1}}
    beta = {"Cell_1": {"Step_1": {"x": 0.6, "y": 0.45}}}
    gamma = {"Cell_1": {"Step_1": {"Zero": 0.25, "Sum": 0.25, "Attention": 0.3, "ConcatFC": 0.2}}}
    event = EpochEvent(1, 1, 0, 0, 0, 0, 0, Architecture(alpha, beta, gamma), None, True, 1, 0, "accuracy")
    assert Trace([event]).movement() == pytest.approx({"alpha": 0.4, "beta": 0.1, "gamma": 0.05})


def test_one_epoch_by_its_number(trace):
    assert trace.at(2) is trace.events[1]
    for epoch in (0, 5):
        with pytest.raises(RunError, match=f"epoch is {epoch}; expected one of the 4 recorded epochs, 1 to 4"):
            trace.at(epoch)


def test_a_trace_grows(trace):
    growing = Trace()
    for event in trace:
        growing.append(event)
        assert growing.best.epoch == event.best_epoch
    assert len(growing) == len(trace) == 4 and list(growing) == list(trace)
