"""Arrays of .npy files, mapped into memory. Their headers are Python literals, which anybody may have written."""

from pathlib import Path
from typing import Literal

import numpy as np

from bmnas.storage.reading import regular


def open_npy(path: Path, mode: Literal["r", "r+"] = "r") -> np.memmap:
    """Opens the array without reading it. Objects are refused, which only unpickling could make.

    Raises:
        OSError: the file is missing, no file, or cannot be read.
        ValueError: it is no .npy, or its header says what no array of its size can be.
    """
    try:
        array = np.lib.format.open_memmap(regular(path), mode=mode)
    except (EOFError, IndexError, KeyError, MemoryError, OverflowError, RecursionError, TypeError) as error:
        raise ValueError(f"its header describes no array ({type(error).__name__}: {error})") from error
    more = path.stat().st_size - array.offset - array.nbytes
    if more:
        raise ValueError(f"{more} bytes follow the array of {array.dtype} {array.shape} that its header describes")
    return array
