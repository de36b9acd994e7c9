"""Extraction in shards: parts of the samples, each a job with a folder of its own, joined to one feature set.

A shard begins where a batch of the whole extraction begins, so that the same samples pass through the backbones
together. Shards lie in the folder of the unfinished extraction until they are joined; each of them resumes by itself.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bmnas.errors import ConfigError, FeatureError
from bmnas.features.extraction_folder import ExtractionFolder, held_folder
from bmnas.features.extraction_run import Extraction
from bmnas.features.extraction_timing import Pace, note
from bmnas.machine import resolve_device
from bmnas.storage.job_list import failures, run_jobs
from bmnas.storage.jobs import Job, Outcome
from bmnas.training.progress import Progress

KIND = "shards"
JOINED = 1024  # rows that are copied at once


@dataclass(frozen=True)
class Sharding:
    """How an extraction is divided.

    Attributes:
        shards: how many parts; the same from call to call.
        engine, workers: who extracts them, see `bmnas.storage.job_list.run_jobs`.
    """

    shards: int
    engine: str = "joblib"
    workers: int = 2

    def __post_init__(self) -> None:
        if type(self.shards) is not int or self.shards < 1:
            raise ConfigError(f"shards is {self.shards!r}; expected a whole number of at least 1")


def shards_of(extraction: Extraction, sharding: Sharding) -> list[Extraction]:
    """Divides an extraction; no shard is empty, so there may be fewer than asked for."""
    samples, size = len(extraction.rows), extraction.settings.batch_size
    batches = -(-samples // size)
    cuts = sorted({min(samples, size * (i * batches // sharding.shards)) for i in range(sharding.shards + 1)})
    settings = replace(extraction.settings, max_unreadable=1.0)  # what counts is their share in the whole
    return [replace(extraction, settings=settings, part=part) for part in zip(cuts, cuts[1:], strict=False)]


def extract_shards(extraction: Extraction, work: Path, sharding: Sharding, progress: Progress | None) -> None:
    """Extracts all shards that are not finished.

    Args:
        work: folder of the unfinished extraction.
        progress: called with the shards that are done.

    Raises:
        ConfigError: see `run_jobs`.
        FeatureError: a shard could not be extracted, after all others were.
    """
    jobs = _jobs(extraction, work, sharding)

    def tell(outcome: Outcome, done: int, total: int) -> None:
        if progress is not None and not outcome.wrong:
            progress("extract shards", done, total)

    if problems := failures(run_jobs(jobs, sharding.engine, sharding.workers, tell)):
        raise FeatureError(f"{work} lacks shards; call again to try them again. {problems}")


def _jobs(extraction: Extraction, work: Path, sharding: Sharding) -> list[Job]:
    jobs = []
    for number, shard in enumerate(shards := shards_of(extraction, sharding), start=1):
        jobs.append(
            Job(
                name=f"shard {number} of {len(shards)}",
                identity={**shard.plan(), "batch_size": shard.settings.batch_size},
                function=extract_shard,
                arguments={"shard": _placed(shard, number, sharding.engine), "work": work},
                folder=work,
                kind=KIND,
                gpus=int(resolve_device(shard.settings.device).type == "cuda"),
            )
        )
    return jobs


def _placed(shard: Extraction, number: int, engine: str) -> Extraction:
    """Gives the shards of processes of one machine its GPUs in turn; a cluster places its jobs itself."""
    cards = torch.cuda.device_count()
    if engine != "joblib" or cards < 2 or str(shard.settings.device) not in ("auto", "cuda"):
        return shard
    return replace(shard, settings=replace(shard.settings, device=f"cuda:{number % cards}"))


def extract_shard(shard: Extraction, work: Path) -> dict[str, Any]:
    """Extracts one shard into its own folder; resumes where it was stopped."""
    with held_folder(_folder(shard, work), shard.plan(), shard.columns()) as place:
        pace = shard.run(place, None)
        return {"samples": len(shard.rows), "unreadable": len(place.log.done.unreadable), "seconds": pace.seconds}


def join_shards(extraction: Extraction, place: ExtractionFolder, sharding: Sharding) -> Pace:
    """Copies the finished shards into the arrays of the whole, and removes them.

    Raises:
        DataError: more samples are unreadable than the settings allow.
        FeatureError: the folder of a shard was changed since.
    """
    pace = Pace()
    for shard in shards_of(extraction, sharding):
        assert shard.part is not None
        first, last = shard.part
        if not set(range(first, last)) <= place.log.done.rows:
            folder = _folder(shard, place.path)
            with held_folder(folder, shard.plan(), shard.columns()) as finished, pace.writes():
                if len(finished.log.done.rows) < last - first:
                    raise FeatureError(f"{folder} is not complete; delete {folder.parent} to extract the shards again")
                _copy(finished, shard, place, first)
        pace.samples += last - first - sum(first <= row < last for row in place.log.done.unreadable)
    extraction.check_unreadable(place)
    note(place.path, "extract", shards=sharding.shards, seconds=round(pace.seconds, 4))
    shutil.rmtree(place.path / KIND, ignore_errors=True)
    shutil.rmtree(place.path / "timing", ignore_errors=True)
    return pace


def _copy(finished: ExtractionFolder, shard: Extraction, place: ExtractionFolder, first: int) -> None:
    """Copies all rows of a shard, then writes their line of the log."""
    files = finished.arrays.columns.files
    there = [name for name, file in files.items() if (finished.path / file).exists()]  # all but of unreadable samples
    arrays = {name: finished.arrays.opened_column(name) for name in there}
    names = [shard.samples.names[row] for row in shard.rows]
    for start in range(0, len(names), JOINED):
        part = slice(start, min(start + JOINED, len(names)))
        rows = list(range(first + part.start, first + part.stop))
        place.arrays.put(rows, {name: np.asarray(array[part]) for name, array in arrays.items()}, names[part])
    unreadable = {first + row: why for row, why in finished.log.done.unreadable.items()}
    place.log.append(list(range(first, first + len(names))), unreadable)


def _folder(shard: Extraction, work: Path) -> Path:
    assert shard.part is not None
    return work / KIND / f"rows-{shard.part[0]}-{shard.part[1]}"
