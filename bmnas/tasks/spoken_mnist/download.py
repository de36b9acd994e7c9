"""MNIST and the Free Spoken Digit Dataset: found under the data root, or downloaded once, always compared with hashes.

MNIST (CC BY-SA 3.0): the four .gz files of the public distribution, under `mnist/`. FSDD (CC BY-SA 4.0): 3,000
recordings of github.com/Jakobovski/free-spoken-digit-dataset at one commit, under `fsdd/`, as the folder `recordings`
or as `fsdd_recordings.zip` with members recordings/<name>.wav.
"""

import hashlib
import os
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bmnas.errors import DataError
from bmnas.storage.digests import file_sha256
from bmnas.storage.reading import regular
from bmnas.storage.whole_files import REMEDIES, cannot_write
from bmnas.training.progress import Progress

MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST_FILES = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
FSDD_COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
FSDD_URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{FSDD_COMMIT}.zip"
FSDD_LISTING = "04e1baae96c6a26e39c623f2b01d0182ddae627ba0ac02a3cdc17ba2af99fd9b"  # of the sorted "sha256  path" lines
FSDD_MEMBER = re.compile(r"(?:[^/\\]+/)?recordings/([0-9]_[a-z]+_[0-9]{1,2}\.wav)")
LARGEST_WAV = 1 << 20  # bytes; the largest recording has 37 kB
LARGEST_ALL = 1 << 28  # bytes of all recordings; they have 27 MB
LARGEST_FILE = 1 << 28  # bytes of a download; the largest has 16 MB
TIMEOUT = 60  # seconds without an answer


def mnist_files(
    root: Path,
    *,
    url: str = MNIST_URL,
    files: Mapping[str, str] = MNIST_FILES,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """Returns MNIST's files under `root/mnist`, and downloads those that are missing.

    Args:
        root: the data root.
        url: where the files lie; ends in "/".
        files: name -> sha256.
        progress: called as progress("download <name>", bytes, of bytes).

    Raises:
        DataError: a file has another hash, cannot be fetched, or the data root cannot be written.
    """
    folder = root / "mnist"
    paths = {}
    for name, expected in files.items():
        path = folder / name
        if not path.exists():
            _fetch(url + name, path, expected, path, progress)
        elif _hash_of(path) != expected:
            raise DataError(f"{path}: its sha256 is not {expected}; delete it, and it will be downloaded again")
        paths[name] = path
    return paths


def fsdd_recordings(
    root: Path, *, url: str = FSDD_URL, listing: str = FSDD_LISTING, progress: Progress | None = None
) -> dict[str, bytes]:
    """Returns all recordings, file name -> the bytes of its wav, from `root/fsdd`; downloaded where they are missing.

    Args:
        root: the data root.
        url: the archive of the repository, a zip.
        listing: sha256 of the sorted lines "<sha256>  recordings/<name>".
        progress: as in `mnist_files`.

    Raises:
        DataError: the recordings are not those of the listing, cannot be fetched, or the root cannot be written.
    """
    packed, unpacked = root / "fsdd" / "fsdd_recordings.zip", root / "fsdd" / "recordings"
    if packed.exists():
        return _checked(packed, read_archive(packed), listing)
    if not unpacked.exists():
        _fetch_recordings(url, unpacked, listing, progress)
    return _checked(unpacked, _read_folder(unpacked), listing)


def _read_folder(folder: Path) -> dict[str, bytes]:
    """Reads the recordings in a folder, name -> bytes."""
    try:
        return {path.name: regular(path).read_bytes() for path in sorted(folder.glob("*.wav"))}
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error}; delete it, and the recordings will be downloaded again"
        ) from error


def read_archive(path: Path) -> dict[str, bytes]:
    """Reads the recordings in a zip, name -> bytes; no other member is looked at, and nothing is written.

    Raises:
        DataError: not a zip, damaged, or a recording larger than any real one.
    """
    recordings = {}
    room = LARGEST_ALL
    try:
        with zipfile.ZipFile(regular(path)) as archive:
            for member in archive.infolist():
                match = FSDD_MEMBER.fullmatch(member.filename)
                room -= member.file_size if match else 0
                if match and (member.file_size > LARGEST_WAV or room < 0):
                    raise DataError(
                        f"{path}: with {member.filename} of {member.file_size} bytes it is too large; a recording has "
                        f"{LARGEST_WAV} at most, all of them {LARGEST_ALL}"
                    )
                if match:
                    recordings[match[1]] = archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} cannot be read as a zip: {error}; delete it, and it will be downloaded again"
        ) from error
    return recordings


def listing_hash(recordings: Mapping[str, bytes]) -> str:
    """Computes the sha256 of the lines "<sha256>  recordings/<name>", sorted by name."""
    lines = [f"{hashlib.sha256(recordings[name]).hexdigest()}  recordings/{name}\n" for name in sorted(recordings)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _checked(where: Path | str, recordings: dict[str, bytes], listing: str) -> dict[str, bytes]:
    if listing_hash(recordings) != listing:
        raise DataError(
            f"{where}: its {len(recordings)} recordings are not the 3,000 of FSDD at {FSDD_COMMIT[:10]} (their listing "
            "has another sha256); delete them, and they will be downloaded again"
        )
    return recordings


def _fetch_recordings(url: str, folder: Path, listing: str, progress: Progress | None) -> None:
    """Downloads the archive and writes its recordings to a new folder, whole or not at all.

    GitHub packs the archive again now and then, so that it has no hash of its own; the recordings have.
    """
    _make_writable(folder.parent, url)
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", suffix=".partial", dir=folder.parent) as partial:
            archive = Path(partial) / "archive.zip"
            unpacked = Path(partial) / "recordings"
            _fetch(url, archive, None, folder, progress)
            recordings = _checked(url, read_archive(archive), listing)
            unpacked.mkdir()
            for name, content in recordings.items():
                (unpacked / name).write_bytes(content)
            os.rename(unpacked, folder)
    except OSError as error:
        raise DataError(cannot_write(folder, error, "nothing was changed")) from error


def _fetch(url: str, path: Path, expected: str | None, target: Path, progress: Progress | None) -> None:
    """Downloads a file, whole or not at all, and compares its sha256.

    Args:
        url, path: from where, to where.
        expected: sha256; None compares nothing.
        target: what lacks without it, for errors and progress.
        progress: as in `mnist_files`.

    Raises:
        DataError: it cannot be fetched, is too large, or has another sha256.
    """
    import pooch  # here, for stored data does not need it

    pooch.get_logger().setLevel("WARNING")
    _make_writable(path.parent, url)
    meter: Any = _Meter(target, progress)  # pooch takes any object with these methods, but says bool
    downloader = pooch.HTTPDownloader(progressbar=meter, timeout=TIMEOUT)
    known_hash = None if expected is None else f"sha256:{expected}"
    try:
        pooch.retrieve(url, known_hash=known_hash, fname=path.name, path=path.parent, downloader=downloader)  # pyright: ignore[reportArgumentType]
    except DataError:
        raise
    except OSError as error:
        if error.errno in REMEDIES:  # it came, but there is no place for it
            raise DataError(cannot_write(path, error, "nothing was kept")) from error
        raise DataError(
            f"{target} is missing and {url} cannot be downloaded: {error}. Put it there by hand, set BMNAS_DATA to a "
            "folder that has it, or use the dataset 'digits', which needs no download"
        ) from error
    except ValueError as error:
        raise DataError(f"{url} gave a file with another sha256 than {expected}: {error}. Nothing was kept") from error


class _Meter:
    """What pooch takes for a progress bar: reports the bytes, and stops where there are too many."""

    def __init__(self, target: Path, progress: Progress | None) -> None:
        self.target = target
        self.progress = progress
        self.total = 0
        self.done = 0

    def update(self, count: int) -> None:
        """Adds bytes."""
        self.done += count
        if max(self.done, self.total) > LARGEST_FILE:
            raise DataError(f"{self.target} cannot be downloaded: it has more than {LARGEST_FILE} bytes")
        if self.progress and count:
            self.progress(f"download {self.target.name}", self.done, self.total)

    def reset(self) -> None:
        """Starts again; pooch does so at the end, to show that all has come."""
        self.done = 0

    def close(self) -> None:
        """Does nothing: there is nothing to clear."""


def _make_writable(folder: Path, url: str) -> None:
    """Makes the folder, unless it, or the one that it would lie in, is read-only."""
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = os.access(place, os.W_OK) and place.stat().st_mode & stat.S_IWUSR
    if not place.is_dir() or not writable:
        why = "read-only" if place.is_dir() else "no folder"
        raise DataError(
            f"data is missing under {folder}, and {place} is {why}, so it cannot be downloaded there from {url}; "
            "put the files there, or set BMNAS_DATA to a folder that can be written"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(cannot_write(folder, error, "nothing was changed")) from error


def _hash_of(path: Path) -> str:
    """Returns the sha256 of a file that lies there already."""
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; delete it, and it will be downloaded again") from error
