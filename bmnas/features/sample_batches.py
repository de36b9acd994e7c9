"""Samples as batches, read by worker processes; one that cannot be read comes with the reason, not as an exception."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from bmnas.errors import DataError
from bmnas.features.extraction import Batch
from bmnas.features.input_stamps import Stamp, stamp
from bmnas.features.samples import Samples
from bmnas.training.loader_processes import loader_processes


@dataclass(frozen=True)
class SampleBatch(Batch):
    """A batch of samples.

    Attributes:
        rows: of the samples that could be read, as many as there are inputs.
        labels: theirs.
        unreadable: row -> why it could not be read.
        stamps: row -> of its files, of both kinds of rows, taken before they were read.
    """

    rows: list[int]
    labels: np.ndarray
    unreadable: dict[int, str]
    stamps: dict[int, Stamp]


def sample_batches(
    samples: Samples, rows: np.ndarray, batches: Sequence[Sequence[int]], workers: int
) -> Iterator[SampleBatch]:
    """Reads the batches in order.

    Args:
        samples: the data set.
        rows: row i of a batch is sample rows[i].
        batches: rows of each batch.
        workers: processes that read; 0 reads in this one.
    """
    return iter(
        DataLoader(
            _Readable(samples, rows),
            batch_sampler=batches,  # pyright: ignore[reportArgumentType]
            collate_fn=_collate,
            **loader_processes(min(workers, len(batches))),
        )
    )


class _Readable(Dataset[tuple[int, Stamp, Any, str]]):
    """(row, stamp, sample or None, why there is none)."""

    def __init__(self, samples: Samples, rows: np.ndarray) -> None:
        self.samples = samples
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[int, Stamp, Any, str]:
        before = stamp(self.samples.files(int(self.rows[row])))
        try:
            inputs, label, _ = self.samples[int(self.rows[row])]
        except DataError as error:
            return row, before, None, str(error)
        return row, before, (inputs, label), ""


def _collate(read: list[tuple[int, Stamp, Any, str]]) -> SampleBatch:
    good = [(row, sample) for row, _, sample, _ in read if sample is not None]
    modalities = good[0][1][0] if good else ()
    return SampleBatch(
        inputs={name: torch.stack([sample[0][name] for _, sample in good]) for name in modalities},
        rows=[row for row, _ in good],
        labels=np.stack([sample[1].numpy() for _, sample in good]) if good else np.empty(0),
        unreadable={row: why for row, _, sample, why in read if sample is None},
        stamps={row: before for row, before, _, _ in read},
    )
