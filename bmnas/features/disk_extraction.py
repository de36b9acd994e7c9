"""Extraction from large data: batch by batch to the disk, resumed where it was stopped (section 3.1).

Worker processes decode, and the backbones run once over every sample. Their pooled taps go at once into arrays of
their final size on the disk. The folder takes its final name when everything is checked.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bmnas.errors import FeatureError
from bmnas.features.extraction import Backbone
from bmnas.features.extraction_folder import held_folder, publish, work_folder
from bmnas.features.extraction_run import Extraction
from bmnas.features.extraction_settings import Description, ExtractionSettings
from bmnas.features.extraction_shards import Sharding, extract_shards, join_shards, take_over_shards
from bmnas.features.extraction_timing import Pace
from bmnas.features.feature_set import FeatureSet
from bmnas.features.samples import Samples
from bmnas.storage.paths import given_path
from bmnas.storage.whole_files import cannot_write
from bmnas.training.progress import Progress


@dataclass(frozen=True)
class ExtractionReport:
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
    settings: ExtractionSettings,
    *,
    description: Description | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    progress: Progress | None = None,
    sharding: Sharding | None = None,
) -> ExtractionReport:
    """Makes a feature set in a new folder; resumes where an earlier call was stopped.

    Until it is finished everything lies beside the folder, in `.<name>.extracting`. On a CPU the result is the same,
    bit for bit, however often it was stopped, as long as the batch size is.

    Args:
        folder: of the feature set.
        samples: where inputs and labels are from.
        backbones: modality -> network and taps; each gets the inputs of its own modality.
        settings: L and dtype must stay the same from call to call.
        description: must stay the same, but for its notes.
        splits: other splits than those of `samples`, in its rows; rows in none are left alone.
        progress: called at first and after each batch with the samples of this call, so that the time left is right.
        sharding: extracts parts of the samples in processes or machines of their own, each of which resumes by itself;
            their joined arrays are those of one process, bit for bit on a CPU. A later call without it goes
            on from there.

    Raises:
        DataError: more samples are unreadable than allowed, with the first reasons.
        FeatureError: the folder exists, belongs to other settings, is in use, the disk is too small, or a feature is
            not finite.
    """
    folder, start = given_path("folder", folder), time.perf_counter()
    if folder.exists():
        raise FeatureError(f"{folder} exists already; nothing is overwritten. Open it, or delete it first")
    work = work_folder(folder)
    job = Extraction(
        samples=samples,
        splits=samples.splits if splits is None else dict(splits),
        backbones=backbones,
        settings=settings,
        description=description or Description(),
    )
    try:
        before = 0 if sharding is None else extract_shards(job, work, sharding, progress)
        with held_folder(work, job.plan(), job.columns()) as place:
            if place.described:
                pace = Pace()
            elif sharding is None:
                take_over_shards(job, place)
                pace = job.run(place, progress)
            else:
                pace = join_shards(job, place, sharding, before)
            unreadable = {samples.names[job.rows[row]]: why for row, why in sorted(place.log.done.unreadable.items())}
            if not place.described:
                job.describe(place, unreadable)
        publish(work, folder)
    except OSError as error:
        raise FeatureError(cannot_write(work, error, "what is extracted so far stays there")) from error
    return ExtractionReport(
        features=FeatureSet.open(folder, verify=False),
        resumed=len(job.rows) - len(unreadable) - pace.samples,
        extracted=pace.samples,
        unreadable=unreadable,
        seconds=time.perf_counter() - start,
        pace=pace,
    )
