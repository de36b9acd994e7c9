"""Where the seconds of an extraction go: how near it comes to its backbones' own pace, and what holds it back.

Seconds differ from run to run. So they lie in `timing.jsonl` beside the manifest, one line for each thing that was
done. Nothing that is compared or hashed holds them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from bmnas.errors import FeatureError
from bmnas.storage.records import append_record, read_records

Batch = TypeVar("Batch")
TIMING = "timing.jsonl"
PACE = ("samples", "rate", "bare", "share")  # numbers of a stage whose pace was taken
BOUNDS = {"waiting": "decoding", "backbones": "the backbones", "writing": "writing"}


class Pace:
    """Seconds of an extraction by what they were spent on; batches in memory tell the bare pace of the backbones.

    Attributes:
        samples: that went through the backbones.
        waiting, backbones, writing: seconds for batches to come, in the networks and their pooling, on the disk.
        bare: samples a second of the fastest batch, from the moment it lay in memory: what the backbones alone can do.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.bare = 0.0
        self.waiting = self.backbones = self.writing = 0.0

    @property
    def seconds(self) -> float:
        """All of them."""
        return self.waiting + self.backbones + self.writing

    @property
    def rate(self) -> float:
        """Samples a second that were reached; 0 where there were none."""
        return self.samples / self.seconds if self.samples else 0.0

    @property
    def share(self) -> float:
        """The rate as a share of the bare pace: 1 where decoding and writing cost nothing, or no batch was watched."""
        return self.rate / self.bare if self.samples and self.bare else 1.0

    @property
    def bound(self) -> str:
        """What most of the seconds went to."""
        return BOUNDS[max(BOUNDS, key=lambda name: getattr(self, name))]

    def batches(self, batches: Iterable[Batch], size: Callable[[Batch], int]) -> "Watched[Batch]":
        """Watches batches: the time until the next one is asked for is the backbones', but for what `writes` covers."""
        return Watched(self, batches, size)

    @contextmanager
    def writes(self) -> Iterator[None]:
        """Counts the time inside, within a batch, as the disk's."""
        began = time.perf_counter()
        yield
        self.writing += time.perf_counter() - began

    def record(self) -> dict[str, Any]:
        """Returns all of it in JSON values."""
        seconds = {name: round(getattr(self, name), 4) for name in ("seconds", "waiting", "backbones", "writing")}
        paces = {"rate": round(self.rate, 3), "bare": round(self.bare, 3), "share": round(self.share, 4)}
        return {"samples": self.samples, **seconds, **paces, "bound": self.bound}


class Watched(Generic[Batch]):
    """Batches of a known number or not, whose consumer is timed; see `Pace.batches`."""

    def __init__(self, pace: Pace, batches: Iterable[Batch], size: Callable[[Batch], int]) -> None:
        self.pace = pace
        self.source = batches
        self.size = size

    def __len__(self) -> int:
        return len(self.source) if isinstance(self.source, Sized) else 0

    def __iter__(self) -> Iterator[Batch]:
        pace = self.pace
        before = time.perf_counter()
        for batch in self.source:
            came = time.perf_counter()
            written = pace.writing
            count = self.size(batch)
            pace.waiting += came - before
            yield batch
            before = time.perf_counter()
            seconds = before - came - (pace.writing - written)
            pace.backbones += seconds
            pace.samples += count
            pace.bare = max(pace.bare, count / max(seconds, 1e-9))


def note(folder: Path, what: str, **record: Any) -> None:
    """Adds a line to a folder's `timing.jsonl`."""
    folder.mkdir(parents=True, exist_ok=True)
    append_record(folder / TIMING, {"what": what, **record})


def noted(folder: Path | None) -> list[dict[str, Any]]:
    """Reads the lines of a feature set's `timing.jsonl`; none where there is none.

    Raises:
        FeatureError: a line is damaged; the features are not.
    """
    if folder is None:
        return []
    return read_records(folder / TIMING, _stage, FeatureError, "delete the file, the features stay")


def _stage(line: dict[str, Any]) -> dict[str, Any]:
    """Checks a line of `timing.jsonl`: its seconds, and all that a pace has where there is one."""
    line = {"what": "", **line}
    for name in ("seconds", *(PACE if "share" in line else ())):
        if type(line.get(name)) not in (int, float):
            raise ValueError(f"{name} is {line.get(name)!r}; expected a number")
    for name in ("what", *(("bound",) if "share" in line else ())):
        if not isinstance(line.get(name), str):
            raise ValueError(f"{name} is {line.get(name)!r}; expected a text")
    return line
