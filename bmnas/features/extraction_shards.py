"""Extraction in shards: parts of the samples, each a job with a folder of its own, joined to one feature set.

A shard begins where a batch of the whole extraction begins, so that the same samples pass through the backbones
together. Shards lie in the folder of the unfinished extraction until they are joined; each of them resumes by itself.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from bmnas.errors import ConfigError, FeatureError
from bmnas.features.done_log import read_done
from bmnas.features.extraction_folder import LOG, ExtractionFolder, held_folder
from bmnas.features.extraction_machines import note_machines, noted_machines
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


def extract_shards(extraction: Extraction, work: Path, sharding: Sharding, progress: Progress | None) -> int:
    """Extracts all shards that are not finished; returns how many samples were extracted before.

    Args:
        work: folder of the unfinished extraction.
        progress: called with the shards that are done.

    Raises:
        ConfigError: see `run_jobs`.
        FeatureError: a shard could not be extracted, after all others were.
    """
    joined = read_done(work / LOG, len(extraction.rows))
    shards = [shard for shard in shards_of(extraction, sharding) if not joined.rows.issuperset(_span(shard))]
    before = len(joined.extracted - set().union(*map(_span, shards)))
    before += sum(len(read_done(_folder(shard, work) / LOG, len(shard.rows)).extracted) for shard in shards)

    def tell(outcome: Outcome, done: int, total: int) -> None:
        if progress is not None and not outcome.wrong:
            progress("extract shards", done, total)

    jobs = _jobs(shards, work, sharding)
    if problems := failures(run_jobs(jobs, sharding.engine, sharding.workers, tell)):
        raise FeatureError(f"{work} lacks shards; call again to try them again. {problems}")
    return before


def _jobs(shards: Sequence[Extraction], work: Path, sharding: Sharding) -> list[Job]:
    jobs = []
    for number, shard in enumerate(shards, start=1):
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


def join_shards(extraction: Extraction, place: ExtractionFolder, sharding: Sharding, before: int) -> Pace:
    """Copies the finished shards into the arrays of the whole, and removes them.

    Args:
        before: samples that were extracted before this call.

    Raises:
        DataError: more samples are unreadable than the settings allow.
        FeatureError: the folder of a shard was changed since.
    """
    pace = Pace()
    for shard in shards_of(extraction, sharding):
        if not place.log.done.rows.issuperset(_span(shard)):
            folder = _folder(shard, place.path)
            with held_folder(folder, shard.plan(), shard.columns()) as finished, pace.writes():
                if len(finished.log.done.rows) < len(shard.rows):
                    raise FeatureError(f"{folder} is not complete; delete {folder.parent} to extract the shards again")
                _copy(finished, shard, place)
    pace.samples = len(place.log.done.extracted) - before
    extraction.check_unreadable(place)
    note(place.path, "extract", shards=sharding.shards, seconds=round(pace.seconds, 4))
    _remove(place)
    return pace


def take_over_shards(extraction: Extraction, place: ExtractionFolder) -> None:
    """Copies what the shards of an earlier call extracted, for a call without shards to go on from there.

    Raises:
        FeatureError: another process is at one of them, or they belong to other settings.
    """
    for folder in sorted((place.path / KIND).glob("rows-*-*")):
        first, last = map(int, folder.name.split("-")[1:])
        shard = replace(extraction, part=(first, last))
        with held_folder(folder, shard.plan(), shard.columns()) as begun:
            _copy(begun, shard, place)
    _remove(place)


def _remove(place: ExtractionFolder) -> None:
    """Removes the shards, and the seconds of their jobs."""
    shutil.rmtree(place.path / KIND, ignore_errors=True)
    shutil.rmtree(place.path / "timing", ignore_errors=True)


def _copy(begun: ExtractionFolder, shard: Extraction, place: ExtractionFolder) -> None:
    """Copies all rows of a shard that are done there and not yet here, then writes their line of the log."""
    span = _span(shard)
    rows = [row for row in sorted(begun.log.done.rows) if span[row] not in place.log.done.rows]
    if not rows:
        return
    note_machines(place.path, noted_machines(begun.path))
    files = begun.arrays.columns.files
    there = [name for name, file in files.items() if (begun.path / file).exists()]  # all but of unreadable samples
    arrays = {name: begun.arrays.opened_column(name) for name in there}
    for start in range(0, len(rows), JOINED):
        part = rows[start : start + JOINED]
        names = [shard.samples.names[shard.rows[row]] for row in part]
        place.arrays.put([span[row] for row in part], {name: array[part] for name, array in arrays.items()}, names)
    left = set(rows)
    unreadable = {span[row]: why for row, why in begun.log.done.unreadable.items() if row in left}
    place.log.append([span[row] for row in rows], unreadable)


def _folder(shard: Extraction, work: Path) -> Path:
    assert shard.part is not None
    return work / KIND / f"rows-{shard.part[0]}-{shard.part[1]}"


def _span(shard: Extraction) -> range:
    """Returns the rows of the whole that are those of a shard."""
    assert shard.part is not None
    return range(*shard.part)
