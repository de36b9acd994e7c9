"""From raw data of the paper's tasks to features: weights found or trained, then `bulk_extract`."""

import operator
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmnas.errors import ConfigError, DataError, warn
from bmnas.features.disk_extraction import ExtractionReport, bulk_extract
from bmnas.features.extraction_folder import work_folder
from bmnas.features.extraction_settings import Description, ExtractionSettings
from bmnas.features.extraction_shards import Sharding
from bmnas.features.feature_set import FeatureSet
from bmnas.features.input_stamps import changed_samples
from bmnas.features.samples import Samples
from bmnas.registry import unknown
from bmnas.storage.digests import file_sha256
from bmnas.storage.paths import given_path
from bmnas.tasks.base import Options, RealData, Task
from bmnas.tasks.file_readers.folders import files_under
from bmnas.tasks.real_data.backbones import BackboneMaker
from bmnas.tasks.stand_in import StandIn
from bmnas.training.progress import Progress

HOW = ("workers", "extract_batch", "max_unreadable", "shards", "shards_at_once", "engine")
"""Options that say how features are made, not which: they belong to no hash."""
REAL_OPTIONS: dict[str, Any] = {
    "weights": None,  # modality -> checkpoint; <folder>/weights/<modality>.pth where None
    "imagenet": None,  # modality -> checkpoint of a 2D network that the training of its backbone starts from
    "backbone_epochs": 0,  # of a backbone without a checkpoint; 0: that is an error
    "dtype": "float16",
    "extract_batch": 16,
    "workers": None,  # processes that decode; one less than there are CPUs where None
    "max_unreadable": 0.01,
    "shards": None,  # parts that are extracted by jobs; None: all in this process
    "shards_at_once": 2,
    "engine": "joblib",  # where these jobs are computed, see docs/many_runs.md
}
SUFFIXES = (".pth", ".pt", ".checkpoint")
MAX_WORKERS = 16


def stand_in_maker(stand_in: StandIn, real: RealData) -> Callable[[Options, Path, Progress | None], FeatureSet]:
    """Makes `Task.make` of a task whose features are stand-ins where there is no real data."""

    def make(options: Options, root: Path, progress: Progress | None) -> FeatureSet:
        return stand_in.features(options["samples"], options["seed"], options["L"])

    return make


def absent(real: RealData, root: Path) -> DataError:
    """Makes the error of a data set that is not there: where to ask for it, and how its folder must look."""
    return DataError(
        f"source='real' needs {real.title}, which is absent: ask for it at {real.request}; the folder "
        f"{root / real.folder} must then hold {real.layout}. Features extracted elsewhere go into "
        "FeatureSet.from_arrays, and source='stand-in' tries everything without the data"
    )


def present(real: RealData, root: Path) -> bool:
    """Returns whether the data set's folder holds anything but weights; opening it shows what else is missing."""
    folder = root / real.folder
    return folder.is_dir() and any(path.name != "weights" for path in folder.iterdir())


@dataclass(frozen=True)
class RealRun:
    """A task on real data, before anything is computed; `check` comes first."""

    task: Task
    real: RealData
    options: Options
    root: Path

    def check(self) -> None:
        """Checks that features can be made.

        Raises:
            DataError: the data is absent, incomplete or not what the task expects; a backbone has neither a checkpoint
                nor epochs to be trained in.
            UnknownNameError: weights for a modality that the task does not have.
            ConfigError: options out of range.
        """
        if not present(self.real, self.root):
            raise absent(self.real, self.root)
        if len(self.samples.classes) != len(self.task.classes):
            raise DataError(
                f"{self.root / self.real.folder}: {len(self.samples.classes)} classes; {self.task.name} has "
                f"{len(self.task.classes)}"
            )
        if not isinstance(self.options["samples"], int) and self.options["samples"] != "full":
            raise ConfigError(f"samples is {self.options['samples']!r}; expected a whole number or 'full'")
        _ = self.imagenet  # what is wrong with it shows now
        for modality in self.task.modalities:
            if self.weights[modality.name] is None and self.options["backbone_epochs"] < 1:
                raise DataError(
                    f"no weights for the backbone of {modality.name}: put a checkpoint at "
                    f"{self.root / self.real.folder / 'weights' / modality.name}.pth, name one in weights="
                    f"{{'{modality.name}': path}}, or pass backbone_epochs=<number> to train it here"
                )

    @cached_property
    def samples(self) -> Samples:
        """The data set, opened."""
        return self.real.open(self.root / self.real.folder, self.options)

    def samples_if_present(self) -> Samples | None:
        """Opens the data set; None where it is absent or damaged."""
        try:
            return self.samples if present(self.real, self.root) else None
        except DataError:
            return None

    @cached_property
    def splits(self) -> dict[str, np.ndarray]:
        """All rows, or as few as the option `samples` asks for."""
        if self.options["samples"] == "full":
            return self.samples.splits
        return fewer(self.samples.splits, self.options["samples"], self.options["seed"])

    @cached_property
    def weights(self) -> dict[str, Path | None]:
        """modality -> its checkpoint, None where there is none."""
        paths: Mapping[str, str | None] = self.options["weights"] or {}
        names = [modality.name for modality in self.task.modalities]
        for name in paths:
            if name not in names:
                raise unknown(f"modality of {self.task.name!r}", name, names)
        folder = self.root / self.real.folder / "weights"
        files = list(files_under(folder)) if folder.is_dir() else []
        weights: dict[str, Path | None] = {}
        for name in names:
            named = [path for path in files if path.stem.lower() == name.lower()]
            usual = [path for suffix in SUFFIXES for path in named if path.suffix.lower() == suffix]
            path = paths.get(name)
            if path is None and len(usual) > 1:
                raise DataError(
                    f"{folder} holds {' and '.join(path.name for path in usual)}: leave one of them there, or name one "
                    f"in weights={{'{name}': path}}"
                )
            weights[name] = next(iter(usual), None) if path is None else given_path(f"weights[{name!r}]", path)
        return weights

    @cached_property
    def imagenet(self) -> dict[str, Path]:
        """modality -> the 2D checkpoint that its training starts from."""
        paths: Mapping[str, str | None] = self.options["imagenet"] or {}
        able = [modality.name for modality in self.task.modalities if modality.imagenet is not None]
        for name in paths:
            if name not in able:
                raise ConfigError(
                    f"imagenet is given for {name}; weights of ImageNet start {' and '.join(able) or 'no backbone'} of "
                    f"{self.task.name!r}. For others, name a checkpoint of the backbone itself in weights="
                )
            if self.weights[name] is not None:
                raise ConfigError(
                    f"imagenet is given for {name}, whose weights are in {self.weights[name]}; leave one of them out"
                )
        return {name: given_path(f"imagenet[{name!r}]", path) for name, path in paths.items() if path is not None}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What makes the features others: options, names and splits of the data, and the bits of the weights."""
        options = {name: value for name, value in self.options.items() if name not in HOW}
        weights = {name: sha256(path) for name, path in self.weights.items()}
        start = {name: sha256(path) for name, path in self.imagenet.items()}
        return {**options, "weights": weights, "data": self.samples.fingerprint, "imagenet": start or None}

    def newest(self, folder: Path) -> Path:
        """Returns the folder of the features that belong to the files as they are now, made or yet to be made.

        Features whose inputs have been replaced since stay; newer ones lie beside them, in `<folder>-2`, `-3` ...

        Args:
            folder: of the first features with these options, names and splits.
        """
        number = 1
        newest = folder
        while newest.exists():
            changed = changed_samples(newest, self.samples)
            if not changed:
                return newest
            number += 1
            before = newest
            newest = folder.with_name(f"{folder.name}-{number}")
            if not newest.exists():
                warn(
                    f"The files of {len(changed):,} samples, first {changed[0]}, are not those that the features in "
                    f"{before} were made from; new features are made in {newest}",
                )
        return newest

    def extract(self, folder: Path, device: torch.device, progress: Progress | None) -> ExtractionReport:
        """Makes the feature set; resumes where an earlier call was stopped, see `bulk_extract`."""
        self._warn_of_fewer()
        maker = BackboneMaker(
            self.samples, self.splits["train"], self.weights, self.imagenet, self.options["seed"],
            self.options["backbone_epochs"], self._workers, device, progress,
        )  # fmt: skip
        work = work_folder(folder)
        backbones = {m.name: maker.make(i, m, work) for i, m in enumerate(self.task.modalities)}
        report = bulk_extract(
            folder,
            self.samples,
            backbones,
            ExtractionSettings(
                L=self.options["L"],
                dtype=self.options["dtype"],
                batch_size=self.options["extract_batch"],
                workers=self._workers,
                device=device,
                max_unreadable=self.options["max_unreadable"],
            ),
            description=Description(
                task=self.task.name,
                notes=self._notes,
                options={name: value for name, value in self.identity.items() if name != "data"},
            ),
            splits=self.splits,
            progress=progress,
            sharding=self._sharding,
        )
        if progress and report.extracted and report.pace.bare:  # shards have a pace each
            words = f"extracted at {report.share:.0%} of the bare backbones' speed, bound by {report.pace.bound}"
            progress(words, report.extracted, report.extracted)
        return report

    def _warn_of_fewer(self) -> None:
        """Warns where a split holds fewer samples than its publishers counted: a list or a download may be cut."""
        counts, published = (self.samples.facts.get(name) for name in ("counts", "expected_counts"))
        if counts and published and any(map(operator.lt, counts.values(), published)):
            here, there = (" / ".join(f"{count:,}" for count in each) for each in (counts.values(), published))
            warn(
                f"{self.root / self.real.folder}: {' / '.join(counts)} have {here} samples; {there} are published. "
                "Unless you took a part on purpose, files or lines of its lists are lost"
            )

    @property
    def _sharding(self) -> Sharding | None:
        if self.options["shards"] is None:
            return None
        return Sharding(self.options["shards"], self.options["engine"], self.options["shards_at_once"])

    @property
    def _workers(self) -> int:
        workers = self.options["workers"]
        return min(MAX_WORKERS, (os.cpu_count() or 1) - 1) if workers is None else workers

    @property
    def _notes(self) -> str:
        sizes = " / ".join(f"{len(rows):,}" for rows in self.splits.values())
        split = f", split {self.options['split']!r}" if "split" in self.options else ""
        return f"{self.real.title}{split}, {sizes} samples"


def sha256(path: Path | None) -> str | None:
    """Computes the sha256 of a file; None of None.

    Raises:
        DataError: it cannot be read.
    """
    if path is None:
        return None
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}; expected a checkpoint") from error


def fewer(splits: dict[str, np.ndarray], samples: int, seed: int) -> dict[str, np.ndarray]:
    """Draws `samples` training rows, and a quarter as many for val and test, at random; never a prefix.

    Raises:
        DataError: fewer rows than that.
    """
    rng = np.random.default_rng(seed)
    sizes = {"train": samples, "val": samples // 4, "test": samples // 4}
    for part, count in sizes.items():
        if not 1 <= count <= len(splits[part]):
            raise DataError(f"samples is {samples}: {count} rows for {part}, which has {len(splits[part])}; take fewer")
    return {part: np.sort(rng.choice(splits[part], count, replace=False)) for part, count in sizes.items()}
