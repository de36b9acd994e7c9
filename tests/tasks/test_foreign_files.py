"""Files as other programs and systems leave them: marked, packed, hidden, in another format."""

import gzip
import shutil

import numpy as np
import pytest

from bmnas.errors import DataError
from bmnas.storage.reading import read_json, read_text
from bmnas.tasks.egogesture.samples import EgoSamples
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.mmimdb.word2vec import TEXT, read_vectors
from bmnas.tasks.ntu.files import ntu_files
from bmnas.tasks.ntu.samples import NtuSamples
from tests.support import raw_files

MARK = b"\xef\xbb\xbf"


def samples_of(form, root):
    if form == "ntu":
        raw_files.write_ntu(root, [raw_files.ntu_name(p, 1) for p in (1, 2, 3)], frames=3)
        return NtuSamples
    if form.startswith("ego"):
        raw_files.write_ego(root, clips=1, frames=3)
        raw_files.write_ego_lists(root, frames=3, clips=1)
        if form == "ego lists":
            (root / "egogestureall_but_None.json").unlink()
        return EgoSamples
    (raw_files.write_npy if form.endswith("npy") else raw_files.write_raw)(root)
    return MmimdbSamples


@pytest.mark.parametrize("form", ["ntu", "ego", "ego lists", "mmimdb"])
def test_a_byte_order_mark_says_nothing(form, tmp_path):
    read = samples_of(form, tmp_path)
    before = read(tmp_path)
    texts = [p for p in tmp_path.rglob("*") if p.suffix in (".json", ".txt", ".skeleton")]
    assert texts
    for path in texts:
        path.write_bytes(MARK + path.read_bytes())
    after = read(tmp_path)
    assert before.names == after.names and before.classes == after.classes
    for name, array in before.read(0)[0].items():
        assert np.array_equal(array, after.read(0)[0][name])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}'.encode("utf-16"), "UTF-16"),
        (gzip.compress(b'{"a": 1}', mtime=0), "gzip"),
        (b"PK\x03\x04\xff\xff", "zip"),
    ],
)
def test_a_text_that_is_none_says_what_it_is(content, words, tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    for read in (read_text, read_json):
        with pytest.raises(DataError, match=f"a.json.*{words}"):
            read(path, DataError)


def test_hidden_files_are_no_samples(tmp_path):
    read = samples_of("ntu", tmp_path)
    names = read(tmp_path).names
    for path in [*tmp_path.rglob("*.skeleton"), *tmp_path.rglob("*.avi")]:
        shutil.copy(path, path.with_name(f"._{path.name}"))  # as macOS does
    assert read(tmp_path).names == names


def renamed(path, name):
    path.rename(path.with_name(name))


def in_capitals(root):
    for path in [path for path in root.rglob("*") if path.suffix in (".avi", ".skeleton", ".jpg", ".jpeg", ".npy")]:
        renamed(path, path.stem + path.suffix.upper())


def deeper(root):
    for path in [*root.rglob("*.avi"), *root.rglob("*.skeleton")]:
        folder = path.parent / path.name[:4] / "all"
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)


def linked(root):
    deeper(root)
    for folder in list(root.rglob("all")):
        elsewhere = root.parent / f"elsewhere {folder.parent.parent.name}"
        folder.rename(elsewhere)
        folder.symlink_to(elsewhere)
        (elsewhere / "loop").symlink_to(elsewhere)


@pytest.mark.parametrize(
    ("form", "move"),
    [("ntu", in_capitals), ("ntu", deeper), ("ntu", linked), ("ego", in_capitals), ("mmimdb", in_capitals),
     ("mmimdb npy", in_capitals)],
)  # fmt: skip
def test_files_are_found_with_any_capitals_and_in_deeper_folders(form, move, tmp_path):
    root = tmp_path / "data"
    read = samples_of(form, root)
    before = read(root)
    arrays = before.read(0)[0]
    move(root)
    after = read(root)
    assert after.names == before.names
    assert all(path.is_file() for path in after.files(0))
    assert all(np.array_equal(array, after.read(0)[0][name]) for name, array in arrays.items())


LEFT_OUT = {
    "another ending": lambda path: renamed(path, path.name + ".gz"),
    "another format": lambda path: renamed(path, f"{path.stem}.mp4"),
    "gone": lambda path: path.unlink(),
    "twice": lambda path: shutil.copytree(path.parent, path.parent / "copy"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
@pytest.mark.parametrize("ending", [".avi", ".skeleton"])
def test_what_is_left_out_of_ntu_is_counted_and_named(kind, ending, tmp_path):
    samples_of("ntu", tmp_path)
    path = min(tmp_path.rglob(f"*{ending}"))
    LEFT_OUT[kind](path)
    with pytest.warns(UserWarning) as warned:
        ntu_files(tmp_path)
    assert any("left out" in str(w.message) and path.name[:20] in str(w.message) for w in warned)


def test_a_video_without_rgb_in_its_name_is_named(tmp_path):
    samples_of("ntu", tmp_path)
    path = min(tmp_path.rglob("*.avi"))
    renamed(path, path.name.replace("_rgb", ""))
    with pytest.warns(UserWarning, match=f"_rgb.avi.*{path.name[:20]}.avi"):
        ntu_files(tmp_path)


def test_a_clip_of_egogesture_without_its_folder_is_named(tmp_path):
    read = samples_of("ego", tmp_path)
    shutil.rmtree(tmp_path / "Subject03/Scene1/Depth")
    with pytest.warns(UserWarning, match="first Subject03/Scene1/Color/rgb1"):
        read(tmp_path)


def test_a_missing_picture_names_the_one_that_lies_there(tmp_path):
    read = samples_of("ego", tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        renamed(path, f"{path.stem}.png")
    with pytest.raises(DataError, match="00000[0-9].jpg is missing; 00000[0-9].png"):
        read(tmp_path).read(0)


def vectors(*entries):
    body = b"".join(word + b" " + np.full(TEXT, value, "<f4").tobytes() + b"\n" for word, value in entries)
    return f"{len(entries)} {TEXT}\n".encode() + body


def test_vectors_in_the_text_format_are_no_binary_numbers(tmp_path):
    path = tmp_path / "word2vec.bin"
    numbers = " ".join(["-0.125"] * TEXT)
    path.write_text(f"2 {TEXT}\nlove {numbers}\nplot {numbers}\n")
    with pytest.raises(DataError, match="text format"):
        read_vectors(path, {"love", "plot"})


def test_of_two_vectors_of_a_word_the_first_counts(tmp_path):
    path = tmp_path / "word2vec.bin"
    path.write_bytes(vectors((b"love", 1), (b"plot", 3), (b"love", 2)))
    with pytest.warns(UserWarning, match="'love' has two vectors"):
        assert read_vectors(path, {"love"})["love"][0] == 1


def test_a_clip_that_is_annotated_twice_is_said(tmp_path):
    read = samples_of("ego lists", tmp_path)
    path = tmp_path / "trainlistall_but_None.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[0]]) + "\n")
    with pytest.warns(UserWarning, match=f"{lines[0].split()[0]}.*more than once"):
        read(tmp_path)
