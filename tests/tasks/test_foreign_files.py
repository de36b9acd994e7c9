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
    raw_files.write_raw(root)
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
        (gzip.compress(b'{"a": 1}'), "gzip"),
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
