"""Features larger than memory: a batch is read from the memory-mapped files, some batches before it is needed."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from bmnas.features.token_store import TokenStore, distinct_positions

AHEAD = 4  # batches that are read before they are needed
READERS = 4  # threads that read the features of a batch
CHUNK = 4096  # rows that are looked at together


class MappedStore:
    """A feature on the disk that gives the batches of a `TokenStore`, bit for bit.

    Args:
        array: (n, C_in, L) or (n, C_in, 1), memory-mapped.
        device: of the batches.
    """

    def __init__(self, array: np.ndarray, device: torch.device) -> None:
        self.array, self.device = array, device
        self.copies = array.shape[2] // self._positions()

    def _positions(self) -> int:
        """P of the whole feature: the largest that any chunk of rows needs and all can have."""
        starts = range(0, len(self.array), CHUNK)
        counts = (distinct_positions(self._read(slice(start, start + CHUNK))).shape[2] for start in starts)
        return int(np.lcm.reduce([*counts]))

    def _read(self, rows: slice | np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(self.array[rows]))

    def batch(self, rows: np.ndarray) -> Tensor:
        """float32 (B, C_in, P) of some rows."""
        feature = self._read(rows)[..., :: self.copies]
        store = TokenStore(feature, distinct=True)
        tokens = store.tokens.to(self.device, non_blocking=True)
        return tokens.float()[..., : store.channels].transpose(1, 2)


class MappedFeatures:
    """The features of a batch, read by some threads at once.

    Args:
        arrays: feature -> its memory map.
        device: of the batches.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], device: torch.device) -> None:
        self.stores = {name: MappedStore(array, device) for name, array in arrays.items()}
        self.readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")

    def batch(self, rows: Tensor) -> dict[str, Tensor]:
        """Feature -> float32 (B, C_in, P)."""
        numbers = rows.cpu().numpy()
        reading = {name: self.readers.submit(store.batch, numbers) for name, store in self.stores.items()}
        return {name: feature.result() for name, feature in reading.items()}
