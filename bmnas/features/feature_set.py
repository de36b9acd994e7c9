"""Stored features: what frozen backbones saw, pooled to (C_in, L), with targets and splits (section 3.1).

Everything after the extraction (search, derivation, evaluation, ablation) reads only this. One's own features need no
task: `FeatureSet.from_arrays`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from bmnas.errors import FeatureError, warn
from bmnas.features import checks, convert, labels, store, subsets
from bmnas.features.feature_tensors import FeatureTensors
from bmnas.features.fields import FeatureFields
from bmnas.features.findings import findings
from bmnas.features.groups import as_groups
from bmnas.features.missing import check_samples, count_missing, masked
from bmnas.features.weights import as_weights, check_weights
from bmnas.machine import free_memory, resolve_device
from bmnas.storage.digests import json_sha256
from bmnas.storage.paths import given_path
from bmnas.storage.validation import plain_number


@dataclass(frozen=True, eq=False, repr=False)
class FeatureSet(FeatureFields):
    """Named features of n samples, ready for a search.

    Attributes:
        arrays: feature -> (n, C_in, L), or (n, C_in, 1) for a vector, float16 or float32; memory maps when opened.
            Their order is the order of the sequence S. A row of NaN says that the sample lacks the feature.
        targets: int64 (n,) for multiclass, float32 (n, classes) of 0 and 1 for multilabel.
        splits: "train", "val" and "test" -> int64 rows; disjoint.
        L: the length of all features that have an extent.
        kind: "multiclass" or "multilabel".
        classes: their names.
        modalities: modality -> its features, from the earliest layer to the last.
        logits: modality -> (n, classes of its backbone), the unimodal outputs; may be empty.
        task, source, notes: where the features come from; `source` is "real", "synthetic" or "stand-in" and `notes`
            is one line for banners and titles.
        manifest: the description that `save` writes beside the arrays.
        groups: int64 (n,), equal for samples that were recorded together (recording, performer), or (n, k) where
            a sample is of k groups; None where each stands alone. Only intervals and verdicts depend on it.
        weights: float32 (n,), how much each sample counts in losses, not in scores; None where all count alike.
        folder: where `open` read it, None for features in memory.
        chosen: the features that `choose` left of those in the folder; None for all.

    Raises:
        FeatureError: any of these is missing or contradicts another; the message names the field.
    """

    folder: Path | None = None
    chosen: tuple[str, ...] | None = None
    _on: dict[torch.device, FeatureTensors] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        samples = checks.count_rows(self.targets)
        checks.check_names("feature", self.arrays)
        checks.check_shapes(self.arrays, self.L, samples)
        checks.check_targets(self.targets, self.kind, self.classes)
        checks.check_splits(self.splits, samples)
        checks.check_modalities(self.modalities, self.names)
        checks.check_logits(self.logits, self.modalities, samples)
        checks.check_groups(self.groups, samples)
        check_weights(self.weights, self.splits, samples)
        checks.check_choice("source", self.source, checks.SOURCES)
        checks.check_text("task", self.task)
        checks.check_text("notes", self.notes)
        check_samples(self.missing, self.names)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, ArrayLike],
        targets: ArrayLike,
        splits: Mapping[str, ArrayLike],
        *,
        kind: str | None = None,
        classes: Sequence[str] | None = None,
        modalities: Mapping[str, Sequence[str]] | None = None,
        logits: Mapping[str, ArrayLike] | None = None,
        masks: Mapping[str, ArrayLike] | None = None,
        L: int | None = None,
        task: str = "custom",
        source: str = "real",
        notes: str = "",
        backbones: Mapping[str, Any] | None = None,
        pooling: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
        groups: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        report: bool = True,
    ) -> "FeatureSet":
        """Makes a feature set of one's own arrays, with any number of features and modalities.

        What is odd about arrays of one's own (`task="custom"`) is a warning each: missing rows, constant, duplicate and
        exploding columns, rare classes.

        Args:
            arrays: feature -> (n, C_in) vectors or (n, C_in, L) sequences; numbers other than float16 become float32.
                A row that is NaN everywhere says that the sample lacks the feature.
            targets: n class numbers or names, or (n, classes) of 0 and 1.
            splits: "train", "val", "test" -> rows.
            kind: "multiclass" or "multilabel"; by default as the shape of `targets` says.
            classes: names; by default the numbers.
            modalities: modality -> features; by default the part of a feature's name before its last "_".
            logits: modality -> (n, classes) outputs of a unimodal model, for late fusion.
            masks: modality or feature -> n booleans, True where the sample has it, instead of rows of NaN.
            L: needed only where it cannot be seen: all features are vectors (then 8 by default).
            task, source, notes: see `FeatureSet`.
            backbones, pooling, options: anything worth keeping in the manifest; JSON values.
            report: whether odd arrays of one's own are warned about.
            groups: n numbers or names, equal for samples that were recorded together; by default each stands alone. Or
                (n, k), each sample of k groups, as a pair is of both its drawings; names mean the same in all columns.
            weights: n numbers of at least 0, how much each sample counts in every loss.

        Raises:
            FeatureError: names the field that is wrong.
        """
        optional = {"modalities": modalities, "logits": logits, "masks": masks}
        optional |= {"backbones": backbones, "pooling": pooling, "options": options}
        checks.check_mappings({"arrays": arrays, "splits": splits}, optional)
        order = {f"feature {name!r}": array for name, array in arrays.items()}
        for part, each in (("masks", masks), ("logits", logits)):
            order |= {f"{part}[{name!r}]": array for name, array in (each or {}).items()}
        convert.check_order({**order, "targets": targets, "groups": groups, "weights": weights})
        features = {name: convert.as_feature(name, array) for name, array in arrays.items()}
        targets, kind, classes = labels.as_targets(targets, kind, classes)
        members = (
            convert.modalities_by_name(features)
            if modalities is None
            else {m: convert.as_names(f"modalities[{m!r}]", names) for m, names in modalities.items()}
        )
        if masks:
            checks.check_modalities(members, tuple(features))
            features = masked(features, masks, members)
        outputs = {
            name: convert.as_numbers(f"logits[{name!r}]", array, keep_half=False)
            for name, array in (logits or {}).items()
        }
        built = cls(
            arrays=features,
            targets=targets,
            splits={name: convert.as_rows(name, rows) for name, rows in splits.items()},
            L=convert.common_length(features) if L is None else plain_number(L),
            kind=kind,
            classes=labels.numbered_classes(targets, kind) if classes is None else convert.as_names("classes", classes),
            modalities=members,
            logits=outputs,
            task=task,
            source=source,
            notes=notes,
            groups=None if groups is None else as_groups(groups),
            weights=None if weights is None else as_weights("weights", weights, len(targets)),
        )
        for name, array in features.items():
            count_missing(f"feature {name!r}", array)
        for name, array in outputs.items():
            count_missing(f"logits[{name!r}]", array)
        extras = {"backbones": backbones, "pooling": pooling, "options": options}
        built.manifest.update(store.describe(built, {key: dict(value or {}) for key, value in extras.items()}))
        for line in findings(built) if report and task == "custom" else ():
            warn(line)
        return built

    @classmethod
    def open(cls, folder: str | Path, verify: bool = True) -> "FeatureSet":
        """Opens the feature set that `save` wrote; arrays are memory-mapped, so nothing is read that is not used.

        Args:
            folder: where it lies.
            verify: compare every file with its checksum (about 2 GB/s) and look for NaN.

        Raises:
            FeatureError: names the file and the field that is wrong.
        """
        place = given_path("folder", folder)
        fields = store.read(place, verify)
        try:
            return cls(**vars(fields), folder=place)
        except FeatureError as error:
            raise FeatureError(f"{place / store.MANIFEST}: {error}") from error

    def save(self, folder: str | Path) -> Path:
        """Writes one .npy a feature and manifest.json to a new folder, whole or not at all.

        Raises:
            FeatureError: the folder exists; nothing is overwritten.
        """
        return store.write(self, given_path("folder", folder))

    def choose(self, modalities: subsets.Names = None, features: subsets.Names = None) -> "FeatureSet":
        """The same samples with some modalities or features alone; no file is touched, and no number copied.

        Args:
            modalities, features: names, or one text such as "Image,Text"; all when None.

        Raises:
            UnknownNameError: a name that is not there; lists those that are.
            FeatureError: nothing is left of a sample, or of all; a feature whose modality is left out.
        """
        if modalities is None and features is None:
            return self
        parts = subsets.chosen(self, modalities, features)
        return type(self)(**parts, folder=self.folder, chosen=None if self.folder is None else tuple(parts["arrays"]))

    @property
    def names(self) -> tuple[str, ...]:
        """The features in order."""
        return tuple(self.arrays)

    @property
    def channels(self) -> dict[str, int]:
        """feature -> C_in."""
        return {name: array.shape[1] for name, array in self.arrays.items()}

    @cached_property
    def fingerprint(self) -> str:
        """A sha256 of the numbers and names (not of dates, seconds or versions): equal features, equal fingerprint."""
        return store.fingerprint(self)

    def __len__(self) -> int:
        return len(self.targets)

    def __reduce__(self) -> tuple[Any, ...]:
        """For another process: a stored feature set is opened there, and the same one only once."""
        if self.folder is not None:
            return opened, (self.folder.absolute(), json_sha256(self.manifest), self.chosen)
        return partial(FeatureSet, **{part.name: getattr(self, part.name) for part in fields(self) if part.init}), ()

    def __repr__(self) -> str:
        sizes = " / ".join(str(len(self.splits[name])) for name in checks.SPLITS)
        counts = ", ".join(f"{name} of {rows.sum():,} samples" for name, rows in self.missing.items())
        missing = f"; missing: {counts}" if counts else ""
        return (
            f"FeatureSet({self.task}, {self.source}: {len(self.names)} features {', '.join(self.names)}; L = {self.L}; "
            f"{len(self.classes)} classes, {self.kind}; train / val / test = {sizes}{missing})"
        )

    def rows(self, split: str) -> np.ndarray:
        """Returns the rows of a split, int64.

        Raises:
            FeatureError: no such split.
        """
        checks.check_choice("split", split, checks.SPLITS)
        return self.splits[split]

    def recorded_together(self, rows: np.ndarray) -> np.ndarray:
        """Returns the group of each row, (n,), or its k groups, (n, k); a row that stands alone is one of its own."""
        return rows if self.groups is None else self.groups[rows]

    @property
    def nbytes(self) -> int:
        """Bytes of all features and targets."""
        return sum(array.nbytes for array in self.arrays.values()) + self.targets.nbytes

    def loaded(self, device: str | torch.device = "auto") -> bool:
        """Whether `tensors` has put them into a device's memory already."""
        place = resolve_device(device)
        return place in self._on and not self._on[place].on_disk

    def tensors(self, device: str | torch.device = "auto", on_disk: bool | None = None) -> FeatureTensors:
        """All features on a device, to be indexed by rows; put there once.

        Args:
            device: where batches are.
            on_disk: leave the features in their files, and read each batch from there; the numbers are the same. By
                default as the first call for this device said, else only where they do not fit into memory.
        """
        place = resolve_device(device)
        if on_disk is None and place not in self._on:
            on_disk = self.folder is not None and self.nbytes > free_memory(place)
        if place not in self._on or (on_disk is not None and self._on[place].on_disk != on_disk):
            self._on[place] = FeatureTensors(self, place, bool(on_disk))
        return self._on[place]


@lru_cache(maxsize=2)
def opened(folder: Path, manifest: str, chosen: tuple[str, ...] | None = None) -> FeatureSet:
    """Opens a feature set whose files another process has verified; the next call returns the same one.

    Args:
        folder: where it lies.
        manifest: sha256 of what the other process saw there.
        chosen: features of those in the folder.

    Raises:
        FeatureError: other features lie there, as where two machines have folders of one name.
    """
    features = FeatureSet.open(folder, verify=False).choose(features=chosen)
    if json_sha256(features.manifest) != manifest:
        raise FeatureError(f"{folder} holds other features here than where this job was made; share one folder")
    return features
