"""Raw files that are damaged, or of the right form and wrong content: one error that names file, field and line."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bmnas.errors import DataError
from bmnas.tasks.egogesture.annotations import read_ego_classes, read_ego_json, read_ego_list
from bmnas.tasks.egogesture.samples import EgoSamples, read_annotations
from bmnas.tasks.file_readers.jpeg import read_picture
from bmnas.tasks.mmimdb.hdf5 import MmimdbFile
from bmnas.tasks.mmimdb.raw import read_movie
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.mmimdb.split import read_split
from bmnas.tasks.mmimdb.word2vec import read_vectors
from bmnas.tasks.ntu.samples import NtuSamples
from bmnas.tasks.ntu.skeleton import read_skeleton
from tests.support import raw_files
from tests.support.fuzz import contents, fields, flips, only, truncations
from tests.support.fuzz_raw import array, column, hdf5, line, other, removed, swapped

NAME = raw_files.ntu_name(1, 1)
SKELETON = f"nturgbd_skeletons/{NAME}.skeleton"
VIDEO = f"nturgbd_rgb/avi_256x256_30/{NAME}_rgb.avi"
EGO_JSON = "egogestureall_but_None.json"
KEY = "Subject03/Scene1/Color/rgb1"
MOVIE = f"dataset/{raw_files.IDS[0]}"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Every format once, as it should be."""
    root = tmp_path_factory.mktemp("good")
    raw_files.write_ntu(root / "ntu", [NAME, raw_files.ntu_name(2, 1), raw_files.ntu_name(3, 1)], frames=3)
    raw_files.write_ego(root / "ego", clips=1, frames=3)
    raw_files.write_ego_lists(root / "ego", frames=3, clips=1)
    raw_files.write_hdf5(root / "hdf5")
    raw_files.write_npy(root / "npy")
    raw_files.write_raw(root / "raw")
    return root


# readers: each reads the damaged file from the folder of its format


def skeleton(root):
    read_skeleton(root / SKELETON)


def video(root):
    NtuSamples(root).read(0, "Video")


def split(root):
    read_split(root / "split.json")


def movies(root):
    MmimdbSamples(root)


def movie(root):
    read_movie(root / f"{MOVIE}.json")


def first_movie(root):
    MmimdbSamples(root).read(0)


def whole_file(root):
    with MmimdbFile(root / "multimodal_imdb.hdf5") as file:
        for row in range(len(file)):
            for read in (file.text, file.image, file.target):
                read(row)


def vectors(root):
    read_vectors(root / "word2vec.bin", {"love", "plot"})


def ego_json(root):
    read_ego_json(root / EGO_JSON)


def ego_list(root):
    read_ego_list(root / "trainlistall_but_None.txt", "train")


def ego_classes(root):
    read_ego_classes(root / "classIndAll.txt")


def ego_clips(root):
    (root / EGO_JSON).unlink()
    read_annotations(root)


def first_clip(root):
    EgoSamples(root).read(0)


LONG = "9" * 5000
BAD_COUNTS = ("-1", "1.5", "x", "", " 3", "3 ", "+3", "1e1", "\u0663", "0x3")
FRAME = f"{KEY}/000001.jpg"


def cases(reader, folder, file, *groups, says=""):
    return [
        pytest.param(reader, folder, file, damage, says, id=f"{folder}/{file}: {name}".replace("\0", "NUL"))
        for group in groups
        for name, damage in group
    ]


FILES = [
    *cases(skeleton, "ntu", SKELETON, contents(("empty",)), says="line 1: frame count"),
    *cases(skeleton, "ntu", SKELETON, line(1, *BAD_COUNTS, "0", LONG), says="line 1: frame count"),
    *cases(skeleton, "ntu", SKELETON, line(1, "4", "1000000"), says="body count"),
    *cases(skeleton, "ntu", SKELETON, line(1, "2"), says="text behind the last frame"),
    *cases(skeleton, "ntu", SKELETON, line(2, *BAD_COUNTS, LONG), says="line 2: body count"),
    *cases(skeleton, "ntu", SKELETON, line(2, "2", "100000000"), says="fields of a body"),
    *cases(skeleton, "ntu", SKELETON, line(3, "", "1 2 3", "1 0 0 0 0 0 0 0 0 0 0"), says="line 3: number of fields"),
    *cases(skeleton, "ntu", SKELETON, column(3, 1, "-1", "1.5", "9223372036854775808", "nan"), says="line 3: bodyID"),
    *cases(skeleton, "ntu", SKELETON, column(3, 8, "x", "inf", "1_0", ""), says="line 3: leanX"),
    *cases(skeleton, "ntu", SKELETON, line(4, "24", "26", "0", "-25", "25.0", ""), says="line 4: joint count"),
    *cases(skeleton, "ntu", SKELETON, column(5, 1, "x", "inf", "-Infinity", "1e999", "1_0", "0x1"), says="line 5: x"),
    *cases(skeleton, "ntu", SKELETON, column(6, 3, "x", "inf"), says="line 6: z"),
    *cases(skeleton, "ntu", SKELETON, column(5, 12, "3", "-1", "2.0", "nan"), says="line 5: trackingState"),
    *cases(skeleton, "ntu", SKELETON, line(29, "1 2 3"), says="line 29: number of fields of a joint"),
    *cases(skeleton, "ntu", SKELETON, truncations((0.2, 0.5, 0.9)), says="line "),
    *cases(skeleton, "ntu", SKELETON, contents(("no text", "nothing but zeros", "a list", "deep")), says=""),
    *cases(video, "ntu", VIDEO, contents(("empty", "nothing but zeros", "no text", "a list")), says="video"),
    *cases(video, "ntu", VIDEO, truncations((0.01, 0.1)), says=""),
    *cases(split, "raw", "split.json", contents(), truncations((0.3, 0.9)), says=""),
    *cases(split, "raw", "split.json", fields(["train", "dev", "test"]), says="expected"),
    *cases(split, "raw", "split.json", *(only(place, None, 106714, "106714", "01067140", "010671x", [], {})
           for place in ("train.0", "dev.1")), says="]"),
    *cases(split, "raw", "split.json", only("test.0", "tt0106714", "\u0660" * 7, "0106714\n"), says="test[0]"),
    *cases(split, "raw", "split.json", only("test.1", raw_files.IDS[0]), says="not yet in train[0]"),
    *cases(split, "raw", "split.json", only("train.1", raw_files.IDS[0]), says="not yet in train[0]"),
    *cases(movie, "raw", f"{MOVIE}.json", contents(), removed(), says=""),
    *cases(movie, "raw", f"{MOVIE}.json", fields(["plot", "genres"]), says="a list of texts"),
    *cases(movie, "raw", f"{MOVIE}.json", only("genres", ["Drama", "drama"], [""], ["Dramas"]), says="genres"),
    *cases(first_movie, "raw", f"{MOVIE}.json", only("plot", [""], ["..."], ["no known word"]), says="vector"),
    *cases(first_movie, "raw", f"{MOVIE}.jpeg", contents(("empty", "nothing but zeros", "no text", "a pickle")),
           truncations((0.1, 0.5)), removed(), says=""),
    *cases(vectors, "raw", "word2vec.bin", contents(("empty", "nothing but zeros", "a list", "a number", "a pickle")),
           says="line 1: the first line"),
    *cases(vectors, "raw", "word2vec.bin", swapped(b"3 300\n", b"3 299\n"), swapped(b"3 300\n", b"3 0\n"),
           says="length of a vector"),
    *cases(vectors, "raw", "word2vec.bin", swapped(b"3 300\n", b"-3 300\n"), swapped(b"3 300\n", b"3.0 300\n"),
           swapped(b"3 300\n", b"300\n"), swapped(b"3 300\n", b"3 300 1\n"), says="the first line"),
    *cases(vectors, "raw", "word2vec.bin", swapped(b"3 300\n", b"4 300\n"), says="word 3"),
    *cases(vectors, "raw", "word2vec.bin", swapped(b"3 300\n", b"99999999999 300\n"), says="word 3"),
    *cases(vectors, "raw", "word2vec.bin", truncations((0.2, 0.6)), says="cut short"),
    *cases(vectors, "raw", "word2vec.bin", swapped(b"\x00\x00\x80\x3f", b"\x00\x00\xc0\x7f"),  # NaN for 1

           says="vector of 'love'"),
    *cases(whole_file, "hdf5", "multimodal_imdb.hdf5", contents(("empty", "nothing but zeros", "a list", "a pickle")),
           truncations((0.001, 0.3, 0.9)), removed(), says=""),
    *(case for name in ("features", "images", "genres", "imdb_ids") for case in cases(
        whole_file, "hdf5", "multimodal_imdb.hdf5",
        hdf5(f"no {name}", other(name, None)),
        hdf5(f"one row less of {name}", other(name, lambda a: a[:-1])),
        hdf5(f"{name} of a higher rank", other(name, lambda a: a[..., None])),
        hdf5(f"a number for {name}", other(name, lambda a: 7)),
        hdf5(f"{name} as complex numbers", other(name, lambda a: np.zeros(a.shape, np.complex64))),
        says="" if name == "features" else name)),  # whose rows are too few, only the others can say
    *cases(whole_file, "hdf5", "multimodal_imdb.hdf5",
           hdf5("a group for images", lambda f: (f.pop("images"), f.create_group("images"))),
           hdf5("images in another order", other("images", lambda a: a.transpose(0, 1, 3, 2))),
           hdf5("float images", other("images", lambda a: a.astype(np.float32))),
           hdf5("images above 255", other("images", lambda a: a + 200)),
           hdf5("images far below 0", other("images", lambda a: a - 100)), says="images"),
    *cases(whole_file, "hdf5", "multimodal_imdb.hdf5",
           hdf5("NaN features", other("features", lambda a: np.where(np.arange(300) == 7, np.nan, a))),
           hdf5("infinite features", other("features", lambda a: np.where(np.arange(300) == 7, np.inf, a))),
           hdf5("299 features", other("features", lambda a: a[:, 1:])), says="features"),
    *cases(whole_file, "hdf5", "multimodal_imdb.hdf5",
           hdf5("a genre of 2", other("genres", lambda a: a + 1)),
           hdf5("a genre of -1", other("genres", lambda a: a - 1)),
           hdf5("22 genres", other("genres", lambda a: a[:, 1:])),
           hdf5("no target_names", lambda f: f["genres"].attrs.pop("target_names")),
           hdf5("target_names that are no JSON", lambda f: f["genres"].attrs.modify("target_names", "Drama, Comedy")),
           hdf5("target_names of numbers", lambda f: f["genres"].attrs.modify("target_names", "[1, 2]")),
           hdf5("a name twice", lambda f: f["genres"].attrs.modify("target_names", json.dumps(["Drama"] * 23))),
           hdf5("a deep list", lambda f: f["genres"].attrs.modify("target_names", "[" * 20000)), says="genres"),
    *cases(movies, "hdf5", "multimodal_imdb.hdf5",
           hdf5("an id twice", other("imdb_ids", lambda a: np.array([a[1], *a[1:]]))),
           hdf5("an id that is none", other("imdb_ids", lambda a: np.array([b"\xff" * 7, *a[1:]]))), says="imdb_ids"),
    *cases(movies, "hdf5", "multimodal_imdb.hdf5", hdf5("other genres", lambda f: f["genres"].attrs.modify(
        "target_names", json.dumps([f"genre {i}" for i in range(23)]))), says="target_names"),
    *cases(first_movie, "npy", "train/image_000000.npy", contents(("empty", "a pickle")), truncations((0.5,)),
           removed(), array("another shape", lambda a: a[:, :-1]), array("a rank more", lambda a: a[None]),
           array("pixels above 255", lambda a: a + 200), array("texts", lambda a: a.astype(str)),
           array("NaN", lambda a: np.full(a.shape, np.nan)), says=""),
    *cases(first_movie, "npy", "train/text_000000.npy", truncations((0.0, 0.9)), removed(),
           array("a sequence", lambda a: np.stack([a, a])), array("NaN", lambda a: a * np.nan),
           array("infinities", lambda a: a * np.inf), array("complex numbers", lambda a: a + 1j), says=""),
    *cases(first_movie, "npy", "train/label_000000.npy", removed(), array("27 genres", lambda a: np.zeros(27)),
           array("2", lambda a: a + 1), array("a half", lambda a: a * 0.5), array("a number", lambda a: a.sum()),
           says=""),
    *cases(ego_json, "ego", EGO_JSON, contents(), truncations((0.2, 0.9)), removed(), says=""),
    *cases(ego_json, "ego", EGO_JSON, fields(["labels"]), only("labels", ["a", "a"], [1], [""] * 2), says="labels"),
    *cases(ego_json, "ego", EGO_JSON, fields(["database"]), says="database"),
    *cases(ego_json, "ego", EGO_JSON, fields([f"database.{KEY}.annotations", f"database.{KEY}.subset"]), says=KEY),
    *cases(ego_json, "ego", EGO_JSON, only(f"database.{KEY}", None, 7, [], {}, "x"), says=KEY),
    *cases(ego_json, "ego", EGO_JSON, fields([f"database.{KEY}.annotations.label"]),
           only(f"database.{KEY}.annotations.label", "None", "gesture 0", "gesture 84"), says="label"),
    *cases(ego_json, "ego", EGO_JSON, fields([f"database.{KEY}.annotations.start_frame"]), only(
        f"database.{KEY}.annotations.start_frame", "0", 0, "-1", "1.5", "nan", "inf", "1e400", "x", "", " "),
        says="start_frame"),
    *cases(ego_json, "ego", EGO_JSON, only(f"database.{KEY}.annotations.end_frame", "0", 0.5, "-3", True, "1e300", 1e6),
           says="end_frame"),
    *cases(ego_json, "ego", EGO_JSON, only(f"database.{KEY}.subset", "train", "Training", 1), says="subset"),
    *cases(ego_json, "ego", EGO_JSON, swapped(b'"Subject03/Scene1/Color/rgb1"', b'"Subject3/Scene1/Color/rgb1"'),
           swapped(b'"Subject03/Scene1/Color/rgb1"', b'"../../etc/Subject03/Scene1/Color/rgb1"'),
           swapped(b'"Subject03/Scene1/Color/rgb1"', b'""'), says="key"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", contents(("empty",)), says="number of lines"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", contents(("no text", "nothing but zeros", "a list", "deep")),
           says=""),
    *cases(ego_list, "ego", "trainlistall_but_None.txt",
           line(2, "", f"{KEY} 1 1", f"{KEY} 1 1 2 3", f"{KEY},1,1,2", f"{KEY} 1 1 2 3 4 5"),
           says="line 2: number of fields"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", column(2, 2, "0", "84", "-1", "1.5", "x", "nan"),
           says="line 2: class"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", column(2, 3, "0", "-1", "1.5", "x", "inf"),
           says="line 2: start"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", column(1, 4, "0", "-1", "x", "1e18"), says="line 1: end"),
    *cases(ego_list, "ego", "trainlistall_but_None.txt", column(1, 1, "Subject03", "/etc", f"{KEY}/.."),
           says="line 1: folder"),
    *cases(ego_classes, "ego", "classIndAll.txt", contents(("empty", "no text", "a list", "a number")), says=""),
    *cases(ego_classes, "ego", "classIndAll.txt", line(3, "", "3", "4 gesture", "x gesture", "3 ", "-3 gesture"),
           says="line 3: "),
    *cases(ego_clips, "ego", "vallistall_but_None.txt", removed(), says="vallistall_but_None.txt"),
    *cases(first_clip, "ego", FRAME, contents(("empty", "nothing but zeros", "a list")), truncations((0.1, 0.5)),
           removed(), says="000001.jpg"),
]  # fmt: skip


def test_the_damages_are_many():
    assert len({case.id for case in FILES}) == len(FILES) >= 350


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.timeout(30)
@pytest.mark.parametrize(("reader", "folder", "file", "damage", "says"), FILES)
def test_a_damaged_raw_file(good, tmp_path, reader, folder, file, damage, says):
    root = tmp_path / folder
    shutil.copytree(good / folder, root)
    damage(root / file)
    before = snapshot(root)
    with pytest.raises(DataError) as error:
        reader(root)
    told = str(error.value)
    assert str(root) in told and says in told and len(told) < 2000
    assert Path(file).name in told or reader in (ego_clips, movies)
    assert reader is ego_clips or snapshot(root) == before


BAD_NAMES = (
    *("x", "S001C001P001R001", "S1C1P1R1A1", "s001c001p001r001a001", "S001C001P001R001A001(1)"),
    *("S033C001P001R001A001", "S001C000P001R001A001", "S001C001P107R001A001", "S001C001P001R003A001"),
    "S001C001P001R001A121",
)


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("like", [VIDEO, SKELETON], ids=["video", "skeleton"])
def test_a_file_with_a_name_that_is_none(good, tmp_path, name, like):
    shutil.copytree(good / "ntu", tmp_path / "ntu")
    path = tmp_path / "ntu" / like.replace(NAME, name)
    path.touch()
    with pytest.raises(DataError, match="NTU name") as error:
        NtuSamples(tmp_path / "ntu")
    assert str(path) in str(error.value)


def avi_without_frames(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height = stream.width = 64
        container.start_encoding()


def avi_of_sound(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)


@pytest.mark.parametrize("write", [avi_without_frames, avi_of_sound])
def test_a_video_that_is_none(good, tmp_path, write):
    shutil.copytree(good / "ntu", tmp_path / "ntu")
    write(tmp_path / "ntu" / VIDEO)
    with pytest.raises(DataError, match=NAME):
        video(tmp_path / "ntu")


@pytest.mark.parametrize("row", range(6))
def test_a_frame_folder_with_a_gap(good, tmp_path, row):
    shutil.copytree(good / "ego", tmp_path / "ego")
    samples = EgoSamples(tmp_path / "ego")
    (tmp_path / "ego" / samples.clips[row].depth / "000002.jpg").unlink()
    with pytest.raises(DataError, match=f"{samples.clips[row].depth}/000002.jpg is missing"):
        samples.read(row)


def test_a_picture_without_pixels(tmp_path):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.jpg")
    assert read_picture(tmp_path / "one.jpg", 3, short_side=8).shape == (8, 8, 3)
    data = bytearray((tmp_path / "one.jpg").read_bytes())
    place = data.index(b"\xff\xc0")  # the frame header: length, precision, height, width
    data[place + 5 : place + 9] = bytes(4)
    (tmp_path / "none.jpg").write_bytes(data)
    with pytest.raises(DataError, match=r"none\.jpg"):
        read_picture(tmp_path / "none.jpg", 3, short_side=8)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize(
    ("reader", "folder", "file"),
    [(skeleton, "ntu", SKELETON), (video, "ntu", VIDEO), (whole_file, "hdf5", "multimodal_imdb.hdf5"),
     (vectors, "raw", "word2vec.bin"), (first_movie, "raw", f"{MOVIE}.jpeg"), (ego_json, "ego", EGO_JSON),
     (split, "raw", "split.json"), (ego_list, "ego", "trainlistall_but_None.txt")],
    ids=lambda part: part.__name__ if callable(part) else None,
)  # fmt: skip
@pytest.mark.timeout(30)
def test_any_changed_byte_is_read_or_refused(good, tmp_path, reader, folder, file, seed):
    """A changed number may be a good number; what must not happen is a crash, a hang or another kind of error."""
    copy = tmp_path / folder
    shutil.copytree(good / folder, copy, copy_function=os.link)
    for _, damage in list(flips(seed + 1))[seed:]:
        damage(copy / file)
    with contextlib.suppress(DataError):
        reader(copy)
