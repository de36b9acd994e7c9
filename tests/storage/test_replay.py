"""A read-out that is killed goes on after the last score that was kept, and ends in the same bytes."""

import json
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.errors import RunError
from bmnas.searching import read_outs
from bmnas.searching.algorithm1 import search
from bmnas.searching.inherited_score import InheritedScore
from bmnas.searching.read_outs import READING, read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.selection import SELECTION
from bmnas.searching.shortlisting import ranking
from bmnas.storage import replay
from bmnas.storage.replay import Replay
from tests.support.tiny import TWO_CELLS, tiny_features

CONFIG = TWO_CELLS.change(N=1, M=1, epochs=2, primitives=("Sum", "LinearGLU"), shortlist_size=3)


@dataclass(frozen=True)
class Thing:
    number: int

    def digest(self) -> str:
        return str(self.number)


def a_third(thing: Thing) -> float:
    return thing.number / 3


def twice(thing: Thing) -> float:
    return 2.0 * thing.number


class Killed(BaseException):
    pass


@pytest.fixture
def calls(monkeypatch):
    """Names of the scores that are really worked out; from the `at`-th on the process "is killed"."""
    seen, limit = [], {"at": 10**9}
    score, losses, brief = InheritedScore.__call__, InheritedScore.losses, read_outs.brief_training

    def counted(name, function):
        def spy(*arguments, **more):
            if len(seen) >= limit["at"]:
                raise Killed
            seen.append(name)
            return function(*arguments, **more)

        return spy

    monkeypatch.setattr(InheritedScore, "__call__", counted("ranking", score))
    monkeypatch.setattr(InheritedScore, "losses", counted("ranking", losses))
    monkeypatch.setattr(ranking, "TOGETHER", 2)
    monkeypatch.setattr(read_outs, "brief_training", counted("training", brief))
    monkeypatch.setattr(replay, "SECONDS", 0.0)
    return seen, limit


def made(folder, name, features, config=CONFIG):
    run = Run(folder / name)
    list(search(features, config, run))
    return run


@pytest.mark.parametrize("rule", ["shortlist", "best_ranked"])
@pytest.mark.parametrize("exhaustive", [True, False])
@pytest.mark.parametrize("step", [4, 9])
def test_a_read_out_goes_on_where_it_was_killed(tmp_path, monkeypatch, calls, exhaustive, step, rule):
    monkeypatch.setattr(ranking, "EXHAUSTIVE", 20_000 if exhaustive else 3)
    monkeypatch.setattr(ranking, "LOCAL_SEARCH", 12)
    seen, limit = calls
    features, config = tiny_features(), CONFIG.change(selection=rule)
    whole, run = made(tmp_path, "whole", features, config), made(tmp_path, "run", features, config)
    expected = read_out(whole, features)
    total = list(seen)
    assert total.count("training") >= 3 and total.count("ranking") > 9
    seen.clear()
    for limit["at"] in range(step, len(total), step):
        with pytest.raises(Killed):
            read_out(run, features)
        assert run.path(READING).exists() and not run.path(SELECTION).exists()
    limit["at"] = 10**9
    assert read_out(run, features) == expected
    assert seen == total  # nothing was worked out twice
    assert not run.path(READING).exists()
    for name in (SELECTION, "genotype.json"):
        assert run.path(name).read_bytes() == whole.path(name).read_bytes()


def test_scores_are_written_now_and_then(tmp_path, monkeypatch):
    now = count()  # a second passes whenever somebody looks
    monkeypatch.setattr(replay.time, "monotonic", lambda: next(now))
    score = Replay(tmp_path / READING, 1).of("it", a_third, seconds=2.0)
    assert [score(Thing(x)) for x in range(5)] == [x / 3 for x in range(5)]
    lines = [json.loads(line) for line in (tmp_path / READING).read_text().splitlines()]
    assert [list(line["scores"].values()) for line in lines] == [[0 / 3, 1 / 3], [2 / 3, 3 / 3]]
    assert Replay(tmp_path / READING, 1).scores["it"] == lines[0]["scores"] | lines[1]["scores"]


def test_what_is_asked_for_together_is_computed_together_and_what_was_known_stays(tmp_path):
    calls = []

    def scores(things):
        calls.append([thing.number for thing in things])
        return [thing.number + len(calls) / 10 for thing in things]

    ask = Replay(tmp_path / READING, 1).of_several("it", scores, seconds=0)
    assert ask([Thing(1)]) == [1.1]
    assert ask([Thing(0), Thing(1), Thing(2)]) == [0.2, 1.1, 2.2]
    assert ask([Thing(2), Thing(0)]) == [2.2, 0.2]
    assert calls == [[1], [0, 1, 2]]
    again = Replay(tmp_path / READING, 1).of_several("it", scores, seconds=0)
    assert again([Thing(0), Thing(1), Thing(2)]) == [0.2, 1.1, 2.2] and len(calls) == 2


@given(st.lists(st.integers(0, 9), max_size=20), st.lists(st.integers(0, 9), max_size=20))
def test_a_score_goes_to_its_own_thing_in_whatever_order(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("replay") / READING
    before = Replay(path, 1).of("it", twice, seconds=0)
    assert [before(Thing(x)) for x in first] == [2.0 * x for x in first]
    computed = []

    def counted(thing):
        computed.append(thing.number)
        return twice(thing)

    after = Replay(path, 1).of("it", counted, seconds=0)
    assert [after(Thing(x)) for x in second] == [2.0 * x for x in second]
    assert computed == list(dict.fromkeys(x for x in second if x not in first))


def test_scores_of_another_epoch_and_half_a_line_count_nothing(tmp_path):
    path = tmp_path / READING
    lines = ['{"epoch": 1, "what": "a", "scores": {"7": 1}}', '{"epoch": 2, "what": "a", "scores": {"7": 2}}']
    path.write_text("\n".join([*lines, '{"epoch": 2, "wh']))
    kept = Replay(path, 2)
    assert kept.scores == {"a": {"7": 2}}
    doubled = kept.of("a", twice, seconds=0)
    assert [doubled(Thing(7)), doubled(Thing(8))] == [2, 16]
    assert Replay(path, 2).scores == {"a": {"7": 2, "8": 16}}
    kept.close()
    assert not path.exists()


def test_scores_of_an_older_version_are_computed_again(tmp_path):
    (tmp_path / READING).write_text('{"epoch": 2, "what": "a", "scores": [5.0]}\n')
    assert Replay(tmp_path / READING, 2).of("a", twice)(Thing(7)) == 14


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": 2, "what": "a", "scores": {"7": NaN}}',
        '{"epoch": 2, "what": "a", "scores": {"7": true}}',
        '{"epoch": 2, "what": "a", "scores": [NaN]}',
        '{"epoch": 2, "scores": {}}',
        '{"epoch": 2, "what": "a", "scores": 3}',
        '{"epoch": 2, "what": "a"}',
        "[]",
    ],
)
def test_a_damaged_file_is_named(tmp_path, line):
    (tmp_path / READING).write_text(line + "\n")
    with pytest.raises(RunError, match="reading.jsonl, line 1"):
        Replay(tmp_path / READING, 2)
