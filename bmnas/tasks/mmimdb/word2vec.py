"""Word vectors in word2vec's binary format, and the mean vector of a text, as MM-IMDB's authors use them.

The file begins with a line "<words> <length>"; then each word, a blank, and its numbers as little-endian float32.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bmnas.errors import DataError
from bmnas.storage.reading import regular
from bmnas.tasks.mmimdb.hdf5 import TEXT
from bmnas.tasks.raw.text import fail

VECTORS = ("GoogleNews-vectors-negative300.bin", "word2vec.bin")
WORD = re.compile(r"[A-Za-z0-9']+")
LONGEST = 2000  # bytes of a word


def words(text: str) -> list[str]:
    """The words of a text, as they are written: the vectors know capitals."""
    return WORD.findall(text)


def read_vectors(path: Path, wanted: set[str]) -> dict[str, np.ndarray]:
    """word -> float32 (300,), for those of the wanted words that the file knows; read once, never held whole.

    Raises:
        DataError: missing, cut short, vectors of another length or not finite.
    """
    try:
        with regular(path).open("rb") as file:
            count, length = _header(path, file)
            found = {}
            for i in range(count):
                word, vector = _entry(path, file, i, 4 * length)
                if word in wanted:
                    found[word] = np.frombuffer(vector, "<f4").astype(np.float32)
                    if not np.isfinite(found[word]).all():
                        fail(path, None, f"the vector of {word!r}", "NaN or infinite", f"{length} finite numbers")
            return found
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def mean_vector(tokens: Iterable[str], vectors: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    """float32 (300,), the mean over the words that have a vector.

    Raises:
        DataError: none of them has one; names `where` the text is from.
    """
    known = [vectors[token] for token in tokens if token in vectors]
    if not known:
        raise DataError(f"{where}: no word of the plot has a vector; expected at least one")
    return np.asarray(np.mean(known, axis=0), np.float32)


def _header(path: Path, file: BinaryIO) -> tuple[int, int]:
    parts = file.readline(100).split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        fail(path, 1, "the first line", parts, "<number of words> <length of a vector>")
    if int(parts[1]) != TEXT:
        fail(path, 1, "length of a vector", int(parts[1]), str(TEXT))
    return int(parts[0]), int(parts[1])


def _entry(path: Path, file: BinaryIO, i: int, size: int) -> tuple[str, bytes]:
    letters = bytearray()
    while (letter := file.read(1)) != b" ":
        if not letter or len(letters) > LONGEST:
            fail(path, None, f"word {i}", bytes(letters[:20]), "a word and a blank; the file is cut short or damaged")
        letters += letter
    vector = file.read(size)
    if len(vector) != size:
        fail(path, None, f"the vector of word {i}", f"{len(vector)} bytes", f"{size} bytes; the file is cut short")
    return letters.strip(b"\n").decode("utf-8", "replace"), vector
