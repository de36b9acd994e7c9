"""Every reader comes to the end of its file, and no picture loses the upper half of its numbers."""

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from bmnas.errors import DataError, FeatureError
from bmnas.features.feature_set import FeatureSet
from bmnas.features.npy import open_npy
from bmnas.tasks.file_readers.jpeg import read_picture
from bmnas.tasks.mmimdb.npy import read_npy
from bmnas.tasks.mmimdb.posters import read_poster
from bmnas.tasks.spoken_mnist.files import RATE, read_wav
from tests.support.tiny import tiny_features

MORE = [b"\0", b"\n", b"\x93NUMPY", bytes(4096)]


@pytest.mark.parametrize("more", MORE, ids=len)
def test_an_array_with_something_behind_it_is_refused(tmp_path, more):
    path = tmp_path / "train" / "text_000000.npy"
    path.parent.mkdir()
    np.save(path, np.ones(300, np.float32))
    assert open_npy(path).shape == (300,)
    with path.open("ab") as file:
        file.write(more)
    with pytest.raises(ValueError, match=f"{len(more)} bytes follow"):
        open_npy(path)
    with pytest.raises(DataError, match="bytes follow"):
        read_npy(tmp_path, "train", "text", 0)


def test_so_is_one_of_a_feature_set(tmp_path):
    folder = tiny_features().save(tmp_path / "features")
    with next(folder.glob("01_*.npy")).open("ab") as file:
        file.write(b"more")
    for verify in (True, False):
        with pytest.raises(FeatureError, match="bytes follow"):
            FeatureSet.open(folder, verify=verify)


def wav(seconds=0.1):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.sin(np.arange(int(RATE * seconds))), RATE, format="WAV")
    return buffer.getvalue()


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_recording_that_is_cut_short_is_refused(share):
    whole = wav()
    assert len(read_wav("0_a_0.wav", whole)) == int(RATE * 0.1)
    with pytest.raises(DataError, match="0_a_0.wav"):
        read_wav("0_a_0.wav", whole[: int(share * len(whole))])


DEEP = {
    "16 bits": Image.fromarray(np.full((300, 200), 40_000, np.uint16)),
    "32 bits": Image.fromarray(np.full((300, 200), 40_000, np.int32)),
}


@pytest.mark.parametrize("kind", DEEP)
def test_a_picture_of_more_than_8_bits_is_refused_not_clipped(tmp_path, kind):
    path = tmp_path / "depth.tif"
    DEEP[kind].save(path)
    for read in (read_picture, read_poster):
        with pytest.raises(DataError, match=r"depth.tif.*8 bits"):
            read(path)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "LA", "1"])
def test_pictures_of_8_bits_are_read_whatever_their_mode(tmp_path, mode):
    path = tmp_path / ("poster.tif" if mode == "CMYK" else "poster.png")
    Image.new("RGB", (160, 256), (255, 255, 255)).convert(mode).save(path)
    assert read_picture(path).min() == 255
    assert read_poster(path).shape == (3, 256, 160)
