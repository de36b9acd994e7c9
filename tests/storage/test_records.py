"""JSON-lines files: whole lines survive whatever a kill leaves behind them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bmnas.errors import FeatureError, RunError
from bmnas.features.extraction_timing import TIMING, note, noted
from bmnas.storage.records import append_record, epoch_record, read_records, rewrite_records

VALUES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs"]))
RECORDS = st.lists(st.dictionaries(st.text("abc"), VALUES, max_size=3), max_size=4)
TORN = st.sampled_from(["", "{", '{"a": 1', '"', "x" * 100])


@given(RECORDS, TORN, RECORDS)
def test_whole_lines_are_read_and_a_torn_one_is_not(tmp_path_factory, before, torn, after):
    path = tmp_path_factory.mktemp("records") / "file.jsonl"
    for record in before:
        append_record(path, record)
    if torn:
        with path.open("a") as file:
            file.write(torn)
    assert read_records(path) == before
    for record in after:
        append_record(path, record)
    assert read_records(path) == before + after
    rewrite_records(path, before)
    assert read_records(path) == before


@pytest.mark.parametrize(
    "line", ["", "x", "[]", "3", '{"a": 1, "a": 2}', '{"a": NaN}', '{"epoch": "1"}', '{"epoch": true}']
)
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "file.jsonl").write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 3}}\n')
    with pytest.raises(RunError, match=r"file\.jsonl, line 2"):
        read_records(tmp_path / "file.jsonl", epoch_record)


def test_there_are_no_records_without_a_file(tmp_path):
    assert read_records(tmp_path / "file.jsonl") == []
    rewrite_records(tmp_path / "file.jsonl", [{"a": 1}])
    assert list(tmp_path.iterdir()) == []


def test_the_seconds_of_a_killed_extraction_are_read(tmp_path):
    note(tmp_path, "backbone", seconds=1.0)
    with (tmp_path / TIMING).open("a") as file:
        file.write('{"what": "extr')
    note(tmp_path, "extract", seconds=2.0)
    assert [json.loads(line)["what"] for line in (tmp_path / TIMING).read_text().splitlines()] == [
        "backbone",
        "extract",
    ]
    assert [line["seconds"] for line in noted(tmp_path)] == [1.0, 2.0]


def test_the_error_is_of_the_class_that_was_named(tmp_path):
    (tmp_path / "file.jsonl").mkdir()
    with pytest.raises(FeatureError, match=r"file\.jsonl"):
        append_record(tmp_path / "file.jsonl", {}, FeatureError)
    with pytest.raises(FeatureError, match=r"file\.jsonl"):
        read_records(tmp_path / "file.jsonl", error=FeatureError)
