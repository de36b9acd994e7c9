"""What lies in place of a raw file and is none, or another one, is named; a pipe is not waited for."""

import os
import pickle
import shutil
import threading

import pytest

from bmnas.errors import DataError
from bmnas.tasks.egogesture.samples import EgoSamples
from bmnas.tasks.mmimdb.samples import MmimdbSamples
from bmnas.tasks.ntu.samples import NtuSamples
from tests.support import raw_files

NAMES = [raw_files.ntu_name(performer, 1) for performer in (1, 2, 3)]
FRAME = "Subject03/Scene1/Color/rgb1/000001.jpg"
MOVIE = f"dataset/{raw_files.IDS[0]}"
FILES = [
    ("ntu", f"nturgbd_rgb/avi_256x256_30/{NAMES[0]}_rgb.avi"),
    ("ntu", f"nturgbd_skeletons/{NAMES[0]}.skeleton"),
    ("ntu", "NTU_RGBD_samples_with_missing_skeletons.txt"),
    ("ego", FRAME),
    ("ego lists", "classIndAll.txt"),
    ("ego lists", "trainlistall_but_None.txt"),
    ("hdf5", "multimodal_imdb.hdf5"),
    ("hdf5", "split.json"),
    ("npy", "train/image_000000.npy"),
    ("npy", "train/text_000000.npy"),
    ("raw", f"{MOVIE}.json"),
    ("raw", f"{MOVIE}.jpeg"),
]
READERS = {"ntu": NtuSamples, "ego": EgoSamples, "ego lists": EgoSamples}


def replaced(path, kind):
    """Puts something else in place of a file."""
    size = path.stat().st_size
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to nowhere":
        path.symlink_to("nowhere")
    elif kind == "an endless device":
        path.symlink_to("/dev/zero")
    else:
        content = {
            "nothing": b"",
            "a page": b"<!DOCTYPE html><html>404 not found</html>\n",
            "zeros": bytes(size),
            "a pickle": pickle.dumps({"a": 1}),
        }
        path.write_bytes(content[kind])


KINDS = ["a folder", "a pipe", "a link to nowhere", "an endless device", "nothing", "a page", "zeros", "a pickle"]


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    root = tmp_path_factory.mktemp("good")
    raw_files.write_ntu(root / "ntu", NAMES, frames=3)
    (root / "ntu" / FILES[2][1]).write_text(f"the incomplete ones:\n{raw_files.ntu_name(9, 9)}\n")
    raw_files.write_ego(root / "ego", clips=1, frames=3)
    raw_files.write_ego(root / "ego lists", clips=1, frames=3)
    raw_files.write_ego_lists(root / "ego lists", frames=3, clips=1)
    (root / "ego lists" / "egogestureall_but_None.json").unlink()
    for form in ("hdf5", "npy", "raw"):
        getattr(raw_files, f"write_{form}")(root / form)
    return root


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("form", "name"), FILES)
def test_what_lies_in_place_of_a_raw_file_is_named(form, name, kind, good, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(good / form, root)
    replaced(root / name, kind)
    errors = []

    def work():
        try:
            samples = READERS.get(form, MmimdbSamples)(root)
            for row in range(len(samples.names)):
                try:
                    samples.read(row)
                except DataError as error:
                    errors.append(error)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "a pipe is waited for"
    (error, *_) = errors
    assert isinstance(error, DataError), error
    listed = name.rsplit("/")[-1].rpartition(".")[0].removesuffix("_rgb")
    is_clip = form == "ntu" and "/" in name
    gone = "NTU split" if is_clip and kind == "a folder" else listed  # a folder is no clip of that name
    assert gone in str(error), error
