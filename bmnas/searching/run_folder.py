"""The run folder: everything that a search, its evaluation and its ablation leave behind.

    runs/<name>/
        config.json            data set, settings and the features' fingerprint: what makes the run what it is
        environment.json       versions and machine
        features.json          where the features are stored
        trace.jsonl            one line an epoch, the same in every equal run
        timing.jsonl           seconds, memory and dates: everything that may differ between equal runs
        checkpoint.safetensors the state after the last epoch
        selection.json         both answers of the search
        reading.jsonl          only while the search is read out: scores so far
        reading.safetensors    the same, of DARTS-PT: its hypernet and decisions so far
        genotype.json          the chosen one
        network.safetensors    the trained network, see `bmnas.load`
        evaluation.json, ablation.csv, figures/
        joint.json             of backbones and network trained together, where 04 was asked for it
        lock                   only while a search is at work: its process
        in_app                 only while a search that the app has started is not finished
        scores/, timing/       the results of each seed that was trained, and how long it took
        features/              only for features that are not stored elsewhere

Every file is written under a temporary name and renamed. Reading executes no code.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bmnas.config import SearchConfig
from bmnas.errors import RunError
from bmnas.features.feature_set import FeatureSet
from bmnas.machine import environment
from bmnas.searching.run_features import open_features, store_features
from bmnas.searching.run_record import ENVIRONMENT, RunRecord
from bmnas.searching.trace import EpochEvent, Trace
from bmnas.space.genotype import Genotype
from bmnas.storage.checkpoint import load_state, save_state
from bmnas.storage.lock import hold
from bmnas.storage.paths import given_path
from bmnas.storage.reading import read_json
from bmnas.storage.records import append_record, epoch_record, read_records, rewrite_records
from bmnas.storage.whole_files import write_json, write_text

CONFIG, TRACE, TIMING, GENOTYPE = "config.json", "trace.jsonl", "timing.jsonl", "genotype.json"
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class Run:
    """One run folder.

    Args:
        folder: its path; it need not exist yet.

    Raises:
        RunError: the name is longer than 100 characters, or has others than letters, digits, dots, dashes and
            underscores; or a file lies there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = given_path("folder", folder)
        check_run_name(self.folder.name)
        if self.folder.exists() and not self.folder.is_dir():
            raise RunError(f"{self.folder} is a file; expected the folder of a run, which need not exist yet")

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    def __repr__(self) -> str:
        return f"Run({self.name})"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Locks the run while a search is made or read out. Reading the folder is always possible.

        Raises:
            RunError: another process is at work here (named), or the folder cannot be written.
        """
        with hold(self.path("lock")):
            yield

    # what the run is

    def claim(self, config: SearchConfig, features: FeatureSet) -> None:
        """Makes the folder this configuration's, or makes sure that it already is.

        Raises:
            RunError: it belongs to another configuration or other features; lists the differences.
        """
        if not self.path(CONFIG).exists():
            store_features(self.folder, features)
            self.save_json(ENVIRONMENT, environment(config.threads))
            self.save_json(CONFIG, RunRecord.of(config, features).to_dict())
            return
        self.check_same(config, features)
        with suppress(OSError):  # a copy that cannot be changed can be read still
            os.utime(self.path(CONFIG))  # the run that was worked on last is the newest

    def check_same(self, config: SearchConfig, features: FeatureSet) -> None:
        """Makes sure that the folder is of this configuration and features, or raises a RunError as `claim` does."""
        self._record().check_same(RunRecord.of(config, features), self.folder)

    def config(self) -> SearchConfig:
        """Returns the settings of the search.

        Raises:
            RunError: there are none, or they are damaged.
        """
        try:
            return self._record().config()
        except RunError as error:
            raise RunError(f"{self.path(CONFIG)}: {error}") from error

    def dataset(self) -> str:
        """Returns the data set's name.

        Raises:
            RunError: `config.json` is missing or damaged.
        """
        return self._record().dataset

    def source(self) -> str:
        """Returns "real", "synthetic" or "stand-in", as its features are; "" in a run of an older version.

        Raises:
            RunError: `config.json` is missing or damaged.
        """
        return self._record().source

    def features(self) -> FeatureSet:
        """Opens the features that the search used.

        Raises:
            RunError: they are gone, or others lie in their place.
        """
        features = open_features(self.folder)
        if features.fingerprint != self._record().features:
            raise RunError(f"{features.folder} holds other features than the run {self.name} was made with")
        return features

    def _record(self) -> RunRecord:
        return RunRecord.load(self.path(CONFIG))

    # the search

    def record_epoch(self, event: EpochEvent, state: dict[str, Any]) -> None:
        """Appends the epoch to the trace, then replaces the checkpoint.

        In this order: a trace that is one epoch ahead of its checkpoint is cut back when the search resumes.
        """
        append_record(self.path(TRACE), event.record())
        date = datetime.now(UTC).isoformat(timespec="seconds")
        append_record(self.path(TIMING), {**event.timing(), "date": date})
        save_state(self.path("checkpoint.safetensors"), state)

    def load_checkpoint(self) -> dict[str, Any] | None:
        """Returns the state after the last epoch, or None before the first; cuts the trace back to that epoch.

        Raises:
            RunError: the checkpoint is damaged, or the trace lacks epochs before it.
        """
        state = self.last_state() if self.has_checkpoint() else None
        self.cut_back(state["epoch"] if state else 0)
        return state

    def last_state(self) -> dict[str, Any]:
        """Reads the state after the last finished epoch; changes nothing, also while a search is at work.

        Raises:
            RunError: no epoch was finished, or the checkpoint is damaged.
        """
        path = self.path("checkpoint.safetensors")
        if not path.exists():
            raise RunError(f"{self.folder} has no finished epoch yet; run notebook 02 for it first")
        state = load_state(path)
        if not isinstance(state, dict) or type(state.get("epoch")) is not int or state["epoch"] < 1:
            raise RunError(f"{path}: not the checkpoint of a search, it lacks 'epoch'; delete it to start again")
        return state

    def has_checkpoint(self) -> bool:
        """Returns whether a checkpoint exists, so at least one epoch was finished."""
        return self.path("checkpoint.safetensors").exists()

    def trace(self) -> Trace:
        """Reads the events of all recorded epochs.

        Raises:
            RunError: a line is damaged; names file and line.
        """
        timing = {line["epoch"]: line for line in read_records(self.path(TIMING), epoch_record)}
        events = []
        for number, line in enumerate(read_records(self.path(TRACE), epoch_record), start=1):
            try:
                events.append(EpochEvent.from_record(line, timing.get(number)))
                if line["epoch"] != number:
                    raise RunError(f"epoch is {line['epoch']}; expected {number}")
            except RunError as error:
                raise RunError(f"{self.path(TRACE)}, line {number}: {error}") from error
        return Trace(events)

    def cut_back(self, epoch: int) -> None:
        """Removes the lines after an epoch, and what a kill left of a torn one; for who works in the folder alone.

        Raises:
            RunError: the trace lacks epochs before it.
        """
        records = {
            name: [record for record in read_records(self.path(name), epoch_record) if record["epoch"] <= epoch]
            for name in (TRACE, TIMING)
        }
        epochs = len(records[TRACE])
        if epochs != epoch:
            raise RunError(
                f"{self.path(TRACE)}: holds {epochs} epochs, but the checkpoint is of epoch {epoch}; bring the "
                "trace back, or delete the checkpoint to start again"
            )
        for name, lines in records.items():
            rewrite_records(self.path(name), lines)

    # what follows the search

    def genotype(self) -> Genotype:
        """Reads the genotype that the search chose.

        Raises:
            RunError: the search has not ended yet.
        """
        if not self.path(GENOTYPE).exists():
            raise RunError(f"{self.folder} has no {GENOTYPE} yet; run notebook 02 for it")
        return Genotype.load(self.path(GENOTYPE))

    def path(self, name: str) -> Path:
        """Returns the path of a file of this run."""
        return self.folder / name

    def save_text(self, name: str, text: str) -> None:
        """Writes a file, whole or not at all.

        Raises:
            RunError: it cannot be written; what was there before is kept.
        """
        write_text(self.path(name), text)

    def save_json(self, name: str, data: Any) -> None:
        """Writes JSON, whole or not at all; NaN and infinite numbers, which JSON does not have, become null."""
        write_json(self.path(name), data)

    def load_json(self, name: str) -> dict[str, Any]:
        """Reads a JSON object.

        Raises:
            RunError: the file is missing, or is not a JSON object.
        """
        return read_json(self.path(name))


def check_run_name(name: str) -> str:
    """Returns the name if a run folder may have it.

    Raises:
        RunError: it is empty, too long, or has other characters; a slash would lead out of the folder of all runs.
    """
    if not RUN_NAME.fullmatch(name):
        raise RunError(f"run name {name[:120]!r}: expected letters, digits, '.', '-' and '_', 100 at most")
    return name
