"""Large arrays in blocks, so that a look at a memory map stays small."""

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 22  # numbers looked at together


def blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the first row of each block, and its rows."""
    array = np.atleast_1d(array)
    step = max(1, BLOCK // max(1, int(np.prod(array.shape[1:]))))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]
