"""What the real data sets have in common: (inputs by modality, label, name), read on demand."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset


class Samples(Dataset[tuple[dict[str, Tensor], Tensor, str]]):
    """n samples of several modalities; a subclass reads one.

    Attributes:
        names: of the samples.
        classes: their names.
        kind: "multiclass" or "multilabel".
        splits: "train", "val", "test" -> rows.
        facts: what is there and what was left out, JSON values for the manifest.
        content: what else decides inputs and labels, as text: the form of the data, where each clip starts ...
    """

    def __init__(
        self,
        names: Sequence[str],
        classes: Sequence[str],
        kind: str,
        splits: dict[str, np.ndarray],
        facts: dict[str, Any],
        content: str = "",
    ) -> None:
        self.names = tuple(names)
        self.classes = tuple(classes)
        self.kind = kind
        self.splits = splits
        self.facts = facts
        self.content = content

    def read(self, row: int, only: str | None = None) -> tuple[dict[str, np.ndarray], np.ndarray | int]:
        """Reads the inputs of each modality, or of one, and the label of a sample.

        Args:
            row: which sample.
            only: the modality to read, where the others are not needed.

        Raises:
            DataError: a file of it is missing or damaged.
        """
        raise TypeError(f"{type(self).__name__} does not say how a sample is read")

    def pictures(self, row: int) -> dict[str, np.ndarray]:
        """Shows a sample to people: modality -> float32 (height, width), grey and small.

        Raises:
            DataError: see `read`.
        """
        raise TypeError(f"{type(self).__name__} does not say how a sample is shown")

    def files(self, row: int) -> Sequence[Path]:
        """Returns all files that decide a sample's inputs and label; none where it is not read from files."""
        return ()

    def group(self, row: int) -> str:
        """Names what a sample shares with those that were recorded together with it; its own name where it is alone."""
        return self.names[row]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, row: int) -> tuple[dict[str, Tensor], Tensor, str]:
        inputs, label = self.read(row)
        return (
            {name: torch.from_numpy(array) for name, array in inputs.items()},
            torch.as_tensor(label),
            self.names[row],
        )

    @property
    def fingerprint(self) -> str:
        """sha256 of names, classes, content and splits, in order; of the files themselves see `input_stamps`."""
        digest = hashlib.sha256("\n".join((*self.names, *self.classes, self.content)).encode())
        for name in sorted(self.splits):
            digest.update(name.encode() + np.asarray(self.splits[name], np.int64).tobytes())
        return digest.hexdigest()
