"""The paper's tasks on tiny real files: found, extracted, cached; and what is missing is said."""

import hashlib
import json
import os
import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from bmnas.errors import ConfigError, DataError, UnknownNameError
from bmnas.features.backbones.hcn import HCN
from bmnas.features.backbones.maxout_mlp import MaxoutMLP
from bmnas.features.backbones.weight_files import load_backbone, weight_file
from bmnas.features.extraction import extract
from bmnas.features.feature_set import FeatureSet
from bmnas.features.taps import Tap
from bmnas.registry import TASKS
from bmnas.searching.algorithm1 import search
from bmnas.tasks.base import Modality
from bmnas.tasks.preparation import prepare
from bmnas.tasks.real_data.sample_pictures import real_pictures
from tests.support import raw_files

WRITERS = {"ntu": raw_files.write_ntu, "egogesture": raw_files.write_ego, "mmimdb": raw_files.write_hdf5}
CHEAP = {"workers": 0, "extract_batch": 4, "device": "cpu", "max_unreadable": 0.2}


class Toy(nn.Module):
    """Means of an input of any shape along all but the axis `keep`, and a linear classifier."""

    def __init__(self, keep: int, channels: int, classes: int) -> None:
        super().__init__()
        self.keep = keep
        self.map, self.classifier = nn.Conv1d(channels, 6, 1), nn.Linear(6, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        line = x.movedim(self.keep, 1).flatten(2).float()  # (B, channels, positions)
        return self.classifier(self.map(line[..., :64]).mean(2))  # (B, classes)


def toy(name, keep, channels, classes):
    return Modality(
        name, (f"{name}_1", f"{name}_2"), lambda: Toy(keep, channels, classes),
        {f"{name}_1": Tap("map"), f"{name}_2": Tap("classifier")}, {"batch_size": 4},
    )  # fmt: skip


TOYS = {
    "ntu": (toy("Video", 4, 3, 60), Modality("Skeleton", tuple(TASKS["ntu"].modalities[1].features), HCN,
                                            TASKS["ntu"].modalities[1].taps, {"batch_size": 4})),
    "egogesture": (toy("RGB", 1, 3, 83), toy("Depth", 1, 1, 83)),
    "mmimdb": (toy("Image", 1, 3, 23), Modality("Text", ("Text_1", "Text_2"), MaxoutMLP,
                                                TASKS["mmimdb"].modalities[1].taps, {"batch_size": 4})),
}  # fmt: skip


@pytest.fixture
def toys(monkeypatch):
    """The real tasks with backbones that a test can afford; the large ones have tests of their own."""
    for name, modalities in TOYS.items():
        monkeypatch.setitem(TASKS, name, replace(TASKS[name], modalities=modalities))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, write in WRITERS.items():
        write(folder / name)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_real_data_is_found_extracted_cached_and_searched(name, root, toys, tmp_path):
    told = []
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}
    features = prepare(name, progress=lambda *t: told.append(t), **options)
    assert features.source == features.manifest["source"] == "real" and features.task == name
    assert features.names == TASKS[name].features and features.kind == TASKS[name].kind
    assert features.manifest["options"]["samples"] == "full" and features.manifest["options"]["data"]["counts"]
    stages = list(dict.fromkeys(what for what, _, _ in told))
    assert [s for s in stages if s.startswith("train ")] == [f"train {m} backbone" for m in features.modalities]
    assert "extract" in stages and "%" in stages[-1]
    again = prepare(name, progress=lambda *_: pytest.fail("made again"), **options)
    assert again.fingerprint == features.fingerprint
    config = TASKS[name].search_config.change(
        C=4, N=1, M=1, r=1, epochs=1, batch_size=4, selection="algorithm1", device="cpu", threads=1
    )
    assert len(list(search(again, config))) == 1
    about = features.manifest["backbones"][next(iter(features.modalities))]
    assert about["epochs"] == 1 and set(about["scores"]) == {"train", "val", "test"}
    assert (Path(again.folder) / about["weights"]).is_file()


def write_ego_lists_alone(root):
    raw_files.write_ego(root, clips=1, frames=3)
    (root / "egogestureall_but_None.json").unlink()
    raw_files.write_ego_lists(root, frames=3)


@pytest.mark.parametrize(
    ("name", "form", "write"),
    [
        ("mmimdb", "npy", raw_files.write_npy),
        ("mmimdb", "raw", raw_files.write_raw),
        ("egogesture", None, write_ego_lists_alone),
    ],
    ids=["npy", "raw", "lists"],
)
def test_other_forms_of_the_files_become_the_same_features(name, form, write, toys, tmp_path):
    write(tmp_path / "data" / name)
    features = prepare(name, root=tmp_path / "data", cache=tmp_path / "cache", backbone_epochs=1, **CHEAP)
    data = features.manifest["options"]["data"]
    assert features.source == "real" and data["counts"] and data.get("form") == form
    assert features.names == TASKS[name].features and len(features.classes) == len(TASKS[name].classes)
    assert "stand-in" not in features.notes.lower()


PUBLISHED = {
    "ntu": "23,760 / 2,520 / 16,560",
    "egogesture": "14,416 / 4,768 / 4,977",
    "mmimdb": "15,552 / 2,608 / 7,799",
}


@pytest.mark.parametrize("name", WRITERS)
def test_fewer_samples_than_published_are_said_when_features_are_made(name, root, toys, tmp_path, recwarn):
    """A list that lost lines, or half a download, looks like any other data set."""
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}
    for _ in range(2):
        prepare(name, **options)
    said = [str(each.message) for each in recwarn if "are published" in str(each.message)]
    assert len(said) == 1 and PUBLISHED[name] in said[0] and str(root / name) in said[0]


def without_genres(data, names):
    data["genres"][[2, 7]] = 0


def test_movies_without_a_genre_are_named(toys, tmp_path):
    raw_files.write_hdf5(tmp_path / "mmimdb", without_genres)
    first = sorted(raw_files.IDS[raw_files.ORDER[row]] for row in (2, 7))[0]
    with pytest.warns(UserWarning, match=f"2 samples of 12 have no label at all, first {first}"):
        prepare("mmimdb", root=tmp_path, cache=tmp_path / "cache", backbone_epochs=1, **CHEAP)


def test_the_manifest_says_which_split_was_used(root, toys, tmp_path):
    found = {}
    for split in ("release", "paper"):
        options = {"split": split, "root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}
        features = prepare("ntu", **options)
        data = features.manifest["options"]["data"]
        assert data["split"] == split and f"split {split!r}" in features.notes
        found[split] = data["train_subjects"]
    assert found == {"release": [1, 8, 15, 17, 19, 27, 31, 35], "paper": [1, 4, 8, 13, 15, 17, 19]}


def test_stand_ins_can_be_had_beside_real_data(root, tmp_path):
    features = prepare("ntu", source="stand-in", samples=60, root=root, cache=tmp_path)
    assert features.source == "stand-in" and "NOT NTU" in features.notes


def checkpoint(folder, name, task):
    folder.mkdir(parents=True, exist_ok=True)
    modality = next(m for m in TOYS[task] if m.name == name)
    torch.manual_seed(5)
    assert modality.backbone is not None
    torch.save(modality.backbone().state_dict(), folder / f"{name}.pth")
    return folder / f"{name}.pth"


def test_weights_are_found_or_named(toys, tmp_path):
    raw_files.write_hdf5(tmp_path / "mmimdb")
    options = {"root": tmp_path, "cache": tmp_path / "cache", **CHEAP}
    with pytest.raises(DataError, match=r"Image.*weights/Image.pth"):
        prepare("mmimdb", **options)
    usual = checkpoint(tmp_path / "mmimdb" / "weights", "Image", "mmimdb")
    with pytest.raises(DataError, match="Text"):
        prepare("mmimdb", **options)
    text = checkpoint(tmp_path / "elsewhere", "Text", "mmimdb")
    features = prepare("mmimdb", weights={"Text": str(text)}, **options)
    assert features.manifest["backbones"]["Image"]["weights"] == "Image.pth"
    assert features.manifest["backbones"]["Image"]["epochs"] == 0
    before = torch.load(usual, weights_only=True)
    torch.save({key: weight + 1 for key, weight in before.items()}, usual)
    assert prepare("mmimdb", weights={"Text": str(text)}, **options).fingerprint != features.fingerprint
    with pytest.raises(UnknownNameError, match="modality of 'mmimdb' 'Txt'.*Text"):
        prepare("mmimdb", weights={"Txt": str(text)}, **options)
    with pytest.raises(DataError, match="absent.pth"):
        prepare("mmimdb", weights={"Text": str(tmp_path / "absent.pth")}, **options)
    (tmp_path / "code.pth").write_bytes(b"no weights")
    with pytest.raises(DataError, match=r"code\.pth"):
        prepare("mmimdb", weights={"Text": str(tmp_path / "code.pth")}, **options)


def test_a_kill_does_not_cost_trained_backbones(root, toys, tmp_path, monkeypatch):
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}

    class Stop(Exception):
        pass

    def stop(what, done, total):
        if what == "extract":
            raise Stop

    with pytest.raises(Stop):
        prepare("mmimdb", progress=stop, **options)
    trained = "bmnas.tasks.real_data.backbones.train_unimodal_from"
    monkeypatch.setattr(trained, lambda *_, **__: pytest.fail("trained again"))
    assert prepare("mmimdb", **options).source == "real"


def test_how_it_is_extracted_is_not_what_is_extracted(root, toys, tmp_path):
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, "device": "cpu", "max_unreadable": 0.2}
    first = prepare("mmimdb", workers=0, extract_batch=4, **options)
    assert prepare("mmimdb", workers=2, extract_batch=3, **options).folder == first.folder


def test_fewer_samples(root, toys, tmp_path):
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}
    features = prepare("egogesture", samples=4, **options)
    assert [len(features.rows(part)) for part in ("train", "val", "test")] == [4, 1, 1]
    with pytest.raises(DataError, match="samples is 400"):
        prepare("egogesture", samples=400, **options)
    with pytest.raises(ConfigError, match="samples is 'many'"):
        prepare("egogesture", samples="many", **options)


def test_shards_tell_their_progress_and_no_pace(root, toys, tmp_path):
    told = []
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, "shards": 2, "engine": "in-process", **CHEAP}
    features = prepare("ntu", progress=lambda *t: told.append(t), **options)
    assert len(features) and ("extract shards", 2, 2) in told
    assert not [words for words, *_ in told if "%" in words]


def test_unreadable_files_are_counted_or_stop_it(toys, tmp_path):
    names = raw_files.write_ntu(tmp_path / "ntu")
    next(tmp_path.rglob(f"{names[0]}.skeleton")).write_text("damaged")
    options = {"root": tmp_path, "cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP}
    with pytest.raises(DataError, match=r"1 of 12.*skeleton, line 1: frame count"):
        prepare("ntu", **options | {"max_unreadable": 0.01})
    features = prepare("ntu", **options)
    told = features.manifest["options"]["unreadable"]
    assert told["count"] == 1 and list(told["samples"]) == [names[0]] and told["dropped"]["train"] == 1
    assert np.isin(features.rows("train"), np.arange(12)).all() and "1 unreadable" in features.notes


@pytest.mark.parametrize("name", WRITERS)
def test_an_incomplete_folder_is_an_error_and_no_stand_in(name, tmp_path):
    (tmp_path / name).mkdir()
    (tmp_path / name / "readme.txt").touch()
    with pytest.raises(DataError, match=f"{name}.*(expected|missing)"):
        prepare(name, root=tmp_path, cache=tmp_path / "cache")


def test_an_empty_folder_is_no_data(tmp_path):
    (tmp_path / "ntu").mkdir()
    assert prepare("ntu", root=tmp_path, cache=tmp_path / "cache", samples=60).source == "stand-in"


def gone(root, tmp_path, name="mmimdb", **options):
    """Features of real data that is removed afterwards; how they were asked for."""
    data = shutil.copytree(root / name, tmp_path / "data" / name).parent
    asked = {"root": data, "cache": tmp_path / "cache", **CHEAP}
    features = prepare(name, backbone_epochs=1, **asked, **options)
    shutil.rmtree(data / name)
    return features, asked


@pytest.mark.parametrize("source", [None, "real"])
def test_extracted_features_stay_in_use_when_the_raw_data_is_gone(source, root, toys, tmp_path):
    features, asked = gone(root, tmp_path)
    with pytest.warns(UserWarning, match=r"mmimdb-.*MM-IMDB"):
        again = prepare("mmimdb", source=source, **asked)
    assert again.fingerprint == features.fingerprint and again.folder == features.folder
    assert "features stored before" in again.notes and "features stored before" not in features.notes
    assert prepare("mmimdb", source="stand-in", samples=60, **asked).source == "stand-in"


def test_weights_alone_are_no_data(root, toys, tmp_path):
    features, asked = gone(root, tmp_path)
    checkpoint(asked["root"] / "mmimdb" / "weights", "Image", "mmimdb")
    with pytest.warns(UserWarning, match="is absent"):
        assert prepare("mmimdb", **asked).folder == features.folder


def test_extracted_features_with_other_options_are_named_and_not_taken(root, toys, tmp_path):
    features, asked = gone(root, tmp_path, samples=4)
    for options, differ in (
        ({"L": 9}, "L = 16, not 9"),
        ({"samples": 5}, "samples = 4, not 5"),
        ({"seed": 1}, "seed = 0, not 1"),
        ({"dtype": "float32"}, "dtype = 'float16', not 'float32'"),
    ):
        with pytest.raises(DataError, match=f"which is absent.*{re.escape(str(features.folder))}.*{differ}"):
            prepare("mmimdb", **asked, **options)
    with pytest.raises(UnknownNameError):
        prepare("mmimdb", **asked, colour=1)


def test_extracted_features_need_not_be_asked_for_again(root, toys, tmp_path):
    """01 was told how to train the backbones; 02 need not be."""
    options = {"root": root, "cache": tmp_path, **CHEAP}
    features = prepare("mmimdb", backbone_epochs=1, **options)
    with pytest.warns(UserWarning, match="Image"):
        assert prepare("mmimdb", **options).folder == features.folder


def test_a_damaged_manifest_is_no_feature_set(tmp_path):
    for i, text in enumerate(("", "[]", '{"source": "real"}', '{"source": "real", "options": 3}', "[" * 100_000)):
        (tmp_path / f"ntu-{i}").mkdir()
        (tmp_path / f"ntu-{i}" / "manifest.json").write_text(text)
    assert prepare("ntu", root=tmp_path / "none", cache=tmp_path, samples=60).source == "stand-in"


@pytest.mark.parametrize("name", WRITERS)
def test_the_samples_behind_real_features_are_shown(name, root, toys, tmp_path):
    features = prepare(name, root=root, cache=tmp_path, backbone_epochs=1, samples=4, **CHEAP)
    pictures, labels = real_pictures(TASKS[name], features, root, count=3)
    assert set(pictures) == set(features.modalities) and len(labels) == 3
    samples = TASKS[name].real.open(root / name, TASKS[name].options)
    assert features.folder is not None
    kept = (features.folder / "names.txt").read_text().splitlines()
    for i, row in enumerate(features.rows("train")[:3]):
        where = samples.names.index(kept[row])
        assert all(np.array_equal(pictures[m][i], array) for m, array in samples.pictures(where).items())
        truth = samples.read(where)[1]
        first = truth if features.kind == "multiclass" else np.flatnonzero(truth)[0]
        assert labels[i].split(" +")[0] == samples.classes[first]
    assert real_pictures(TASKS[name], features, tmp_path / "nowhere") == ({}, [])
    stand_in = prepare(name, source="stand-in", samples=120, root=root, cache=tmp_path)
    assert real_pictures(TASKS[name], stand_in, root) == ({}, [])


# inputs that are replaced


def replace_skeleton(root):
    path = next((root / "ntu" / "nturgbd_skeletons").glob("*.skeleton"))
    text = raw_files.skeleton_text(raw_files.some_frames(np.random.default_rng(9), [2] * 6))
    path.write_bytes(text.encode())
    return path.stem


def replace_plot(root):
    path = root / "mmimdb" / "dataset" / f"{raw_files.IDS[2]}.json"
    about = json.loads(path.read_text())
    path.write_text(json.dumps({**about, "plot": ["love, and a plot of love"]}))
    return raw_files.IDS[2]


def replace_vectors(root):
    raw_files.write_vectors(root / "mmimdb" / "word2vec.bin", {**raw_files.VECTORS, "love": 2.0})
    return raw_files.IDS[0]


def replace_picture(root):
    path = root / "egogesture" / "Subject03/Scene1/Color/rgb1/000001.jpg"
    Image.fromarray(np.full((24, 32, 3), 200, np.uint8)).save(path)
    return "Subject03/Scene1/Color/rgb1"


@pytest.mark.parametrize(
    ("name", "write", "replace_input"),
    [
        ("ntu", raw_files.write_ntu, replace_skeleton),
        ("mmimdb", raw_files.write_raw, replace_plot),
        ("mmimdb", raw_files.write_raw, replace_vectors),
        ("egogesture", raw_files.write_ego, replace_picture),
    ],
)
def test_a_replaced_input_gives_new_features(name, write, replace_input, toys, tmp_path):
    """Same names, same splits, same options: the old features are another file's."""
    write(tmp_path / name)
    options = {"root": tmp_path, "cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP}
    before = prepare(name, **options)
    assert before.folder is not None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare(name, **options).folder == before.folder
    sample = replace_input(tmp_path)
    with pytest.warns(UserWarning, match=f"files of .* samples, first {re.escape(sample)}.*{before.folder.name}-2"):
        after = prepare(name, **options)
    assert after.fingerprint != before.fingerprint
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare(name, **options).folder == after.folder
    assert FeatureSet.open(before.folder).fingerprint == before.fingerprint


def rewritten(path, content):
    """Writes other content of the same size, and gives the file its former date, as some programs do."""
    before = path.stat()
    assert content != path.read_bytes() and len(content) == before.st_size
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def retype_numbers(root):
    path = next(root.rglob("*.skeleton"))
    rewritten(path, path.read_bytes().replace(b".1", b".8"))


def retype_plot(root):
    path = root / "mmimdb" / "dataset" / f"{raw_files.IDS[2]}.json"
    rewritten(path, path.read_bytes().replace(b"love", b"plot"))


def change_vector(root):
    path = root / "mmimdb" / "word2vec.bin"
    content = path.read_bytes()
    first = content.index(b"love ") + 5
    rewritten(path, content[:first] + np.full(300, 7, "<f4").tobytes() + content[first + 1200 :])


def change_array(root):
    path = next(root.rglob("train/image_*.npy"))
    content = path.read_bytes()
    rewritten(path, content[:200] + bytes(len(content) - 200))


def change_row(root):
    """On a copy: HDF5 opens no file for writing that is still open for reading."""
    path = next(root.rglob("*.hdf5"))
    copy = shutil.copyfile(path, root / "copy")
    with h5py.File(copy, "r+") as file:
        file["images"][3] = np.zeros((3, 256, 160), np.int32)  # type: ignore[index]
    rewritten(path, copy.read_bytes())


@pytest.mark.parametrize(
    ("name", "write", "change"),
    [
        ("ntu", raw_files.write_ntu, retype_numbers),
        ("mmimdb", raw_files.write_raw, retype_plot),
        ("mmimdb", raw_files.write_raw, change_vector),
        ("mmimdb", raw_files.write_npy, change_array),
        ("mmimdb", raw_files.write_hdf5, change_row),
    ],
)
def test_an_input_of_the_same_name_size_and_date_is_another_too(name, write, change, toys, tmp_path):
    write(tmp_path / name)
    options = {"root": tmp_path, "cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP}
    before = prepare(name, **options)
    change(tmp_path)
    with pytest.warns(UserWarning, match="are not those"):
        assert prepare(name, **options).fingerprint != before.fingerprint


def test_files_that_are_moved_or_touched_stay_the_same_and_are_read_once(toys, tmp_path, monkeypatch):
    raw_files.write_ntu(tmp_path / "before" / "ntu", frames=3)
    options = {"cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP}
    features = prepare("ntu", root=tmp_path / "before", **options)
    shutil.copytree(tmp_path / "before", tmp_path / "after")  # with their dates
    for path in (tmp_path / "after").rglob("*.skeleton"):
        os.utime(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare("ntu", root=tmp_path / "after", **options).folder == features.folder
        monkeypatch.setattr("bmnas.features.input_stamps.file_sha256", lambda path: pytest.fail(f"{path} is read"))
        assert prepare("ntu", root=tmp_path / "after", **options).folder == features.folder


def test_an_input_that_is_replaced_while_it_is_extracted_is_read_again(toys, tmp_path):
    raw_files.write_ntu(tmp_path / "ntu")
    options = {"root": tmp_path, "backbone_epochs": 1, **CHEAP}

    class Stop(Exception):
        pass

    def stop(what, done, total):
        if what == "extract" and done >= 8:
            raise Stop

    with pytest.raises(Stop):
        prepare("ntu", cache=tmp_path / "cache", progress=stop, **options)
    sample = replace_skeleton(tmp_path)
    resumed = prepare("ntu", cache=tmp_path / "cache", **options)
    assert resumed.folder is not None
    row = (resumed.folder / "names.txt").read_text().splitlines().index(sample)
    model = HCN()
    load_backbone(model, weight_file(resumed.folder, "Skeleton"))
    samples = TASKS["ntu"].real.open(tmp_path / "ntu", TASKS["ntu"].options)
    inputs, _ = samples.read(samples.names.index(sample), "Skeleton")
    _, logits = extract(model, {}, [torch.from_numpy(inputs["Skeleton"][None])], L=8, device="cpu")
    np.testing.assert_allclose(resumed.logits["Skeleton"][row], logits[0], rtol=1e-4, atol=1e-5)


def test_features_without_stamps_stay_in_use(root, toys, tmp_path):
    """Those of an older version have none."""
    options = {"root": root, "cache": tmp_path, "backbone_epochs": 1, **CHEAP}
    features = prepare("mmimdb", **options)
    assert features.folder is not None
    (features.folder / "contents.npy").unlink()
    (features.folder / "inputs.npy").unlink()
    assert prepare("mmimdb", **options).folder == features.folder


def test_sizes_and_dates_decide_of_features_without_contents(toys, tmp_path):
    """Those of an older version have none, and their stamps are of names, sizes and dates alone."""
    raw_files.write_ntu(tmp_path / "ntu", frames=3)
    options = {"root": tmp_path, "cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP}
    features = prepare("ntu", **options)
    assert features.folder is not None
    samples = TASKS["ntu"].real.open(tmp_path / "ntu", TASKS["ntu"].options)
    rows = {name: row for row, name in enumerate(samples.names)}
    stamps = []
    for name in (features.folder / "names.txt").read_text().splitlines():
        about = [(path.name, path.stat()) for path in samples.files(rows[name])]
        lines = "".join(f"{file} {status.st_size} {status.st_mtime_ns}\n" for file, status in about)
        stamps.append(int.from_bytes(hashlib.sha256(lines.encode()).digest()[:8], "little"))
    np.save(features.folder / "inputs.npy", np.array(stamps, np.uint64))
    (features.folder / "contents.npy").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare("ntu", **options).folder == features.folder
    replace_skeleton(tmp_path)
    with pytest.warns(UserWarning, match="are not those"):
        assert prepare("ntu", **options).folder != features.folder


def test_more_clips_than_then_are_named_beside_missing_weights(toys, tmp_path):
    names = raw_files.write_ntu(tmp_path / "ntu")
    options = {"root": tmp_path, "cache": tmp_path / "cache", **CHEAP}
    features = prepare("ntu", backbone_epochs=1, **options)
    raw_files.write_ntu(tmp_path / "ntu", [*names, raw_files.ntu_name(1, 2), raw_files.ntu_name(27, 3)])
    with pytest.warns(UserWarning, match=r"6 / 4 / 4.*4 / 4 / 4"):
        assert prepare("ntu", **options).folder == features.folder


def exchange_clip(root):
    for path in list(root.rglob("*P001R001A001*")):
        path.rename(path.with_name(path.name.replace("A001", "A002")))
    return "1 samples are new since, first S001C001P001R001A002. 1 samples are gone"


def edit_json(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return "splits, classes, labels or frames"


def relabel(root):
    def edit(content):
        first = min(content["database"])
        content["database"][first]["annotations"]["label"] = raw_files.LABELS[40]

    return edit_json(root / "egogesture" / "egogestureall_but_None.json", edit)


def move_to_test(root):
    def edit(content):
        content["train"][0], content["test"][0] = content["test"][0], content["train"][0]

    return edit_json(root / "mmimdb" / "split.json", edit)


@pytest.mark.parametrize(
    ("name", "write", "change"),
    [
        ("ntu", raw_files.write_ntu, exchange_clip),
        ("egogesture", raw_files.write_ego, relabel),
        ("mmimdb", raw_files.write_raw, move_to_test),
    ],
)
def test_what_changed_since_is_said_where_features_cannot_be_made_again(name, write, change, toys, tmp_path):
    write(tmp_path / name)
    options = {"root": tmp_path, "cache": tmp_path / "cache", **CHEAP}
    before = prepare(name, backbone_epochs=1, **options)
    with pytest.warns(UserWarning) as warned:
        prepare(name, **options)
    assert not re.search("than then| since,", str(warned[0].message))
    words = change(tmp_path)
    with pytest.warns(UserWarning, match=words):
        assert prepare(name, **options).folder == before.folder


def test_unreadable_training_samples_are_named_without_a_workers_traceback(toys, tmp_path):
    names = raw_files.write_ntu(tmp_path / "ntu")
    for path in (tmp_path / "ntu").rglob("*.skeleton"):
        path.write_text("damaged")
    options = {"root": tmp_path, "cache": tmp_path / "cache", "backbone_epochs": 1, **CHEAP, "workers": 1}
    with pytest.raises(DataError, match=r"Skeleton.*4 of the 4.*skeleton, line 1: frame count") as error:
        prepare("ntu", **options)
    assert "Traceback" not in str(error.value) and any(name in str(error.value) for name in names)


def test_two_checkpoints_of_one_backbone_are_a_question(toys, tmp_path):
    raw_files.write_hdf5(tmp_path / "mmimdb")
    usual = checkpoint(tmp_path / "mmimdb" / "weights", "Image", "mmimdb")
    shutil.copy(usual, usual.with_suffix(".pt"))
    with pytest.raises(DataError, match=r"Image\.pth and Image\.pt"):
        prepare("mmimdb", root=tmp_path, cache=tmp_path / "cache", backbone_epochs=1, **CHEAP)
