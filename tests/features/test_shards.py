"""Extraction in shards: whoever extracts them, and wherever it is stopped, the feature set is that of one process."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bmnas.errors import ConfigError, DataError, FeatureError
from bmnas.features import extraction_machines, extraction_shards
from bmnas.features.disk_extraction import bulk_extract
from bmnas.features.done_log import DoneLog
from bmnas.features.extraction_folder import work_folder
from bmnas.features.extraction_run import Extraction
from bmnas.features.extraction_settings import Description, ExtractionSettings
from bmnas.features.extraction_shards import Sharding, extract_shard, shards_of
from bmnas.features.feature_set import FeatureSet
from tests.features.test_bulk_extract import bits
from tests.support.slow_samples import SlowSamples, backbones

SETTINGS = ExtractionSettings(L=4, batch_size=8, workers=0, device="cpu", max_unreadable=0.1)
ALONE = Sharding(3, "in-process")


def run(folder, samples=None, sharding=None, settings=SETTINGS, log=None):
    return bulk_extract(folder, samples or SlowSamples(), backbones(log), settings, sharding=sharding)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bits of one process, with two samples that cannot be read."""
    folder = tmp_path_factory.mktemp("whole") / "f"
    run(folder, SlowSamples(bad=(7, 33)))
    return bits(folder)


@pytest.mark.parametrize("shards", [1, 2, 3, 8, 100])
def test_any_number_of_shards_gives_the_bits_of_one_process(tmp_path, whole, shards):
    report = run(tmp_path / "f", SlowSamples(bad=(7, 33)), Sharding(shards, "in-process"))
    assert bits(tmp_path / "f") == whole
    assert (report.extracted, sorted(report.unreadable)) == (58, ["sample 33", "sample 7"])
    assert {path.name for path in tmp_path.iterdir()} == {"f"}


@pytest.mark.slow
def test_processes_that_decode_in_processes_give_the_same_bits(tmp_path, whole):
    settings = replace(SETTINGS, workers=1)
    run(tmp_path / "f", SlowSamples(bad=(7, 33)), Sharding(2, "joblib", 2), settings)
    assert bits(tmp_path / "f") == whole


def stop_in_shard(number, monkeypatch, folder, samples, sharding, log):
    """Extracts, but is killed after the first batch of one of the shards; returns how many samples were done."""
    calls = []

    def extract_some(shard, work):
        calls.append(shard.part)
        if len(calls) < number:
            return extract_shard(shard, work)
        with monkeypatch.context() as patch:
            patch.setattr(DoneLog, "append", append_and_die)
            return extract_shard(shard, work)

    append = DoneLog.append

    def append_and_die(*args):
        append(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extraction_shards, "extract_shard", extract_some)
        with pytest.raises(KeyboardInterrupt):
            run(folder, samples, sharding, log=log)
    return extracted(log)


def extracted(log):
    return sum(map(int, log.read_text().split()))


@pytest.mark.parametrize("again", [ALONE, None])
def test_a_stopped_extraction_resumes_shard_by_shard_and_without_shards(tmp_path, whole, monkeypatch, again):
    samples, log = SlowSamples(bad=(7, 33)), tmp_path / "log"
    before = stop_in_shard(2, monkeypatch, tmp_path / "f", samples, ALONE, log)
    report = run(tmp_path / "f", samples, again, log=log)
    assert before == 15 + 8 and extracted(log) == 58
    assert (report.resumed, report.extracted, len(report.unreadable)) == (before, 58 - before, 2)
    assert bits(tmp_path / "f") == whole and {path.name for path in tmp_path.iterdir()} == {"f", "log"}


@pytest.mark.parametrize("again", [ALONE, None])
def test_machines_of_several_kinds_are_told_and_recorded(tmp_path, monkeypatch, again):
    samples, kinds = SlowSamples(bad=(7, 33)), ["an old one", "a new one"]
    monkeypatch.setattr(extraction_machines, "processor", lambda: kinds[0])
    stop_in_shard(2, monkeypatch, tmp_path / "f", samples, ALONE, tmp_path / "log")
    monkeypatch.setattr(extraction_machines, "processor", lambda: kinds[1])
    with pytest.warns(UserWarning, match="an old one; a new one"):
        report = run(tmp_path / "f", samples, again)
    assert report.features.manifest["options"]["machines"] == kinds
    with warnings.catch_warnings(action="error"):
        assert "machines" not in run(tmp_path / "g", samples, again).features.manifest["options"]
    assert {path.name for path in (tmp_path / "f").iterdir()} == {path.name for path in (tmp_path / "g").iterdir()}


def test_what_is_joined_is_not_extracted_again(tmp_path, whole, monkeypatch):
    samples, log = SlowSamples(bad=(7, 33)), tmp_path / "log"
    with monkeypatch.context() as patch:
        patch.setattr(Extraction, "describe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "f", samples, ALONE, log=log)
    report = run(tmp_path / "f", samples, ALONE, log=log)
    assert (report.resumed, report.extracted, extracted(log)) == (58, 0, 58) and bits(tmp_path / "f") == whole


def test_a_join_that_is_stopped_resumes(tmp_path, whole, monkeypatch):
    samples, copy, copied = SlowSamples(bad=(7, 33)), extraction_shards._copy, []

    def second_is_killed(finished, shard, place):
        copied.append(shard.part)
        if len(copied) == 2:
            raise KeyboardInterrupt
        copy(finished, shard, place)

    monkeypatch.setattr(extraction_shards, "_copy", second_is_killed)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "f", samples, ALONE)
    report = run(tmp_path / "f", samples, ALONE)
    assert len(copied) == 4 and len(set(copied)) == 3 and bits(tmp_path / "f") == whole
    assert (report.resumed, report.extracted) == (58, 0)


def test_a_shard_that_fails_stops_no_other_and_is_named(tmp_path, monkeypatch):
    def first_fails(shard, work):
        if shard.part[0] == 0:
            raise OSError("the disk is gone")
        return extract_shard(shard, work)

    monkeypatch.setattr(extraction_shards, "extract_shard", first_fails)
    with pytest.raises(FeatureError, match="shard 1 of 3.*the disk is gone"):
        run(tmp_path / "f", sharding=ALONE)
    assert len(list((work_folder(tmp_path / "f") / "shards").glob("*.json"))) == 2


def test_too_many_unreadable_samples_are_counted_over_all_shards(tmp_path):
    with pytest.raises(DataError, match="sample 0"):
        run(tmp_path / "f", SlowSamples(bad=range(7)), ALONE)
    run(tmp_path / "g", SlowSamples(bad=range(5)), ALONE)  # all in one shard of 24, but fewer than a tenth of 60


def test_a_shard_whose_folder_was_deleted_is_no_row_of_zeros(tmp_path, monkeypatch):
    monkeypatch.setattr(extraction_shards, "join_shards", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    monkeypatch.setattr("bmnas.features.disk_extraction.join_shards", extraction_shards.join_shards)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "f", sharding=ALONE)
    monkeypatch.undo()
    folder = next((work_folder(tmp_path / "f") / "shards").glob("rows-0-*"))
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(FeatureError, match="not complete"):
        run(tmp_path / "f", sharding=ALONE)
    assert not (tmp_path / "f").exists()


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 50))
def test_shards_begin_where_batches_begin_and_miss_no_row(samples, batch_size, shards):
    extraction = Extraction(
        samples=SlowSamples(samples), splits={"train": np.arange(samples)}, backbones={},
        settings=replace(SETTINGS, batch_size=batch_size), description=Description(),
    )  # fmt: skip
    parts = shards_of(extraction, Sharding(shards))
    assert np.concatenate([part.rows for part in parts]).tolist() == list(range(samples))
    assert all(part.part and part.part[0] % batch_size == 0 for part in parts)
    assert all(len(part.rows) for part in parts) and len(parts) <= shards


@pytest.mark.parametrize("shards", [0, -1, True, 2.0])
def test_shards_are_a_number(shards):
    with pytest.raises(ConfigError, match="shards"):
        Sharding(shards)


def test_the_manifest_does_not_know_of_shards(tmp_path):
    run(tmp_path / "f", sharding=ALONE)
    assert "shard" not in json.dumps(FeatureSet.open(tmp_path / "f").manifest)
