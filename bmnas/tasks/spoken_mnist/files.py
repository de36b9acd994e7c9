"""The files of MNIST and of the Free Spoken Digit Dataset, read by their formats."""

import gzip
import io
import math
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import regular
from bmnas.tasks.sound import RATE
from bmnas.tasks.spoken_mnist.download import fsdd_recordings, mnist_files
from bmnas.training.progress import Progress

WAV_NAME = re.compile(r"([0-9])_([a-z]+)_([0-9]+)\.wav")


@dataclass(frozen=True)
class Recordings:
    """FSDD: the sounds (float32, -1 to 1), their digits, and their numbers 0 to 49."""

    sounds: list[np.ndarray]
    digits: np.ndarray
    numbers: np.ndarray

    def of(self, numbers: range) -> np.ndarray:
        """Returns the recordings of some numbers, as positions in `sounds`."""
        return np.flatnonzero(np.isin(self.numbers, numbers))


def read_mnist(root: Path, progress: Progress | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Reads all 70,000 images, uint8 (70000, 28, 28), and digits, int64; the 60,000 for training first.

    Raises:
        DataError: see `mnist_files` and `read_idx`.
    """
    files = mnist_files(root, progress=progress)
    images = [read_idx(files[f"{part}-images-idx3-ubyte.gz"], 2051) for part in ("train", "t10k")]
    digits = [read_idx(files[f"{part}-labels-idx1-ubyte.gz"], 2049) for part in ("train", "t10k")]
    return np.concatenate(images), np.concatenate(digits).astype(np.int64)


def read_idx(path: Path, magic: int) -> np.ndarray:
    """Reads the bytes of a gzipped IDX file: big-endian magic (2051 images, 2049 labels), the sizes, then uint8.

    Raises:
        DataError: not gzip, another magic, or not as many bytes as the sizes say.
    """
    try:
        content = gzip.decompress(regular(path).read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be decompressed: {error}; delete it, and it will be downloaded again"
        ) from error
    axes = magic % 256
    if len(content) < 4 + 4 * axes:
        raise DataError(f"{path} has {len(content)} bytes; an IDX header of {axes} sizes has {4 + 4 * axes}")
    number, *shape = struct.unpack(f">{1 + axes}i", content[: 4 + 4 * axes])
    if number != magic:
        raise DataError(f"{path} starts with the magic number {number}; expected {magic}")
    body = np.frombuffer(content, np.uint8, offset=4 + 4 * axes)
    if min(shape) < 0 or len(body) != math.prod(shape):
        raise DataError(f"{path}: the sizes {shape} ask for {math.prod(shape)} bytes, but {len(body)} follow")
    return body.reshape(shape)


def read_fsdd(root: Path, progress: Progress | None = None) -> Recordings:
    """Reads all recordings, in the order of their names.

    Raises:
        DataError: see `fsdd_recordings` and `read_wav`.
    """
    files = fsdd_recordings(root, progress=progress)
    names = sorted(files)
    parts = [WAV_NAME.fullmatch(name) for name in names]
    return Recordings(
        sounds=[read_wav(name, files[name]) for name in names],
        digits=np.array([int(part[1]) for part in parts if part]),
        numbers=np.array([int(part[3]) for part in parts if part]),
    )


def read_wav(name: str, content: bytes) -> np.ndarray:
    """Reads a mono recording at 8 kHz, float32.

    Raises:
        DataError: not such a file.
    """
    import soundfile  # here: only recordings need it

    if content[:4] == b"RIFF" and len(content) < 8 + int.from_bytes(content[4:8], "little"):
        raise DataError(f"{name} is cut short: {len(content)} bytes, fewer than its header says")
    try:
        sound, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    except soundfile.SoundFileError as error:
        raise DataError(f"{name} cannot be read as wav: {error}") from error
    if sound.ndim != 1 or rate != RATE or len(sound) == 0:
        raise DataError(f"{name} has {sound.shape} samples at {rate} Hz; expected mono at {RATE} Hz")
    return sound
