"""Downloads, tried against a server on this machine with small files of the same formats."""

import gzip
import hashlib
import io
import struct
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile

from bmnas.errors import DataError
from bmnas.machine import data_root
from bmnas.tasks.spoken_mnist.download import (
    FSDD_LISTING,
    MNIST_FILES,
    fsdd_recordings,
    listing_hash,
    mnist_files,
    read_archive,
)
from bmnas.tasks.spoken_mnist.files import read_idx, read_wav

CONTENT = b"some bytes" * 1000
FILES = {"a.gz": hashlib.sha256(CONTENT).hexdigest()}
WAVS = {"0_ann_0.wav": b"RIFF0", "9_bob_49.wav": b"RIFF9"}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


LISTING = sha256("".join(f"{sha256(content)}  recordings/{name}\n" for name, content in WAVS.items()).encode())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A folder, and the URL that it is served under."""
    folder = tmp_path_factory.mktemp("served")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def archive(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return buffer.getvalue()


GOOD = {f"repository-26eb9aaf/recordings/{name}": content for name, content in WAVS.items()}
NOISE = {"repository-26eb9aaf/README.md": b"text", "repository-26eb9aaf/recordings/": b""}


def everything(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# MNIST's files


def test_a_missing_file_is_fetched_once(served, tmp_path):
    folder, url = served
    (folder / "a.gz").write_bytes(CONTENT)
    told = []
    found = mnist_files(tmp_path, url=url, files=FILES, progress=lambda *args: told.append(args))
    assert found["a.gz"].read_bytes() == CONTENT and everything(tmp_path) == ["mnist", "mnist/a.gz"]
    assert told[-1] == ("download a.gz", len(CONTENT), len(CONTENT))
    assert mnist_files(tmp_path, url="http://127.0.0.1:9/", files=FILES) == found  # nothing is asked for again


def test_another_hash_is_refused_and_nothing_is_kept(served, tmp_path):
    folder, url = served
    (folder / "a.gz").write_bytes(CONTENT[:-1])
    with pytest.raises(DataError, match="sha256.*Nothing was kept"):
        mnist_files(tmp_path, url=url, files=FILES)
    assert everything(tmp_path) == ["mnist"]


def test_a_damaged_file_is_not_replaced_silently(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "a.gz").write_bytes(b"mine")
    with pytest.raises(DataError, match="a.gz.*delete it"):
        mnist_files(tmp_path, url="http://127.0.0.1:9/", files=FILES)
    assert (tmp_path / "mnist" / "a.gz").read_bytes() == b"mine"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "nonsense", "http://[/"])
def test_no_network_says_what_to_do(tmp_path, url):
    with pytest.raises(DataError, match=r"a.gz.*BMNAS_DATA.*digits"):
        mnist_files(tmp_path, url=url, files=FILES)
    assert everything(tmp_path) == ["mnist"]


def test_a_file_that_the_server_does_not_have(served, tmp_path):
    with pytest.raises(DataError, match="404"):
        mnist_files(tmp_path, url=served[1], files={"missing.gz": "0" * 64})


def test_a_file_too_large_to_be_one_is_stopped_and_nothing_is_kept(served, tmp_path, monkeypatch):
    folder, url = served
    (folder / "a.gz").write_bytes(CONTENT)
    monkeypatch.setattr("bmnas.tasks.spoken_mnist.download.LARGEST_FILE", len(CONTENT) - 1)
    with pytest.raises(DataError, match=f"a.gz.*more than {len(CONTENT) - 1} bytes"):
        mnist_files(tmp_path, url=url, files=FILES)
    assert everything(tmp_path) == ["mnist"]


def test_a_read_only_root_is_left_alone(served, tmp_path):
    folder, url = served
    (folder / "a.gz").write_bytes(CONTENT)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(DataError, match="read-only.*BMNAS_DATA"):
            mnist_files(tmp_path, url=url, files=FILES)
        with pytest.raises(DataError, match="read-only"):
            fsdd_recordings(tmp_path, url=url + "good.zip", listing=LISTING)
        assert everything(tmp_path) == []
    finally:
        tmp_path.chmod(0o755)


# recordings


def test_recordings_are_fetched_once_and_only_they_are_unpacked(served, tmp_path):
    folder, url = served
    (folder / "good.zip").write_bytes(archive(GOOD | NOISE))
    assert fsdd_recordings(tmp_path, url=url + "good.zip", listing=LISTING) == WAVS
    wanted = ["fsdd", "fsdd/recordings", *(f"fsdd/recordings/{name}" for name in WAVS)]
    assert everything(tmp_path) == wanted
    assert fsdd_recordings(tmp_path, url="http://127.0.0.1:9/", listing=LISTING) == WAVS


def test_our_own_zip_is_accepted(tmp_path):
    (tmp_path / "fsdd").mkdir()
    packed = tmp_path / "fsdd" / "fsdd_recordings.zip"
    packed.write_bytes(archive({f"recordings/{name}": content for name, content in WAVS.items()}))
    assert fsdd_recordings(tmp_path, url="http://127.0.0.1:9/", listing=LISTING) == WAVS


@pytest.mark.parametrize(
    "members",
    [
        {**GOOD, "repository-26eb9aaf/recordings/1_eve_1.wav": b"more"},
        {"repository-26eb9aaf/recordings/0_ann_0.wav": b"RIFF0"},
        {**GOOD, "repository-26eb9aaf/recordings/0_ann_0.wav": b"changed"},
        {},
    ],
    ids=["more", "fewer", "changed", "none"],
)
def test_other_recordings_are_refused_and_nothing_is_kept(served, tmp_path, members):
    folder, url = served
    (folder / "bad.zip").write_bytes(archive(members))
    with pytest.raises(DataError, match="sha256"):
        fsdd_recordings(tmp_path, url=url + "bad.zip", listing=LISTING)
    assert everything(tmp_path) == ["fsdd"]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK no zip", archive(GOOD)[:-30], archive(GOOD)[:40] + b"x" * 60],
    ids=["empty", "no archive", "without an end", "damaged"],
)
def test_broken_archives_are_refused(served, tmp_path, content):
    folder, url = served
    (folder / "broken.zip").write_bytes(content)
    with pytest.raises(DataError):
        fsdd_recordings(tmp_path, url=url + "broken.zip", listing=LISTING)
    assert everything(tmp_path) == ["fsdd"]


@pytest.mark.parametrize(
    "name",
    [
        "../recordings/0_ann_0.wav",
        "/recordings/0_ann_0.wav",
        "a/b/recordings/0_ann_0.wav",
        "recordings/../0_ann_0.wav",
        "recordings/sub/0_ann_0.wav",
        "recordings/0_ann_0.wav.exe",
        "recordings\\0_ann_0.wav",
        "other/0_ann_0.wav",
    ],
)
def test_members_elsewhere_are_never_written(served, tmp_path, name):
    folder, url = served
    (folder / "escape.zip").write_bytes(archive({**GOOD, name: b"evil"}))
    root = tmp_path / "root"
    found = {}
    try:
        found = fsdd_recordings(root, url=url + "escape.zip", listing=LISTING)
    except DataError:
        assert everything(root) == ["fsdd"]
    else:
        assert found == WAVS
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]


def test_a_recording_too_large_to_be_one_is_not_read(tmp_path):
    path = tmp_path / "bomb.zip"
    path.write_bytes(archive({"recordings/0_ann_0.wav": bytes(2_000_000)}))
    with pytest.raises(DataError, match="2000000 bytes"):
        read_archive(path)


def test_the_listing_is_sorted_by_name():
    assert listing_hash(dict(reversed(WAVS.items()))) == LISTING


# formats


def idx(magic, shape, body, cut=0):
    content = struct.pack(f">{1 + len(shape)}i", magic, *shape) + body
    return gzip.compress(content[: len(content) - cut])


def test_idx_is_read_by_its_definition(tmp_path):
    path = tmp_path / "x.gz"
    path.write_bytes(idx(2051, (2, 3, 4), bytes(range(24))))
    assert (read_idx(path, 2051) == np.arange(24).reshape(2, 3, 4)).all()
    path.write_bytes(idx(2049, (5,), b"abcde"))
    assert read_idx(path, 2049).tobytes() == b"abcde"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(2049, (2,), b"ab"), "magic number 2049; expected 2051|8 bytes|10 bytes"),
        (idx(1234, (2, 3, 4), bytes(24)), "magic number 1234; expected 2051"),
        (idx(2051, (2, 3, 4), bytes(23)), "ask for 24 bytes, but 23"),
        (idx(2051, (2, 3, 4), bytes(25)), "ask for 24 bytes, but 25"),
        (idx(2051, (-2, -3, 4), bytes(24)), "sizes"),
        (idx(2051, (2, 3, 4), bytes(24), cut=34), "6 bytes"),
        (b"no gzip", "decompressed"),
        (idx(2051, (2, 3, 4), bytes(24))[:-9], "decompressed"),
    ],
    ids=["labels", "unknown kind", "one byte less", "one byte more", "negative", "short head", "no gzip", "cut"],
)
def test_broken_idx_files_are_named(tmp_path, content, message):
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"x.gz.*({message})"):
        read_idx(path, 2051)


def wav(samples, rate=8000):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def test_wavs_are_mono_at_8_khz():
    samples = np.array([0, 0.5, -0.5], np.float32)
    assert read_wav("a.wav", wav(samples)) == pytest.approx(samples, abs=1e-4)
    for content in (wav(samples, 16000), wav(np.zeros((3, 2))), wav(np.zeros(0)), b"", b"RIFF"):
        with pytest.raises(DataError, match="a.wav"):
            read_wav("a.wav", content)


# the real files


def test_the_real_files_have_the_hashes_in_the_code():
    root = data_root()
    if not (root / "mnist").is_dir() or not (root / "fsdd").is_dir():
        pytest.skip(f"no MNIST and FSDD under {root}: set BMNAS_DATA to try the real files")
    assert set(mnist_files(root, url="http://127.0.0.1:9/")) == set(MNIST_FILES)
    recordings = fsdd_recordings(root, url="http://127.0.0.1:9/")
    assert len(recordings) == 3000 and listing_hash(recordings) == FSDD_LISTING
