"""Extraction from large data: batch by batch to the disk, in any number of goes (section 3.1).

Worker processes decode, the backbones run once over every sample, and their pooled taps go at once into arrays of
their final size on the disk. A line of a log follows only when a batch is there, so the process may be killed at any
moment: the same call goes on, nothing that the log names is extracted twice, and nothing half-written is ever read.
The folder takes its final name when everything is checked.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bmnas.errors import DataError, FeatureError
from bmnas.features import store
from bmnas.features.backbone_training import weights_fingerprint
from bmnas.features.done_log import DoneLog
from bmnas.features.extraction_timing import Pace, note
from bmnas.features.feature_set import FeatureSet
from bmnas.features.growing_arrays import BulkArrays
from bmnas.features.samples import Samples
from bmnas.features.taps import Progress, Tap, frozen, hooked, taken
from bmnas.machine import resolve_device
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import write_text
from bmnas.training.metrics import score

PLAN, LOG, NAMES = "plan.json", "done.jsonl", "names.txt"
TARGETS = "targets"


@dataclass(frozen=True)
class Backbone:
    """A trained network and its taps.

    Attributes:
        model: any module.
        taps: feature -> where it is taken.
        about: what the manifest says of it: epochs, where its weights are from ...
    """

    model: nn.Module
    taps: Mapping[str, Tap]
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BulkReport:
    """What an extraction did.

    Attributes:
        features: the finished feature set, opened.
        resumed: samples that an earlier call had done.
        extracted: samples that this call did.
        unreadable: name -> why.
        seconds: of this call.
        pace: where those of the extraction went.
    """

    features: FeatureSet
    resumed: int
    extracted: int
    unreadable: dict[str, str]
    seconds: float
    pace: Pace

    @property
    def share(self) -> float:
        """Samples a second, as a share of what the bare backbones do: 1 where decoding and writing cost nothing."""
        return self.pace.share


def bulk_extract(
    folder: str | Path,
    samples: Samples,
    backbones: Mapping[str, Backbone],
    *,
    L: int,
    dtype: str = "float16",
    batch_size: int = 16,
    workers: int = 2,
    device: str | torch.device = "auto",
    max_unreadable: float = 0.01,
    task: str = "custom",
    notes: str = "",
    options: Mapping[str, Any] | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    progress: Progress | None = None,
) -> BulkReport:
    """Makes a feature set in a new folder, going on where an earlier call was stopped.

    Until it is finished everything lies beside the folder, in `.<name>.extracting`. On a CPU the result is the same,
    bit for bit, however often it was stopped, as long as the batch size is.

    Args:
        folder: of the feature set.
        samples: where inputs and labels are from.
        backbones: modality -> network and taps; each gets the inputs of its own modality.
        L: length to pool to.
        dtype: "float16" or "float32", of the features; logits are float32.
        batch_size: samples that go through the backbones together.
        workers: processes that decode; 0 decodes in this one.
        device: where the backbones run; not part of what must stay the same from call to call.
        max_unreadable: above this share of unreadable samples it stops.
        task, notes, options: for the manifest.
        splits: other splits than those of `samples`, in its rows; rows in none are left alone.
        progress: called at first and after each batch with the samples of this call, so that the time left is right.

    Raises:
        DataError: more samples are unreadable than allowed, with the first reasons.
        FeatureError: the folder exists, belongs to other settings, is in use, the disk is too small, or a feature is
            not finite.
    """
    folder, start = Path(folder), time.perf_counter()
    if folder.exists():
        raise FeatureError(f"{folder} exists already; nothing is overwritten. Open it, or delete it first")
    work = work_folder(folder)
    try:
        work.mkdir(parents=True, exist_ok=True)
        chosen = samples.splits if splits is None else dict(splits)
        rows = np.sort(np.concatenate(list(chosen.values())))
        job = _Job(
            work, samples, rows, backbones, L, dtype, batch_size, workers, resolve_device(device), max_unreadable
        )
        with DoneLog(work / LOG, len(rows)) as log:
            _claim(work, job.plan(task, options or {}))
            resumed = len(log.done.rows) - len(log.done.unreadable)
            pace = Pace() if (work / store.MANIFEST).exists() else job.run(log, progress)
            extracted = len(log.done.rows) - len(log.done.unreadable) - resumed
            bad = {samples.names[rows[row]]: why for row, why in sorted(log.done.unreadable.items())}
            job.finish(log.done.unreadable, bad, chosen, task, notes, options or {})
        for name in (PLAN, LOG):
            (work / name).unlink(missing_ok=True)
        os.rename(work, folder)
    except OSError as error:
        raise FeatureError(
            f"{work} cannot be written: {error}; what is extracted so far stays there. Make room, or make the folder "
            "writable, then call again"
        ) from error
    features = FeatureSet.open(folder, verify=False)
    return BulkReport(features, resumed, extracted, bad, time.perf_counter() - start, pace)


def work_folder(folder: Path) -> Path:
    """Where everything lies until it is finished."""
    return folder.parent / f".{folder.name}.extracting"


@dataclass
class _Job:
    work: Path
    samples: Samples
    rows: np.ndarray
    backbones: Mapping[str, Backbone]
    L: int
    dtype: str
    batch_size: int
    workers: int
    device: torch.device
    max_unreadable: float

    def __post_init__(self) -> None:
        features = [name for backbone in self.backbones.values() for name in backbone.taps]
        files = {name: f"{i:02d}_{name}.npy" for i, name in enumerate(features, start=1)}
        files |= {f"logits {modality}": f"logits_{modality}.npy" for modality in self.backbones}
        dtypes = dict.fromkeys(features, self.dtype) | {f"logits {m}": "float32" for m in self.backbones}
        target = {TARGETS: "int64" if self.samples.kind == "multiclass" else "float32"}
        self.arrays = BulkArrays(self.work, len(self.rows), {**files, TARGETS: "targets.npy"}, {**dtypes, **target})

    def plan(self, task: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """What must be the same from call to call."""
        plan = {
            "task": task,
            "samples": hashlib.sha256(self.samples.fingerprint.encode() + self.rows.tobytes()).hexdigest(),
            "L": self.L,
            "dtype": self.dtype,
            "weights": {name: weights_fingerprint(backbone.model) for name, backbone in self.backbones.items()},
            "taps": {name: asdict(tap) for backbone in self.backbones.values() for name, tap in backbone.taps.items()},
            "options": dict(options),
        }
        return json.loads(json.dumps(plan))

    def run(self, log: DoneLog, progress: Progress | None) -> Pace:
        """All batches that are not done; where the seconds went is noted in the folder too."""
        batches, there, pace = self._batches(log), len(log.done.rows), Pace()
        total, done, again = sum(map(len, batches)), 0, len(log.done.unreadable)
        what = f"extract (after {there:,} samples)" if there else "extract"
        if progress:
            progress(what, 0, total)
        with self._networks() as forward:
            for batch in pace.batches(self._loader(batches), lambda batch: len(batch.rows)):
                values = forward(batch.inputs) if batch.rows else {}
                with pace.writes():
                    if batch.rows:
                        names = [self.samples.names[self.rows[row]] for row in batch.rows]
                        self.arrays.put(batch.rows, {**values, TARGETS: batch.labels}, names)
                    log.append(sorted([*batch.rows, *batch.unreadable]), batch.unreadable)
                done += len(batch.rows) + len(batch.unreadable)
                if done >= again:  # before, some that were unreadable have not been tried again
                    self._stop_if_too_many(log)
                if progress:
                    progress(what, done, total)
        if batches:
            note(self.work, what, **pace.record(), workers=self.workers, batch_size=self.batch_size)
        return pace

    def _batches(self, log: DoneLog) -> list[list[int]]:
        """What was unreadable is tried once more; then the rest, cut as in a first go."""
        again = self._cut(sorted(log.done.unreadable))
        rest = [[row for row in batch if row not in log.done.rows] for batch in self._cut(range(len(self.rows)))]
        return [batch for batch in [*again, *rest] if batch]

    def _cut(self, rows: Sequence[int]) -> list[list[int]]:
        return [list(rows[start : start + self.batch_size]) for start in range(0, len(rows), self.batch_size)]

    def _loader(self, batches: list[list[int]]) -> Iterator["_Batch"]:
        return iter(
            DataLoader(
                _Readable(self.samples, self.rows),
                batch_sampler=batches,  # pyright: ignore[reportArgumentType]
                num_workers=min(self.workers, len(batches)),
                collate_fn=_collate,
            )
        )

    @contextmanager
    def _networks(self) -> Iterator[Any]:
        """The function inputs -> all features and logits of a batch, while the context lasts."""
        with ExitStack() as stack, torch.no_grad():
            seen = {}
            for modality, backbone in self.backbones.items():
                stack.enter_context(frozen(backbone.model, self.device))
                seen[modality] = stack.enter_context(hooked(backbone.model, backbone.taps, self.L))

            def forward(inputs: dict[str, Tensor]) -> dict[str, np.ndarray]:
                values: dict[str, np.ndarray] = {}
                for modality, backbone in self.backbones.items():
                    outputs = backbone.model(inputs[modality].to(self.device))  # (B, classes)
                    values |= {name: x.numpy() for name, x in taken(backbone.taps, seen[modality]).items()}
                    values[f"logits {modality}"] = outputs.float().cpu().numpy()
                return values

            yield forward

    def _stop_if_too_many(self, log: DoneLog) -> None:
        bad = log.done.unreadable
        if len(bad) > self.max_unreadable * len(self.rows):
            first = "; ".join(f"{self.samples.names[self.rows[row]]}: {why}" for row, why in list(bad.items())[:3])
            raise DataError(
                f"{len(bad)} of {len(self.rows)} samples cannot be read, more than the allowed share of "
                f"{self.max_unreadable:g} (max_unreadable). The first: {first}. Repair them and call again: what "
                f"is extracted so far stays in {self.work}"
            )

    def finish(
        self,
        unreadable: Mapping[int, str],
        bad: dict[str, str],
        splits: Mapping[str, np.ndarray],
        task: str,
        notes: str,
        options: Mapping[str, Any],
    ) -> None:
        """Describes and hashes what is there; the manifest is the last file to appear."""
        if (self.work / store.MANIFEST).exists():
            return
        arrays = self.arrays.opened()
        targets = np.array(arrays.pop(TARGETS))
        lost = np.array(sorted(unreadable), np.int64)
        kept = {name: np.setdiff1d(np.searchsorted(self.rows, rows), lost) for name, rows in splits.items()}
        logits = {modality: arrays.pop(f"logits {modality}") for modality in self.backbones}
        backbones = {
            modality: {
                "backbone": type(backbone.model).__name__,
                "fingerprint": weights_fingerprint(backbone.model),
                "parameters": sum(weight.numel() for weight in backbone.model.parameters()),
                "epochs": 0,
                **backbone.about,
                "scores": _scores(self.samples.kind, logits[modality], targets, kept),
            }
            for modality, backbone in self.backbones.items()
        }
        dropped = {name: len(rows) - len(kept[name]) for name, rows in splits.items()}
        features = FeatureSet.from_arrays(
            arrays,
            targets,
            kept,
            kind=self.samples.kind,
            classes=self.samples.classes,
            modalities={modality: tuple(backbone.taps) for modality, backbone in self.backbones.items()},
            logits=logits,
            L=self.L,
            task=task,
            source="real",
            notes=notes + (f"; {len(bad)} unreadable samples left out" if bad else ""),
            backbones=backbones,
            pooling={name: asdict(tap) for backbone in self.backbones.values() for name, tap in backbone.taps.items()},
            options={
                **options,
                "data": self.samples.facts,
                "unreadable": {"count": len(bad), "dropped": dropped, "samples": bad},
            },
        )
        names = "".join(f"{self.samples.names[row]}\n" for row in self.rows)
        write_text(self.work / NAMES, names, FeatureError)
        store.complete(features, self.work)


@dataclass
class _Batch:
    rows: list[int]
    inputs: dict[str, Tensor]
    labels: np.ndarray
    unreadable: dict[int, str]


class _Readable(Dataset[tuple[int, Any, str]]):
    """The chosen rows of a data set; one that cannot be read comes with the reason instead of an exception."""

    def __init__(self, samples: Samples, rows: np.ndarray) -> None:
        self.samples, self.rows = samples, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> tuple[int, Any, str]:
        try:
            inputs, label, _ = self.samples[int(self.rows[row])]
            return row, (inputs, label), ""
        except DataError as error:
            return row, None, str(error)


def _collate(read: list[tuple[int, Any, str]]) -> _Batch:
    good = [(row, sample) for row, sample, _ in read if sample is not None]
    modalities = good[0][1][0] if good else ()
    return _Batch(
        [row for row, _ in good],
        {name: torch.stack([sample[0][name] for _, sample in good]) for name in modalities},
        np.stack([sample[1].numpy() for _, sample in good]) if good else np.empty(0),
        {row: why for row, sample, why in read if sample is None},
    )


def _claim(work: Path, plan: dict[str, Any]) -> None:
    """Writes the plan, or compares it with the one that is there."""
    path = work / PLAN
    if not path.exists():
        write_text(path, json.dumps(plan, indent=1) + "\n", FeatureError)
        return
    before = read_json(path, FeatureError, f"delete {work}, and the extraction starts again")
    differ = [key for key in plan if before.get(key) != plan[key]]
    if differ:
        raise FeatureError(
            f"{work} holds an unfinished extraction with other {', '.join(differ)}; go on with the old settings, or "
            "delete it"
        )


def _scores(kind: str, logits: np.ndarray, targets: np.ndarray, splits: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {
        name: score(kind, torch.from_numpy(np.array(logits[rows])), torch.from_numpy(targets[rows]))
        for name, rows in splits.items()
        if len(rows)
    }
