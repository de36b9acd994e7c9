"""The folder of an unfinished extraction: its lock, its plan, its done-log and its growing arrays, as one context.

A batch's numbers are on the disk before its line of the log. So the process may be killed at any moment: what the log
names is never extracted again, and nothing half-written is ever read.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bmnas.errors import FeatureError
from bmnas.features.done_log import DoneLog
from bmnas.features.extraction_machines import MACHINES
from bmnas.features.growing_arrays import Columns, GrowingArrays
from bmnas.features.store import MANIFEST
from bmnas.storage.reading import read_json
from bmnas.storage.whole_files import write_text

PLAN, LOG = "plan.json", "done.jsonl"


@dataclass(frozen=True)
class ExtractionFolder:
    """An unfinished extraction, held by this process.

    Attributes:
        path: of the folder.
        arrays: one row a sample.
        log: which rows are done.
    """

    path: Path
    arrays: GrowingArrays
    log: DoneLog

    @property
    def described(self) -> bool:
        """Whether the manifest, the last file of all, is there: only the final name is missing."""
        return (self.path / MANIFEST).exists()


def work_folder(folder: Path) -> Path:
    """Returns where everything lies until the feature set `folder` is finished."""
    return folder.parent / f".{folder.name}.extracting"


@contextmanager
def held_folder(path: Path, plan: Mapping[str, Any], columns: Columns) -> Iterator[ExtractionFolder]:
    """Holds the folder of an unfinished extraction, made now or by an earlier process that was stopped.

    Args:
        path: see `work_folder`.
        plan: what must be the same from process to process; JSON values.
        columns: the arrays.

    Raises:
        FeatureError: another process holds it, it belongs to another plan, or its log is damaged.
        OSError: it cannot be written.
    """
    path.mkdir(parents=True, exist_ok=True)
    with DoneLog(path / LOG, columns.samples) as log:
        _check_plan(path / PLAN, json.loads(json.dumps(plan)))
        yield ExtractionFolder(path=path, arrays=GrowingArrays(path, columns), log=log)


def publish(path: Path, folder: Path) -> None:
    """Gives a finished extraction its final name.

    Raises:
        OSError: it cannot be written.
    """
    for name in (PLAN, LOG, MACHINES):
        (path / name).unlink(missing_ok=True)
    os.rename(path, folder)


def _check_plan(path: Path, plan: dict[str, Any]) -> None:
    """Writes the plan, or compares it with the one that is there."""
    work = path.parent
    if not path.exists():
        write_text(path, json.dumps(plan, indent=1) + "\n", FeatureError)
        return
    before = read_json(path, FeatureError, f"delete {work}, and the extraction starts again")
    differ = [key for key in plan if before.get(key) != plan[key]]
    if differ:
        raise FeatureError(
            f"{work} holds an unfinished extraction with other {', '.join(differ)}; use the old settings again, or "
            "delete it"
        )
