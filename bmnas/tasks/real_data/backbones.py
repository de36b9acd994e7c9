"""The backbones of the paper's tasks on real data: a checkpoint's weights, or trained here on the training split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bmnas.errors import DataError
from bmnas.features.backbone_training import train_unimodal_from
from bmnas.features.backbones.checkpoints import load_checkpoint
from bmnas.features.backbones.weight_files import load_backbone, save_backbone, weight_file
from bmnas.features.extraction import Backbone
from bmnas.features.extraction_timing import note
from bmnas.features.samples import Samples
from bmnas.tasks.base import Modality
from bmnas.training.loader_processes import loader_processes
from bmnas.training.progress import Progress, renamed


@dataclass(frozen=True)
class BackboneMaker:
    """What the backbones of a data set are made with.

    Attributes:
        samples, rows: the data set, and the rows to train on.
        weights: modality -> its checkpoint, None where there is none.
        imagenet: modality -> a 2D checkpoint that its training starts from.
        seed: decides initial weights, order and dropout.
        epochs: of the training.
        workers: processes that read samples.
        device: where it is trained.
        progress: told of each epoch.
    """

    samples: Samples
    rows: np.ndarray
    weights: Mapping[str, Path | None]
    imagenet: Mapping[str, Path]
    seed: int
    epochs: int
    workers: int
    device: torch.device
    progress: Progress | None

    def make(self, i: int, modality: Modality, work: Path) -> Backbone:
        """Makes the i-th modality's network, with the weights that lie in `work`, or new ones that are saved there.

        A training that was killed resumes after its last whole epoch.
        """
        seed = int(np.random.SeedSequence([self.seed, i]).generate_state(1)[0])
        model = self._untrained(modality, seed)
        weights = weight_file(work, modality.name)
        path = self.weights[modality.name]
        if not weights.exists():
            if path is not None:
                load_checkpoint(model, path)
                save_backbone(model, weights, {"weights": path.name})
            else:
                self._train(modality, model, seed, work)
        return Backbone(model, modality.taps, {"weights": weights.name, **load_backbone(model, weights)})

    def _untrained(self, modality: Modality, seed: int) -> nn.Module:
        """Makes a network with initial values decided by `seed` alone, except for weights from ImageNet."""
        assert modality.backbone is not None
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = modality.backbone()
        if modality.name in self.imagenet:
            assert modality.imagenet is not None
            load_checkpoint(model, self.imagenet[modality.name], modality.imagenet, modality.fresh)
        return model

    def _train(self, modality: Modality, model: nn.Module, seed: int, work: Path) -> None:
        if len(self.rows) < 2:
            raise DataError(
                f"the backbone of {modality.name} cannot be trained on {len(self.rows)} sample of the training split; "
                "expected at least two, or weights"
            )
        settings = dict(modality.training)
        size = settings.pop("batch_size")
        fit = DataLoader(
            _OneModality(self.samples, self.rows, modality.name),
            min(size, len(self.rows)),
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
            drop_last=True,  # BatchNorm cannot take a last batch of one
            collate_fn=list,
            **loader_processes(self.workers),
        )
        checkpoint = work / f"training_{modality.name}.safetensors"
        progress = renamed(f"train {modality.name} backbone", self.progress)
        report = train_unimodal_from(
            model, _Training(fit, modality.name), {}, epochs=self.epochs, kind=self.samples.kind, seed=seed,
            device=self.device, progress=progress, checkpoint=checkpoint, **settings,
        )  # fmt: skip
        note(work, f"train {modality.name} backbone", seconds=report.seconds)
        start = {"imagenet": self.imagenet[modality.name].name} if modality.name in self.imagenet else {}
        about = {"epochs": report.epochs, "rows": report.rows, **start}
        save_backbone(model, weight_file(work, modality.name), about)
        checkpoint.unlink()


class _OneModality(Dataset[tuple[Tensor, Tensor] | str]):
    """Input and label of one modality, or why a sample cannot be read."""

    def __init__(self, samples: Samples, rows: np.ndarray, modality: str) -> None:
        self.samples = samples
        self.rows = rows
        self.modality = modality

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor] | str:
        row = int(self.rows[i])
        try:
            inputs, label = self.samples.read(row, self.modality)
        except DataError as error:
            return f"{self.samples.names[row]}: {error}"
        return torch.from_numpy(inputs[self.modality]), torch.as_tensor(label)


@dataclass(frozen=True)
class _Training:
    """Batches of the samples that can be read; the extraction counts and lists the others.

    Raises:
        DataError: fewer than two samples of a batch can be read, which BatchNorm needs; here, and not in a worker
            process, whose errors come with its traceback.
    """

    loader: DataLoader[Any]
    modality: str

    @property
    def generator(self) -> torch.Generator | None:
        """Of the order, for the checkpoint."""
        return self.loader.generator

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in self.loader:
            good = [sample for sample in batch if not isinstance(sample, str)]
            bad = [reason for reason in batch if isinstance(reason, str)]
            if len(good) < 2:
                raise DataError(
                    f"The backbone of {self.modality} cannot be trained: {len(bad)} of the {len(batch)} samples of a "
                    f"batch cannot be read, and at least two are needed. " + "; ".join(bad[:3])
                )
            yield torch.stack([x for x, _ in good]), torch.stack([y for _, y in good])
