"""Word vectors in word2vec's binary format, and the mean vector of a text, as MM-IMDB's authors use them.

The file starts with a line "<words> <length>"; then each word, a blank, and its numbers as little-endian float32.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from bmnas.errors import DataError, warn
from bmnas.features.markers import MARKERS
from bmnas.storage.reading import regular
from bmnas.tasks.file_readers.text import fail

TEXT = 300  # numbers of a vector
VECTORS = ("GoogleNews-vectors-negative300.bin", "word2vec.bin")
MARKS = re.escape("/'-.?!()\",:;")  # stand alone
BLANKS = re.escape("~*+^`_#[]|")  # separate words, as white space does
ADDRESS = re.compile(r"^https?://.*", re.MULTILINE)
TOKEN = re.compile(rf"[0-9]+|[{MARKS}]|[^\s0-9{MARKS}{BLANKS}]+")
WRITTEN = b"0123456789+-.eE \n"  # bytes of numbers that are written out
LONGEST = 2000  # bytes of a word


def words(text: str) -> list[str]:
    """Splits a text into tokens, as `normalizeText` of the data set's make_dataset.py does.

    Letters become small, every run of digits "N", a line that starts with a web address "L"; marks stand alone, and
    accented words stay whole. "L" and "N" have vectors of their own in Google's file.
    """
    text = ADDRESS.sub(" L ", text.lower().replace("<br />", " ").strip())
    return ["N" if token[0] in "0123456789" else token for token in TOKEN.findall(text)]


def read_vectors(path: Path, vocabulary: set[str]) -> dict[str, np.ndarray]:
    """Reads the vectors of the wanted words, word -> float32 (300,); in one pass, never held whole.

    Raises:
        DataError: missing, cut short or longer than it says, in the text format, vectors of another length or not
            finite.
    """
    try:
        with regular(path).open("rb") as file:
            count, length = _header(path, file)
            vectors = {}
            for i in range(count):
                word, vector = _entry(path, file, i, 4 * length)
                if i == 0 and not vector.translate(None, WRITTEN):
                    fail(path, None, "the vector of word 0", vector[:20], "binary numbers; this is the text format")
                if word in vocabulary:
                    numbers = np.frombuffer(vector, "<f4").astype(np.float32)
                    if not np.isfinite(numbers).all():
                        fail(path, None, f"the vector of {word!r}", "NaN or infinite", f"{length} finite numbers")
                    if not np.array_equal(vectors.setdefault(word, numbers), numbers):
                        warn(f"{path}: {word!r} has two vectors; the first counts, as in gensim")
            if file.read(2).strip(b"\n"):
                fail(path, 1, "number of words", count, "as many as there are; more follow")
            return vectors
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error


def mean_vector(tokens: Iterable[str], vectors: Mapping[str, np.ndarray], where: str) -> np.ndarray:
    """Returns the mean over the words that have a vector, repeated words as often as they occur: float32 (300,).

    Raises:
        DataError: none of them has one; names `where` the text is from.
    """
    word_vectors = [vectors[token] for token in tokens if token in vectors]
    if not word_vectors:
        raise DataError(f"{where}: no word of the plot has a vector; expected at least one")
    return np.asarray(np.mean(word_vectors, axis=0), np.float32)


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


def stored_vector(path: Path, field: str, values: np.ndarray) -> np.ndarray:
    """Returns a stored mean of word vectors, float32 (300,).

    Args:
        path, field: where it is from, for errors.
        values: numbers (300,).

    Raises:
        DataError: it is not finite, too large for float32, or one number throughout that says that there is none.
    """
    if not np.isfinite(values).all():
        fail(path, None, field, "NaN or infinite", f"{TEXT} finite numbers")
    if np.abs(values).max() > np.finfo(np.float32).max:
        fail(path, None, field, f"{values.min()} to {values.max()}", "numbers that float32 holds")
    if values.min() == values.max() and values[0] in (0, *MARKERS):
        fail(path, None, field, f"{values[0]:g} throughout", "the mean of the vectors of a plot's words")
    return values.astype(np.float32)
