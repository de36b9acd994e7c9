"""Extraction that may be killed anywhere: what is left, what goes on, what is never silent."""

import hashlib
import json
import random
import time
from multiprocessing import get_context

import numpy as np
import pytest
import torch

from bmnas.errors import DataError, FeatureError
from bmnas.features.disk_extraction import bulk_extract
from bmnas.features.done_log import DoneLog
from bmnas.features.extraction import Backbone, extract
from bmnas.features.extraction_folder import work_folder
from bmnas.features.extraction_settings import Description, ExtractionSettings
from bmnas.features.extraction_timing import TIMING, Pace, note, noted
from bmnas.features.feature_set import FeatureSet
from tests.support.slow_samples import SlowSamples, backbones, slow_extraction

SETTINGS = {"L": 4, "batch_size": 8, "workers": 0, "device": "cpu"}


def run(folder, samples=None, **changes):
    """Extracts with some settings; task, notes and options go into the description."""
    said = Description(**{name: changes.pop(name) for name in ("task", "notes", "options") if name in changes})
    others = {name: changes.pop(name) for name in ("splits", "progress") if name in changes}
    networks = changes.pop("networks", None) or backbones()
    settings = ExtractionSettings(**(SETTINGS | changes))
    return bulk_extract(folder, samples or SlowSamples(), networks, settings, description=said, **others)


def bits(folder):
    """All but the seconds."""
    paths = [path for path in sorted(folder.iterdir()) if path.name != TIMING]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


class Stop(Exception):
    pass


def stop_after(batches):
    calls = []

    def progress(*told):
        if told[1]:  # not before the first batch
            calls.append(told)
        if len(calls) == batches:
            raise Stop

    return progress


# what comes out


@pytest.mark.parametrize("workers", [0, 2])
def test_the_numbers_are_those_of_extract(tmp_path, workers):
    samples = SlowSamples()
    report = run(tmp_path / "f", samples, workers=workers, dtype="float32")
    features = FeatureSet.open(tmp_path / "f")
    for modality, backbone in backbones().items():
        loader = torch.stack([samples[i][0][modality] for i in range(len(samples))]).split(8)
        arrays, outputs = extract(backbone.model, backbone.taps, loader, L=4, device="cpu")
        for name, array in arrays.items():
            assert np.array_equal(features.arrays[name], array)
        assert np.array_equal(features.logits[modality], outputs)
    assert features.targets.tolist() == [i % 3 for i in range(60)] and features.source == "real"
    assert {part: rows.tolist() for part, rows in features.splits.items()} == {
        part: rows.tolist() for part, rows in samples.splits.items()
    }
    assert (report.resumed, report.extracted, report.unreadable) == (0, 60, {}) and 0 < report.share <= 1
    assert (tmp_path / "f" / "names.txt").read_text().splitlines() == list(samples.names)
    assert not work_folder(tmp_path / "f").exists()


def test_the_manifest_says_how(tmp_path):
    run(tmp_path / "f", task="toy", notes="made up", options={"seed": 3})
    manifest = FeatureSet.open(tmp_path / "f").manifest
    assert manifest["task"] == "toy" and manifest["options"]["data"] == {"made": "up"}
    assert manifest["options"]["seed"] == 3 and manifest["options"]["unreadable"]["count"] == 0
    assert set(manifest["backbones"]["A"]["scores"]) == {"train", "val", "test"}
    assert manifest["pooling"]["A_1"]["module"] == "1" and manifest["features"][0]["dtype"] == "float16"


def test_multilabel_targets(tmp_path):
    run(tmp_path / "f", SlowSamples(kind="multilabel"))
    features = FeatureSet.open(tmp_path / "f")
    assert features.kind == "multilabel" and features.targets[:2].tolist() == [[0, 1, 0], [1, 1, 0]]


def test_rows_outside_the_splits_are_left_alone(tmp_path):
    splits = {"train": np.array([3, 5, 40]), "val": np.array([1]), "test": np.array([59])}
    report = run(tmp_path / "f", splits=splits)
    assert report.extracted == len(report.features) == 5
    assert (tmp_path / "f" / "names.txt").read_text().split("\n")[:-1] == [f"sample {i}" for i in (1, 3, 5, 40, 59)]
    assert report.features.rows("train").tolist() == [1, 2, 3] and report.features.targets.tolist() == [1, 0, 2, 1, 2]


# unreadable samples


def test_unreadable_samples_are_listed_counted_and_dropped(tmp_path):
    report = run(tmp_path / "f", SlowSamples(bad=(7, 59)), max_unreadable=0.05)
    assert report.unreadable == {"sample 7": "file 7 is damaged", "sample 59": "file 59 is damaged"}
    features = FeatureSet.open(tmp_path / "f")
    told = features.manifest["options"]["unreadable"]
    assert told == {"count": 2, "dropped": {"train": 1, "val": 0, "test": 1}, "samples": report.unreadable}
    assert 7 not in features.rows("train") and 59 not in features.rows("test") and len(features.rows("val")) == 15
    assert "2 unreadable" in features.notes


@pytest.mark.parametrize("first", [0, 20])
def test_too_many_unreadable_samples_stop_it_and_repaired_ones_go_on(tmp_path, first):
    bad = tuple(range(first, first + 9))
    with pytest.raises(DataError, match=rf"of 60 samples cannot be read.*sample {first}: file {first} is damaged"):
        run(tmp_path / "f", SlowSamples(bad=bad))
    assert not (tmp_path / "f").exists()
    report = run(tmp_path / "f")
    assert report.unreadable == {} and report.resumed + report.extracted == 60
    whole = run(tmp_path / "whole").features
    for name, array in whole.arrays.items():
        np.testing.assert_allclose(report.features.arrays[name], array, rtol=2e-3, atol=1e-3)
    assert np.array_equal(report.features.targets, whole.targets)


def test_repaired_samples_go_through_the_backbones_in_batches_too(tmp_path):
    """As many as the share allows may be a thousand, which no device holds at once."""
    with pytest.raises(DataError, match="cannot be read"):
        run(tmp_path / "f", SlowSamples(bad=tuple(range(20))), max_unreadable=0.3)
    told = []
    run(tmp_path / "f", progress=lambda *t: told.append(t[1]))
    assert max(np.diff(told)) <= 8


# stopping and going on


@pytest.mark.parametrize("batches", [1, 4, 8])
def test_it_goes_on_where_it_was_stopped(tmp_path, batches):
    run(tmp_path / "whole", SlowSamples(bad=(7,)), max_unreadable=0.1)
    with pytest.raises(Stop):
        run(tmp_path / "f", SlowSamples(bad=(7,)), max_unreadable=0.1, progress=stop_after(batches))
    told = []
    report = run(tmp_path / "f", SlowSamples(bad=(7,)), max_unreadable=0.1, progress=lambda *t: told.append(t))
    done = min(60, 8 * batches)
    assert (report.resumed, report.extracted) == (done - 1, 60 - done)
    assert told[-1][1:] == (61 - done, 61 - done)  # the unreadable one is tried again
    assert "after" in told[0][0]
    assert bits(tmp_path / "f") == bits(tmp_path / "whole")


@pytest.mark.slow
def test_a_kill_at_any_moment_changes_no_bit(tmp_path):
    """The real thing: SIGKILL at random moments, again and again, with worker processes."""
    slow_extraction(tmp_path / "whole", tmp_path / "log")
    chance, kills, log = random.Random(0), 0, tmp_path / "killed_log"
    while kills < 3:
        before = log.stat().st_size if log.exists() else 0
        process = get_context("forkserver").Process(target=slow_extraction, args=(tmp_path / "f", log))
        process.start()
        while process.is_alive() and (log.stat().st_size if log.exists() else 0) == before:
            time.sleep(0.002)  # until it does something
        time.sleep(chance.uniform(0, 0.05))
        if not process.is_alive():
            break
        process.kill()  # SIGKILL
        process.join()
        kills += 1
    assert kills >= 2
    if not (tmp_path / "f").exists():
        slow_extraction(tmp_path / "f", log)
    assert bits(tmp_path / "f") == bits(tmp_path / "whole")
    seen = sum(map(int, log.read_text().split()))
    assert 95 <= seen <= 95 + 8 * kills  # at most the batch that a kill fell into is seen twice


def test_a_kill_while_it_is_finished(tmp_path, monkeypatch):
    run(tmp_path / "whole")
    for place in ("bmnas.features.store.file_sha256", "bmnas.features.extraction_folder.os.rename"):
        with monkeypatch.context() as patch:
            patch.setattr(place, lambda *_: (_ for _ in ()).throw(Stop()))
            with pytest.raises(Stop):
                run(tmp_path / "f")
        assert not (tmp_path / "f").exists()
    assert run(tmp_path / "f").extracted == 0
    assert bits(tmp_path / "f") == bits(tmp_path / "whole")


def stopped(tmp_path, **changes):
    with pytest.raises(Stop):
        run(tmp_path / "f", progress=stop_after(2), **changes)
    return work_folder(tmp_path / "f")


def test_a_torn_last_line_of_the_log_is_forgotten(tmp_path):
    run(tmp_path / "whole")
    work = stopped(tmp_path)
    with (work / "done.jsonl").open("a") as file:
        file.write('{"rows": [16, 17')
    assert run(tmp_path / "f").resumed == 16
    assert bits(tmp_path / "f") == bits(tmp_path / "whole")


@pytest.mark.parametrize(
    "line", ["{}", "no json", '{"rows": [99], "unreadable": {}}', '{"rows": [], "unreadable": {"1": ""}}']
)
def test_a_damaged_log_is_refused(tmp_path, line):
    work = stopped(tmp_path)
    with (work / "done.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(FeatureError, match=r"done\.jsonl, line 3"):
        run(tmp_path / "f")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"L": 2}, "L"),
        ({"dtype": "float32"}, "dtype"),
        ({"task": "other"}, "task"),
        ({"options": {"seed": 1}}, "options"),
    ],
)
def test_other_settings_do_not_go_on(tmp_path, changes, field):
    stopped(tmp_path)
    with pytest.raises(FeatureError, match=rf"unfinished extraction with other {field}"):
        run(tmp_path / "f", **changes)


def test_other_data_and_weights_do_not_go_on(tmp_path):
    stopped(tmp_path)
    with pytest.raises(FeatureError, match="with other samples"):
        run(tmp_path / "f", SlowSamples(61))
    others = backbones()
    torch.nn.init.zeros_(others["A"].model[0].weight)
    with pytest.raises(FeatureError, match="with other weights"):
        run(tmp_path / "f", networks=others)


def test_another_batch_size_may_go_on(tmp_path):
    stopped(tmp_path)
    assert run(tmp_path / "f", batch_size=5).resumed == 16


def test_two_processes_do_not_write_one_folder(tmp_path):
    work = stopped(tmp_path)
    with DoneLog(work / "done.jsonl", 60), pytest.raises(FeatureError, match="process"):
        run(tmp_path / "f")


def test_nothing_is_overwritten(tmp_path):
    run(tmp_path / "f")
    with pytest.raises(FeatureError, match="exists already"):
        run(tmp_path / "f")


# damage


@pytest.mark.parametrize(
    ("weight", "dtype", "message"),
    [
        (1e6, "float16", r"'A_1' of sample 0 \(and 7 more of 8\) reaches .*use dtype='float32'"),
        (float("nan"), "float32", r"'A_1' of sample 0 \(and 7 more of 8\) holds NaN"),
    ],
)
def test_features_that_do_not_fit_are_refused(tmp_path, weight, dtype, message):
    networks = backbones()
    torch.nn.init.constant_(networks["A"].model[0].weight, weight)
    with pytest.raises(FeatureError, match=message):
        run(tmp_path / "f", networks=networks, dtype=dtype)


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("bmnas.features.growing_arrays.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(FeatureError, match="bytes"):
        run(tmp_path / "f")


def test_models_are_left_as_they_were(tmp_path):
    networks = backbones()
    networks["A"].model.train()
    run(tmp_path / "f", networks=networks)
    assert networks["A"].model.training and not networks["A"].model[0]._forward_hooks


def test_the_log_survives(tmp_path):
    with DoneLog(tmp_path / "log", 10) as log:
        log.append([0, 1, 2], {1: "why"})
        log.append([1], {})
        log.append([3], {3: "damaged"})
    with DoneLog(tmp_path / "log", 10) as log:
        assert log.done.rows == {0, 1, 2, 3} and log.done.unreadable == {3: "damaged"}
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert lines[0] == {"rows": [0, 1, 2], "unreadable": {"1": "why"}}


def test_backbones_may_say_more(tmp_path):
    named = {name: Backbone(b.model, b.taps, {"epochs": 7}) for name, b in backbones().items()}
    report = run(tmp_path / "f", networks=named)
    assert report.features.manifest["backbones"]["A"]["epochs"] == 7


# the pace


def test_the_pace_is_noted_beside_the_manifest(tmp_path):
    report = run(tmp_path / "f", workers=1)
    (line,) = noted(tmp_path / "f")
    assert (line["what"], line["samples"], line["workers"], line["batch_size"]) == ("extract", 60, 1, 8)
    assert line == {"what": "extract", **report.pace.record(), "workers": 1, "batch_size": 8}
    assert line["seconds"] == pytest.approx(line["waiting"] + line["backbones"] + line["writing"], abs=1e-3)
    assert min(line["waiting"], line["backbones"], line["writing"]) > 0 and report.share == report.pace.share


@pytest.mark.parametrize(
    ("waiting", "backbones", "writing", "bound"),
    [(3, 2, 1, "decoding"), (2, 3, 1, "the backbones"), (2, 1, 3, "writing")],
)
def test_what_takes_most_holds_it_back(waiting, backbones, writing, bound):
    pace = Pace()
    pace.waiting, pace.backbones, pace.writing = waiting, backbones, writing
    assert pace.bound == bound


def test_the_pace_by_a_clock_of_its_own(monkeypatch):
    """Two batches of 10 and 5: they come after 1 s, take 2 and 4 s, and 3 s of writing each."""
    clock = [0.0]
    monkeypatch.setattr("bmnas.features.extraction_timing.time.perf_counter", lambda: clock[0])

    def batches():
        for size in (10, 5):
            clock[0] += 1
            yield [0] * size

    pace = Pace()
    for batch in pace.batches(batches(), len):
        clock[0] += 2 if len(batch) == 10 else 4
        with pace.writes():
            clock[0] += 3
    assert (pace.waiting, pace.backbones, pace.writing, pace.samples) == (2, 6, 6, 15)
    assert (pace.seconds, pace.rate, pace.bare, pace.share) == (14, 15 / 14, 5, 15 / 14 / 5)


def test_every_call_notes_its_own_seconds(tmp_path):
    stopped(tmp_path)
    run(tmp_path / "f")
    (line,) = noted(tmp_path / "f")  # the call that was stopped had no time to say anything
    assert line["what"] == "extract (after 16 samples)" and line["samples"] == 44
    assert "seconds" not in json.dumps(FeatureSet.open(tmp_path / "f").manifest)


def test_a_damaged_line_of_the_timing_is_named(tmp_path):
    assert noted(tmp_path) == noted(None) == []
    note(tmp_path, "extract", seconds=1.0)
    with (tmp_path / TIMING).open("a") as file:
        file.write('{"what": \n')
    with pytest.raises(FeatureError, match=r"timing\.jsonl, line 2"):
        noted(tmp_path)
