"""What a task is: names, kinds, presets, and how its raw data or its features come about."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from bmnas.config import EvalConfig, SearchConfig
from bmnas.errors import ConfigError, DataError
from bmnas.features.backbones.checkpoints import State
from bmnas.features.feature_set import FeatureSet
from bmnas.features.samples import Samples
from bmnas.features.taps import Tap
from bmnas.registry import TASKS, unknown
from bmnas.training.metrics import METRICS
from bmnas.training.progress import Progress

Options = Mapping[str, Any]
PRESET_WHEN_NONE = ("L", "samples", "source")


@dataclass(frozen=True)
class Modality:
    """One modality and its backbone.

    Attributes:
        name: for example "Image".
        features: their names, from the earliest layer to the last.
        backbone: makes the untrained network; None where features are made directly.
        taps: feature -> where it is taken.
        training: epochs, batch_size, max_lr, weight_decay of `train_unimodal`.
        imagenet: makes initial weights of those of a 2D network trained on ImageNet; None where there is no such way.
        fresh: beginnings of the names of weights that ImageNet does not give.
        pretrained: sets the weights of the backbone's `body`, which then stays as it is: its `classifier` alone is
            trained, on the body's outputs. None where the whole backbone is trained.
        batch_size: samples of a forward pass that takes features.
    """

    name: str
    features: tuple[str, ...]
    backbone: Callable[[], nn.Module] | None = None
    taps: Mapping[str, Tap] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    imagenet: Callable[[State], State] | None = None
    fresh: tuple[str, ...] = ()
    pretrained: Callable[[Any], None] | None = None
    batch_size: int = 1000


@dataclass(frozen=True)
class RawData:
    """The samples before any network.

    Attributes:
        inputs: modality -> float32 (n, ...), as its backbone takes them.
        labels: int64 (n,), what the fusion predicts.
        own_labels: modality -> int64 (n,), what the backbone is trained on.
        splits: "train", "val", "test" -> rows.
        backbone_rows: the rows that train the backbones; those outside the splits serve nothing else.
        notes: one line for banners and titles.
        groups: int64 (n,) or (n, k), see `FeatureSet`; None where each sample stands alone.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    own_labels: dict[str, np.ndarray]
    splits: dict[str, np.ndarray]
    backbone_rows: np.ndarray
    notes: str
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class RealData:
    """Where a data set that is given out on request only lies, once somebody has it.

    Attributes:
        title: its name for people.
        folder: below the data root.
        request: where to ask for it.
        layout: what the folder must hold.
        open: (the folder, options) -> samples.
    """

    title: str
    folder: str
    request: str
    layout: str
    open: Callable[[Path, Options], Samples]


@dataclass(frozen=True)
class Task:
    """A data set with its presets; registered in TASKS under its name.

    Either `open_raw` gives the samples, and the backbones of `modalities` make the features, or `make` gives the
    features at once.

    Attributes:
        name, title: for people; the name is also the key.
        kind: "multiclass" or "multilabel".
        classes: names.
        modalities: in order, with the backbones of the default options.
        source: "real", "synthetic" or "stand-in": what `prepare` gives by default.
        search_config, eval_config: presets.
        options: every option of `prepare` that the task knows, with its default; "seed", "L", "samples" and "source"
            are among them.
        open_raw: (options, data root, progress) -> RawData.
        make: (options, data root, progress) -> FeatureSet.
        pictures: (features, rows) -> modality -> (rows, height, width), for a task whose `make` starts from pictures.
        real: the real data behind a stand-in; where it is present, it is used instead of `make`.
        reference: settings of a search that the authors' release has on this data set alone, beside those that
            `mode="reference"` stands for: `task.search_config.change(mode="reference", **task.reference)`.
        choose_modalities: options -> modalities, for a task whose options choose the backbones.
        grouped_by: what samples that were recorded together share ("recording"); "" where each stands alone.
        recipe: raised whenever the same options would give other features, so that no old cache is used.
    """

    name: str
    title: str
    kind: str
    classes: tuple[str, ...]
    modalities: tuple[Modality, ...]
    source: str
    search_config: SearchConfig
    eval_config: EvalConfig
    options: Options
    open_raw: Callable[[Options, Path, Progress | None], RawData] | None = None
    make: Callable[[Options, Path, Progress | None], FeatureSet] | None = None
    pictures: Callable[[FeatureSet, Sequence[int]], dict[str, np.ndarray]] | None = None
    real: RealData | None = None
    reference: Options = field(default_factory=dict)
    choose_modalities: Callable[[Options], tuple[Modality, ...]] | None = None
    grouped_by: str = ""
    recipe: int = 1

    @property
    def metric(self) -> str:
        """The name of the score that counts, see `bmnas.training.metrics`."""
        return METRICS[self.kind]

    @property
    def features(self) -> tuple[str, ...]:
        """All features in order."""
        return tuple(name for modality in self.modalities for name in modality.features)

    def modalities_of(self, options: Options) -> tuple[Modality, ...]:
        """Returns the modalities with the backbones that these options choose; all options are given.

        Raises:
            ConfigError: an option that chooses none.
        """
        return self.modalities if self.choose_modalities is None else self.choose_modalities(options)

    def resolve(self, wishes: Options) -> dict[str, Any]:
        """Combines the task's options with those that were given; None for L, samples or source leaves the default.

        Raises:
            UnknownNameError: an option that the task does not know.
            ConfigError: a seed or an L that is no whole number.
            DataError: a source that the task does not have.
        """
        for name in wishes:
            if name not in self.options:
                raise unknown(f"option of the dataset {self.name!r}:", name, self.options)
        chosen = {name: value for name, value in wishes.items() if value is not None or name not in PRESET_WHEN_NONE}
        options = {**self.options, **chosen}
        for name, least, most in (("seed", 0, 2**32 - 1), ("L", 1, 2**16)):  # as in a SearchConfig
            if type(options[name]) is not int or not least <= options[name] <= most:
                raise ConfigError(f"{name} is {options[name]!r}; expected a whole number from {least} to {most:,}")
        if options["source"] != self.source and not (self.source == "stand-in" and options["source"] == "real"):
            choices = "; expected 'real' or 'stand-in'" if self.source == "stand-in" else ""
            raise DataError(f"source is {options['source']!r}; the dataset {self.name!r} is {self.source}{choices}")
        return options


def eval_preset(dataset: str) -> EvalConfig:
    """Returns the budget of a data set's preset; the defaults for data of one's own, which has none."""
    return TASKS[dataset].eval_config if dataset in TASKS else EvalConfig()
