"""NTU and EgoGesture as torch Datasets, on tiny files of the real formats, and read by worker processes."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from bmnas.errors import ConfigError, DataError, UnknownNameError
from bmnas.features.samples import Samples
from bmnas.tasks.egogesture.samples import EgoSamples, middle_square
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.ntu.samples import NtuSamples, standardised
from tests.support import raw_files


@pytest.fixture(scope="module")
def ntu(tmp_path_factory):
    root = tmp_path_factory.mktemp("ntu")
    return root, raw_files.write_ntu(root)


@pytest.fixture(scope="module")
def ego(tmp_path_factory):
    root = tmp_path_factory.mktemp("ego") / "data"
    raw_files.write_ego(root)
    return root


# NTU


def test_ntu_samples(ntu):
    samples = NtuSamples(ntu[0])
    assert list(samples.names) == sorted(ntu[1]) and samples.kind == "multiclass" and len(samples.classes) == 60
    inputs, label, name = samples[1]
    assert (name, int(label)) == ("S001C001P001R001A060", 59)
    assert inputs["Video"].shape == (8, 256, 256, 3) and inputs["Skeleton"].shape == (3, 32, 25, 2)
    assert all(x.dtype == torch.float32 for x in inputs.values())
    grey = (10 / 255 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    assert np.allclose(inputs["Video"][0].mean((0, 1)), grey, atol=0.1)


def test_ntu_splits_and_what_the_manifest_says(ntu):
    found = {}
    for split in ("release", "paper"):
        samples = NtuSamples(ntu[0], split)
        found[split] = {samples.names[row][8:12] for row in samples.splits["train"]}
        assert samples.facts["split"] == split and samples.facts["listed_missing_skeletons"] == "kept"
        assert {samples.names[row][8:12] for row in samples.splits["val"]} == {"P002", "P005"}
        assert {samples.names[row][8:12] for row in samples.splits["test"]} == {"P003", "P006"}
    assert found == {"release": {"P001", "P027"}, "paper": {"P001", "P004"}}
    assert NtuSamples(ntu[0], "release").facts["train_subjects"] == [1, 8, 15, 17, 19, 27, 31, 35]


def test_listed_samples_are_dropped_from_the_splits_and_counted(ntu, tmp_path):
    root = tmp_path
    for folder in ntu[0].iterdir():
        (root / folder.name).symlink_to(folder)
    with pytest.raises(DataError, match="samples_with_missing_skeletons.txt"):
        NtuSamples(root, "mfas")
    (root / "bad_skel.txt").write_text(f"{ntu[1][0]}\n")
    kept, dropped = NtuSamples(root, "mfas", "keep"), NtuSamples(root, "mfas")
    assert dropped.facts["listed_and_paired"] == 1 and dropped.facts["listed_missing_skeletons"] == "dropped"
    assert kept.facts["expected_counts"] == [37800, 2520, 16560]
    assert dropped.facts["expected_counts"] == [37582, 2509, 16487]
    assert NtuSamples(root, "release", "drop").facts["expected_counts"] is None  # nobody counted them
    assert set(kept.splits["train"]) - set(dropped.splits["train"]) == {kept.names.index(ntu[1][0])}


def test_positions_that_float32_does_not_hold_are_refused(tmp_path):
    raw_files.write_ntu(tmp_path)
    path = next((tmp_path / "nturgbd_skeletons").iterdir())
    lines = path.read_text().split("\n")
    lines[4] = " ".join(["1e300", *lines[4].split(" ")[1:]])
    path.write_text("\n".join(lines))
    samples = NtuSamples(tmp_path)
    with pytest.raises(DataError, match=rf"{path.name}: x, y or z of a joint is too large for float32"):
        samples.read(samples.names.index(path.stem), "Skeleton")


def test_ntu_settings_are_checked(ntu):
    with pytest.raises(UnknownNameError, match="NTU split 'papers'.*: paper"):
        NtuSamples(ntu[0], "papers")
    with pytest.raises(ConfigError, match="missing is 'yes'"):
        NtuSamples(ntu[0], missing="yes")


def test_bgr_turns_the_channels():
    frames = np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3)).astype(np.uint8)
    assert np.array_equal(standardised(frames, bgr=True), standardised(frames[..., ::-1]))


@pytest.mark.parametrize(("spoil", "message"), [("_rgb.avi", "decoded"), (".skeleton", "line 1: frame count")])
def test_a_damaged_file_is_an_error_of_its_sample_alone(tmp_path, spoil, message):
    names = raw_files.write_ntu(tmp_path, frames=2)
    next(tmp_path.rglob(f"{names[0]}{spoil}")).write_bytes(b"damaged")
    samples = NtuSamples(tmp_path)
    with pytest.raises(DataError, match=message):
        samples[samples.names.index(names[0])]
    assert samples[samples.names.index(names[1])][2] == names[1]
    other = "Skeleton" if spoil == "_rgb.avi" else "Video"
    assert list(samples.read(samples.names.index(names[0]), other)[0]) == [other]


# EgoGesture


def test_ego_samples(ego):
    samples = EgoSamples(ego)
    assert len(samples) == 12 and [len(rows) for rows in samples.splits.values()] == [4, 4, 4]
    assert samples.classes == tuple(raw_files.LABELS) and samples.facts["without_folders"] == 0
    inputs, label, name = samples[0]
    assert (name, int(label)) == ("Subject03/Scene1/Color/rgb1", 3)
    assert inputs["RGB"].shape == (3, 32, 112, 112) and inputs["Depth"].shape == (1, 32, 112, 112)
    for clip in inputs.values():
        assert (
            clip.dtype == torch.float32 and torch.equal(clip[:, 0], clip[:, 7]) and torch.equal(clip[:, 3], clip[:, 31])
        )
        assert clip.min() >= -115 and clip.max() <= 156


def test_ego_lists_serve_where_there_is_no_json(ego, tmp_path):
    for folder in ego.glob("Subject*"):
        (tmp_path / folder.name).symlink_to(folder)
    with pytest.raises(DataError, match="egogestureall_but_None.json.*trainlist"):
        EgoSamples(tmp_path)
    raw_files.write_ego_lists(tmp_path)
    by_lists, by_json = EgoSamples(tmp_path), EgoSamples(ego)
    assert by_lists.classes == by_json.classes
    assert [(c.color, c.label, c.start, c.end) for c in by_lists.clips] == [
        (c.color, c.label, c.start, c.end) for c in by_json.clips
    ]


def test_annotations_that_differ_are_a_warning(ego, tmp_path):
    for folder in ego.glob("Subject*"):
        (tmp_path / folder.name).symlink_to(folder)
    shutil.copy(ego / "egogestureall_but_None.json", tmp_path)
    raw_files.write_ego_lists(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EgoSamples(tmp_path)
    path = tmp_path / "vallistall_but_None.txt"
    path.write_text(path.read_text().replace("Subject07/Scene1/Color/rgb1 8 2", "Subject07/Scene1/Color/rgb1 8 3", 1))
    with pytest.warns(UserWarning, match="Subject07/Scene1/Color/rgb1"):
        EgoSamples(tmp_path)


def test_clips_without_folders_are_counted(tmp_path):
    raw_files.write_ego(tmp_path)
    (tmp_path / "Subject03").rename(tmp_path / "elsewhere")
    assert EgoSamples(tmp_path).facts["without_folders"] == 2
    (tmp_path / "Subject04").rename(tmp_path / "elsewhere2")
    with pytest.raises(DataError, match="no clip of the split 'train'"):
        EgoSamples(tmp_path)


def test_a_missing_picture_is_named(tmp_path):
    raw_files.write_ego(tmp_path)
    (tmp_path / "Subject03/Scene1/Depth/depth1/000004.jpg").unlink()
    with pytest.raises(DataError, match="depth1/000004.jpg"):
        EgoSamples(tmp_path)[0]


def test_a_clip_that_ends_behind_its_pictures_is_named(tmp_path):
    """Its middle frames are there, but they are not those of the gesture."""
    raw_files.write_ego(tmp_path, clips=1, frames=40)
    for modality in ("Color/rgb1", "Depth/depth1"):
        (tmp_path / "Subject03/Scene1" / modality / "000039.jpg").unlink()
    with pytest.raises(DataError, match="rgb1/000039.jpg.*Subject03.*1 to 39"):
        EgoSamples(tmp_path)[0]


def test_a_subject_is_in_one_split_only(tmp_path):
    raw_files.write_ego(tmp_path)
    assert EgoSamples(tmp_path).facts["subjects"] == {"train": [3, 4], "val": [1, 7], "test": [2, 9]}
    path = tmp_path / "egogestureall_but_None.json"
    content = json.loads(path.read_text())
    content["database"]["Subject04/Scene1/Color/rgb1"]["subset"] = "testing"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="'Subject04.*rgb1_4' into 'train', but 'Subject04.*rgb1' of the same.*'test'"):
        EgoSamples(tmp_path)


def test_the_middle_square():
    picture = np.arange(112 * 150 * 3).reshape(112, 150, 3)
    assert np.array_equal(middle_square(picture), picture[:, 19:131])


# all


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_read_the_same(tmp_path, workers):
    """HDF5 does not survive a fork, so every process opens the file for itself."""
    raw_files.write_hdf5(tmp_path)
    samples, movies = MmimdbSamples(tmp_path), raw_files.movies()
    samples[0]  # opened here first
    rows = [int(i) for batch in DataLoader(samples, batch_size=5, num_workers=workers) for i in map(int, batch[2])]
    assert rows == [int(name) for name in raw_files.IDS]
    texts = torch.cat([batch[0]["Text"] for batch in DataLoader(samples, batch_size=5, num_workers=workers)])
    assert np.array_equal(texts, movies["features"])


def test_fingerprints_tell_data_apart(ego):
    samples = EgoSamples(ego)
    before = samples.fingerprint
    assert before == EgoSamples(ego).fingerprint
    samples.splits["train"] = samples.splits["train"][1:]
    assert samples.fingerprint != before


@pytest.mark.parametrize(("before", "after"), [('"7.0"', '"5.0"'), ('"gesture 4"', '"gesture 9"')])
def test_corrected_annotations_are_other_data(tmp_path, before, after):
    """Same names, same splits: without this the features of the wrong frames would be found in the cache."""
    raw_files.write_ego(tmp_path)
    fingerprint, path = EgoSamples(tmp_path).fingerprint, tmp_path / "egogestureall_but_None.json"
    database = path.read_text().split('"database"')
    path.write_text('"database"'.join((database[0], database[1].replace(before, after, 1))))
    assert EgoSamples(tmp_path).fingerprint != fingerprint


def test_another_form_of_mmimdb_is_other_data(tmp_path):
    """The texts of raw movies are not bit for bit those of the HDF5 file."""
    prints = []
    for write in (raw_files.write_hdf5, raw_files.write_npy, raw_files.write_raw):
        write(tmp_path / write.__name__)
        prints.append(MmimdbSamples(tmp_path / write.__name__).fingerprint)
    assert len(set(prints)) == 3


def test_a_subclass_must_say_how_it_reads():
    with pytest.raises(TypeError, match="does not say how"):
        Samples(["a"], ["b"], "multiclass", {}, {})[0]


@pytest.mark.parametrize(
    ("write", "kind", "shapes"),
    [
        (raw_files.write_hdf5, MmimdbSamples, {"Image": (64, 40), "Text": (15, 20)}),
        (raw_files.write_ntu, NtuSamples, {"Video": (64, 64), "Skeleton": (25, 32)}),
        (raw_files.write_ego, EgoSamples, {"RGB": (56, 56), "Depth": (56, 56)}),
    ],
)
def test_a_sample_for_people(tmp_path, write, kind, shapes):
    write(tmp_path)
    samples = kind(tmp_path)
    pictures, (inputs, _) = samples.pictures(1), samples.read(1)
    assert {name: picture.shape for name, picture in pictures.items()} == shapes
    for name, picture in pictures.items():
        assert inputs[name].min() - 1e-3 <= picture.min() <= picture.max() <= inputs[name].max() + 1e-3
