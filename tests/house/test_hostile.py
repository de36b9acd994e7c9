"""Inputs that nobody writes by accident: pipes for files, lying headers, endless numbers, names that lead elsewhere."""

import hashlib
import json
import os
import shutil
import struct
import zipfile
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from bmnas.errors import BmnasError, DataError, FeatureError, GenotypeError, RunError
from bmnas.evaluation.ablation import SEARCHED
from bmnas.evaluation.results import Evaluation
from bmnas.features.extraction_timing import noted
from bmnas.features.feature_set import FeatureSet
from bmnas.scale.seeds.search import seed_runs
from bmnas.searching.algorithm1 import search
from bmnas.searching.read_outs import read_out
from bmnas.searching.run_folder import Run
from bmnas.searching.run_list import open_run
from bmnas.searching.selection import load_selection
from bmnas.space.genotype import Genotype
from bmnas.space.graph import genotype_graph
from bmnas.storage.checkpoint import load_state, load_tensors, save_state, save_tensors
from bmnas.storage.reading import parse_json
from bmnas.storage.replay import Replay
from bmnas.storage.whole_files import whole
from bmnas.tasks.file_readers.jpeg import read_picture
from bmnas.tasks.file_readers.text import read_lines
from bmnas.tasks.mmimdb.npy import read_npy
from bmnas.tasks.planted import answer
from bmnas.tasks.spoken_mnist import download
from bmnas.tasks.spoken_mnist.files import read_idx
from tests.support.tiny import CONFIG, tiny_features
from tools.runner import main
from tools.summary import scores
from widgets import all_scores_table, by_hand_rows, step_table, table, unimodal_table
from widgets.builder.saved import FOLDER, save_genotype
from widgets.runs.rows import run_row

SETTINGS = CONFIG.change(epochs=2, shortlist_size=1)
PAYLOAD = "\"'><img src=x onerror=alert(1)><script>alert(2)</script>"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Stored features and a finished search."""
    folder = tmp_path_factory.mktemp("good")
    features = FeatureSet.open(tiny_features(samples=32).save(folder / "features"))
    run = Run(folder / "run")
    list(search(features, SETTINGS, run))
    read_out(run, features)
    run.save_json("evaluation.json", {"methods": []})
    return folder


@pytest.fixture
def copy(good, tmp_path):
    shutil.copytree(good, tmp_path / "copy")
    return tmp_path / "copy"


def resume(folder):
    list(search(FeatureSet.open(folder / "features"), SETTINGS, Run(folder / "run")))


# no file at all

READERS = {
    "run/config.json": lambda folder: Run(folder / "run").config(),
    "run/features.json": lambda folder: Run(folder / "run").features(),
    "run/trace.jsonl": lambda folder: Run(folder / "run").trace(),
    "run/timing.jsonl": lambda folder: Run(folder / "run").trace(),
    "run/genotype.json": lambda folder: Run(folder / "run").genotype(),
    "run/selection.json": lambda folder: load_selection(Run(folder / "run")),
    "run/checkpoint.safetensors": resume,
    "features/manifest.json": lambda folder: FeatureSet.open(folder / "features"),
    "features/01_A_1.npy": lambda folder: FeatureSet.open(folder / "features"),
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("file", READERS)
@pytest.mark.parametrize("kind", ["pipe", "folder", "endless"])
def test_what_is_no_file_is_not_waited_for(copy, file, kind):
    path = copy / file
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(BmnasError) as error:
        READERS[file](copy)
    assert path.name in str(error.value)


@pytest.mark.timeout(30)
def test_a_pipe_among_the_raw_data(tmp_path):
    for name in ("a", "b.npy", "c.wav"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "train").mkdir()
    os.mkfifo(tmp_path / "train" / "text_000000.npy")
    os.mkfifo(tmp_path / "mnist")
    readers = (
        lambda: read_lines(tmp_path / "a"),
        lambda: read_picture(tmp_path / "a"),
        lambda: read_npy(tmp_path, "train", "text", 0),
        lambda: read_idx(tmp_path / "a", 2049),
        lambda: download.read_archive(tmp_path / "a"),
        lambda: download.mnist_files(tmp_path, files={"../a": "0"}),
    )
    for read in readers:
        with pytest.raises(DataError):
            read()


@pytest.mark.timeout(30)
def test_a_pipe_in_a_run_does_not_stop_the_list_of_runs(copy):
    (copy / "run" / "evaluation.json").unlink()
    os.mkfifo(copy / "run" / "evaluation.json")
    row = run_row(copy / "run")
    assert row.state == "damaged" and "not a regular file" in row.problem


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 10**5, b'[{"mean": "x", "std": 1, "scores": [1, 2]}]'])
def test_a_damaged_evaluation_is_named_in_the_summary(copy, content):
    (copy / "run" / "evaluation.json").write_bytes(content)
    assert "cannot be read" in scores(copy / "run")[1]


# JSON


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        "NaN",
        "[Infinity]",
        "1e999",
        "1" + 400 * "0",
        "[" * 10**5,
        r'"\ud800"',
        r'{"\udc00": 1}',
        "\ufeff1",
    ],
)
def test_json_that_cannot_be_meant(text):
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_as_it_should_be():
    text = '{"a": [1, -2.5, null, true, "\\ud83d\\ude00", {"a": 123456789012345678901234567890}]}'
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("file", ["run/trace.jsonl", "run/timing.jsonl"])
@pytest.mark.parametrize("value", ["1" + 400 * "0", "-1e999", "NaN"])
def test_a_number_without_end_in_a_record(copy, file, value):
    path = copy / file
    text = path.read_text()
    name = '"train_loss": ' if "trace" in file else '"seconds": '
    start = text.index(name) + len(name)
    path.write_text(text[:start] + value + text[text.index(",", start) :])
    with pytest.raises(RunError, match=f"{path.name}, line 1"):
        Run(copy / "run").trace()


def test_a_field_that_is_there_twice(copy):
    path = copy / "run" / "config.json"
    path.write_text(path.read_text().replace("{", '{"dataset": "other",', 1))
    with pytest.raises(RunError, match=r"config\.json.*'dataset' is there twice"):
        Run(copy / "run").config()


@pytest.mark.parametrize("folder", ["\ud800", "x" * 5000, "loop"])
def test_features_that_lie_where_nothing_can_lie(copy, folder):
    (copy / "run" / "loop").symlink_to("loop")
    (copy / "run" / "features.json").write_text(json.dumps({"folder": folder}))
    with pytest.raises(RunError):
        Run(copy / "run").features()


# names


@pytest.mark.parametrize("name", ["Cell_" + "1" * 5000, "a\nb", "\u202e", "\ud800"])
def test_names_of_a_genotype(name):
    data = answer(("A_1", "B_1")).to_dict()
    data["cells"][0]["inputs"][0] = name
    try:
        found = Genotype.from_dict(data)
    except GenotypeError as error:
        assert "inputs" in str(error)
    else:
        assert name.startswith("Cell_") and name in found.features  # no Cell has such a number: a feature's name


@pytest.mark.parametrize("name", ["A_" + "1" * 5000, "A²_1"])
def test_digits_that_are_no_number_are_sorted_too(name):
    data = answer(("A_1", "B_1")).to_dict()
    data["cells"][0]["inputs"] = [name, "A_2"]
    assert name in genotype_graph(Genotype.from_dict(data))


@pytest.mark.parametrize("name", ["../../elsewhere", "/elsewhere", "a/b", "..", "", "a" * 101])
def test_a_run_name_leads_nowhere_else(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path / "x" / "runs"))
    with pytest.raises(RunError, match="run name"):
        seed_runs("planted", CONFIG, tiny_features(), 1, name)
    assert main(["02", "-p", "run_name", repr(name)]) == 2
    assert "run name" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_run_name_of_digits_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BMNAS_RUNS", str(tmp_path))
    run = seed_runs("planted", CONFIG, tiny_features(), 1, 7)[0]  # pyright: ignore
    run.claim(CONFIG, tiny_features())
    assert open_run(7, "planted").folder == run.folder == tmp_path / "7"
    with pytest.raises(RunError, match="no run '8'"):
        open_run(8, "planted")


# arrays


def npy(header, body=b"", version=(1, 0)):
    data = header.encode("latin1")
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H" if version == (1, 0) else "<I", len(data)) + data + body


LITERAL = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n"
HEADERS = {
    "more than there is": npy(LITERAL.format("'<f4'", (10**18, 10**18))),
    "more than a machine counts": npy(LITERAL.format("'<f4'", (10**30,))),
    "nothing of it": npy(LITERAL.format("'<f4'", (0, 10**30))),
    "less than nothing": npy(LITERAL.format("'<f4'", (-1, 3)), bytes(64)),
    "true": npy(LITERAL.format("'<f4'", "(True, 2)"), bytes(64)),
    "a type of one": npy(LITERAL.format("('<f4',)", (1,)), bytes(64)),
    "objects": npy(LITERAL.format("'|O'", (2,)), bytes(64)),
    "a call": npy("__import__('os').system('false')"),
    "minus minus": npy("-" * 9000 + "1"),
    "keys of two types": npy("{1: 2, 'descr': 3}\n"),
    "a list for a key": npy("{[]: 1}\n"),
    "a longer header": b"\x93NUMPY\x02\x00\xff\xff\xff\xff{",
    "a zip": b"PK\x05\x06" + bytes(18),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("verify", [True, False])
def test_an_npy_whose_header_lies(copy, header, verify):
    (copy / "features" / "01_A_1.npy").write_bytes(HEADERS[header])
    with pytest.raises(FeatureError, match=r"01_A_1\.npy"):
        FeatureSet.open(copy / "features", verify)


def test_targets_that_are_one_number(copy):
    path, manifest = copy / "features" / "targets.npy", copy / "features" / "manifest.json"
    np.save(path, np.int64(3))
    about = json.loads(manifest.read_text())
    about["targets"] |= {"shape": [], "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    manifest.write_text(json.dumps(about))
    with pytest.raises(FeatureError, match=r"manifest\.json: targets"):
        FeatureSet.open(copy / "features")


OWN = {
    "targets": 3,
    "splits": [1, 2],
    "arrays": [1],
    "classes": 5,
    "modalities": {"A": 5},
    "logits": 5,
    "backbones": 5,
    "task": 5,
    "notes": None,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("field", OWN)
def test_own_arrays_of_another_kind(field):
    with pytest.raises(FeatureError, match=field):
        own(**{field: OWN[field]})


@pytest.mark.parametrize("field", ["arrays", "targets", "splits"])
def test_own_arrays_need_arrays_targets_and_splits(field):
    with pytest.raises(FeatureError, match=field):
        own(**{field: None})


def own(**more):
    splits = {"train": [0, 1], "val": [2], "test": [3]}
    given = {"arrays": {"A_1": np.zeros((4, 3, 4))}, "targets": [0, 1, 0, 1], "splits": splits}
    return FeatureSet.from_arrays(**{**given, **more})


@pytest.mark.timeout(30)
def test_a_class_number_without_end():
    with pytest.raises(FeatureError, match="targets.*1000000000000.*row 3"):
        own(targets=[0, 1, 0, 10**12])


@pytest.mark.parametrize(
    "more", [{"options": {"a": {1}}}, {"pooling": {"a": float("nan")}}, {"classes": ["a", "\ud800"]}]
)
def test_a_manifest_that_could_not_be_read_is_not_written(tmp_path, more):
    with pytest.raises(FeatureError, match=r"manifest\.json"):
        own(**more).save(tmp_path / "features")
    assert list(tmp_path.iterdir()) == []


# tensors


def test_every_flipped_bit_is_seen(tmp_path):
    path, state = (
        tmp_path / "state",
        {"w": torch.arange(4.0), "half": torch.ones(3, dtype=torch.bfloat16), "n": [1, None]},
    )
    save_state(path, state)
    whole_file = path.read_bytes()
    for place in range(0, len(whole_file), 7):
        damaged = bytearray(whole_file)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            found = load_state(path)
        except RunError:
            continue
        assert found.keys() == state.keys() and torch.equal(found["w"], state["w"])  # a blank of the padding


@pytest.mark.parametrize("key", ["structure", "about"])
def test_an_edited_number_is_seen(tmp_path, key):
    path = tmp_path / "file"
    save, load = (save_state, load_state) if key == "structure" else (lambda p, s: save_tensors(p, {}, s), load_tensors)
    save(path, {"lr": 0.25})
    with safe_open(path, framework="pt") as file:
        text = file.metadata()[key]
    save_file({}, path, metadata={key: text.replace("0.25", "0.5")})
    with pytest.raises(RunError, match="another sha256"):
        load(path)


def test_a_checkpoint_of_an_older_version_is_read(tmp_path):
    save_file(
        {"0": torch.ones(2)}, tmp_path / "old", metadata={"structure": '{"__mapping__": [["w", {"__tensor__": "0"}]]}'}
    )
    assert torch.equal(load_state(tmp_path / "old")["w"], torch.ones(2))


# what must stay as it is


def test_the_damaged_line_of_a_read_out_is_counted_among_all(tmp_path):
    other = '{"epoch": 1, "what": "a", "scores": [1]}\n'
    (tmp_path / "reading.jsonl").write_text(other + '{"epoch": 2, "what": "a", "scores": 3}\n')
    with pytest.raises(RunError, match=r"reading\.jsonl, line 2"):
        Replay(tmp_path / "reading.jsonl", 2)


def test_a_read_out_without_a_checkpoint_leaves_the_trace(copy):
    (copy / "run" / "checkpoint.safetensors").unlink()
    before = (copy / "run" / "trace.jsonl").read_bytes()
    with pytest.raises(RunError, match="no finished epoch"):
        read_out(Run(copy / "run"), FeatureSet.open(copy / "features"))
    assert (copy / "run" / "trace.jsonl").read_bytes() == before


def test_a_link_in_place_of_a_temporary_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "file.partial").symlink_to("precious")
    with whole(tmp_path / "file") as partial:
        partial.write_text("new")
    assert (tmp_path / "precious").read_text() == "mine" and (tmp_path / "file").read_text() == "new"


def test_a_genotype_by_hand_is_whole_or_not_there(copy, monkeypatch):
    run = Run(copy / "run")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GenotypeError, match="cannot be written"):
        save_genotype(run, "mine", run.genotype())
    assert list(run.path(FOLDER).iterdir()) == [] and by_hand_rows(run) == ()


def test_a_search_without_an_epoch_has_no_best(tmp_path):
    run = Run(tmp_path / "run")
    run.claim(CONFIG, tiny_features())
    for look in (lambda: run.trace().best, lambda: run.trace().movement()):
        with pytest.raises(RunError, match="no finished epoch"):
            look()


@pytest.mark.parametrize(
    ("way", "value"),
    [
        (("alpha", "Cell_1"), {"A_1": 0.5}),
        (("beta", "Cell_1"), {}),
        (("beta", "Cell_1", "Step_1"), {"x": 0.5, "z": 0.5}),
        (("gamma", "Cell_1", "Step_1"), {}),
    ],
)
def test_weights_that_belong_to_no_hypernet(copy, way, value):
    path = copy / "run" / "trace.jsonl"
    first, *rest = path.read_text().splitlines(keepends=True)
    record = json.loads(first)
    place = record["architecture"]
    for name in way[:-1]:
        place = place[name]
    place[way[-1]] = value
    path.write_text(json.dumps(record) + "\n" + "".join(rest))
    with pytest.raises(RunError, match=r"trace\.jsonl, line 1.*Cell_1"):
        Run(copy / "run").trace()


@pytest.mark.parametrize(
    "line", ["[]", "{}", '{"seconds": "1"}', '{"seconds": 1, "share": 1}', '{"seconds": 1, "what": 2}']
)
def test_seconds_of_an_extraction(tmp_path, line):
    (tmp_path / "timing.jsonl").write_text('{"what": "a", "seconds": 1}\n' + line + "\n")
    with pytest.raises(FeatureError, match=r"timing\.jsonl, line 2"):
        noted(tmp_path)
    (tmp_path / "timing.jsonl").write_text('{"what": "a", "seconds": 1}\n{"what": "b", "sec')  # died while it wrote
    assert noted(tmp_path) == [{"what": "a", "seconds": 1}]


# archives


def test_an_archive_that_unpacks_to_more_than_there_can_be(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(40):
            archive.writestr(f"recordings/0_a_{i}.wav", bytes(100_000))
    monkeypatch.setattr(download, "LARGEST_ALL", 2_000_000)
    with pytest.raises(DataError, match="too large"):
        download.read_archive(tmp_path / "bomb.zip")


# text on a page


class Tags(HTMLParser):
    """The elements of a page."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def handle_starttag(self, tag, attrs):
        self.found.add(tag)


def tags(html):
    parser = Tags()
    parser.feed(html)
    return parser.found


def test_the_headings_of_a_table_are_text():
    result = Evaluation(SEARCHED, "accuracy", (0.5,), {PAYLOAD: 0.5})
    html = table(all_scores_table([result]), PAYLOAD).to_html()
    assert not tags(html) & {"img", "script"} and "&lt;img" in html


def test_what_a_manifest_says_of_backbones_may_be_anything():
    features = own(backbones={"A": {"scores": {"train": "x"}}, PAYLOAD: 5})
    html = table(unimodal_table(features)).to_html()
    assert not tags(html) & {"img", "script"}


def test_a_step_with_one_primitive_to_choose_from(tmp_path):
    run = Run(tmp_path / "run")
    list(search(tiny_features(), CONFIG.change(epochs=1, primitives=("Sum",)), run))
    event = run.trace().best
    assert list(step_table(event.architecture, event.genotype)["runner-up"]) == ["-"]
