"""One extraction to the disk: which batches are left, what is written of each, and the manifest at the end."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from bmnas.errors import DataError, FeatureError, how_many, warn
from bmnas.features import store
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.extraction import Backbone, Extracted, run_backbones
from bmnas.features.extraction_folder import ExtractionFolder
from bmnas.features.extraction_machines import machine_kind, mixed_machines, note_machines
from bmnas.features.extraction_settings import Description, ExtractionSettings
from bmnas.features.extraction_timing import Pace, note
from bmnas.features.feature_set import FeatureSet
from bmnas.features.growing_arrays import Columns
from bmnas.features.input_stamps import CONTENTS, INPUTS, NAMES, Stamp, is_same
from bmnas.features.sample_batches import SampleBatch, sample_batches
from bmnas.features.samples import Samples
from bmnas.machine import resolve_device
from bmnas.storage.own_code import own_code
from bmnas.storage.whole_files import write_text
from bmnas.training.metrics import score
from bmnas.training.progress import Progress

FINGERPRINT = "data fingerprint"  # of names, classes, splits and labels; among the options in the manifest
LOOKS, CONTENT, TARGETS = "look of inputs", "content of inputs", "targets"


@dataclass(frozen=True)
class Extraction:
    """One extraction: what goes in, how, and what the manifest says.

    Attributes:
        samples: where inputs and labels are from.
        splits: rows of the samples; rows in none are left alone.
        backbones: modality -> network and taps.
        settings: how it is made.
        description: what the manifest says of it.
        part: which of the rows, the first and the one after the last; all of them when None.
    """

    samples: Samples
    splits: Mapping[str, np.ndarray]
    backbones: Mapping[str, Backbone]
    settings: ExtractionSettings
    description: Description
    part: tuple[int, int] | None = None

    @cached_property
    def rows(self) -> np.ndarray:
        """The samples of any split, in order: row i of the features is sample rows[i]."""
        rows = np.sort(np.concatenate(list(self.splits.values())))
        return rows if self.part is None else rows[slice(*self.part)]

    @cached_property
    def pooling(self) -> dict[str, dict[str, Any]]:
        """feature -> its tap, in JSON values."""
        return {name: asdict(tap) for backbone in self.backbones.values() for name, tap in backbone.taps.items()}

    def columns(self) -> Columns:
        """The arrays of the folder: features, logits of each modality, targets, stamps of the inputs."""
        logits = {f"logits {modality}": f"logits_{modality}.npy" for modality in self.backbones}
        features = {name: f"{i:02d}_{name}.npy" for i, name in enumerate(self.pooling, start=1)}
        target = "int64" if self.samples.kind == "multiclass" else "float32"
        return Columns(
            samples=len(self.rows),
            files={**features, **logits, TARGETS: "targets.npy", LOOKS: INPUTS, CONTENT: CONTENTS},
            dtypes={
                **dict.fromkeys(features, self.settings.dtype),
                **dict.fromkeys(logits, "float32"),
                TARGETS: target,
                LOOKS: "uint64",
                CONTENT: "uint64",
            },
        )

    def plan(self) -> dict[str, Any]:
        """What must be the same from call to call."""
        code = own_code((type(self.samples), *(backbone.model for backbone in self.backbones.values())))
        return {
            **({"code of backbones and samples": code} if code else {}),
            "task": self.description.task,
            "samples": hashlib.sha256(self.samples.fingerprint.encode() + self.rows.tobytes()).hexdigest(),
            "L": self.settings.L,
            "dtype": self.settings.dtype,
            "weights": {name: weights_fingerprint(backbone.model) for name, backbone in self.backbones.items()},
            "taps": self.pooling,
            "options": dict(self.description.options),
        }

    def run(self, place: ExtractionFolder, progress: Progress | None) -> Pace:
        """Extracts all batches that are not done; notes in the folder where the seconds went."""
        batches, resumed, pace = self._batches(place), len(place.log.done.rows), Pace()
        total, done, retried = sum(map(len, batches)), 0, len(place.log.done.unreadable)
        what = f"extract (after {resumed:,} samples)" if resumed else "extract"
        if progress:
            progress(what, 0, total)

        def sink(batch: SampleBatch, extracted: Extracted) -> None:
            nonlocal done
            if not done:
                note_machines(place.path, [machine_kind(self.settings.device)])
            with pace.writes():
                self._write(place, batch, extracted)
            done += len(batch.rows) + len(batch.unreadable)
            if done >= retried:  # before, some that were unreadable have not been tried again
                self.check_unreadable(place)
            if progress:
                progress(what, done, total)

        loader = sample_batches(self.samples, self.rows, batches, self.settings.workers)
        timed = pace.batches(loader, lambda batch: len(batch.rows))
        run_backbones(self.backbones, timed, sink, L=self.settings.L, device=resolve_device(self.settings.device))
        if batches:
            note(place.path, what, **pace.record(), workers=self.settings.workers, batch_size=self.settings.batch_size)
        return pace

    def _batches(self, place: ExtractionFolder) -> list[list[int]]:
        """What was unreadable is tried once more; then the rest, and what has other files, cut as in a first call."""
        done = place.log.done
        looks, contents = place.arrays.column(LOOKS), place.arrays.column(CONTENT)
        again = self._cut(sorted(done.unreadable))
        valid = {
            row
            for row in done.rows
            if is_same(self.samples.files(int(self.rows[row])), Stamp(int(looks[row]), int(contents[row])))
        }
        valid |= set(done.unreadable)
        rest = [[row for row in batch if row not in valid] for batch in self._cut(range(len(self.rows)))]
        return [batch for batch in [*again, *rest] if batch]

    def _cut(self, rows: Sequence[int]) -> Iterator[list[int]]:
        size = self.settings.batch_size
        return (list(rows[start : start + size]) for start in range(0, len(rows), size))

    def _write(self, place: ExtractionFolder, batch: SampleBatch, extracted: Extracted) -> None:
        """Writes a batch's numbers, then its line of the log."""
        looks, contents = np.array(list(batch.stamps.values()), np.uint64).reshape(-1, 2).T
        place.arrays.put(list(batch.stamps), {LOOKS: looks, CONTENT: contents}, ())
        if batch.rows:
            logits = {f"logits {modality}": outputs for modality, outputs in extracted.logits.items()}
            names = [self.samples.names[self.rows[row]] for row in batch.rows]
            place.arrays.put(batch.rows, {**extracted.features, **logits, TARGETS: batch.labels}, names)
        place.log.append(sorted([*batch.rows, *batch.unreadable]), batch.unreadable)

    def check_unreadable(self, place: ExtractionFolder) -> None:
        """Makes sure that few enough samples are unreadable.

        Raises:
            DataError: they are more than the settings allow; names the first.
        """
        bad, most = place.log.done.unreadable, self.settings.max_unreadable
        if len(bad) > most * len(self.rows):
            first = "; ".join(f"{self.samples.names[self.rows[row]]}: {why}" for row, why in list(bad.items())[:3])
            raise DataError(
                f"{len(bad)} of {len(self.rows)} samples cannot be read, more than the allowed share of "
                f"{most:g} (max_unreadable). The first: {first}. Repair them and call again: what "
                f"is extracted so far stays in {place.path}"
            )

    def describe(self, place: ExtractionFolder, unreadable: dict[str, str]) -> None:
        """Describes and hashes what is there; the manifest is the last file to appear."""
        arrays = place.arrays.opened()
        targets = np.array(arrays.pop(TARGETS))
        del arrays[LOOKS], arrays[CONTENT]  # lie beside the features
        logits = {modality: arrays.pop(f"logits {modality}") for modality in self.backbones}
        lost = np.array(sorted(place.log.done.unreadable), np.int64)
        self._warn_of_unlabelled(targets, lost)
        splits = {part: np.setdiff1d(np.searchsorted(self.rows, rows), lost) for part, rows in self.splits.items()}
        dropped = {part: len(rows) - len(splits[part]) for part, rows in self.splits.items()}
        left_out = f"; {len(unreadable)} unreadable samples left out" if unreadable else ""
        features = FeatureSet.from_arrays(
            arrays,
            targets,
            splits,
            kind=self.samples.kind,
            classes=self.samples.classes,
            modalities={modality: tuple(backbone.taps) for modality, backbone in self.backbones.items()},
            logits=logits,
            L=self.settings.L,
            task=self.description.task,
            source="real",
            notes=self.description.notes + left_out,
            backbones={
                modality: {
                    "backbone": type(backbone.model).__name__,
                    "fingerprint": weights_fingerprint(backbone.model),
                    "parameters": sum(weight.numel() for weight in backbone.model.parameters()),
                    "epochs": 0,
                    **backbone.about,
                    "scores": split_scores(self.samples.kind, logits[modality], targets, splits),
                }
                for modality, backbone in self.backbones.items()
            },
            pooling=self.pooling,
            options={
                **self.description.options,
                "data": self.samples.facts,
                FINGERPRINT: self.samples.fingerprint,
                "unreadable": {"count": len(unreadable), "dropped": dropped, "samples": unreadable},
                **mixed_machines(place.path),
            },
            groups=[self.samples.group(int(row)) for row in self.rows],
            report=False,
        )
        names = "".join(f"{self.samples.names[row]}\n" for row in self.rows)
        write_text(place.path / NAMES, names, FeatureError)
        store.complete(features, place.path)

    def _warn_of_unlabelled(self, targets: np.ndarray, lost: np.ndarray) -> None:
        """Warns of samples that could have several labels and have none, apart from those that cannot be read."""
        if self.samples.kind == "multilabel":
            unlabelled = np.setdiff1d(np.flatnonzero(~targets.any(1)), lost)
            if len(unlabelled):
                first = self.samples.names[self.rows[unlabelled[0]]]
                warn(f"{how_many(len(unlabelled), 'sample')} of {len(targets):,} have no label at all, first {first}")


def split_scores(
    kind: str, logits: np.ndarray, targets: np.ndarray, splits: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Returns split -> the score of a backbone alone; none of an empty split."""
    return {
        name: score(kind, torch.from_numpy(np.array(logits[rows])), torch.from_numpy(targets[rows]))
        for name, rows in splits.items()
        if len(rows)
    }
