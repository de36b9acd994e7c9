"""EgoGesture's annotations and pictures: what is written is read, every damage is one error that names the place."""

import copy
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bmnas.errors import DataError
from bmnas.tasks.egogesture.annotations import clip_frames, read_ego_classes, read_ego_json, read_ego_list
from bmnas.tasks.egogesture.samples import EgoSamples
from bmnas.tasks.file_readers.jpeg import read_picture
from tests.support import raw_files
from tests.support.raw_files import LABELS

FOLDER = "Subject03/Scene1/Color/rgb1"


def test_json_and_lists_say_the_same(tmp_path):
    raw_files.write_ego(tmp_path)
    raw_files.write_ego_lists(tmp_path)
    labels, clips = read_ego_json(tmp_path / "egogestureall_but_None.json")
    assert list(labels) == LABELS and len(clips) == 12
    listed = [
        c for part in ("train", "val", "test") for c in read_ego_list(tmp_path / f"{part}listall_but_None.txt", part)
    ]
    facts = [[(c.color, c.depth, c.label, c.start, c.end, c.split) for c in part] for part in (clips, listed)]
    assert facts[0] == facts[1]
    assert read_ego_classes(tmp_path / "classIndAll.txt") == (*LABELS, "None")
    first = clips[0]
    assert (first.color, first.depth) == (FOLDER, "Subject03/Scene1/Depth/depth1")
    assert (first.start, first.end, first.label, first.split) == (1, 7, 3, "train")
    assert clips[1].name == f"{FOLDER}_2" and clips[1].color == FOLDER


NUMBER = st.integers(1, 2000)


@given(
    start=NUMBER, length=st.integers(0, 200), label=st.integers(0, 82), form=st.sampled_from(["{}", "{}.0", "{}.00"])
)
def test_clips_survive_both_ways_of_writing_numbers(tmp_path_factory, start, length, label, form):
    folder, end = tmp_path_factory.mktemp("e"), start + length
    about = {"label": LABELS[label], "start_frame": form.format(start), "end_frame": form.format(end)}
    content = {"labels": LABELS, "database": {f"{FOLDER}_7": {"subset": "testing", "annotations": about}}}
    (folder / "a.json").write_text(json.dumps(content))
    (folder / "a.txt").write_text(f"{FOLDER} {label + 1} {form.format(start)} {form.format(end)}\n")
    for clip in (read_ego_json(folder / "a.json")[1][0], read_ego_list(folder / "a.txt", "test")[0]):
        assert (clip.color, clip.label, clip.start, clip.end, clip.split) == (FOLDER, label, start, end, "test")


@given(start=NUMBER, frames=st.integers(1, 200), length=st.integers(1, 64))
def test_clips_have_their_length(start, frames, length):
    numbers = clip_frames(start, start + frames - 1, length)
    assert len(numbers) == length
    if frames >= length:
        before, behind = numbers[0] - start, start + frames - 1 - numbers[-1]
        assert (np.diff(numbers) == 1).all() and 0 <= behind - before <= 1
    else:
        assert numbers.tolist() == [start + i % frames for i in range(length)]


def entry(**changes):
    about = {"label": LABELS[0], "start_frame": "7.0", "end_frame": "9"}
    return {"subset": "training", "annotations": about | changes}


def content(**changes):
    return {"labels": LABELS, "database": {FOLDER: entry()}} | changes


BROKEN_JSON = [
    ("", "line 1: not JSON"),
    ('{"labels": [],\n "database": }', "line 2: not JSON"),
    ([], "outermost value is 'list'"),
    (content(labels=None), "labels is None"),
    (content(labels=[]), r"labels is \[\]"),
    (content(labels=[1]), r"labels is \[1\]"),
    (content(labels=["a", "a"]), "each name once"),
    (content(database={}), "database is {}"),
    (content(database=[]), r"database is \[\]"),
    (content(database={FOLDER: None}), r"database\['Subject03.*is None"),
    (content(database={FOLDER: {"subset": "training"}}), "with subset and annotations"),
    (content(database={FOLDER: {**entry(), "subset": "train"}}), "subset is 'train'; expected one of training"),
    (content(database={"rgb1": entry()}), "key 'rgb1' is 'rgb1'"),
    (content(database={FOLDER.replace("Color", "Depth"): entry()}), "expected a folder like"),
    (content(database={f"{FOLDER}_": entry()}), "expected a folder like"),
    (content(database={f"{FOLDER}_x": entry()}), "expected a folder like"),
    (content(database={f"{FOLDER}_1_2": entry()}), "expected a folder like"),
    (content(database={"../../etc/passwd": entry()}), "expected a folder like"),
    (content(database={FOLDER: entry(label="no such")}), "annotations.label is 'no such'"),
    (content(database={FOLDER: entry(label=3)}), "annotations.label is 3"),
    (content(database={FOLDER: entry(start_frame="x")}), "annotations.start_frame is 'x'"),
    (content(database={FOLDER: entry(start_frame=None)}), "annotations.start_frame is None"),
    (content(database={FOLDER: entry(start_frame="0")}), "start_frame is '0'; expected at least 1"),
    (content(database={FOLDER: entry(start_frame="-3")}), "start_frame is '-3'"),
    (content(database={FOLDER: entry(start_frame="7.5")}), "start_frame is '7.5'"),
    (content(database={FOLDER: entry(start_frame=" 7")}), "start_frame is ' 7'"),
    (content(database={FOLDER: entry(start_frame="\u0667")}), "start_frame is '\u0667'; expected a real number"),
    (content(database={FOLDER: entry(start_frame="nan")}), "start_frame is 'nan'"),
    (content(database={FOLDER: entry(end_frame="inf")}), "end_frame is 'inf'"),
    (content(database={FOLDER: entry(end_frame="6.0")}), "end_frame is '6.0'; expected at least the start, 7"),
    (content(database={FOLDER: entry(end_frame=True)}), "end_frame is True"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN_JSON)
def test_broken_json(tmp_path, data, message):
    (tmp_path / "a.json").write_text(data if isinstance(data, str) else json.dumps(data))
    with pytest.raises(DataError, match=rf"a\.json.*{message}"):
        read_ego_json(tmp_path / "a.json")


@pytest.mark.parametrize("again", ["Subject03/Scene1/Color/rgb1", "subset", "label"])
def test_a_name_that_stands_twice_loses_no_clip(tmp_path, again):
    path = tmp_path / "ego.json"
    text = json.dumps({"labels": raw_files.LABELS, "database": raw_files.ego_database(clips=1)})
    start = text.index(f'"{again}": ')
    path.write_text(f'{text[:start]}"{again}": "first", {text[start:]}')
    with pytest.raises(DataError, match=rf"ego\.json.*'{again}'"):
        read_ego_json(path)


def test_the_unbroken_content_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(copy.deepcopy(content())))
    assert len(read_ego_json(tmp_path / "a.json")[1]) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "number of lines is 0"),
        (f"{FOLDER} 1 2 3\n\n", "line 2: number of fields is 0"),
        (f"{FOLDER} 1 2\n", "line 1: number of fields is 3"),
        ("rgb1 1 2 3\n", "line 1: folder is 'rgb1'"),
        (f"{FOLDER} 0 2 3\n", "line 1: class is '0'; expected 1 to 83"),
        (f"{FOLDER} 84 2 3\n", "line 1: class is '84'"),
        (f"{FOLDER} a 2 3\n", "line 1: class is 'a'"),
        (f"{FOLDER} 1 2 3\n{FOLDER} 1 0 3\n", "line 2: start is '0'"),
        (f"{FOLDER} 1 2 3\r\n{FOLDER} 1 4.0 3.0\r\n", "line 2: end is '3.0'"),
        (f"{FOLDER} 1 2 3.25\n", "line 1: end is '3.25'"),
    ],
)
def test_broken_lists(tmp_path, text, message):
    (tmp_path / "a.txt").write_bytes(text.encode())
    with pytest.raises(DataError, match=rf"a\.txt.*{message}"):
        read_ego_list(tmp_path / "a.txt", "train")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "number of lines is 0"),
        ("1 a\n3 b\n", "line 2: id is '3'"),
        ("1\n", "line 1: name is ''"),
        ("a b\n", "id is 'a'"),
        ("1 a\n2 a\n", "line 2: name is 'a'; expected each name once"),
    ],
)
def test_broken_class_lists(tmp_path, text, message):
    (tmp_path / "classIndAll.txt").write_text(text)
    with pytest.raises(DataError, match=rf"classIndAll\.txt.*{message}"):
        read_ego_classes(tmp_path / "classIndAll.txt")


# pictures


@given(height=st.integers(1, 40), width=st.integers(1, 40), short=st.integers(1, 30))
def test_the_shorter_side_has_its_length(tmp_path_factory, height, width, short):
    path = tmp_path_factory.mktemp("p") / "a.png"
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)
    picture = read_picture(path, 3, short_side=short)
    assert min(picture.shape[:2]) == short
    assert (picture.shape[0] - picture.shape[1]) * (height - width) >= 0


def test_pixels_and_channels_survive(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_picture(tmp_path / "a.png"), pixels)
    assert read_picture(tmp_path / "a.png", 1).shape == (5, 7, 1)
    assert read_picture(tmp_path / "a.png", 3, size=(8, 4)).shape == (8, 4, 3)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (None, "is missing"),
        (lambda c: b"", "decoded"),
        (lambda c: b"no jpeg", "decoded"),
        (lambda c: c[: len(c) // 2], "decoded"),
    ],
)
def test_broken_pictures(tmp_path, spoil, message):
    path = tmp_path / "000001.jpg"
    if spoil:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)).save(path)
        path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=rf"000001\.jpg.*{message}"):
        read_picture(path)


# what is lost


@pytest.fixture
def listed(tmp_path):
    """Pictures and lists, as the data is distributed without the JSON."""
    raw_files.write_ego(tmp_path)
    (tmp_path / "egogestureall_but_None.json").unlink()
    raw_files.write_ego_lists(tmp_path)
    return tmp_path


def cut(path, lines):
    path.write_text("".join(f"{line}\n" for line in path.read_text().splitlines()[:lines]))


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_a_list_that_is_cut_leaves_folders_that_nobody_names(listed, part):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EgoSamples(listed)
    cut(listed / f"{part}listall_but_None.txt", 2)  # of four lines, two a folder
    second = raw_files.SUBJECTS[{"train": "training", "val": "validation", "test": "testing"}[part]][1]
    with pytest.warns(UserWarning, match=rf"1 folder .* first Subject{second:02d}/Scene1/Color/rgb1"):
        EgoSamples(listed)
